"""the most a campaign may cost, and whether its follow-up was proposed

Revision ID: 0002_campaigns
Revises: 0001_campaigns
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_campaigns"
down_revision = "0001_campaigns"
branch_labels = None
depends_on = None

TABLE = "campaigns_draft"
SEEN = "purpose, launched_at, follow_up"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("ceiling_micros", sa.BigInteger()))
    op.add_column(
        TABLE, sa.Column("currency", sa.String(3), server_default="", nullable=False)
    )
    op.add_column(
        TABLE, sa.Column("follow_up", sa.String(10), server_default="", nullable=False)
    )
    op.add_column(
        TABLE, sa.Column("follow_up_people", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(TABLE, sa.Column("follow_up_at", sa.DateTime(timezone=True)))
    op.create_check_constraint(
        op.f("ck_campaigns_draft_follow_up"),
        TABLE,
        "follow_up IN ('', 'proposed', 'declined')",
    )
    op.execute(f"GRANT SELECT ({SEEN}) ON {TABLE} TO clarion_system")


def downgrade() -> None:
    op.execute(f"REVOKE SELECT (purpose, launched_at) ON {TABLE} FROM clarion_system")
    op.drop_constraint(op.f("ck_campaigns_draft_follow_up"), TABLE)
    for name in ("follow_up_at", "follow_up_people", "follow_up", "currency"):
        op.drop_column(TABLE, name)
    op.drop_column(TABLE, "ceiling_micros")
