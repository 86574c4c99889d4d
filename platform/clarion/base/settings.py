"""Every deployment setting: declared once, read once, checked at start.

The only reader of `CLARION_*`. What a person would change while Clarion runs is a row,
not a setting. Without any of them Clarion runs for development: its data lies under
`home`, and `base.services` starts the servers.
"""

import json
import os
import secrets
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from clarion.base.errors import Misconfigured

PREFIX = "CLARION_"
KEY_LENGTH = 32
LEAST_LEASE = 45  # seconds: a third to begin a call, twenty for the call, and some left
STATE = "servers.json"
PUBLIC_URL = "http://127.0.0.1:8000"

Words = Annotated[tuple[str, ...], NoDecode]
Paths = Annotated[tuple[Path, ...], NoDecode]


def checkout() -> Path | None:
    """Return the top of the source checkout we run from, None when installed."""
    top = Path(__file__).resolve().parents[3]
    return top if (top / "pyproject.toml").is_file() else None


def bundled(name: Literal["migrations", "themes"]) -> Path:
    """Find a folder that is shipped beside the code: in the package, else the checkout."""
    packaged = Path(__file__).resolve().parents[1] / f"_{name}"
    top = checkout()
    return packaged if packaged.is_dir() or top is None else top / name


def _home() -> Path:
    top = checkout()
    return top / ".clarion" if top else Path.home() / ".clarion"


class Settings(BaseSettings):
    """What the operator decides, from the environment: `CLARION_` and the field's name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    env: Literal["development", "test", "production"] = Field(
        default="development",
        description="Production refuses what is convenient: built-in servers, default keys.",
    )
    home: Path = Field(
        default_factory=_home,
        description="Folder for data of this installation; `.clarion` in a checkout.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="PostgreSQL, signing in as the role `clarion`. Unset: Clarion's own.",
    )
    database_owner_url: str = Field(
        default="",
        repr=False,
        description="The same database as `clarion_owner`, for migrations only.",
    )
    database_pool: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Connections each process keeps; twice as many at peaks, and at least"
        " two more than it has threads.",
    )
    redis_url: str = Field(
        default="", repr=False, description="Redis or Valkey. Unset: Clarion's own Valkey."
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="Signs cookies and links; at least 32 characters.",
    )
    secret_key_fallbacks: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Former secret keys, still accepted while you rotate; by commas.",
    )
    key_file: Path | None = Field(
        default=None,
        description="File with the key-encryption key, at least 32 bytes, mode 0600.",
    )
    key_store: Path = Field(
        default=Path(),
        description="Folder of the wrapped data keys; back it up for 7 days at most.",
    )
    public_url: str = Field(
        default=PUBLIC_URL, description="Where people reach the portal; in all links."
    )
    callback_base_url: str = Field(
        default="",
        description="Where providers reach `/in/…`; the public address when unset.",
    )
    trusted_hosts: Words = Field(
        default=(),
        description="Host names that are answered besides that of the public address.",
    )
    passwords_file: FilePath | None = Field(
        default=None,
        description="Passwords to refuse besides those we ship: one a line, sorted by bytes.",
    )
    announcement_hosts: Words = Field(
        default=(),
        description="Hosts besides our own to which announcements may lead: a status page.",
    )
    console_host: str | None = Field(
        default=None, description="Host name to which the console is bound; any when unset."
    )
    proxy_count: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Proxies in front whose forwarded addresses are believed.",
    )
    http_allow: Words = Field(
        default=(),
        description="Private `host:port` that outbound calls may reach; never in production.",
    )
    smtp_url: str | None = Field(
        default=None,
        repr=False,
        description="Mail server, `smtp://name:password@host:587`. Unset: files in home/mail.",
    )
    mail_from: str = Field(
        default="Clarion <clarion@localhost>",
        description="Sender of the mails Clarion writes.",
    )
    theme: str = Field(
        default="plain", pattern=r"^[a-z][a-z0-9_]*$", description="Folder in themes/."
    )
    web_threads: int = Field(
        default=8, ge=1, le=64, description="Threads of each web process."
    )
    worker_processes: int = Field(
        default=1, ge=1, le=64, description="Processes that one `clarion worker` runs."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important thing that is logged."
    )
    log_json: bool = Field(
        default=False, description="One JSON object per log line; in production unless set."
    )
    epoch_paths: Paths = Field(
        default=(),
        description="Folders that keep the epoch outside the database's disk; by commas.",
    )
    failover: Literal["", "synchronous"] = Field(
        default="",
        description="`synchronous`: a promoted standby has lost nothing, so it may send.",
    )
    backup_url: str = Field(
        default="",
        repr=False,
        description="The same database as a role with BYPASSRLS, for `clarion backup` only.",
    )
    journal_paths: Paths = Field(
        default=(),
        description="Files that keep suppressions and erasures outside the database.",
    )
    raw_event_days: int = Field(
        default=14,
        ge=8,
        le=90,
        description="Days for which raw webhooks are kept once they are applied. Providers"
        " repeat them for 7.",
    )
    plugins_off: Words = Field(
        default=(), description="Plugins that are not loaded, by commas."
    )
    trace: Words = Field(
        default=(), description="`hooks` logs each call of a plugin's hook."
    )
    marketing_hours: str = Field(
        default="09:00-20:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$",
        description="Between which local times anybody's marketing may leave; no account"
        " can widen it.",
    )
    misuse_flag_score: int = Field(
        default=40,
        ge=1,
        le=100,
        description="From this score on somebody looks at an account.",
    )
    misuse_hold_score: int = Field(
        default=70,
        ge=1,
        le=100,
        description="From this score on campaigns wait until somebody has looked.",
    )
    misuse_ramp: str = Field(
        default="1:1000,7:10000,30:100000",
        pattern=r"^\d{1,3}:\d{1,9}(,\d{1,3}:\d{1,9})*$",
        description="People a day that are usual up to an age in days, `days:people` by commas.",
    )
    misuse_opt_outs: float = Field(
        default=0.005,
        gt=0,
        lt=1,
        description="Share of opt-outs that is usual, while too few accounts send to say.",
    )
    misuse_blocks: float = Field(
        default=0.002, gt=0, lt=1, description="The same for blocks and complaints."
    )
    misuse_failures: float = Field(
        default=0.05, gt=0, lt=1, description="The same for numbers that cannot be reached."
    )
    misuse_least: int = Field(
        default=200, ge=20, description="Below so many messages a share says nothing yet."
    )
    lease_seconds: int = Field(
        default=60,
        ge=1,
        le=600,
        description="How long a worker may hold messages; shorter ones are for tests.",
    )
    confirm_devices: bool = Field(
        default=True,
        description="Whether a browser that is not known needs a mailed code; off for demos,"
        " whose mails are files, never in production.",
    )
    crash_at: str = Field(
        default="",
        description="Named point at which this process dies; for tests, never in production.",
    )

    @field_validator(
        "announcement_hosts",
        "trusted_hosts",
        "http_allow",
        "epoch_paths",
        "journal_paths",
        "plugins_off",
        "trace",
        "secret_key_fallbacks",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url", "database_owner_url", "backup_url")
    @classmethod
    def _dialect(cls, value: str) -> str:
        for scheme in ("postgres://", "postgresql://", "postgresql+psycopg2://"):
            if value.startswith(scheme):
                return "postgresql+psycopg://" + value.removeprefix(scheme)
        if value and not value.startswith("postgresql+psycopg://"):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _broker(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("public_url", "callback_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Fill in what follows from other settings."""
        home = Path(given.get("home") or _home()).expanduser().absolute()
        given["home"] = home
        given.setdefault("key_store", home / "keys")
        given.setdefault("epoch_paths", (home / "epoch",))
        given.setdefault("journal_paths", (home / "journal",))
        given.setdefault("log_json", given.get("env") == "production")
        given.setdefault("callback_base_url", given.get("public_url") or PUBLIC_URL)
        return given

    @property
    def production(self) -> bool:
        """Whether strangers' data may be in here."""
        return self.env == "production"

    @property
    def console_url(self) -> str:
        """Where staff reach the console, without its path."""
        if not self.console_host:
            return self.public_url
        parts = urlsplit(self.public_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{self.console_host}{port}"

    @property
    def mail_folder(self) -> Path:
        """Where mails are written while there is no mail server."""
        return self.home / "mail"

    def key_bytes(self) -> bytes:
        """Return the key-encryption key, made on first use outside production."""
        return self._key

    @cached_property
    def _key(self) -> bytes:
        if self.key_file is None:
            return _keep(self.home / "secrets" / "key_encryption_key").encode()
        return self.key_file.read_bytes().strip()


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once; raises `Misconfigured`.

    `settings.cache_clear()` makes the next call read them anew.
    """
    try:
        read = Settings()
    except ValidationError as e:
        raise Misconfigured("settings_invalid", _sentence(_faults(e))) from e
    if read.production:
        faults = refusals(read)
        if faults:
            raise Misconfigured("settings_refused", _sentence(faults))
        return read
    return read.model_copy(update=_found(read))


def refusals(conf: Settings) -> list[str]:
    """List what production cannot run with, each with what to do about it."""
    out = []
    if len(conf.secret_key.get_secret_value()) < KEY_LENGTH:
        out.append(f"set CLARION_SECRET_KEY to at least {KEY_LENGTH} random characters")
    out += _key_file(conf.key_file)
    if conf.http_allow:
        out.append("unset CLARION_HTTP_ALLOW: calls to private addresses are for tests")
    if conf.lease_seconds < LEAST_LEASE:
        out.append(f"set CLARION_LEASE_SECONDS to {LEAST_LEASE} or more, or unset it")
    if not conf.confirm_devices:
        out.append("unset CLARION_CONFIRM_DEVICES: coming in without a mail is for demos")
    if conf.crash_at:
        out.append("unset CLARION_CRASH_AT: dying on purpose is for tests")
    for name, value in (("DATABASE_URL", conf.database_url), ("REDIS_URL", conf.redis_url)):
        if not value:
            out.append(f"set CLARION_{name}: the built-in server is for development")
    return out


def _key_file(path: Path | None) -> list[str]:
    if path is None:
        return ["set CLARION_KEY_FILE to a file with the key-encryption key"]
    try:
        mode, key = path.stat().st_mode, path.read_bytes().strip()
    except OSError as e:
        return [f"CLARION_KEY_FILE cannot be read: {e.strerror}"]
    out = []
    if mode & 0o077:
        out.append("make the file of CLARION_KEY_FILE readable by its owner only (0600)")
    if len(key) < KEY_LENGTH:
        out.append(f"CLARION_KEY_FILE needs at least {KEY_LENGTH} random bytes")
    return out


def _found(conf: Settings) -> dict[str, Any]:
    """Make the secrets of a development installation, and find its running servers."""
    update: dict[str, Any] = {}
    if not conf.secret_key.get_secret_value():
        update["secret_key"] = SecretStr(_keep(conf.home / "secrets" / "secret_key"))
    running = running_servers(conf.home)
    for field, key in (("database_url", "database_url"), ("redis_url", "redis_url")):
        if not getattr(conf, field) and key in running:
            update[field] = running[key]
    if not conf.database_owner_url:
        own = not conf.database_url and "owner_url" in running
        update["database_owner_url"] = running["owner_url"] if own else conf.database_url
    return update


def running_servers(home: Path) -> dict[str, str]:
    """Return the addresses of the embedded servers of a home, empty when there are none."""
    try:
        state = json.loads((home / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in state.items()}


def _keep(path: Path) -> str:
    """Read a secret of this installation; the first reader makes it, whole or not at all."""
    if not path.exists():
        make_home(path.parents[1])
        path.parent.mkdir(mode=0o700, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(part)
        except FileExistsError:
            pass  # another process was first
        finally:
            part.unlink()
    return path.read_text().strip()


def make_home(home: Path) -> None:
    """Create the home folder, open to look through; what is private in it has its own lock.

    Servers that may not run as root must reach their folder below it. Folders that exist
    keep their mode.
    """
    if not home.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o755)


def _faults(e: ValidationError) -> list[str]:
    return [
        f"{PREFIX}{'_'.join(str(part) for part in fault['loc'][:1]).upper()}: "
        + fault["msg"].removeprefix("Value error, ")
        for fault in e.errors(include_input=False)
    ]


def _sentence(faults: list[str]) -> str:
    return "Clarion cannot start like this:\n" + "\n".join(f"- {fault}" for fault in faults)
