"""find what was done with one thing

Revision ID: 0019_deeds
Revises: 0014_message
"""

from alembic import op
import sqlalchemy as sa

revision = "0019_deeds"
down_revision = "0014_message"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_audit_entry_row",
        "audit_entry",
        ["account_id", "row", "at"],
        postgresql_where=sa.text("row IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_audit_entry_row", "audit_entry")
