"""lanes that stand still, and what staff must know about a job that was given up

Revision ID: 0033_lane_stops
Revises: 0032_lost_and_moved
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033_lane_stops"
down_revision = "0032_lost_and_moved"
branch_labels = None
depends_on = None

NOW = sa.text("clarion_now()")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "lane_stop",
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("stopped_by", sa.String(length=120), nullable=False),
        sa.Column("since", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('paused', 'draining')", name=op.f("ck_lane_stop_state")
        ),
        sa.CheckConstraint("lane <> 'inbound'", name=op.f("ck_lane_stop_stop_words")),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_lane_stop_why")),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_lane_stop")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON lane_stop TO clarion_staff")
    op.execute("GRANT SELECT ON lane_stop TO clarion_system")
    for column in (
        sa.Column("queue", sa.String(length=20), server_default="", nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("trace", sa.Text(), server_default="", nullable=False),
        sa.Column("retried_at", TIME, nullable=True),
        sa.Column("retried_by", sa.String(length=120), server_default="", nullable=False),
    ):
        op.add_column("dead_job", column)
    op.create_index("ix_dead_job_at", "dead_job", ["at", "id"])
    op.create_index(
        "ix_dead_job_left", "dead_job", ["job", "id"],
        postgresql_where=sa.text("retried_at IS NULL"),
    )  # fmt: skip
    op.execute("GRANT UPDATE (retried_at, retried_by) ON dead_job TO clarion_staff")
    op.execute("GRANT DELETE ON dead_job TO clarion_system")
    # what was kept of an error so far may be somebody's words; from now on it is masked
    op.execute("UPDATE dead_job SET error = split_part(error, ':', 1)")
    op.execute("ALTER TABLE webhook_inbox NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE webhook_inbox SET result = '' WHERE applied_at IS NULL AND result <> ''"
    )
    op.execute("ALTER TABLE webhook_inbox FORCE ROW LEVEL SECURITY")
    op.execute("GRANT SELECT (result) ON webhook_inbox TO clarion_system")


def downgrade() -> None:
    op.execute("REVOKE SELECT (result) ON webhook_inbox FROM clarion_system")
    op.execute("REVOKE DELETE ON dead_job FROM clarion_system")
    op.execute("REVOKE UPDATE (retried_at, retried_by) ON dead_job FROM clarion_staff")
    op.drop_index("ix_dead_job_left", table_name="dead_job")
    op.drop_index("ix_dead_job_at", table_name="dead_job")
    for name in ("retried_by", "retried_at", "trace", "tries", "payload", "queue"):
        op.drop_column("dead_job", name)
    op.drop_table("lane_stop")
