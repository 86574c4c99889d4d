"""common words are said to be so at once; what rules ask most is answered by an index

Revision ID: 0015_contacts
Revises: 0014_contacts
"""

import sqlalchemy as sa
from alembic import op

revision = "0015_contacts"
down_revision = "0014_contacts"
branch_labels = None
depends_on = None

# NULL: nothing an index could look for; one NULL inside: so many match that one finds a page of
# them by reading on, or more than `most`. One of a hundred among the newest is so many: an index
# of parts of words reads a million entries to say who the others are.
FOUND = """
CREATE OR REPLACE FUNCTION contacts_found(patterns text[], most int) RETURNS uuid[]
  LANGUAGE plpgsql STABLE
  SECURITY DEFINER SET search_path = pg_catalog, public SET enable_seqscan = off AS $$
DECLARE
  look constant int := 5000;
  seen int;
  alike int;
  ids uuid[];
BEGIN
  IF NOT EXISTS (SELECT FROM unnest(patterns) p WHERE p ~ '[[:alnum:]]{3}|^% .') THEN
    RETURN NULL;
  END IF;
  EXECUTE format('SELECT count(*), count(*) FILTER (WHERE %s) FROM (SELECT words
    FROM contacts_search WHERE account_id = %L ORDER BY account_id DESC, id DESC LIMIT %s) newest',
    contacts_rule(patterns), clarion_account(), look) INTO seen, alike;
  IF seen = look AND alike >= look / 100 THEN
    RETURN array[NULL]::uuid[];
  END IF;
  ids := array(SELECT contacts_matching(patterns, most + 1));
  RETURN CASE WHEN cardinality(ids) <= most THEN ids ELSE array[NULL]::uuid[] END;
END $$;
"""
BEFORE = """
CREATE OR REPLACE FUNCTION contacts_found(patterns text[], most int) RETURNS uuid[]
  LANGUAGE plpgsql STABLE
  SECURITY DEFINER SET search_path = pg_catalog, public SET enable_seqscan = off AS $$
DECLARE
  newest text := 'SELECT count(*) FILTER (WHERE %s) FROM (SELECT words FROM contacts_search
    WHERE account_id = %L ORDER BY account_id DESC, id DESC LIMIT %s) newest';
  rule text := contacts_rule(patterns);
  number int;
  ids uuid[];
BEGIN
  IF NOT EXISTS (SELECT FROM unnest(patterns) p WHERE p ~ '[[:alnum:]]{3}|^% .') THEN
    RETURN NULL;
  END IF;
  EXECUTE format(newest, rule, clarion_account(), 1000) INTO number;
  IF number >= 250 THEN
    EXECUTE format(newest, rule, clarion_account(), most * 5) INTO number;
    IF number > most THEN
      RETURN array[NULL]::uuid[];
    END IF;
  END IF;
  ids := array(SELECT contacts_matching(patterns, most + 1));
  RETURN CASE WHEN cardinality(ids) <= most THEN ids ELSE array[NULL]::uuid[] END;
END $$;
"""


CONSENT = ["account_id", "consent", "id"]


def upgrade() -> None:
    op.execute(FOUND)
    op.create_index(
        "ix_contacts_contact_asked",
        "contacts_contact",
        [*CONSENT, "country", "language"],
        postgresql_where=sa.text("merged_into IS NULL"),
    )
    op.drop_index("ix_contacts_contact_consent", "contacts_contact")
    op.drop_constraint("fk_contacts_import_row_account_id_import_id", "contacts_import_row")
    op.execute("REVOKE DELETE ON contacts_import FROM clarion_app")


def downgrade() -> None:
    op.execute("GRANT DELETE ON contacts_import TO clarion_app")
    op.create_foreign_key(
        "fk_contacts_import_row_account_id_import_id",
        "contacts_import_row",
        "contacts_import",
        ["account_id", "import_id"],
        ["account_id", "id"],
        ondelete="CASCADE",
    )
    op.create_index("ix_contacts_contact_consent", "contacts_contact", CONSENT)
    op.drop_index("ix_contacts_contact_asked", "contacts_contact")
    op.execute(BEFORE)
