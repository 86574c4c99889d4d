"""who has lost every second factor, and who gets another e-mail address

Revision ID: 0032_lost_and_moved
Revises: 0031_announcements
"""

import sqlalchemy as sa
from alembic import op

revision = "0032_lost_and_moved"
down_revision = "0031_announcements"
branch_labels = None
depends_on = None

NOW = sa.text("clarion_now()")
TIME = sa.DateTime(timezone=True)
DECIDED = (
    "state, first_by, first_name, first_how, first_at, second_by, second_name,"
    " second_how, second_at, due_at, ended_at"
)


def upgrade() -> None:
    op.create_table(
        "recovery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=130), nullable=False),
        sa.Column("language", sa.String(length=10), server_default="", nullable=False),
        sa.Column("words", sa.String(length=300), nullable=False),
        sa.Column("device", sa.String(length=60), server_default="", nullable=False),
        sa.Column("address", sa.String(length=45), server_default="", nullable=False),
        sa.Column("state", sa.String(length=8), server_default="asked", nullable=False),
        *_decision("first"),
        *_decision("second"),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("told", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("warned_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'done', 'stopped', 'refused', 'lapsed')",
            name=op.f("ck_recovery_state"),
        ),
        sa.CheckConstraint("first_by <> second_by", name=op.f("ck_recovery_two")),
        sa.CheckConstraint(
            "replace(first_by, 'staff:', 's:') <> subject"
            " AND replace(second_by, 'staff:', 's:') <> subject",
            name=op.f("ck_recovery_another"),
        ),
        sa.CheckConstraint(
            "due_at >= second_at + interval '72 hours'", name=op.f("ck_recovery_delay")
        ),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'done') OR (first_by IS NOT NULL"
            " AND second_by IS NOT NULL AND second_at IS NOT NULL AND due_at IS NOT NULL)",
            name=op.f("ck_recovery_decided"),
        ),
        sa.CheckConstraint(
            "(state IN ('asked', 'approved')) = (ended_at IS NULL)",
            name=op.f("ck_recovery_open"),
        ),
        sa.CheckConstraint(
            "state <> 'done' OR ended_at >= due_at", name=op.f("ck_recovery_waited")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery")),
    )
    op.create_index(
        "uq_recovery_open",
        "recovery",
        ["subject"],
        unique=True,
        postgresql_where=sa.text("state IN ('asked', 'approved')"),
    )
    op.create_index("ix_recovery_created_at", "recovery", ["created_at", "id"])
    op.create_table(
        "mail_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("old", sa.String(length=254), nullable=False),
        sa.Column("new", sa.String(length=254), nullable=False),
        sa.Column("state", sa.String(length=8), server_default="asked", nullable=False),
        sa.Column("done_at", TIME, nullable=True),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "state IN ('asked', 'done', 'undone', 'over')",
            name=op.f("ck_mail_change_state"),
        ),
        sa.CheckConstraint(
            "state <> 'done' OR done_at IS NOT NULL", name=op.f("ck_mail_change_done")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_change")),
    )
    op.create_index(
        "uq_mail_change_open",
        "mail_change",
        ["subject"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index("ix_mail_change_subject", "mail_change", ["subject", "created_at"])
    op.execute("GRANT SELECT ON recovery TO clarion_staff")
    op.execute(f"GRANT UPDATE ({DECIDED}) ON recovery TO clarion_staff")
    for table in ("recovery", "mail_change"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO clarion_system")
    op.execute("GRANT UPDATE (email, username) ON ab_user TO clarion_system")


def downgrade() -> None:
    op.execute("REVOKE UPDATE (email, username) ON ab_user FROM clarion_system")
    op.drop_table("mail_change")
    op.drop_table("recovery")


def _decision(place: str) -> tuple[sa.Column, ...]:
    return (
        sa.Column(f"{place}_by", sa.String(length=80), nullable=True),
        sa.Column(f"{place}_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column(f"{place}_how", sa.String(length=300), server_default="", nullable=False),
        sa.Column(f"{place}_at", TIME, nullable=True),
    )
