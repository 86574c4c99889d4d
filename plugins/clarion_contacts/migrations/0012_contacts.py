"""uploaded files in sealed parts; what was done with each person's tags, lists and fields

Revision ID: 0012_contacts
Revises: 0011_contacts
"""

from alembic import op
import sqlalchemy as sa

revision = '0012_contacts'
down_revision = '0011_contacts'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('contacts_import_part',
    sa.Column('import_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id', 'import_id'], ['contacts_import.account_id', 'contacts_import.id'], name=op.f('fk_contacts_import_part_account_id_import_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_contacts_import_part_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contacts_import_part')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_contacts_import_part_account_id_id')),
    sa.UniqueConstraint('account_id', 'import_id', 'number', name=op.f('uq_contacts_import_part_account_id_import_id_number'))
    )
    # sealed bytes cannot be packed any smaller
    op.execute('ALTER TABLE contacts_import_part ALTER COLUMN body SET STORAGE EXTERNAL')
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON contacts_import_part TO clarion_app')
    op.execute('ALTER TABLE contacts_import_part ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE contacts_import_part FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON contacts_import_part TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')

    op.create_table('contacts_deed',
    sa.Column('contact_id', sa.Uuid(), nullable=False),
    sa.Column('what', sa.String(length=8), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("what IN ('tag', 'untag', 'list', 'unlist', 'field')", name=op.f('ck_contacts_deed_what')),
    sa.ForeignKeyConstraint(['account_id', 'contact_id'], ['contacts_contact.account_id', 'contacts_contact.id'], name=op.f('fk_contacts_deed_account_id_contact_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contacts_deed'))
    )
    op.execute('GRANT SELECT, INSERT, DELETE ON contacts_deed TO clarion_app')
    op.execute('ALTER TABLE contacts_deed ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE contacts_deed FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON contacts_deed TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_contacts_deed_contact', 'contacts_deed', ['account_id', 'contact_id', 'created_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_contacts_deed_contact', table_name='contacts_deed')
    op.drop_table('contacts_deed')
    op.drop_table('contacts_import_part')
