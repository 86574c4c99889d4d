"""tell the core which contacts are part of another already, and find topics that were stopped

Revision ID: 0011_contacts
Revises: 0010_contacts
"""

import sqlalchemy as sa
from alembic import op

revision = "0011_contacts"
down_revision = "0010_contacts"
branch_labels = None
depends_on = None

# the wall holds for the owner too: without this it sees no row
PARTS = """
ALTER TABLE contacts_contact NO FORCE ROW LEVEL SECURITY;
ALTER TABLE contact_part NO FORCE ROW LEVEL SECURITY;
INSERT INTO contact_part (id, account_id, contact_id, into_id)
  WITH RECURSIVE found AS (
    SELECT account_id, id, merged_into AS into_id FROM contacts_contact
    WHERE merged_into IS NOT NULL
    UNION
    SELECT f.account_id, f.id, c.merged_into FROM found f JOIN contacts_contact c
      ON c.account_id = f.account_id AND c.id = f.into_id
    WHERE c.merged_into IS NOT NULL)
  SELECT gen_random_uuid(), f.account_id, f.id, f.into_id
  FROM found f JOIN contacts_contact c ON c.account_id = f.account_id AND c.id = f.into_id
  WHERE c.merged_into IS NULL
  ON CONFLICT DO NOTHING;
ALTER TABLE contacts_contact FORCE ROW LEVEL SECURITY;
ALTER TABLE contact_part FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    op.execute(PARTS)
    op.create_index(
        "ix_contacts_consent_topic",
        "contacts_consent",
        ["account_id", "topic_id"],
        postgresql_where=sa.text("topic_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_contacts_consent_topic", "contacts_consent")
