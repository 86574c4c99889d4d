"""From where the console may be opened: a list of networks; while it is empty, from anywhere."""

import ipaddress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from clarion.base import db
from clarion.base.errors import Conflict, Invalid, NotFound
from clarion.base.words import _
from clarion.tenancy import access, audit
from clarion.tenancy.models import ConsoleNetwork

SYSTEM = db.Entry("clarion_system", None, "tenancy:networks")

audit.label("console.network.added", "Let a network into the console")
audit.label("console.network.removed", "Shut a network out of the console")


@dataclass(frozen=True, slots=True)
class Network:
    """One entry of the list."""

    id: UUID
    network: str
    note: str


def inside(address: str) -> bool:
    """Say whether the console may be opened from this address: one small query."""
    with db.apart(SYSTEM) as orm:
        allowed = orm.scalars(select(ConsoleNetwork.network)).all()
    return not allowed or _inside(address, list(allowed))


def listing() -> list[Network]:
    """List the networks, for the page and the command line."""
    access.require("console.networks")
    m = ConsoleNetwork
    query = select(m.id, m.network, m.note).order_by(m.created_at, m.id)
    return [Network(*row) for row in db.session().execute(query).all()]


def add(text: str, note: str, *, own: str) -> ConsoleNetwork:
    """Let a network in. The first one shuts out all others, so it must have one's own.

    Args:
        text: `203.0.113.0/24`, `2001:db8::/48`, or one address.
        note: what it is.
        own: the address of who does it; empty on the command line.

    Raises:
        Invalid: it is no network; Conflict: it is known, or would shut out who adds it.
    """
    access.require("console.networks_edit")
    parsed = _parse(text)
    known = [one.network for one in listing()]
    if parsed in known:
        raise Conflict("network_known", _("This network is on the list."), field="network")
    if own and not _inside(own, [*known, parsed]):
        raise Conflict(
            "network_self",
            _("You would shut yourself out: add the network of %(own)s first.", own=own),
            field="network",
        )
    row = ConsoleNetwork(network=parsed, note=" ".join(note.split())[:120])
    db.session().add(row)
    audit.record("console.network.added", row)
    return row


def remove(network_id: UUID, *, own: str) -> None:
    """Take a network off the list; one's own stays while there are others.

    Raises:
        NotFound: it is gone; Conflict: it would shut out who removes it.
    """
    access.require("console.networks_edit")
    row = db.session().get(ConsoleNetwork, network_id)
    if row is None:
        raise NotFound("network_unknown", _("This network is not on the list."))
    left = [one.network for one in listing() if one.id != network_id]
    if own and left and not _inside(own, left):
        raise Conflict("network_self", _("You would shut yourself out."))
    db.session().delete(row)
    audit.record("console.network.removed", row)


def clear() -> int:
    """Open the console from everywhere: the way back in, on the command line."""
    rows = listing()
    for one in rows:
        remove(one.id, own="")
    return len(rows)


def _parse(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError as error:
        raise Invalid(
            "network_invalid",
            _("Write a network like 203.0.113.0/24, or one address."),
            field="network",
        ) from error


def _inside(address: str, networks: list[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return any(ip in ipaddress.ip_network(one) for one in networks)
