"""signed heads of the log's chains; page through the log by account, person and deed

Revision ID: 0025_heads
Revises: 0024_granted
"""

import sqlalchemy as sa
from alembic import op

revision = "0025_heads"
down_revision = "0024_granted"
branch_labels = None
depends_on = None

PAGES = {
    "ix_audit_entry_page": ["account_id", "at", "id"],
    "ix_audit_entry_all": ["at", "id"],
    "ix_audit_entry_actor": ["actor", "at", "id"],
    "ix_audit_entry_name": ["name", "at", "id"],
}
BEFORE = {"ix_audit_entry_account_id": ["account_id"], "ix_audit_entry_at": ["at"]}


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("chain", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "seq", name=op.f("pk_audit_head")),
    )
    op.execute("GRANT SELECT ON audit_head TO clarion_staff")
    op.execute("GRANT SELECT, INSERT ON audit_head TO clarion_system")
    op.execute(
        "CREATE TRIGGER forever BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_head"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_forever()"
    )
    for name, columns in PAGES.items():
        ops = {"name": "varchar_pattern_ops"} if "name" in columns else {}
        op.create_index(name, "audit_entry", columns, postgresql_ops=ops)
    for name in BEFORE:  # the new ones begin alike
        op.drop_index(name, "audit_entry")


def downgrade() -> None:
    for name, columns in BEFORE.items():
        op.create_index(name, "audit_entry", columns)
    for name in PAGES:
        op.drop_index(name, "audit_entry")
    op.drop_table("audit_head")
