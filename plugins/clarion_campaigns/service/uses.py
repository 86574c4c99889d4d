"""Which campaigns speak of a segment or a field: asked by contacts, which knows none."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Text, cast, exists, false, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONPATH

from clarion.base import db
from clarion.base.words import Lazy, _, lazy
from clarion.tenancy import access
from clarion.tenancy.scope import current_account
from clarion_campaigns.models import Draft

MOST = 200
KINDS: Mapping[str, Lazy] = {
    "draft": lazy("Campaign, draft"),
    "submitted": lazy("Campaign, waits for approval"),
    "scheduled": lazy("Campaign, planned"),
    "starting": lazy("Campaign, starting"),
    "launched": lazy("Campaign, launched"),
    "cancelled": lazy("Campaign, cancelled"),
}
OVER = ("launched", "cancelled")
FIELD = "attributes."
SAID = "$.** ? (@ == $name)"  # anywhere in a rule, or as what fills a variable


def note_uses(context: Mapping[str, Any]) -> None:
    """Say which campaigns speak of the segments and snapshots somebody looks at.

    What was launched has its people already; the rest would lose them. Asks for no
    permission: what is used must stay, whoever looks. Makes no page: verbs ask as well.
    """
    said = cast(Draft.segment, Text)
    query = select(Draft.id, Draft.name, Draft.state, said).where(
        Draft.account_id == current_account(),
        or_(false(), *(said.contains(str(one)) for one in context["ids"])),
    )
    rows = db.session().execute(query.order_by(Draft.updated_at.desc()).limit(MOST)).all()
    seen = access.allowed("campaigns.view")
    for draft_id, name, state, rule in rows:
        shown = name if seen else _("A campaign")
        use = context["use"](
            shown, KINDS[state], f"/campaigns/{draft_id}", state not in OVER
        )
        for one in context["ids"]:
            if str(one) in rule:
                context["uses"][one].append(use)


def note_fields(context: Mapping[str, Any]) -> None:
    """Say which of some fields campaigns speak of, in their people or their variables.

    Of every campaign: what is over is copied and followed up with the fields it had.
    """
    keys = func.unnest(cast(sorted(context["keys"]), ARRAY(Text))).column_valued("key")
    named = func.jsonb_build_object(cast("name", Text), func.concat(FIELD, keys))
    spoken = exists().where(
        Draft.account_id == current_account(),
        or_(
            func.jsonb_path_exists(Draft.segment, cast(SAID, JSONPATH), named),
            func.jsonb_path_exists(Draft.variables, cast(SAID, JSONPATH), named),
        ),
    )
    context["used"].update(db.session().scalars(select(keys).where(spoken)))
