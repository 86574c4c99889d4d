"""Mail that leaves Clarion: built typed, so that no value can become a header of its own.

With `CLARION_SMTP_URL` it goes to that server; without, each mail is a file in
`home/mail`, which a person and a test can read.
"""

import re
import smtplib
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

from clarion.base import clock
from clarion.base.errors import Misconfigured, Unavailable
from clarion.base.settings import make_home, settings

SECONDS = 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person.

    Attributes:
        id: makes repeating harmless: the same id is the same file and Message-ID.
        to: e-mail address.
        name: of the person; may be empty.
        subject: one line.
        body: plain text; lines end with one newline.
        language: tag of the words in it.
        unsubscribe: address that ends such mails with one click (RFC 8058): answers a
            POST, needs no cookie. For mails to the people an account writes to.
    """

    id: UUID
    to: str
    subject: str
    body: str
    name: str = ""
    language: str = "en"
    unsubscribe: str = ""


def send(mail: Mail) -> None:
    """Hand a mail to the server, or write it to a file.

    Raises:
        Unavailable: the server does not answer or does not take it now.
    """
    message = build(mail)
    url = settings().smtp_url
    if url:
        _hand_over(message, url)
    else:
        _keep(message, settings().mail_folder / f"{mail.id}.eml")


def build(mail: Mail) -> EmailMessage:
    """Make the message. Control characters in subject, name and address become blanks."""
    sender_name, sender = parseaddr(settings().mail_from)
    host = sender.rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(sender_name, sender)
    message["To"] = _address(mail.name, mail.to)
    message["Subject"] = _line(mail.subject)
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{mail.id}@{host}>"
    message["Content-Language"] = _line(mail.language)
    message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
    if mail.unsubscribe:
        message["List-Unsubscribe"] = f"<{_line(mail.unsubscribe)}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.body)
    return message


def _address(name: str, address: str) -> Address:
    return Address(display_name=_line(name), addr_spec=_line(address))


def _line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _keep(message: EmailMessage, path: Path) -> None:
    make_home(path.parent.parent)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(message.as_bytes())
    part.replace(path)


def _hand_over(message: EmailMessage, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Misconfigured(
            "smtp_url_invalid",
            "CLARION_SMTP_URL must look like smtp://name:password@host:587.",
        )
    try:
        with _connected(parts.scheme, parts.hostname, parts.port) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as e:
        raise Unavailable(
            "mail_server_away",
            f"The mail server does not take mail now: {type(e).__name__}.",
        ) from e


def _connected(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    """Connect; over TLS from the start (`smtps`), or as soon as the server offers it."""
    secure = ssl.create_default_context()
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=SECONDS, context=secure)
    server = smtplib.SMTP(host, port or 587, timeout=SECONDS)
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=secure)
        server.ehlo()
    return server
