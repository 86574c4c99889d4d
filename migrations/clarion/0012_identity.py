"""contacts that may be one person

Revision ID: 0012_identity
Revises: 0011_heard
"""

import sqlalchemy as sa
from alembic import op

revision = "0012_identity"
down_revision = "0011_heard"
branch_labels = None
depends_on = None

MINE = "account_id = (SELECT clarion_account())"


def upgrade() -> None:
    op.create_table(
        "identity_doubt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column(
            "raised_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision", sa.String(length=12), server_default="", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (decision = '')", name=op.f("ck_identity_doubt_decided")
        ),
        sa.CheckConstraint(
            "decision IN ('', 'merged', 'different')",
            name=op.f("ck_identity_doubt_decision"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_identity_doubt_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_doubt")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_identity_doubt_account_id_id")
        ),
        sa.UniqueConstraint(
            "account_id",
            "contact_id",
            "other_id",
            name=op.f("uq_identity_doubt_account_id_contact_id_other_id"),
        ),
    )
    op.create_index(
        "ix_identity_doubt_other", "identity_doubt", ["account_id", "other_id"]
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON identity_doubt TO clarion_app")
    op.execute("ALTER TABLE identity_doubt ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE identity_doubt FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON identity_doubt TO clarion_app"
        f" USING ({MINE}) WITH CHECK ({MINE})"
    )


def downgrade() -> None:
    op.drop_table("identity_doubt")
