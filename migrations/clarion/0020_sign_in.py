"""second factors, known devices, the console's networks; an account may require a second factor

Revision ID: 0020_sign_in
Revises: 0019_deeds
"""

import sqlalchemy as sa
from alembic import op

revision = "0020_sign_in"
down_revision = "0019_deeds"
branch_labels = None
depends_on = None

NOW = sa.text("clarion_now()")


def upgrade() -> None:
    op.add_column(
        "account", sa.Column("second_factor_from", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute("GRANT UPDATE (second_factor_from) ON account TO clarion_app")
    for table in ("person_factor", "staff_factor"):
        _factor(table)
    for table in ("person_device", "staff_device"):
        _device(table)
    _network()


def downgrade() -> None:
    for table in (
        "console_network",
        "staff_device",
        "person_device",
        "staff_factor",
        "person_factor",
    ):
        op.drop_table(table)
    op.drop_column("account", "second_factor_from")


def _factor(table: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=60), server_default="", nullable=False),
        sa.Column("handle", sa.LargeBinary(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("counter", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False
        ),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('passkey', 'totp', 'recovery')", name=op.f(f"ck_{table}_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("handle", name=op.f(f"uq_{table}_handle")),
    )
    op.create_index(op.f(f"ix_{table}_subject"), table, ["subject"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO clarion_system")


def _device(table: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("device", sa.String(length=60), server_default="", nullable=False),
        sa.Column("address", sa.String(length=45), server_default="", nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(
            "subject", "key_hash", name=op.f(f"uq_{table}_subject_key_hash")
        ),
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO clarion_system")


def _network() -> None:
    op.create_table(
        "console_network",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.String(length=45), nullable=False),
        sa.Column("note", sa.String(length=120), server_default="", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False
        ),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_network")),
        sa.UniqueConstraint("network", name=op.f("uq_console_network_network")),
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON console_network TO clarion_staff")
    op.execute("GRANT SELECT ON console_network TO clarion_system")
