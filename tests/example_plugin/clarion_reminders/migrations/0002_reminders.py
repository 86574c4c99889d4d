"""for which contact a reminder was written, when that became part of another

Revision ID: 0002_reminders
Revises: 0001_reminders
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_reminders"
down_revision = "0001_reminders"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reminders_reminder", sa.Column("written_for", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("reminders_reminder", "written_for")
