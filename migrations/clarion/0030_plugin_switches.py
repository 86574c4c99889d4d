"""plugins switched off for the installation, their settings, and the time their hooks take

Revision ID: 0030_plugin_switches
Revises: 0029_console_lists
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030_plugin_switches"
down_revision = "0029_console_lists"
branch_labels = None
depends_on = None

NOW = sa.text("clarion_now()")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "plugin_switch",
        sa.Column("plugin", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=300), server_default="", nullable=False),
        sa.Column("asked_by", sa.String(length=80), nullable=True),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.Column("changed_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('on', 'asked', 'off')", name=op.f("ck_plugin_switch_state")
        ),
        sa.CheckConstraint("asked_by <> decided_by", name=op.f("ck_plugin_switch_two")),
        sa.PrimaryKeyConstraint("plugin", name=op.f("pk_plugin_switch")),
    )
    op.create_table(
        "plugin_setting",
        sa.Column("plugin", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("plugin", "name", name=op.f("pk_plugin_setting")),
    )
    op.create_table(
        "hook_time",
        sa.Column("plugin", sa.String(length=40), nullable=False),
        sa.Column("hook", sa.String(length=60), nullable=False),
        sa.Column("hour", TIME, nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("slowest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("plugin", "hook", "hour", name=op.f("pk_hook_time")),
    )
    op.execute("GRANT SELECT ON plugin_switch TO clarion_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON plugin_switch TO clarion_staff")
    op.execute("GRANT SELECT ON plugin_switch TO clarion_system")
    op.execute("GRANT SELECT ON plugin_setting TO clarion_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON plugin_setting TO clarion_staff")
    op.execute("GRANT SELECT ON plugin_setting TO clarion_system")
    op.execute("GRANT SELECT ON hook_time TO clarion_staff")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON hook_time TO clarion_system")


def downgrade() -> None:
    for table in ("hook_time", "plugin_setting", "plugin_switch"):
        op.drop_table(table)
