"""indexes for the console's lists: by key in every order, part of a name without a scan

Revision ID: 0029_console_lists
Revises: 0027_standing
"""

from alembic import op

revision = "0029_console_lists"
down_revision = "0027_standing"
branch_labels = None
depends_on = None

ORDERS = {
    "account": (
        ("created_at", "id"),
        ("name", "id"),
        ("state", "created_at", "id"),
        ("country", "created_at", "id"),
    ),
    "person": (("created_at", "id"), ("name", "id"), ("state", "created_at", "id")),
    "sender": (
        ("created_at", "id"),
        ("name", "id"),
        ("state", "created_at", "id"),
        ("quality", "created_at", "id"),
        ("rate_per_s", "id"),
    ),
}
WORDS = {"account": ("name",), "person": ("name", "email"), "sender": ("name",)}


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for table, orders in ORDERS.items():
        for columns in orders:
            op.create_index(f"ix_{table}_by_{columns[0]}", table, list(columns))
    for table, columns in WORDS.items():
        for column in columns:
            op.create_index(
                f"ix_{table}_{column}_words",
                table,
                [column],
                postgresql_using="gin",
                postgresql_ops={column: "gin_trgm_ops"},
            )


def downgrade() -> None:
    for table, columns in WORDS.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{column}_words", table_name=table)
    for table, orders in ORDERS.items():
        for columns in orders:
            op.drop_index(f"ix_{table}_by_{columns[0]}", table_name=table)
