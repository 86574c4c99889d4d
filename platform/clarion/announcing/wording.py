"""What kinds are called, and what an announcement may not say: a service message sells nothing."""

import re
from email.utils import parseaddr
from urllib.parse import urlsplit

from clarion.base.errors import Invalid
from clarion.base.settings import settings
from clarion.base.words import _, lazy

KIND_NAMES = {
    "maintenance": lazy("Maintenance"),
    "incident": lazy("Incident"),
    "security": lazy("Security"),
    "terms": lazy("Change of terms"),
    "service": lazy("Change of the service"),
}
SEVERITY_NAMES = {
    "info": lazy("For information"),
    "warning": lazy("Important"),
    "critical": lazy("Critical: cannot be put away"),
}
AUDIENCE_NAMES = {
    "all": lazy("All accounts"),
    "accounts": lazy("Named accounts"),
    "plugin": lazy("Accounts that have a plugin switched on"),
    "transport": lazy("Accounts that send by a connection of this kind"),
    "reached": lazy("Who got what this corrects"),
}
TITLE, TEXT = 120, 4_000

# where somebody leads, with or without a scheme; `e.g.` and `1.5` are no hosts
_LINK = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>\"'“”]+", re.IGNORECASE)
_BARE = re.compile(
    r"\b(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:com|net|org|info|biz|io|ai|app|dev|shop|store|"
    r"online|site|xyz|me|co|us|uk|eu|de|at|ch|fr|es|pt|it|nl|br|in|mx|ru|cn|jp|test|example)\b",
    re.IGNORECASE,
)
_CURRENCY = r"(?:[€$£¥₹]|\b(?:EUR|USD|GBP|CHF|INR|BRL|JPY|CNY|MXN|PLN|TRY)\b)"
_MONEY = re.compile(
    rf"{_CURRENCY}\s?\d|\d[\d.,]*\s?(?:{_CURRENCY}|euros?\b|dollars?\b|cents?\b)",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\d\s?%\s*(?:off|cheaper|discount|less|rabatt|günstiger|billiger|nachlass)"
    r"|\b(?:discounts?|coupons?|vouchers?|promo codes?|promotional|special offers?|"
    r"limited[- ]time|free trial|save up to|best price|black friday|"
    r"cyber monday|cashback|giveaway|rabatte?n?|gutscheine?n?|sonderangebote?n?|"
    r"aktionspreise?n?|sparpreise?|schnäppchen|kostenlos testen|preisnachlass)\b"
    r"|\b(?:buy|order|upgrade|subscribe)\s+(?:now|today)\b"
    r"|\bjetzt\s+(?:kaufen|bestellen|buchen|upgraden|zuschlagen)\b",
    re.IGNORECASE,
)


def require_sober(kind: str, words: str, field: str) -> None:
    """Refuse words that advertise, offer, or lead to somebody else's pages.

    A fence, not a proof: a second person reads what goes to many. Sums of money are for a
    change of terms alone, where a price is what changes.

    Args:
        kind: of announcement.
        words: a title or a text.
        field: the form's field, named in the refusal.

    Raises:
        Invalid: `announcement_link`, `announcement_offer` or `announcement_money`.
    """
    if host := _foreign(words):
        text = _(
            "A link to %(host)s is not allowed: only our own pages are, and the hosts of"
            " CLARION_ANNOUNCEMENT_HOSTS.",
            host=host,
        )
        raise Invalid("announcement_link", text, field=field)
    if found := _OFFER.search(words):
        text = _(
            "“%(words)s” reads like an offer. A service message carries no advertising.",
            words=found[0],
        )
        raise Invalid("announcement_offer", text, field=field)
    if kind != "terms" and (found := _MONEY.search(words)):
        text = _(
            "“%(words)s” is a price. Only a change of terms may name one.", words=found[0]
        )
        raise Invalid("announcement_money", text, field=field)


def _foreign(words: str) -> str:
    """Name the first host that is not ours; "" when there is none."""
    rest = words
    for link in _LINK.findall(words):
        rest = rest.replace(link, " ")
        parts = urlsplit(link if "://" in link else f"https://{link}")
        host = (_host(parts.netloc) if parts.netloc else "") or link
        if parts.scheme not in ("http", "https") or not _ours(host) or "@" in parts.netloc:
            return host
    return next((host for host in _BARE.findall(rest) if not _ours(host)), "")


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2].partition(":")[0].rstrip(".,;:!?)").lower()


def _ours(host: str) -> bool:
    conf = settings()
    own = [
        urlsplit(conf.public_url).hostname or "",
        parseaddr(conf.mail_from)[1].rpartition("@")[2],
        *conf.announcement_hosts,
    ]
    name = host.lower()
    return any(one and (name == one or name.endswith(f".{one}")) for one in own)
