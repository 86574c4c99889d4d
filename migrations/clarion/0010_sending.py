"""stops of a business and of a country, prices, and what the purge of webhooks looks for

Revision ID: 0010_sending
Revises: 0009_statistics
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_sending"
down_revision = "0009_statistics"
branch_labels = None
depends_on = None

MINE = "account_id = (SELECT clarion_account())"


def upgrade() -> None:
    _breaker_kinds("'template', 'campaign', 'sender', 'channel', 'portfolio'")
    op.add_column("sending_rules", sa.Column("approve_above_price", sa.BigInteger()))
    op.create_check_constraint(
        op.f("ck_sending_rules_approve_above_price"),
        "sending_rules",
        "approve_above_price >= 0",
    )
    op.create_index(
        "ix_webhook_inbox_done",
        "webhook_inbox",
        ["applied_at"],
        postgresql_where=sa.text("applied_at IS NOT NULL"),
    )
    _country_stop()
    _price()


def downgrade() -> None:
    op.drop_table("price")
    op.drop_table("country_stop")
    op.drop_index("ix_webhook_inbox_done", table_name="webhook_inbox")
    op.drop_constraint(op.f("ck_sending_rules_approve_above_price"), "sending_rules")
    op.drop_column("sending_rules", "approve_above_price")
    # the wall holds for the owner too: without this it sees no row
    op.execute("ALTER TABLE breaker NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM breaker WHERE kind = 'portfolio'")
    op.execute("ALTER TABLE breaker FORCE ROW LEVEL SECURITY")
    _breaker_kinds("'template', 'campaign', 'sender', 'channel'")


def _breaker_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_breaker_kind"), "breaker")
    op.create_check_constraint(op.f("ck_breaker_kind"), "breaker", f"kind IN ({kinds})")


def _country_stop() -> None:
    op.create_table(
        "country_stop",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
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
            ["account_id", "channel_id"],
            ["channel.account_id", "channel.id"],
            name=op.f("fk_country_stop_account_id_channel_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_country_stop_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_country_stop")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_country_stop_account_id_id")),
        sa.UniqueConstraint(
            "account_id",
            "channel_id",
            "country",
            name=op.f("uq_country_stop_account_id_channel_id_country"),
        ),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON country_stop TO clarion_app")
    op.execute("GRANT SELECT ON country_stop TO clarion_staff")
    op.execute("GRANT SELECT ON country_stop TO clarion_system")
    op.execute("ALTER TABLE country_stop ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE country_stop FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON country_stop TO clarion_app"
        f" USING ({MINE}) WITH CHECK ({MINE})"
    )
    for role in ("staff", "system"):
        op.execute(
            f"CREATE POLICY {role} ON country_stop TO clarion_{role}"
            " USING (true) WITH CHECK (true)"
        )


def _price() -> None:
    op.create_table(
        "price",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transport", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=12), nullable=False),
        sa.Column("market", sa.String(length=2), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("created_by", sa.String(length=80), server_default="", nullable=False),
        sa.CheckConstraint(
            "category IN ('marketing', 'utility', 'auth')", name=op.f("ck_price_category")
        ),
        sa.CheckConstraint("micros >= 0", name=op.f("ck_price_micros")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price")),
        sa.UniqueConstraint(
            "transport",
            "category",
            "market",
            "valid_from",
            name=op.f("uq_price_transport_category_market_valid_from"),
        ),
    )
    op.execute("GRANT SELECT ON price TO clarion_app")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON price TO clarion_staff")
