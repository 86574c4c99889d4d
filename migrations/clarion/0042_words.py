"""find what begins with a text, and who did something, without reading a million rows

Revision ID: 0042_words
Revises: 0039_plans
"""

import sqlalchemy as sa
from alembic import op

revision = "0042_words"
down_revision = "0039_plans"
branch_labels = None
depends_on = None

BEGINNINGS = (
    ("account", "name"),
    ("person", "name"),
    ("person", "email"),
    ("sender", "name"),
)
ORDERS = (  # table, order, and what else a page asks of a row, so that no row is read
    ("account", ("name", "id"), ("state", "country")),
    ("account", ("state", "created_at", "id"), ("name",)),
    ("account", ("country", "created_at", "id"), ("name",)),
    ("person", ("name", "id"), ("state",)),
    ("person", ("state", "created_at", "id"), ("name",)),
    ("sender", ("name", "id"), ("state", "quality")),
    ("sender", ("state", "created_at", "id"), ("name",)),
    ("sender", ("quality", "created_at", "id"), ("name",)),
)
WORDS = (("audit_entry", "actor_name"), ("audit_entry", "behind"))


def order(*, more: bool) -> None:
    """Make the indexes of orders anew, with or without what else is asked."""
    for table, columns, others in ORDERS:
        name = f"ix_{table}_by_{columns[0]}"
        op.drop_index(name, table)
        include = list(others) if more else []
        op.create_index(name, table, list(columns), postgresql_include=include)


def upgrade() -> None:
    order(more=True)
    for table, column in BEGINNINGS:
        small = sa.text(f"lower({column}) varchar_pattern_ops")
        op.create_index(f"ix_{table}_{column}_begins", table, [small])
    for table, column in WORDS:
        op.create_index(
            f"ix_{table}_{column}_words",
            table,
            [column],
            postgresql_using="gin",
            postgresql_ops={column: "gin_trgm_ops"},
        )
    some = sa.text("row IS NOT NULL")
    op.drop_index("ix_audit_entry_row", "audit_entry")
    op.create_index(
        "ix_audit_entry_row", "audit_entry", ["row", "at"], postgresql_where=some
    )
    rare = sa.text("kind <> 'status'")
    op.create_index(
        "ix_webhook_inbox_rare", "webhook_inbox", ["kind", "id"], postgresql_where=rare
    )


def downgrade() -> None:
    order(more=False)
    op.drop_index("ix_webhook_inbox_rare", "webhook_inbox")
    op.drop_index("ix_audit_entry_row", "audit_entry")
    op.create_index(
        "ix_audit_entry_row",
        "audit_entry",
        ["account_id", "row", "at"],
        postgresql_where=sa.text("row IS NOT NULL"),
    )
    for table, column in WORDS:
        op.drop_index(f"ix_{table}_{column}_words", table_name=table)
    for table, column in BEGINNINGS:
        op.drop_index(f"ix_{table}_{column}_begins", table_name=table)
