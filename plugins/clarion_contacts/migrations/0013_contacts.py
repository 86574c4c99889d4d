"""content opens to staff under a live grant only, and closes behind who acts as a customer

Revision ID: 0013_contacts
Revises: 0012_contacts
"""

from alembic import op

revision = "0013_contacts"
down_revision = "0012_contacts"
branch_labels = None
depends_on = None

CONTENT = (
    "contacts_bulk",
    "contacts_bulk_part",
    "contacts_consent",
    "contacts_consent_check",
    "contacts_consent_link",
    "contacts_contact",
    "contacts_deed",
    "contacts_field",
    "contacts_first_view",
    "contacts_import",
    "contacts_import_part",
    "contacts_import_row",
    "contacts_joining",
    "contacts_likeness",
    "contacts_list",
    "contacts_listing",
    "contacts_member",
    "contacts_merge",
    "contacts_request",
    "contacts_segment",
    "contacts_signup",
    "contacts_snapshot",
    "contacts_tag",
    "contacts_tagging",
    "contacts_topic",
    "contacts_view",
    "contacts_wording",
)


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
