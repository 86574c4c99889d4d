"""people in uploaded lists who have no number: what WhatsApp knows them by

Revision ID: 0014_contacts
Revises: 0013_contacts
"""

from alembic import op
import sqlalchemy as sa

revision = '0014_contacts'
down_revision = '0013_contacts'
branch_labels = None
depends_on = None

TEXTS = {'wa_id': 24, 'bsuid': 160, 'parent_bsuid': 160}
INDEXES = ('wa_idx', 'bsuid_idx', 'parent_idx')


def upgrade() -> None:
    for name, size in TEXTS.items():
        op.add_column('contacts_import_row', sa.Column(name, sa.String(length=size), server_default='', nullable=False))
    for name in INDEXES:
        op.add_column('contacts_import_row', sa.Column(name, sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    for name in (*TEXTS, *INDEXES):
        op.drop_column('contacts_import_row', name)
