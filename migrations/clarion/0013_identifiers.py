"""an identifier has two keys less: lists bring two million of them in one transaction

Revision ID: 0013_identifiers
Revises: 0012_identity
"""

from alembic import op

revision = "0013_identifiers"
down_revision = "0012_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("fk_identifier_account_id", "identifier")
    op.drop_constraint("uq_identifier_account_id_id", "identifier")


def downgrade() -> None:
    op.create_unique_constraint(
        op.f("uq_identifier_account_id_id"), "identifier", ["account_id", "id"]
    )
    op.create_foreign_key(
        op.f("fk_identifier_account_id"), "identifier", "account", ["account_id"], ["id"]
    )
