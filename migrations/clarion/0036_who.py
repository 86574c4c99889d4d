"""whose messages of an order came how far, from an index alone

Revision ID: 0036_who
Revises: 0035_hook_rests
"""

from alembic import op

revision = "0036_who"
down_revision = "0035_hook_rests"
branch_labels = None
depends_on = None

ORDER = ["account_id", "campaign_id", "state"]


def upgrade() -> None:
    op.create_index("ix_message_who", "message", [*ORDER, "contact_id"])
    op.drop_index("ix_message_campaign_state", "message")


def downgrade() -> None:
    op.create_index("ix_message_campaign_state", "message", ORDER)
    op.drop_index("ix_message_who", "message")
