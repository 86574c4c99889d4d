"""by which addresses a person wrote to us, sealed

Revision ID: 0011_heard
Revises: 0010_sending
"""

import sqlalchemy as sa
from alembic import op

revision = "0011_heard"
down_revision = "0010_sending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_message", sa.Column("named", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("inbound_message", "named")
