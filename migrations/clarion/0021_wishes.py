"""what people told the provider and when, and which contacts are part of another

Revision ID: 0021_wishes
Revises: 0020_sign_in
"""

import sqlalchemy as sa
from alembic import op

revision = "0021_wishes"
down_revision = "0020_sign_in"
branch_labels = None
depends_on = None

MINE = "account_id = (SELECT clarion_account())"
# the wall holds for the owner too: without this it sees no row
STANDING = """
ALTER TABLE suppression NO FORCE ROW LEVEL SECURITY;
ALTER TABLE provider_wish NO FORCE ROW LEVEL SECURITY;
INSERT INTO provider_wish (id, account_id, idx, stopped_at)
  SELECT gen_random_uuid(), account_id, idx, max(created_at) FROM suppression
  WHERE reason = 'provider_stop' AND until IS NULL GROUP BY account_id, idx;
ALTER TABLE suppression FORCE ROW LEVEL SECURITY;
ALTER TABLE provider_wish FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    _create(
        "provider_wish",
        sa.Column("idx", sa.LargeBinary(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        unique="idx",
        grants="SELECT, INSERT, UPDATE (stopped_at, resumed_at)",
    )
    _create(
        "contact_part",
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("into_id", sa.Uuid(), nullable=False),
        unique="contact_id",
        grants="SELECT, INSERT, UPDATE, DELETE",
    )
    op.create_index("ix_contact_part_into", "contact_part", ["account_id", "into_id"])
    op.execute(STANDING)


def downgrade() -> None:
    op.drop_table("contact_part")
    op.drop_table("provider_wish")


def _create(table: str, *columns: sa.Column[object], unique: str, grants: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        *columns,
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
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f(f"fk_{table}_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(
            "account_id", unique, name=op.f(f"uq_{table}_account_id_{unique}")
        ),
    )
    op.execute(f"GRANT {grants} ON {table} TO clarion_app")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY app ON {table} TO clarion_app USING ({MINE}) WITH CHECK ({MINE})"
    )
