"""content opens to staff under a live grant only, and closes behind who acts as a customer

Revision ID: 0002_templates
Revises: 0001_templates
"""

from alembic import op

revision = "0002_templates"
down_revision = "0001_templates"
branch_labels = None
depends_on = None

CONTENT = ("templates_template",)


def upgrade() -> None:
    for table in CONTENT:
        op.execute(f"GRANT SELECT ON {table} TO clarion_staff")
        op.execute(
            f"CREATE POLICY behind ON {table} AS RESTRICTIVE TO clarion_app"
            " USING ((SELECT clarion_grant_ok()))"
        )
        op.execute(
            f"CREATE POLICY granted ON {table} FOR SELECT TO clarion_staff"
            " USING (account_id = (SELECT clarion_granted()))"
        )


def downgrade() -> None:
    for table in CONTENT:
        op.execute(f"DROP POLICY granted ON {table}")
        op.execute(f"DROP POLICY behind ON {table}")
        op.execute(f"REVOKE SELECT ON {table} FROM clarion_staff")
