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
WORDS = (("audit_entry", "actor_name"), ("audit_entry", "behind"))


def upgrade() -> None:
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
