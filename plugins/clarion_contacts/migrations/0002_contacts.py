"""a person's time zone in an uploaded list

Revision ID: 0002_contacts
Revises: 0001_contacts
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_contacts"
down_revision = "0001_contacts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "contacts_import_row",
        sa.Column("timezone", sa.String(60), server_default="", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("contacts_import_row", "timezone")
