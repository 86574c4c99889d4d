"""nobody opens or publishes alone, also not by leaving out who asked

Revision ID: 0038_two_people
Revises: 0036_who
"""

from alembic import op

revision = "0038_two_people"
down_revision = "0036_who"
branch_labels = None
depends_on = None

OPENED = (
    "(released_by IS NULL AND released_at IS NULL)"
    " OR (asked_by IS NOT NULL AND released_by IS NOT NULL AND released_by <> asked_by)"
)
SENT = (
    "sent_at IS NULL OR NOT two_people"
    " OR (approved_by IS NOT NULL AND asked_by <> '' AND approved_by <> asked_by)"
)
BEFORE = (
    "sent_at IS NULL OR NOT two_people"
    " OR (approved_by IS NOT NULL AND approved_by <> asked_by)"
)


def upgrade() -> None:
    _say("instance_epoch", OPENED)
    _say("announcement", SENT)


def downgrade() -> None:
    _say("instance_epoch", "released_by <> asked_by")
    _say("announcement", BEFORE)


def _say(table: str, rule: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_two_people"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_two_people"), table, rule)
