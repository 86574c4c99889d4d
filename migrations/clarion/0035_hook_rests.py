"""hooks of plugins that failed or overran too often, and until when they rest

Revision ID: 0035_hook_rests
Revises: 0034_operations
"""

import sqlalchemy as sa
from alembic import op

revision = "0035_hook_rests"
down_revision = "0034_operations"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "hook_rest",
        sa.Column("plugin", sa.String(length=40), nullable=False),
        sa.Column("hook", sa.String(length=120), nullable=False),
        sa.Column("began_at", TIME, nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(length=120), server_default="", nullable=False),
        sa.Column("rests_at", TIME, nullable=True),
        sa.Column("rests_until", TIME, nullable=True),
        sa.Column("told_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("plugin", "hook", name=op.f("pk_hook_rest")),
    )
    op.execute("GRANT SELECT, UPDATE ON hook_rest TO clarion_staff")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON hook_rest TO clarion_system")


def downgrade() -> None:
    op.drop_table("hook_rest")
