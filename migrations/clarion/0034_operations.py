"""holds of staff on one campaign, grades of numbers over time, backups, answers by code

Revision ID: 0034_operations
Revises: 0033_lane_stops
"""

import sqlalchemy as sa
from alembic import op

revision = "0034_operations"
down_revision = "0033_lane_stops"
branch_labels = None
depends_on = None

NOW = sa.text("clarion_now()")
ACCOUNT = sa.text("clarion_account()")
ACTOR = sa.text("coalesce(current_setting('app.actor_id', true), '')")
TIME = sa.DateTime(timezone=True)
MINE = "account_id = (SELECT clarion_account())"


def _own(name: str) -> list[sa.schema.SchemaItem]:
    """Give the columns and keys that each row of an account has."""
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), server_default=ACCOUNT, nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.String(length=80), server_default=ACTOR, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f(f"fk_{name}_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        sa.UniqueConstraint("account_id", "id", name=op.f(f"uq_{name}_account_id_id")),
    ]


def _walled(name: str) -> None:
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY app ON {name} TO clarion_app USING ({MINE}) WITH CHECK ({MINE})"
    )
    op.execute(
        f"CREATE POLICY staff ON {name} TO clarion_staff USING (true) WITH CHECK (true)"
    )


def upgrade() -> None:
    op.create_table(
        "campaign_hold",
        *_own("campaign_hold"),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("words", sa.String(length=300), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("was", sa.String(length=200), server_default="", nullable=False),
        sa.Column("lifted_at", TIME, nullable=True),
        sa.Column("lifted_by", sa.String(length=80), server_default="", nullable=False),
        sa.Column("lifted_words", sa.String(length=300), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "campaign_id"],
            ["campaign.account_id", "campaign.id"],
            name=op.f("fk_campaign_hold_account_id_campaign_id"),
        ),
    )
    op.create_index(
        "uq_campaign_hold_standing",
        "campaign_hold",
        ["account_id", "campaign_id"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.execute("GRANT SELECT ON campaign_hold TO clarion_app")
    op.execute(
        "GRANT SELECT, INSERT (id, account_id, campaign_id, words, by, was),"
        " UPDATE (lifted_at, lifted_by, lifted_words) ON campaign_hold TO clarion_staff"
    )
    _walled("campaign_hold")
    op.execute("GRANT UPDATE (state, state_reason) ON campaign TO clarion_staff")

    op.create_table(
        "sender_grade",
        *_own("sender_grade"),
        sa.Column("sender_id", sa.Uuid(), nullable=False),
        sa.Column("grade", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "sender_id"],
            ["sender.account_id", "sender.id"],
            name=op.f("fk_sender_grade_account_id_sender_id"),
        ),
    )
    op.create_index(
        "ix_sender_grade_of", "sender_grade", ["account_id", "sender_id", "created_at"]
    )
    op.execute("GRANT SELECT, INSERT ON sender_grade TO clarion_app")
    op.execute("GRANT SELECT ON sender_grade TO clarion_staff")
    _walled("sender_grade")

    op.create_table(
        "backup_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", TIME, server_default=NOW, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("made_at", TIME, nullable=True),
        sa.CheckConstraint("kind IN ('dump', 'check')", name=op.f("ck_backup_run_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_run")),
    )
    op.execute("GRANT SELECT ON backup_run TO clarion_staff")
    op.execute("GRANT SELECT, INSERT ON backup_run TO clarion_system")

    # counting by reason and code, across accounts and without a row's person
    op.execute("GRANT SELECT (reason, attempt) ON message TO clarion_system")
    op.execute(
        "GRANT SELECT (account_id, message_id, number, outcome, code) ON attempt"
        " TO clarion_system"
    )
    op.execute(
        "CREATE POLICY system ON attempt TO clarion_system USING (true) WITH CHECK (true)"
    )


def downgrade() -> None:
    op.execute("DROP POLICY system ON attempt")
    op.execute(
        "REVOKE SELECT (account_id, message_id, number, outcome, code) ON attempt"
        " FROM clarion_system"
    )
    op.execute("REVOKE SELECT (reason, attempt) ON message FROM clarion_system")
    op.drop_table("backup_run")
    op.drop_table("sender_grade")
    op.execute("REVOKE UPDATE (state, state_reason) ON campaign FROM clarion_staff")
    op.drop_table("campaign_hold")
