"""The command line. `clarion --help` is quick: what a command needs is imported in it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clarion.base.errors import ClarionError

if TYPE_CHECKING:
    from typing import TextIO
    from uuid import UUID

    from clarion.plugging.manager import Found

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
PORT = 8000


class Words(click.Group):
    """Commands of the core; a word it does not know is asked of the plugins."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Find a command of ours, else one that a plugin registers."""
        return super().get_command(context, name) or _of_plugins().get(name)


@click.group(cls=Words, context_settings=CONTEXT)
@click.version_option(package_name="clarion", prog_name="clarion")
def clarion() -> None:
    """Clarion: write to people who have agreed to be written to.

    Settings are environment variables, CLARION_…; without any, everything runs on this
    machine for development. Plugins add commands of their own: `clarion plugin list`.
    """


def main() -> None:
    """Run a command; what Clarion refuses is one sentence, not a trace."""
    try:
        clarion(prog_name="clarion")
    except ClarionError as error:
        click.echo(error.text, err=True)
        sys.exit(1)


# --- processes


@clarion.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
@click.option("--port", default=PORT, show_default=True, help="Port to listen on.")
@click.option("--processes", default=1, show_default=True, help="How many share the work.")
def web(host: str, port: int, processes: int) -> None:
    """Serve portal, console and the providers' door."""
    start()
    from clarion.web.serve import serve

    serve(host, port, processes)


@clarion.command()
@click.option("--relay", is_flag=True, help="Run the relay here too.")
@click.option("--burst", is_flag=True, help="End when no job is left.")
def worker(*, relay: bool, burst: bool) -> None:
    """Run jobs: send, import, tell; CLARION_WORKER_PROCESSES says in how many processes."""
    start()
    from clarion.base.settings import settings

    count = settings().worker_processes
    if count > 1 and not burst:
        _several(count, relay=relay)
        return
    from clarion import worker as program

    program.run(burst=burst, relay=relay)


@clarion.command()
def relay() -> None:
    """Hand what was committed to the workers, and tick the clock; one is enough."""
    start()
    from clarion import worker as program

    program.run_relay()


def start() -> None:
    """Find the servers; refuse to run with a fault that `doctor` finds, or warn of it."""
    from clarion.base import services
    from clarion.base.settings import settings

    running = services.ensure()
    if settings().production:
        from clarion import doctor

        doctor.require()
    else:
        from clarion.base import ground

        ground.warn(running)


def _several(count: int, *, relay: bool) -> None:
    """Run workers as children; the first also relays, if one shall."""
    from clarion.base.children import Child, Children, asked_to_stop

    stop = asked_to_stop()
    with Children(lambda text: click.echo(text, err=True)) as children:
        for number in range(count):
            words = [*this("worker"), *(["--relay"] if relay and number == 0 else [])]
            name = f"worker {number + 1}"
            env = {**os.environ, "CLARION_WORKER_PROCESSES": "1"}
            children.add(Child(name, words, env))
        children.watch(stop)


def this(*words: str) -> list[str]:
    """Return the command line of a Clarion command, run by the same Python."""
    return [sys.executable, "-m", "clarion.cli", *words]


# --- the database


@clarion.group()
def db() -> None:
    """Bring the database to this release; write the next migration."""


@db.command()
def upgrade() -> None:
    """Run missing migrations of core and plugins; write the console's permissions."""
    from clarion.base import services

    services.ensure()
    from clarion import release

    done = release.upgrade()
    moved = ", ".join(done.moved) or "nothing, it is of this release"
    click.echo(f"Upgraded: {moved}.")
    permissions = done.permissions
    click.echo(f"Permissions: {permissions['permissions']}, {permissions['added']} new.")
    for plugin, hooks in done.guards.items():
        click.echo(f"Guards: {plugin} ({', '.join(hooks)}).")


@db.command()
def pending() -> None:
    """List whose tables are not of this release; exits with 1 when there are any."""
    from clarion.base import services

    services.ensure()
    from clarion import release
    from clarion.base import migrate

    engine = migrate.owner_engine()
    with engine.connect() as connection:
        owners = release.pending(connection)
    engine.dispose()
    for owner in owners:
        click.echo(owner)
    sys.exit(1 if owners else 0)


@db.command()
@click.argument("owner")
@click.argument("message")
def revision(owner: str, message: str) -> None:
    """Write the next migration of OWNER (`clarion`, or a plugin) from its models."""
    from clarion.base import services

    services.ensure()
    from clarion import release

    if owner not in release.owners():
        raise click.BadParameter(
            f"one of {', '.join(release.owners())}", param_hint="OWNER"
        )
    release.revision(owner, message)


@clarion.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read the backup FILE instead, to its end.")
def backup(file: Path, *, check: bool) -> None:
    """Write a backup of the database to FILE; key store and journal are files of their own."""
    _ready()
    from clarion import backup as safe

    if check:
        click.echo(f"{file} can be read to its end, {safe.check(file)} bytes.")
        return
    counted = safe.dump(file)
    click.echo(f"Wrote {file}" + (f", epoch {counted}." if counted else "."))


@clarion.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(file: Path, *, yes: bool) -> None:
    """Replace the database by the backup FILE; what waits in it is held, not sent."""
    from clarion.base import services

    services.ensure()
    if not yes:
        click.confirm("Everything in the database is replaced. Go on?", abort=True)
    from clarion import backup as safe

    found = safe.load(file)
    click.echo(f"Restored {file}; {found.replayed} opt-outs since then were put back.")
    if found.shut:
        click.echo("Nothing is sent until two people allow it: Console, Backups.")


@clarion.command()
def doctor() -> None:
    """Say what keeps Clarion from starting here, and what to do about each."""
    from clarion import doctor as practice
    from clarion.base.settings import settings

    findings = practice.examine()
    for finding in findings:
        click.echo(f"{'✗' if finding.grave else '!'} {finding.what}\n  → {finding.todo}")
    grave = [one for one in findings if one.grave or settings().production]
    if grave:
        click.echo(f"{len(grave)} to put right.")
        sys.exit(1)
    click.echo("✓ Nothing keeps Clarion from starting.")


# --- people


@clarion.group()
def staff() -> None:
    """Invite the people who run this installation."""


@staff.command("invite")
@click.option("--email", required=True, help="Also the name to sign in with.")
@click.option("--name", required=True, help="As colleagues read it.")
@click.option("--role", default="Admin", show_default=True, help="A role of the console.")
def staff_invite(email: str, name: str, role: str) -> None:
    """Make somebody staff; prints the link with which they choose a password, once."""
    _ready()
    from clarion.console import staffing

    click.echo(staffing.first_token(email, name, role))


@staff.command("roles")
@click.option("--email", required=True, help="Whose roles.")
@click.option("--give", multiple=True, help="A role to give; may be said several times.")
@click.option("--take", multiple=True, help="A role to take.")
def staff_roles(email: str, give: tuple[str, ...], take: tuple[str, ...]) -> None:
    """Show or change somebody's roles; the only way to Admin and owner."""
    _ready()
    from clarion.console import staffing

    for name in staffing.arrange_roles(email, give, take):
        click.echo(name)


@staff.command("reset-factors")
@click.option("--email", required=True, help="Whose passkey and app are lost.")
def staff_reset_factors(email: str) -> None:
    """Remove every second factor of a staff member, and end their sessions.

    The next sign-in, with their password, sets one up. They are told by mail.
    """
    _ready()
    from clarion.console import staffing

    count = staffing.reset_factors(email)
    click.echo(f"{count} removed. At the next sign-in a new one is set up.")


@staff.command("networks")
@click.option("--add", "added", multiple=True, help="Let a network in: 203.0.113.0/24.")
@click.option("--note", default="", help="What the added network is.")
@click.option("--clear", is_flag=True, help="Empty the list: open from everywhere.")
def staff_networks(added: tuple[str, ...], note: str, *, clear: bool) -> None:
    """Show from where the console opens, or change it: the way back in."""
    _ready()
    from clarion.base import db
    from clarion.tenancy import networks
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.scope import staff_scope

    with staff_scope(COMMAND), db.transaction():
        if clear:
            networks.clear()
        for one in added:
            networks.add(one, note, own="")
        rows = networks.listing()
    for row in rows:
        click.echo(f"{row.network}  {row.note}".rstrip())
    if not rows:
        click.echo("The list is empty: the console opens from everywhere.")


@clarion.group()
def person() -> None:
    """People who sign in to the portal."""


@person.command("reset-factors")
@click.option("--email", required=True, help="Whose passkey and app are lost.")
def person_reset_factors(email: str) -> None:
    """Remove every second factor of somebody, and end their sessions; tells them by mail.

    Make sure who is asking: from then on the password alone, and their mailbox, open it.
    """
    _ready()
    from clarion.portal import service

    click.echo(f"{service.reset_factors(email)} removed.")


@clarion.group()
def account() -> None:
    """Customers' accounts."""


@account.command("create")
@click.option("--name", required=True, help="Of the account.")
@click.option("--owner", required=True, help="E-mail address of its first person.")
@click.option("--owner-name", default="", help="What that person is called.")
@click.option("--country", default="", help="Two letters: BR, IN, DE.")
@click.option("--timezone", default="UTC", show_default=True)
@click.option("--language", default="en", show_default=True)
@click.password_option(
    envvar="CLARION_NEW_PASSWORD", help="Of the first person; asked for when left out."
)
def account_create(  # noqa: PLR0917 -- click gives them by name
    name: str,
    owner: str,
    owner_name: str,
    country: str,
    timezone: str,
    language: str,
    password: str,
) -> None:
    """Make an account with its owner, without a mail to confirm."""
    _ready()
    from clarion.tenancy import people
    from clarion.tenancy.actor import COMMAND
    from clarion.tenancy.scope import anonymous_scope

    place = {"country": country, "timezone": timezone, "language": language}
    with anonymous_scope(COMMAND):
        who = people.create(owner, owner_name or owner, password, name, **place)
    click.echo(f"{who.seats[0].account_id}  {name}, owned by {who.email}")


@clarion.group()
def audit() -> None:
    """The log of deeds."""


@audit.command("verify")
@click.option("--account", "chain", type=click.UUID, help="One account; all when left out.")
@click.option(
    "--head",
    "mails",
    type=click.File(encoding="utf-8"),
    multiple=True,
    help="A mailed head, as a file; - to paste it.",
)
def audit_verify(chain: "UUID | None", mails: "tuple[TextIO, ...]") -> None:
    """Walk the chains of the log; exits with 1 where one is not as it was written.

    Names what was deleted, changed, inserted, moved, cut off or rolled back. Only a head
    that was mailed and kept elsewhere shows that the whole database is an older copy.
    """
    _ready()
    from clarion import doctor as practice
    from clarion.tenancy import verifier

    given = [head for mail in mails for head in verifier.heads(mail.read())]
    if mails and not given:
        raise click.BadParameter("there is no head in it", param_hint="--head")
    faults = 0
    for one, report in practice.chains(chain, given):
        click.echo(f"{one}  {report.length:>8} entries  {'broken' * bool(report.found)}")
        for finding in report.found:
            faults += 1
            click.echo(f"  ✗ {finding.kind}: {finding.text}")
    click.echo(f"{faults} to look into." if faults else "✓ Every chain is whole.")
    sys.exit(1 if faults else 0)


@audit.command("heads")
@click.option("--account", "chain", type=click.UUID, required=True, help="Whose.")
def audit_heads(chain: "UUID") -> None:
    """Print the signed heads of a chain, as they are mailed; zeros for the platform's."""
    _ready()
    from clarion import doctor as practice

    for head in practice.heads(chain):
        click.echo(head.text())


def _ready() -> None:
    """Find servers and plugins, for a command that reads and writes rows."""
    from clarion.base import services

    services.ensure()
    from clarion.boot import boot

    boot()


# --- plugins


@clarion.group()
def plugin() -> None:
    """Plugins: which there are, and a new one."""


@plugin.command("list")
def plugin_list() -> None:
    """List the plugins that were found, and what became of each."""
    from clarion.plugging.manager import plugins

    for one in plugins().found.values():
        click.echo(f"{one.name:<16} {one.state:<7} {one.dist:<12} {_about(one)}")


@plugin.command("new")
@click.argument("name")
@click.option("--to", type=click.Path(path_type=Path), help="Folder to make; clarion-NAME.")
def plugin_new(name: str, to: Path | None) -> None:
    """Copy the example plugin and call it NAME: lower-case letters, digits and _."""
    from clarion.plugging import copying

    folder = copying.copy(name, to or Path(f"clarion-{name.replace('_', '-')}"))
    click.echo(f"Made {folder}. To install it into this environment, editable:")
    click.echo(
        f"  {sys.executable} -m pip install --no-deps --no-build-isolation -e {folder}"
    )


def _about(one: "Found") -> str:
    if one.error:
        return one.error
    title = one.plugin.title if one.plugin else ""
    words = sorted(w for w, command in _of_plugins().items() if _owner(command) == one.name)
    return title + (f"  [commands: {', '.join(words)}]" if words else "")


def _of_plugins() -> dict[str, click.Command]:
    """Find the commands that plugins register, by their word."""
    from clarion.plugging.manager import plugins

    found: dict[str, click.Command] = {}
    for name, commands in plugins().register("commands"):
        for command in commands:
            command.clarion_plugin = name
            found.setdefault(command.name, command)
    return found


def _owner(command: click.Command) -> str:
    return str(getattr(command, "clarion_plugin", ""))


# --- the demonstration


@clarion.command()
@click.option("--fresh", is_flag=True, help="Delete the demo's data and begin anew.")
@click.option("--check", is_flag=True, help="Do the whole job once, apart, and print JSON.")
@click.option("--code", is_flag=True, help="Print the console's present one-time code.")
@click.option("--csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--port", type=int, help="Of portal and console; else 8000 or the next free.")
def demo(
    *, fresh: bool, check: bool, code: bool, csv: Path | None, port: int | None
) -> None:
    """Show Clarion on this machine, with a simulated WhatsApp; Ctrl-C ends it.

    --check signs up through the portal's forms in a scratch folder, imports the file of
    --csv (by default the bundled one), sends two campaigns, and compares the ledger with
    what the simulator delivered. Its last line is one JSON object.
    """
    if csv and not check:
        raise click.UsageError("--csv belongs to --check")
    if check:
        from clarion.demo import check as whole_job

        sys.exit(whole_job.run(csv))
    from clarion.demo import show

    if code:
        from clarion.base.settings import settings

        click.echo(show.code(settings().home))
        return
    sys.exit(show.run(fresh=fresh, port=port))


if __name__ == "__main__":
    main()
