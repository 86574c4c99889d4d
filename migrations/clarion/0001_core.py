"""the core

Revision ID: 0001_core
Revises: 
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import postgresql

revision = '0001_core'
down_revision = None
branch_labels = None
depends_on = None


MOVES = """
    'queued>claimed',
    'queued>suppressed',
    'queued>cancelled',
    'queued>expired',
    'queued>held',
    'queued>accepted',
    'queued>sent',
    'queued>delivered',
    'queued>read',
    'queued>failed',
    'claimed>queued',
    'claimed>dispatching',
    'claimed>suppressed',
    'claimed>cancelled',
    'claimed>expired',
    'claimed>failed',
    'claimed>held',
    'claimed>accepted',
    'claimed>sent',
    'claimed>delivered',
    'claimed>read',
    'claimed>failed',
    'dispatching>queued',
    'dispatching>held',
    'dispatching>unknown',
    'dispatching>accepted',
    'dispatching>sent',
    'dispatching>delivered',
    'dispatching>read',
    'dispatching>failed',
    'unknown>needs_decision',
    'unknown>queued',
    'unknown>held',
    'unknown>accepted',
    'unknown>sent',
    'unknown>delivered',
    'unknown>read',
    'unknown>failed',
    'held>needs_decision',
    'held>cancelled',
    'held>accepted',
    'held>sent',
    'held>delivered',
    'held>read',
    'held>failed',
    'needs_decision>queued',
    'needs_decision>accepted',
    'needs_decision>sent',
    'needs_decision>delivered',
    'needs_decision>read',
    'needs_decision>failed',
    'accepted>sent',
    'accepted>delivered',
    'accepted>read',
    'accepted>failed',
    'accepted>expired',
    'accepted>held',
    'sent>delivered',
    'sent>read',
    'sent>failed',
    'sent>expired',
    'failed>delivered',
    'failed>read',
    'expired>delivered',
    'expired>read',
    'delivered>read',
    'suppressed>delivered',
    'suppressed>read',
    'cancelled>delivered',
    'cancelled>read'
"""

TRIGGERS = f"""
CREATE FUNCTION message_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'message %: % may not become %', OLD.id, OLD.state, NEW.state
    USING ERRCODE = 'check_violation';
END $$;
-- the condition is asked for every row without calling the function
CREATE TRIGGER move BEFORE UPDATE OF state ON message FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state
    AND NOT (OLD.state || '>' || NEW.state) = ANY (ARRAY[{MOVES}]))
  EXECUTE FUNCTION message_move();

CREATE FUNCTION message_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO message_event (id, account_id, message_id, from_state, to_state, reason)
  SELECT clarion_new_id(), n.account_id, n.id, o.state, n.state, n.reason
  FROM new_rows n JOIN old_rows o ON o.id = n.id
  WHERE o.state <> n.state
    AND NOT (o.state = 'queued' AND n.state = 'claimed')
    AND NOT (o.state = 'claimed' AND n.state = 'queued');
  RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE ON message
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION message_note();

-- ANALYZE is the owner's; the engine may ask for it, and gets it when a table has doubled
CREATE FUNCTION clarion_keep_statistics() RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  grown regclass;
BEGIN
  FOR grown IN SELECT c.oid FROM pg_class c
    WHERE c.oid = ANY (ARRAY['message', 'attempt', 'message_event']::regclass[])
      AND pg_relation_size(c.oid) > 65536 + 2 * 8192 * greatest(c.relpages, 0)::bigint
  LOOP
    IF pg_try_advisory_xact_lock(7003, grown::oid::int) THEN
      EXECUTE format('ANALYZE %s', grown);
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION clarion_keep_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clarion_keep_statistics() TO clarion_app;

CREATE FUNCTION audit_forever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;
CREATE TRIGGER forever BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
  FOR EACH STATEMENT EXECUTE FUNCTION audit_forever();
CREATE TRIGGER forever BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_link
  FOR EACH STATEMENT EXECUTE FUNCTION audit_forever();
CREATE TRIGGER forever BEFORE UPDATE OR DELETE OR TRUNCATE ON message_event
  FOR EACH STATEMENT EXECUTE FUNCTION audit_forever();
"""

FAB = """
DO $$ DECLARE t text; BEGIN
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
    AND tablename LIKE 'ab\\_%' LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO clarion_staff', t);
    EXECUTE format('GRANT SELECT ON %I TO clarion_system', t);
  END LOOP;
END $$;
-- who somebody is, no role changes afterwards; nobody is made another by one statement
REVOKE UPDATE ON ab_user FROM clarion_staff;
GRANT UPDATE (password, active, last_login, login_count) ON ab_user TO clarion_staff;
GRANT UPDATE (password) ON ab_user TO clarion_system;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clarion_staff;
"""

FUNCTIONS = """
CREATE OR REPLACE FUNCTION clarion_account() RETURNS uuid
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.account_id', true), '')::uuid $$;
CREATE OR REPLACE FUNCTION clarion_now() RETURNS timestamptz
  LANGUAGE sql VOLATILE PARALLEL SAFE
  AS $$ SELECT clock_timestamp() $$;
DO $$ BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    CREATE OR REPLACE FUNCTION clarion_new_id() RETURNS uuid
      LANGUAGE sql VOLATILE PARALLEL SAFE AS 'SELECT uuidv7()';
  ELSE
    CREATE OR REPLACE FUNCTION clarion_new_id() RETURNS uuid
      LANGUAGE sql VOLATILE PARALLEL SAFE AS 'SELECT gen_random_uuid()';
  END IF;
END $$;
GRANT USAGE ON SCHEMA public TO clarion_app, clarion_staff, clarion_system;
"""


def upgrade() -> None:
    op.execute(FUNCTIONS)

    # ### commands auto generated by Alembic - please adjust! ###
    op.create_table('ab_group',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('label', sa.String(length=150), nullable=True),
    sa.Column('description', sa.String(length=512), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_group')),
    sa.UniqueConstraint('name', name=op.f('uq_ab_group_name'))
    )
    op.create_table('ab_permission',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_permission')),
    sa.UniqueConstraint('name', name=op.f('uq_ab_permission_name'))
    )
    op.create_table('ab_register_user',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('first_name', sa.String(length=64), nullable=False),
    sa.Column('last_name', sa.String(length=64), nullable=False),
    sa.Column('username', sa.String(length=128), nullable=False),
    sa.Column('password', sa.String(length=256), nullable=True),
    sa.Column('email', sa.String(length=320), nullable=False),
    sa.Column('registration_date', sa.DateTime(), nullable=True),
    sa.Column('registration_hash', sa.String(length=256), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_register_user')),
    sa.UniqueConstraint('email', name=op.f('uq_ab_register_user_email')),
    sa.UniqueConstraint('username', name=op.f('uq_ab_register_user_username'))
    )
    op.create_table('ab_role',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_role')),
    sa.UniqueConstraint('name', name=op.f('uq_ab_role_name'))
    )
    op.create_table('ab_user',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('first_name', sa.String(length=64), nullable=False),
    sa.Column('last_name', sa.String(length=64), nullable=False),
    sa.Column('username', sa.String(length=128), nullable=False),
    sa.Column('password', sa.String(length=256), nullable=True),
    sa.Column('active', sa.Boolean(), nullable=True),
    sa.Column('email', sa.String(length=320), nullable=False),
    sa.Column('last_login', sa.DateTime(), nullable=True),
    sa.Column('login_count', sa.Integer(), nullable=True),
    sa.Column('fail_login_count', sa.Integer(), nullable=True),
    sa.Column('created_on', sa.DateTime(), nullable=True),
    sa.Column('changed_on', sa.DateTime(), nullable=True),
    sa.Column('created_by_fk', sa.Integer(), nullable=True),
    sa.Column('changed_by_fk', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['changed_by_fk'], ['ab_user.id'], name=op.f('fk_ab_user_changed_by_fk')),
    sa.ForeignKeyConstraint(['created_by_fk'], ['ab_user.id'], name=op.f('fk_ab_user_created_by_fk')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_user')),
    sa.UniqueConstraint('email', name=op.f('uq_ab_user_email')),
    sa.UniqueConstraint('username', name=op.f('uq_ab_user_username'))
    )
    op.create_table('ab_view_menu',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=250), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_view_menu')),
    sa.UniqueConstraint('name', name=op.f('uq_ab_view_menu_name'))
    )
    op.create_table('account',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('country', sa.String(length=2), server_default='', nullable=False),
    sa.Column('timezone', sa.String(length=60), server_default='UTC', nullable=False),
    sa.Column('language', sa.String(length=10), server_default='en', nullable=False),
    sa.Column('state', sa.String(length=12), server_default='active', nullable=False),
    sa.Column('state_reason', sa.String(length=300), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('active', 'suspended', 'closed')", name=op.f('ck_account_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_account'))
    )
    op.execute('GRANT SELECT, UPDATE (name, country, timezone, language, updated_at) ON account TO clarion_app')
    op.execute('GRANT SELECT, INSERT, UPDATE ON account TO clarion_staff')
    op.execute('GRANT SELECT, INSERT ON account TO clarion_system')
    op.execute('ALTER TABLE account ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE account FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON account TO clarion_app USING (id = (SELECT clarion_account())) WITH CHECK (id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON account TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON account TO clarion_system USING (true) WITH CHECK (true)')
    op.create_table('console_session',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('id_hash', sa.LargeBinary(), nullable=False),
    sa.Column('subject', sa.String(length=60), nullable=True),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('device', sa.String(length=60), server_default='', nullable=False),
    sa.Column('address', sa.String(length=45), server_default='', nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_console_session')),
    sa.UniqueConstraint('id_hash', name=op.f('uq_console_session_id_hash'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON console_session TO clarion_system')
    op.create_index(op.f('ix_console_session_subject'), 'console_session', ['subject'], unique=False)
    op.create_table('dead_job',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('job', sa.String(length=120), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('error', sa.String(length=500), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dead_job'))
    )
    op.execute('GRANT SELECT ON dead_job TO clarion_staff')
    op.execute('GRANT SELECT, INSERT ON dead_job TO clarion_system')
    op.create_table('instance_epoch',
    sa.Column('name', sa.String(length=8), nullable=False),
    sa.Column('instance', sa.Uuid(), server_default=sa.text('gen_random_uuid()'), nullable=False),
    sa.Column('epoch', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('raised_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('server', sa.String(length=20), server_default='', nullable=False),
    sa.Column('database', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('timeline', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('restored_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('restored_why', sa.String(length=20), server_default='', nullable=False),
    sa.Column('held_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('replayed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('people_asked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('asked_by', sa.String(length=80), nullable=True),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('released_by', sa.String(length=80), nullable=True),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("name = 'this'", name=op.f('ck_instance_epoch_one')),
    sa.CheckConstraint('released_by <> asked_by', name=op.f('ck_instance_epoch_two_people')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_instance_epoch'))
    )
    op.execute('GRANT SELECT ON instance_epoch TO clarion_app')
    op.execute('GRANT SELECT, UPDATE ON instance_epoch TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE ON instance_epoch TO clarion_system')
    op.create_table('limit_counter',
    sa.Column('key', sa.LargeBinary(), nullable=False),
    sa.Column('slot', sa.DateTime(timezone=True), nullable=False),
    sa.Column('count', sa.Integer(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('key', 'slot', name=op.f('pk_limit_counter'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON limit_counter TO clarion_system')
    op.create_table('one_time_token',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('purpose', sa.String(length=20), nullable=False),
    sa.Column('subject', sa.String(length=254), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_one_time_token')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_one_time_token_token_hash'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ON one_time_token TO clarion_system')
    op.create_table('outbox',
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('queue', sa.String(length=20), nullable=False),
    sa.Column('job', sa.String(length=120), nullable=False),
    sa.Column('unique_key', sa.String(length=120), nullable=True),
    sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('not_before', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_outbox'))
    )
    op.execute('GRANT INSERT ON outbox TO clarion_app')
    op.execute('GRANT INSERT ON outbox TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, DELETE, UPDATE (not_before) ON outbox TO clarion_system')
    op.create_index('ix_outbox_due', 'outbox', ['not_before', 'seq'], unique=False)
    op.create_table('person',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('password_hash', sa.String(length=200), server_default='', nullable=False),
    sa.Column('language', sa.String(length=10), server_default='', nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('state', sa.String(length=12), server_default='active', nullable=False),
    sa.Column('session_epoch', sa.Integer(), server_default='0', nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.CheckConstraint("state IN ('active', 'disabled')", name=op.f('ck_person_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_person')),
    sa.UniqueConstraint('email', name=op.f('uq_person_email'))
    )
    op.execute('GRANT SELECT (id, name, email, confirmed_at, state, language, created_at) ON person TO clarion_app')
    op.execute('GRANT SELECT (id, name, email, confirmed_at, state, language, created_at, last_seen_at, session_epoch), UPDATE (name, state, session_epoch) ON person TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE ON person TO clarion_system')
    op.create_table('plugin_guard',
    sa.Column('plugin', sa.String(length=40), nullable=False),
    sa.Column('hooks', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.PrimaryKeyConstraint('plugin', name=op.f('pk_plugin_guard'))
    )
    op.execute('GRANT SELECT ON plugin_guard TO clarion_app')
    op.execute('GRANT SELECT ON plugin_guard TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON plugin_guard TO clarion_system')
    op.create_table('portal_session',
    sa.Column('behind', sa.String(length=60), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('id_hash', sa.LargeBinary(), nullable=False),
    sa.Column('subject', sa.String(length=60), nullable=True),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('device', sa.String(length=60), server_default='', nullable=False),
    sa.Column('address', sa.String(length=45), server_default='', nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_portal_session')),
    sa.UniqueConstraint('id_hash', name=op.f('uq_portal_session_id_hash'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON portal_session TO clarion_system')
    op.create_index(op.f('ix_portal_session_subject'), 'portal_session', ['subject'], unique=False)
    op.create_table('schedule_slot',
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('slot', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', 'slot', name=op.f('pk_schedule_slot'))
    )
    op.execute('GRANT SELECT, INSERT, DELETE ON schedule_slot TO clarion_system')
    op.create_table('ab_api_key',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('uuid', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=256), nullable=False),
    sa.Column('key_hash', sa.String(length=256), nullable=False),
    sa.Column('lookup_hash', sa.String(length=256), nullable=True),
    sa.Column('key_prefix', sa.String(length=16), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('scopes', sa.Text(), nullable=True),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('created_on', sa.DateTime(), nullable=True),
    sa.Column('expires_on', sa.DateTime(), nullable=True),
    sa.Column('revoked_on', sa.DateTime(), nullable=True),
    sa.Column('last_used_on', sa.DateTime(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['ab_user.id'], name=op.f('fk_ab_api_key_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_api_key')),
    sa.UniqueConstraint('lookup_hash', name=op.f('uq_ab_api_key_lookup_hash')),
    sa.UniqueConstraint('uuid', name=op.f('uq_ab_api_key_uuid'))
    )
    op.create_index('idx_api_key_lookup_hash', 'ab_api_key', ['lookup_hash'], unique=True)
    op.create_index('idx_api_key_prefix', 'ab_api_key', ['key_prefix'], unique=False)
    op.create_index('idx_api_key_user_id', 'ab_api_key', ['user_id'], unique=False)
    op.create_table('ab_group_role',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('group_id', sa.Integer(), nullable=True),
    sa.Column('role_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['group_id'], ['ab_group.id'], name=op.f('fk_ab_group_role_group_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['role_id'], ['ab_role.id'], name=op.f('fk_ab_group_role_role_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_group_role')),
    sa.UniqueConstraint('group_id', 'role_id', name=op.f('uq_ab_group_role_group_id_role_id'))
    )
    op.create_index('idx_group_id', 'ab_group_role', ['group_id'], unique=False)
    op.create_index('idx_group_role_id', 'ab_group_role', ['role_id'], unique=False)
    op.create_table('ab_permission_view',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('permission_id', sa.Integer(), nullable=False),
    sa.Column('view_menu_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['permission_id'], ['ab_permission.id'], name=op.f('fk_ab_permission_view_permission_id')),
    sa.ForeignKeyConstraint(['view_menu_id'], ['ab_view_menu.id'], name=op.f('fk_ab_permission_view_view_menu_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_permission_view')),
    sa.UniqueConstraint('permission_id', 'view_menu_id', name=op.f('uq_ab_permission_view_permission_id_view_menu_id'))
    )
    op.create_index('idx_permission_id', 'ab_permission_view', ['permission_id'], unique=False)
    op.create_index('idx_view_menu_id', 'ab_permission_view', ['view_menu_id'], unique=False)
    op.create_table('ab_user_group',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('group_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['group_id'], ['ab_group.id'], name=op.f('fk_ab_user_group_group_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['ab_user.id'], name=op.f('fk_ab_user_group_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_user_group')),
    sa.UniqueConstraint('user_id', 'group_id', name=op.f('uq_ab_user_group_user_id_group_id'))
    )
    op.create_index('idx_user_group_id', 'ab_user_group', ['group_id'], unique=False)
    op.create_index('idx_user_id', 'ab_user_group', ['user_id'], unique=False)
    op.create_table('ab_user_role',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('role_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['role_id'], ['ab_role.id'], name=op.f('fk_ab_user_role_role_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['ab_user.id'], name=op.f('fk_ab_user_role_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_user_role')),
    sa.UniqueConstraint('user_id', 'role_id', name=op.f('uq_ab_user_role_user_id_role_id'))
    )
    op.create_table('audit_entry',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('row', sa.String(length=120), nullable=True),
    sa.Column('actor', sa.String(length=80), nullable=False),
    sa.Column('actor_name', sa.String(length=120), nullable=False),
    sa.Column('behind', sa.String(length=80), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('address', sa.String(length=45), nullable=False),
    sa.Column('request_id', sa.String(length=40), nullable=False),
    sa.Column('changes', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('mac', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_audit_entry_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entry'))
    )
    op.execute('GRANT SELECT, INSERT ON audit_entry TO clarion_app')
    op.execute('GRANT SELECT, INSERT ON audit_entry TO clarion_staff')
    op.execute('GRANT SELECT, INSERT ON audit_entry TO clarion_system')
    op.execute('ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON audit_entry TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON audit_entry TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON audit_entry TO clarion_system USING (true) WITH CHECK (true)')
    op.create_index(op.f('ix_audit_entry_account_id'), 'audit_entry', ['account_id'], unique=False)
    op.create_index(op.f('ix_audit_entry_at'), 'audit_entry', ['at'], unique=False)
    op.create_table('portfolio',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('transport', sa.String(length=40), nullable=False),
    sa.Column('provider_id', sa.String(length=80), nullable=False),
    sa.Column('name', sa.String(length=120), server_default='', nullable=False),
    sa.Column('people_per_day', sa.Integer(), nullable=True),
    sa.Column('limit_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('used', sa.Integer(), server_default='0', nullable=False),
    sa.Column('own_people_per_day', sa.Integer(), nullable=True),
    sa.CheckConstraint('own_people_per_day >= 0', name=op.f('ck_portfolio_own_people')),
    sa.CheckConstraint('people_per_day >= 0', name=op.f('ck_portfolio_people')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_portfolio')),
    sa.UniqueConstraint('transport', 'provider_id', name=op.f('uq_portfolio_transport_provider_id'))
    )
    op.execute('GRANT SELECT, UPDATE (own_people_per_day, name) ON portfolio TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE ON portfolio TO clarion_system')
    op.create_table('portfolio_recipient',
    sa.Column('portfolio_id', sa.Uuid(), nullable=False),
    sa.Column('idx', sa.LargeBinary(), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['portfolio_id'], ['portfolio.id'], name=op.f('fk_portfolio_recipient_portfolio_id')),
    sa.PrimaryKeyConstraint('portfolio_id', 'idx', name=op.f('pk_portfolio_recipient'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON portfolio_recipient TO clarion_system')
    op.create_index('ix_portfolio_recipient_until', 'portfolio_recipient', ['portfolio_id', 'until'], unique=False)
    op.create_table('portfolio_wait',
    sa.Column('portfolio_id', sa.Uuid(), nullable=False),
    sa.Column('campaign_id', sa.Uuid(), nullable=False),
    sa.Column('priority', sa.SmallInteger(), nullable=False),
    sa.Column('people', sa.Integer(), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.ForeignKeyConstraint(['portfolio_id'], ['portfolio.id'], name=op.f('fk_portfolio_wait_portfolio_id')),
    sa.PrimaryKeyConstraint('portfolio_id', 'campaign_id', name=op.f('pk_portfolio_wait'))
    )
    op.execute('GRANT SELECT ON portfolio_wait TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON portfolio_wait TO clarion_system')
    op.create_table('channel',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('transport', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('config', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('secrets', sa.LargeBinary(), nullable=False),
    sa.Column('state', sa.String(length=12), server_default='active', nullable=False),
    sa.Column('state_reason', sa.String(length=200), server_default='', nullable=False),
    sa.Column('portfolio_id', sa.Uuid(), nullable=True),
    sa.Column('slow_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('slow_reason', sa.String(length=20), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("state IN ('active', 'paused')", name=op.f('ck_channel_state')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_channel_account_id')),
    sa.ForeignKeyConstraint(['portfolio_id'], ['portfolio.id'], name=op.f('fk_channel_portfolio_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_channel')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_channel_account_id_id')),
    sa.UniqueConstraint('account_id', 'transport', 'name', name=op.f('uq_channel_account_id_transport_name'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON channel TO clarion_app')
    op.execute('GRANT SELECT (id, account_id, transport, name, config, state, state_reason, portfolio_id, slow_until, slow_reason, created_at, created_by) ON channel TO clarion_staff')
    op.execute('GRANT SELECT ON channel TO clarion_system')
    op.execute('ALTER TABLE channel ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE channel FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON channel TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON channel TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON channel TO clarion_system USING (true) WITH CHECK (true)')
    op.create_table('identifier',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('contact_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('value', sa.String(length=160), nullable=False),
    sa.Column('idx', sa.LargeBinary(), nullable=False),
    sa.Column('source', sa.String(length=20), server_default='', nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_identifier_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identifier')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_identifier_account_id_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON identifier TO clarion_app')
    op.execute('ALTER TABLE identifier ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE identifier FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON identifier TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_identifier_contact', 'identifier', ['account_id', 'contact_id'], unique=False)
    op.create_index('uq_identifier_current', 'identifier', ['account_id', 'idx'], unique=True, postgresql_where=sa.text('valid_to IS NULL'))
    op.create_table('invitation',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('role', sa.String(length=12), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("role IN ('owner', 'manager', 'member')", name=op.f('ck_invitation_role')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_invitation_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invitation')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_invitation_account_id_id')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_invitation_token_hash'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON invitation TO clarion_app')
    op.execute('GRANT SELECT ON invitation TO clarion_staff')
    op.execute('GRANT SELECT, UPDATE ON invitation TO clarion_system')
    op.execute('ALTER TABLE invitation ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE invitation FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON invitation TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON invitation TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON invitation TO clarion_system USING (true) WITH CHECK (true)')
    op.create_table('membership',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.String(length=12), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("role IN ('owner', 'manager', 'member')", name=op.f('ck_membership_role')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_membership_account_id')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_membership_person_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_membership')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_membership_account_id_id')),
    sa.UniqueConstraint('account_id', 'person_id', name=op.f('uq_membership_account_id_person_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON membership TO clarion_app')
    op.execute('GRANT SELECT, INSERT, UPDATE ON membership TO clarion_staff')
    op.execute('GRANT SELECT, INSERT ON membership TO clarion_system')
    op.execute('ALTER TABLE membership ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE membership FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON membership TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON membership TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON membership TO clarion_system USING (true) WITH CHECK (true)')
    op.create_index(op.f('ix_membership_person_id'), 'membership', ['person_id'], unique=False)
    op.create_table('message_event',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('message_id', sa.Uuid(), nullable=False),
    sa.Column('from_state', sa.String(length=16), nullable=False),
    sa.Column('to_state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=60), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message_event'))
    )
    op.execute('GRANT SELECT, INSERT ON message_event TO clarion_app')
    op.execute('ALTER TABLE message_event ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE message_event FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON message_event TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_message_event_message', 'message_event', ['account_id', 'message_id', 'seq'], unique=False)
    op.create_table('orphan',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('provider_id', sa.String(length=160), nullable=False),
    sa.Column('status', sa.String(length=12), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reason', sa.String(length=60), server_default='', nullable=False),
    sa.Column('code', sa.String(length=20), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_orphan_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_orphan')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_orphan_account_id_id')),
    sa.UniqueConstraint('account_id', 'provider_id', 'status', name=op.f('uq_orphan_account_id_provider_id_status'))
    )
    op.execute('GRANT SELECT, INSERT, DELETE ON orphan TO clarion_app')
    op.execute('GRANT SELECT ON orphan TO clarion_staff')
    op.execute('GRANT SELECT (id, account_id, created_at) ON orphan TO clarion_system')
    op.execute('CREATE POLICY system ON orphan TO clarion_system USING (true) WITH CHECK (true)')
    op.execute('ALTER TABLE orphan ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE orphan FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON orphan TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON orphan TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_table('preference',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('plugin', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('value', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_preference_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_preference')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_preference_account_id_id')),
    sa.UniqueConstraint('account_id', 'plugin', 'name', name=op.f('uq_preference_account_id_plugin_name'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON preference TO clarion_app')
    op.execute('GRANT SELECT ON preference TO clarion_staff')
    op.execute('ALTER TABLE preference ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE preference FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON preference TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON preference TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_table('staff_profile',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('session_epoch', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['ab_user.id'], name=op.f('fk_staff_profile_user_id')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_staff_profile'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ON staff_profile TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE ON staff_profile TO clarion_system')
    op.create_table('suppression',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('contact_id', sa.Uuid(), nullable=True),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('idx', sa.LargeBinary(), nullable=False),
    sa.Column('scope', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=20), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("scope IN ('marketing', 'all')", name=op.f('ck_suppression_scope')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_suppression_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suppression')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_suppression_account_id_id')),
    sa.UniqueConstraint('account_id', 'idx', 'scope', name=op.f('uq_suppression_account_id_idx_scope'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE (contact_id, until, reason) ON suppression TO clarion_app')
    op.execute('ALTER TABLE suppression ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE suppression FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON suppression TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_suppression_contact', 'suppression', ['account_id', 'contact_id'], unique=False)
    op.create_table('webhook_inbox',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('endpoint_id', sa.Uuid(), nullable=False),
    sa.Column('handler', sa.String(length=40), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('events', sa.Integer(), server_default='1', nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('applied_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tries', sa.Integer(), server_default='0', nullable=False),
    sa.Column('result', sa.String(length=200), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_webhook_inbox_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhook_inbox')),
    sa.UniqueConstraint('account_id', 'endpoint_id', 'key', name=op.f('uq_webhook_inbox_account_id_endpoint_id_key')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_webhook_inbox_account_id_id'))
    )
    op.execute('GRANT SELECT, UPDATE, DELETE ON webhook_inbox TO clarion_app')
    op.execute('GRANT SELECT (id, account_id, endpoint_id, key, kind, events, seq, tries, applied_at, created_at), INSERT, DELETE ON webhook_inbox TO clarion_system')
    op.execute('ALTER TABLE webhook_inbox ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE webhook_inbox FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON webhook_inbox TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY system ON webhook_inbox TO clarion_system USING (true) WITH CHECK (true)')
    op.create_index('ix_webhook_inbox_todo', 'webhook_inbox', ['account_id', 'kind', 'seq'], unique=False, postgresql_where=sa.text('applied_at IS NULL'))
    op.create_table('ab_permission_view_role',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('permission_view_id', sa.Integer(), nullable=True),
    sa.Column('role_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['permission_view_id'], ['ab_permission_view.id'], name=op.f('fk_ab_permission_view_role_permission_view_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['role_id'], ['ab_role.id'], name=op.f('fk_ab_permission_view_role_role_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ab_permission_view_role')),
    sa.UniqueConstraint('permission_view_id', 'role_id', name=op.f('uq_ab_permission_view_role_permission_view_id_role_id'))
    )
    op.create_index('idx_permission_view_id', 'ab_permission_view_role', ['permission_view_id'], unique=False)
    op.create_index('idx_role_id', 'ab_permission_view_role', ['role_id'], unique=False)
    op.create_table('breaker',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('subject', sa.String(length=600), nullable=False),
    sa.Column('state', sa.String(length=12), server_default='open', nullable=False),
    sa.Column('reason', sa.String(length=60), nullable=False),
    sa.Column('times', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('trial_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("kind IN ('template', 'campaign', 'sender', 'channel')", name=op.f('ck_breaker_kind')),
    sa.CheckConstraint("state IN ('open', 'half_open', 'closed')", name=op.f('ck_breaker_state')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_breaker_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_breaker')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_breaker_account_id_id')),
    sa.UniqueConstraint('account_id', 'kind', 'subject', name=op.f('uq_breaker_account_id_kind_subject'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON breaker TO clarion_app')
    op.execute('GRANT SELECT ON breaker TO clarion_staff')
    op.execute('GRANT SELECT ON breaker TO clarion_system')
    op.execute('ALTER TABLE breaker ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE breaker FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON breaker TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON breaker TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON breaker TO clarion_system USING (true) WITH CHECK (true)')
    op.create_table('provider_code',
    sa.Column('transport', sa.String(length=40), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False),
    sa.Column('times', sa.Integer(), server_default='1', nullable=False),
    sa.Column('first_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('transport', 'code', name=op.f('pk_provider_code'))
    )
    op.execute('GRANT SELECT, UPDATE (settled_at) ON provider_code TO clarion_staff')
    op.execute('GRANT SELECT, INSERT, UPDATE ON provider_code TO clarion_system')
    op.create_table('audit_link',
    sa.Column('chain', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.Column('sealed_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.ForeignKeyConstraint(['entry_id'], ['audit_entry.id'], name=op.f('fk_audit_link_entry_id')),
    sa.PrimaryKeyConstraint('chain', 'seq', name=op.f('pk_audit_link')),
    sa.UniqueConstraint('entry_id', name=op.f('uq_audit_link_entry_id'))
    )
    op.execute('GRANT SELECT ON audit_link TO clarion_staff')
    op.execute('GRANT SELECT, INSERT ON audit_link TO clarion_system')
    op.create_table('sender',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('channel_id', sa.Uuid(), nullable=False),
    sa.Column('provider_id', sa.String(length=60), nullable=False),
    sa.Column('number', sa.String(length=20), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('quality', sa.String(length=12), server_default='', nullable=False),
    sa.Column('rate_per_s', sa.Integer(), server_default='80', nullable=False),
    sa.Column('rate_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('own_rate_per_s', sa.Integer(), nullable=True),
    sa.Column('state', sa.String(length=12), server_default='active', nullable=False),
    sa.Column('state_reason', sa.String(length=200), server_default='', nullable=False),
    sa.Column('slow_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('slow_reason', sa.String(length=20), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint('own_rate_per_s BETWEEN 1 AND 100000', name=op.f('ck_sender_own_rate')),
    sa.CheckConstraint('rate_per_s BETWEEN 1 AND 100000', name=op.f('ck_sender_rate')),
    sa.CheckConstraint("state IN ('active', 'paused')", name=op.f('ck_sender_state')),
    sa.ForeignKeyConstraint(['account_id', 'channel_id'], ['channel.account_id', 'channel.id'], name=op.f('fk_sender_account_id_channel_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_sender_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sender')),
    sa.UniqueConstraint('account_id', 'channel_id', 'provider_id', name=op.f('uq_sender_account_id_channel_id_provider_id')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_sender_account_id_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON sender TO clarion_app')
    op.execute('GRANT SELECT ON sender TO clarion_staff')
    op.execute('GRANT SELECT ON sender TO clarion_system')
    op.execute('ALTER TABLE sender ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE sender FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON sender TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON sender TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON sender TO clarion_system USING (true) WITH CHECK (true)')
    op.create_table('campaign',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('purpose', sa.String(length=12), nullable=False),
    sa.Column('delivery_mode', sa.String(length=16), server_default='at_most_once', nullable=False),
    sa.Column('sender_id', sa.Uuid(), nullable=False),
    sa.Column('template', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('state', sa.String(length=12), server_default='starting', nullable=False),
    sa.Column('state_reason', sa.String(length=200), server_default='', nullable=False),
    sa.Column('lane', sa.SmallInteger(), server_default='4', nullable=False),
    sa.Column('priority', sa.SmallInteger(), server_default='2', nullable=False),
    sa.Column('waits_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('waits_for', sa.String(length=20), server_default='', nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finish_by', sa.DateTime(timezone=True), nullable=True),
    sa.Column('starts_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('local_start', sa.DateTime(), nullable=True),
    sa.Column('zone', sa.String(length=60), server_default='', nullable=False),
    sa.Column('start_by', sa.DateTime(timezone=True), nullable=True),
    sa.Column('spread_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('fingerprint', sa.LargeBinary(), nullable=True),
    sa.Column('drained_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('wave', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('wave_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("purpose IN ('marketing', 'utility', 'auth', 'service')", name=op.f('ck_campaign_purpose')),
    sa.CheckConstraint("delivery_mode IN ('at_most_once', 'at_least_once')", name=op.f('ck_campaign_delivery_mode')),
    sa.CheckConstraint('priority BETWEEN 1 AND 3', name=op.f('ck_campaign_priority')),
    sa.CheckConstraint("state IN ('starting', 'running', 'pausing', 'paused', 'finished', 'cancelled')", name=op.f('ck_campaign_state')),
    sa.CheckConstraint("purpose <> 'marketing' OR delivery_mode = 'at_most_once'", name=op.f('ck_campaign_never_twice')),
    sa.ForeignKeyConstraint(['account_id', 'sender_id'], ['sender.account_id', 'sender.id'], name=op.f('fk_campaign_account_id_sender_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_campaign_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_campaign')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_campaign_account_id_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON campaign TO clarion_app')
    op.execute('GRANT SELECT (id, account_id, name, purpose, delivery_mode, sender_id, state, state_reason, lane, priority, waits_until, waits_for, starts_at, local_start, zone, start_by, spread_until, started_at, finished_at, finish_by, drained_at, closed_at, wave, wave_at, created_at, created_by) ON campaign TO clarion_staff')
    op.execute('GRANT SELECT ON campaign TO clarion_system')
    op.execute('ALTER TABLE campaign ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE campaign FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON campaign TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON campaign TO clarion_staff USING (true) WITH CHECK (true)')
    op.execute('CREATE POLICY system ON campaign TO clarion_system USING (true) WITH CHECK (true)')
    op.create_index('ix_campaign_active', 'campaign', ['state', 'account_id'], unique=False)
    op.create_table('inbound_message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('provider_id', sa.String(length=160), nullable=False),
    sa.Column('sender_id', sa.Uuid(), nullable=True),
    sa.Column('contact_id', sa.Uuid(), nullable=True),
    sa.Column('address_idx', sa.LargeBinary(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('meaning', sa.String(length=12), server_default='', nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id', 'sender_id'], ['sender.account_id', 'sender.id'], name=op.f('fk_inbound_message_account_id_sender_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_inbound_message_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inbound_message')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_inbound_message_account_id_id')),
    sa.UniqueConstraint('account_id', 'provider_id', name=op.f('uq_inbound_message_account_id_provider_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON inbound_message TO clarion_app')
    op.execute('ALTER TABLE inbound_message ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE inbound_message FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON inbound_message TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_inbound_contact', 'inbound_message', ['account_id', 'contact_id', 'created_at'], unique=False)
    op.create_index('ix_inbound_said', 'inbound_message', ['account_id', 'address_idx', 'sent_at'], unique=False, postgresql_where=sa.text("meaning <> ''"))
    op.create_table('pair_next',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('sender_id', sa.Uuid(), nullable=False),
    sa.Column('address_idx', sa.LargeBinary(), nullable=False),
    sa.Column('written_to', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('strikes', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id', 'sender_id'], ['sender.account_id', 'sender.id'], name=op.f('fk_pair_next_account_id_sender_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_pair_next_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pair_next')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_pair_next_account_id_id')),
    sa.UniqueConstraint('account_id', 'sender_id', 'address_idx', name=op.f('uq_pair_next_account_id_sender_id_address_idx'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON pair_next TO clarion_app')
    op.execute('GRANT SELECT (id, account_id, sender_id, next_at) ON pair_next TO clarion_staff')
    op.execute('ALTER TABLE pair_next ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE pair_next FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON pair_next TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON pair_next TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_index('ix_pair_next_due', 'pair_next', ['account_id', 'sender_id', 'next_at'], unique=False)
    op.create_table('sender_bucket',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('sender_id', sa.Uuid(), nullable=False),
    sa.Column('slice_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('slot', sa.Integer(), server_default='0', nullable=False),
    sa.Column('used', sa.Integer(), server_default='0', nullable=False),
    sa.Column('used_bulk', sa.Integer(), server_default='0', nullable=False),
    sa.Column('urgent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('factor', sa.Double(), server_default='1', nullable=False),
    sa.Column('factor_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('misses', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint('factor > 0 AND factor <= 1', name=op.f('ck_sender_bucket_factor')),
    sa.ForeignKeyConstraint(['account_id', 'sender_id'], ['sender.account_id', 'sender.id'], name=op.f('fk_sender_bucket_account_id_sender_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_sender_bucket_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sender_bucket')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_sender_bucket_account_id_id')),
    sa.UniqueConstraint('account_id', 'sender_id', name=op.f('uq_sender_bucket_account_id_sender_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON sender_bucket TO clarion_app')
    op.execute('GRANT SELECT ON sender_bucket TO clarion_staff')
    op.execute('ALTER TABLE sender_bucket ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE sender_bucket FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON sender_bucket TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON sender_bucket TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_table('sending_rules',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('opens', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('closes', sa.SmallInteger(), server_default='1440', nullable=False),
    sa.Column('weekdays', sa.SmallInteger(), server_default='127', nullable=False),
    sa.Column('per_day', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('per_week', sa.SmallInteger(), server_default='3', nullable=False),
    sa.Column('approve_above', sa.Integer(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint('0 <= opens AND opens < closes AND closes <= 1440', name=op.f('ck_sending_rules_hours')),
    sa.CheckConstraint('1 <= per_day AND per_day <= per_week', name=op.f('ck_sending_rules_caps')),
    sa.CheckConstraint('approve_above >= 0', name=op.f('ck_sending_rules_approve_above')),
    sa.CheckConstraint('weekdays BETWEEN 1 AND 127', name=op.f('ck_sending_rules_weekdays')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_sending_rules_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sending_rules')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_sending_rules_account_id_id')),
    sa.UniqueConstraint('account_id', name=op.f('uq_sending_rules_account_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON sending_rules TO clarion_app')
    op.execute('GRANT SELECT ON sending_rules TO clarion_staff')
    op.execute('ALTER TABLE sending_rules ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE sending_rules FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON sending_rules TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON sending_rules TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_table('silent_day',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('name', sa.String(length=80), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_silent_day_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_silent_day')),
    sa.UniqueConstraint('account_id', 'day', name=op.f('uq_silent_day_account_id_day')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_silent_day_account_id_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON silent_day TO clarion_app')
    op.execute('GRANT SELECT ON silent_day TO clarion_staff')
    op.execute('ALTER TABLE silent_day ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE silent_day FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON silent_day TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON silent_day TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_table('message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('campaign_id', sa.Uuid(), nullable=True),
    sa.Column('contact_id', sa.Uuid(), nullable=False),
    sa.Column('sender_id', sa.Uuid(), nullable=False),
    sa.Column('address_kind', sa.String(length=12), server_default='phone', nullable=False),
    sa.Column('address', sa.String(length=160), nullable=False),
    sa.Column('address_idx', sa.LargeBinary(), nullable=False),
    sa.Column('purpose', sa.String(length=12), nullable=False),
    sa.Column('lane', sa.SmallInteger(), server_default='4', nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=60), server_default='', nullable=False),
    sa.Column('attempt', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('claims', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('token', sa.Uuid(), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('not_before', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('not_after', sa.DateTime(timezone=True), nullable=True),
    sa.Column('zone', sa.String(length=60), server_default='', nullable=False),
    sa.Column('day_from', sa.DateTime(timezone=True), nullable=True),
    sa.Column('week_from', sa.DateTime(timezone=True), nullable=True),
    sa.Column('intent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('state_since', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('variables', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('consent_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("state IN ('queued', 'claimed', 'dispatching', 'accepted', 'sent', 'delivered', 'read', 'failed', 'unknown', 'needs_decision', 'suppressed', 'expired', 'cancelled', 'held')", name=op.f('ck_message_state')),
    sa.ForeignKeyConstraint(['account_id', 'campaign_id'], ['campaign.account_id', 'campaign.id'], name=op.f('fk_message_account_id_campaign_id')),
    sa.ForeignKeyConstraint(['account_id', 'sender_id'], ['sender.account_id', 'sender.id'], name=op.f('fk_message_account_id_sender_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_message_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message')),
    sa.UniqueConstraint('account_id', 'contact_id', 'campaign_id', name=op.f('uq_message_account_id_contact_id_campaign_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ON message TO clarion_app')
    op.execute('GRANT SELECT (id, account_id, campaign_id, sender_id, lane, purpose, state, not_before, lease_until, state_since) ON message TO clarion_system')
    op.execute('ALTER TABLE message ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE message FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON message TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY system ON message TO clarion_system USING (true) WITH CHECK (true)')
    op.create_index('ix_message_campaign_state', 'message', ['account_id', 'campaign_id', 'state'], unique=False)
    op.create_index('ix_message_doubt', 'message', ['account_id', 'state_since'], unique=False, postgresql_where=sa.text("state IN ('unknown', 'held')"))
    op.create_index('ix_message_lease', 'message', ['lease_until'], unique=False, postgresql_where=sa.text('lease_until IS NOT NULL'))
    op.create_index('ix_message_queue', 'message', ['account_id', 'campaign_id', 'not_before'], unique=False, postgresql_where=sa.text("state = 'queued'"))
    op.create_table('attempt',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('message_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.SmallInteger(), nullable=False),
    sa.Column('sender_id', sa.Uuid(), nullable=False),
    sa.Column('intent_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.String(length=16), server_default='', nullable=False),
    sa.Column('code', sa.String(length=20), server_default='', nullable=False),
    sa.Column('provider_id', sa.String(length=160), nullable=True),
    sa.Column('status', sa.String(length=12), server_default='', nullable=False),
    sa.Column('status_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempt')),
    sa.UniqueConstraint('account_id', 'message_id', 'number', name=op.f('uq_attempt_account_id_message_id_number'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ON attempt TO clarion_app')
    op.execute('ALTER TABLE attempt ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE attempt FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON attempt TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_attempt_provider', 'attempt', ['account_id', 'provider_id'], unique=False, postgresql_where=sa.text('provider_id IS NOT NULL'))
    op.create_table('decision',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('campaign_id', sa.Uuid(), nullable=False),
    sa.Column('message_id', sa.Uuid(), nullable=False),
    sa.Column('attempt', sa.SmallInteger(), nullable=False),
    sa.Column('choice', sa.String(length=8), nullable=False),
    sa.Column('by', sa.String(length=120), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("choice IN ('resend', 'leave')", name=op.f('ck_decision_choice')),
    sa.ForeignKeyConstraint(['account_id', 'campaign_id'], ['campaign.account_id', 'campaign.id'], name=op.f('fk_decision_account_id_campaign_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_decision_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_decision')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_decision_account_id_id')),
    sa.UniqueConstraint('account_id', 'message_id', 'attempt', name=op.f('uq_decision_account_id_message_id_attempt'))
    )
    op.execute('GRANT SELECT, INSERT ON decision TO clarion_app')
    op.execute('ALTER TABLE decision ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE decision FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON decision TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.create_index('ix_decision_campaign', 'decision', ['account_id', 'campaign_id', 'created_at'], unique=False)
    op.create_table('restore_release',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('account_id', sa.Uuid(), server_default=sa.text('clarion_account()'), nullable=False),
    sa.Column('campaign_id', sa.Uuid(), nullable=False),
    sa.Column('choice', sa.String(length=8), nullable=False),
    sa.Column('asked_by', sa.String(length=80), nullable=False),
    sa.Column('decided_by', sa.String(length=80), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('people', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clarion_now()'), nullable=False),
    sa.Column('created_by', sa.String(length=80), server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"), nullable=False),
    sa.CheckConstraint("choice IN ('resend', 'leave')", name=op.f('ck_restore_release_choice')),
    sa.CheckConstraint('decided_by <> asked_by', name=op.f('ck_restore_release_two_people')),
    sa.ForeignKeyConstraint(['account_id', 'campaign_id'], ['campaign.account_id', 'campaign.id'], name=op.f('fk_restore_release_account_id_campaign_id')),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_restore_release_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_restore_release')),
    sa.UniqueConstraint('account_id', 'id', name=op.f('uq_restore_release_account_id_id'))
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ON restore_release TO clarion_app')
    op.execute('GRANT SELECT ON restore_release TO clarion_staff')
    op.execute('ALTER TABLE restore_release ENABLE ROW LEVEL SECURITY')
    op.execute('ALTER TABLE restore_release FORCE ROW LEVEL SECURITY')
    op.execute('CREATE POLICY app ON restore_release TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))')
    op.execute('CREATE POLICY staff ON restore_release TO clarion_staff USING (true) WITH CHECK (true)')
    op.create_index('uq_restore_release_open', 'restore_release', ['account_id', 'campaign_id'], unique=True, postgresql_where=sa.text('decided_at IS NULL AND withdrawn_at IS NULL'))
    # ### end Alembic commands ###
    op.execute(TRIGGERS)
    op.execute(FAB)


def downgrade() -> None:
    # ### commands auto generated by Alembic - please adjust! ###
    op.drop_index('ix_decision_campaign', table_name='decision')
    op.drop_table('decision')
    op.drop_index('uq_restore_release_open', table_name='restore_release', postgresql_where=sa.text('decided_at IS NULL AND withdrawn_at IS NULL'))
    op.drop_table('restore_release')
    op.drop_index('ix_attempt_provider', table_name='attempt', postgresql_where=sa.text('provider_id IS NOT NULL'))
    op.drop_table('attempt')
    op.drop_index('ix_message_queue', table_name='message', postgresql_where=sa.text("state = 'queued'"))
    op.drop_index('ix_message_lease', table_name='message', postgresql_where=sa.text('lease_until IS NOT NULL'))
    op.drop_index('ix_message_doubt', table_name='message', postgresql_where=sa.text("state IN ('unknown', 'held')"))
    op.drop_index('ix_message_campaign_state', table_name='message')
    op.drop_table('message')
    op.drop_table('silent_day')
    op.drop_table('sending_rules')
    op.drop_table('sender_bucket')
    op.drop_index('ix_pair_next_due', table_name='pair_next')
    op.drop_table('pair_next')
    op.drop_index('ix_inbound_said', table_name='inbound_message', postgresql_where=sa.text("meaning <> ''"))
    op.drop_index('ix_inbound_contact', table_name='inbound_message')
    op.drop_table('inbound_message')
    op.drop_index('ix_campaign_active', table_name='campaign')
    op.drop_table('campaign')
    op.drop_table('sender')
    op.drop_table('audit_link')
    op.drop_table('provider_code')
    op.drop_table('breaker')
    op.drop_index('idx_role_id', table_name='ab_permission_view_role')
    op.drop_index('idx_permission_view_id', table_name='ab_permission_view_role')
    op.drop_table('ab_permission_view_role')
    op.drop_index('ix_webhook_inbox_todo', table_name='webhook_inbox', postgresql_where=sa.text('applied_at IS NULL'))
    op.drop_table('webhook_inbox')
    op.drop_index('ix_suppression_contact', table_name='suppression')
    op.drop_table('suppression')
    op.drop_table('staff_profile')
    op.drop_table('preference')
    op.drop_table('orphan')
    op.drop_index('ix_message_event_message', table_name='message_event')
    op.drop_table('message_event')
    op.drop_index(op.f('ix_membership_person_id'), table_name='membership')
    op.drop_table('membership')
    op.drop_table('invitation')
    op.drop_index('uq_identifier_current', table_name='identifier', postgresql_where=sa.text('valid_to IS NULL'))
    op.drop_index('ix_identifier_contact', table_name='identifier')
    op.drop_table('identifier')
    op.drop_table('channel')
    op.drop_table('portfolio_wait')
    op.drop_index('ix_portfolio_recipient_until', table_name='portfolio_recipient')
    op.drop_table('portfolio_recipient')
    op.drop_table('portfolio')
    op.drop_index(op.f('ix_audit_entry_at'), table_name='audit_entry')
    op.drop_index(op.f('ix_audit_entry_account_id'), table_name='audit_entry')
    op.drop_table('audit_entry')
    op.drop_table('ab_user_role')
    op.drop_index('idx_user_id', table_name='ab_user_group')
    op.drop_index('idx_user_group_id', table_name='ab_user_group')
    op.drop_table('ab_user_group')
    op.drop_index('idx_view_menu_id', table_name='ab_permission_view')
    op.drop_index('idx_permission_id', table_name='ab_permission_view')
    op.drop_table('ab_permission_view')
    op.drop_index('idx_group_role_id', table_name='ab_group_role')
    op.drop_index('idx_group_id', table_name='ab_group_role')
    op.drop_table('ab_group_role')
    op.drop_index('idx_api_key_user_id', table_name='ab_api_key')
    op.drop_index('idx_api_key_prefix', table_name='ab_api_key')
    op.drop_index('idx_api_key_lookup_hash', table_name='ab_api_key')
    op.drop_table('ab_api_key')
    op.drop_table('schedule_slot')
    op.drop_index(op.f('ix_portal_session_subject'), table_name='portal_session')
    op.drop_table('portal_session')
    op.drop_table('plugin_guard')
    op.drop_table('person')
    op.drop_index('ix_outbox_due', table_name='outbox')
    op.drop_table('outbox')
    op.drop_table('one_time_token')
    op.drop_table('limit_counter')
    op.drop_table('instance_epoch')
    op.drop_table('dead_job')
    op.drop_index(op.f('ix_console_session_subject'), table_name='console_session')
    op.drop_table('console_session')
    op.drop_table('account')
    op.drop_table('ab_view_menu')
    op.drop_table('ab_user')
    op.drop_table('ab_role')
    op.drop_table('ab_register_user')
    op.drop_table('ab_permission')
    op.drop_table('ab_group')
    # ### end Alembic commands ###
    for name in ("message_move", "message_note", "clarion_keep_statistics", "audit_forever"):
        op.execute(f"DROP FUNCTION IF EXISTS {name}")
