"""lists of any format; their columns remembered; since when people agreed

Revision ID: 0009_contacts
Revises: 0008_contacts
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = '0009_contacts'
down_revision = '0008_contacts'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('contacts_import', sa.Column('format', sa.String(length=8), server_default='csv', nullable=False))
    op.add_column('contacts_import', sa.Column('sheet', sa.SmallInteger(), server_default='0', nullable=False))
    op.add_column('contacts_import', sa.Column('kinds', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.add_column('contacts_import', sa.Column('names', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False))
    op.add_column('contacts_import', sa.Column('header_digest', sa.LargeBinary(), nullable=True))
    op.add_column('contacts_import', sa.Column('recalled_id', sa.Uuid(), nullable=True))
    op.add_column('contacts_import', sa.Column('consent_from', sa.Date(), nullable=True))
    op.create_check_constraint(op.f('ck_contacts_import_format'), 'contacts_import', "format IN ('csv', 'xlsx', 'ods', 'vcard')")
    op.create_index('ix_contacts_import_header', 'contacts_import', ['account_id', 'header_digest'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_contacts_import_header', table_name='contacts_import')
    op.drop_constraint(op.f('ck_contacts_import_format'), 'contacts_import', type_='check')
    for name in ('consent_from', 'recalled_id', 'header_digest', 'names', 'kinds', 'sheet', 'format'):
        op.drop_column('contacts_import', name)
