"""the dry run: the list of a draft's people, a control group, and what it may spend

Revision ID: 0003_campaigns
Revises: 0002_campaigns
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_campaigns"
down_revision = "0002_campaigns"
branch_labels = None
depends_on = None

DRAFT, CHECK, LISTED = "campaigns_draft", "campaigns_check", "campaigns_listed"
MINE = "account_id = (SELECT clarion_account())"
ACCOUNT = sa.text("clarion_account()")
NOW = sa.text("clarion_now()")
ACTOR = sa.text("coalesce(current_setting('app.actor_id', true), '')")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        DRAFT,
        sa.Column("control_percent", sa.SmallInteger(), server_default="0", nullable=False),
    )
    op.add_column(DRAFT, sa.Column("budget_micros", sa.BigInteger()))
    op.add_column(DRAFT, sa.Column("check_id", sa.Uuid()))
    op.create_check_constraint(
        op.f("ck_campaigns_draft_control_percent"),
        DRAFT,
        "control_percent BETWEEN 0 AND 50",
    )
    op.create_check_constraint(
        op.f("ck_campaigns_draft_budget_micros"), DRAFT, "budget_micros > 0"
    )
    _check()
    _listed()


def downgrade() -> None:
    op.drop_table(LISTED)
    op.drop_table(CHECK)
    for name in ("control_percent", "budget_micros"):
        op.drop_constraint(op.f(f"ck_campaigns_draft_{name}"), DRAFT)
    for name in ("control_percent", "budget_micros", "check_id"):
        op.drop_column(DRAFT, name)


def _check() -> None:
    op.create_table(
        CHECK,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), server_default=ACCOUNT, nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(12), server_default="counting", nullable=False),
        sa.Column("people", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reached", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("made_at", TIME),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.String(80), server_default=ACTOR, nullable=False),
        sa.CheckConstraint(
            "state IN ('counting', 'ready', 'gone')", name=op.f("ck_campaigns_check_state")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "draft_id"],
            ["campaigns_draft.account_id", "campaigns_draft.id"],
            name=op.f("fk_campaigns_check_account_id_draft_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_campaigns_check_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns_check")),
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {CHECK} TO clarion_app")
    op.execute(f"GRANT SELECT (id, account_id, state, created_at) ON {CHECK} TO clarion_system")
    _wall(CHECK)
    op.execute(
        f"CREATE POLICY system ON {CHECK} TO clarion_system USING (true) WITH CHECK (true)"
    )
    op.create_index("ix_campaigns_check_draft", CHECK, ["account_id", "draft_id", "id"])


def _listed() -> None:
    op.create_table(
        LISTED,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), server_default=ACCOUNT, nullable=False),
        sa.Column("check_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(60), server_default="", nullable=False),
        sa.Column("note", sa.String(60), server_default="", nullable=False),
        sa.Column("leaves_at", TIME),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.String(80), server_default=ACTOR, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns_listed")),
        sa.UniqueConstraint(
            "account_id",
            "contact_id",
            "check_id",
            name=op.f("uq_campaigns_listed_account_id_contact_id_check_id"),
        ),
    )
    op.execute(f"GRANT SELECT, INSERT, DELETE ON {LISTED} TO clarion_app")
    _wall(LISTED)
    op.create_index(
        "ix_campaigns_listed_group",
        LISTED,
        ["account_id", "check_id", "reason", "note", "contact_id"],
    )


def _wall(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY app ON {table} TO clarion_app USING ({MINE}) WITH CHECK ({MINE})"
    )
