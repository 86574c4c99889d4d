"""windows of support, grants of staff, the log of what they looked at, and questions about it

Revision ID: 0023_support
Revises: 0021_wishes
"""

import sqlalchemy as sa
from alembic import op

revision = "0023_support"
down_revision = "0021_wishes"
branch_labels = None
depends_on = None

FUNCTIONS = """
CREATE FUNCTION clarion_grant_live(one uuid) RETURNS boolean
  LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (
      SELECT FROM public.access_grant g
      LEFT JOIN public.support_window w ON (w.account_id, w.id) = (g.account_id, g.window_id)
      WHERE g.id = one AND g.revoked_at IS NULL
        AND g.starts_at <= public.clarion_now() AND g.ends_at > public.clarion_now()
        AND (g.window_id IS NULL
             OR w.revoked_at IS NULL AND w.ends_at > public.clarion_now()))
  $$;
CREATE FUNCTION clarion_granted() RETURNS uuid
  LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT e.account_id FROM public.access_entry e
    JOIN public.access_grant g ON (g.account_id, g.id) = (e.account_id, e.grant_id)
    WHERE e.id = nullif(current_setting('app.access_entry', true), '')::uuid
      AND e.created_at > public.clarion_now() - interval '60 seconds'
      AND e.written_in IS DISTINCT FROM pg_current_xact_id_if_assigned()::text::bigint
      AND e.staff_id = g.staff_id
      AND 'staff:' || g.staff_id = current_setting('app.actor_id', true)
      AND public.clarion_grant_live(g.id)
  $$;
CREATE FUNCTION clarion_grant_ok() RETURNS boolean
  LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
  BEGIN
    IF coalesce(current_setting('app.grant_id', true), '') = '' THEN
      RETURN true;
    END IF;
    RETURN EXISTS (
      SELECT FROM public.access_entry e
      WHERE e.id = nullif(current_setting('app.access_entry', true), '')::uuid
        AND e.grant_id = current_setting('app.grant_id', true)::uuid
        AND e.account_id = public.clarion_account()
        AND e.created_at > public.clarion_now() - interval '60 seconds'
        AND e.written_in IS DISTINCT FROM pg_current_xact_id_if_assigned()::text::bigint
        AND public.clarion_grant_live(e.grant_id));
  END $$;
"""


def upgrade() -> None:

    op.create_table(
        "support_window",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("scope", sa.String(length=4), nullable=False),
        sa.Column("hours", sa.Integer(), server_default="1", nullable=False),
        sa.Column("given_by", sa.String(length=120), nullable=False),
        sa.Column(
            "starts_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=120), server_default="", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "ends_at <= starts_at + hours * interval '1 hour'",
            name=op.f("ck_support_window_length"),
        ),
        sa.CheckConstraint(
            "scope IN ('view', 'act')", name=op.f("ck_support_window_scope")
        ),
        sa.CheckConstraint("hours IN (1, 24, 168)", name=op.f("ck_support_window_hours")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_support_window_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_support_window")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_support_window_account_id_id")
        ),
    )
    op.create_index(
        "ix_support_window_ends", "support_window", ["account_id", "ends_at"], unique=False
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (revoked_at, revoked_by) ON support_window TO clarion_app"
    )
    op.execute("GRANT SELECT ON support_window TO clarion_staff")
    op.execute("ALTER TABLE support_window ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE support_window FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON support_window TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON support_window TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_table(
        "access_grant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("staff_name", sa.String(length=120), nullable=False),
        sa.Column("staff_role", sa.String(length=120), server_default="", nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("purpose", sa.String(length=24), nullable=False),
        sa.Column("scope", sa.String(length=4), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("ticket", sa.String(length=40), nullable=False),
        sa.Column("minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("window_id", sa.Uuid(), nullable=True),
        sa.Column("approved_by", sa.Integer(), nullable=True),
        sa.Column(
            "approved_name", sa.String(length=120), server_default="", nullable=False
        ),
        sa.Column("allowed_by", sa.String(length=120), server_default="", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=120), server_default="", nullable=False),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(kind = 'window') = (window_id IS NOT NULL)",
            name=op.f("ck_access_grant_window"),
        ),
        sa.CheckConstraint(
            "(starts_at IS NULL) = (ends_at IS NULL) AND ends_at <= starts_at + minutes * interval '1 minute'",
            name=op.f("ck_access_grant_length"),
        ),
        sa.CheckConstraint(
            "kind IN ('request', 'window', 'emergency')", name=op.f("ck_access_grant_kind")
        ),
        sa.CheckConstraint(
            "minutes IN (15, 30, 60) OR kind = 'emergency' AND scope = 'view' AND minutes IN (120, 240)",
            name=op.f("ck_access_grant_minutes"),
        ),
        sa.CheckConstraint(
            "purpose IN ('support', 'troubleshooting', 'stability', 'updates', 'misuse_investigation')",
            name=op.f("ck_access_grant_purpose"),
        ),
        sa.CheckConstraint(
            "reason <> '' AND ticket <> ''", name=op.f("ck_access_grant_why")
        ),
        sa.CheckConstraint("scope IN ('view', 'act')", name=op.f("ck_access_grant_scope")),
        sa.CheckConstraint(
            "starts_at IS NULL OR kind = 'window' OR kind = 'emergency' AND approved_by IS NOT NULL OR kind = 'request' AND allowed_by <> ''",
            name=op.f("ck_access_grant_allowed"),
        ),
        sa.CheckConstraint(
            "told_at <= created_at + interval '1 second' OR kind = 'emergency' AND purpose = 'misuse_investigation' AND told_at <= created_at + interval '14 days'",
            name=op.f("ck_access_grant_told"),
        ),
        sa.CheckConstraint(
            "approved_by <> staff_id", name=op.f("ck_access_grant_two_people")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "window_id"],
            ["support_window.account_id", "support_window.id"],
            name=op.f("fk_access_grant_account_id_window_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_access_grant_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["approved_by"], ["ab_user.id"], name=op.f("fk_access_grant_approved_by")
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["ab_user.id"], name=op.f("fk_access_grant_staff_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_grant")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_access_grant_account_id_id")),
    )
    op.create_index(
        "ix_access_grant_staff", "access_grant", ["staff_id", "ends_at"], unique=False
    )
    op.create_index(
        "ix_access_grant_told",
        "access_grant",
        ["account_id", "told_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_access_grant_unsettled",
        "access_grant",
        ["told_at"],
        unique=False,
        postgresql_where=sa.text("noticed_at IS NULL OR closed_at IS NULL"),
    )
    op.execute(
        "GRANT SELECT, UPDATE (allowed_by, starts_at, ends_at, revoked_at, revoked_by, noticed_at) ON access_grant TO clarion_app"
    )
    op.execute(
        "GRANT SELECT, INSERT (id, account_id, staff_id, staff_name, staff_role, kind, purpose, scope, reason, ticket, minutes, window_id, starts_at, ends_at, told_at), UPDATE (approved_by, approved_name, starts_at, ends_at, revoked_at, revoked_by) ON access_grant TO clarion_staff"
    )
    op.execute(
        "GRANT SELECT, UPDATE (noticed_at, closed_at, revoked_at, revoked_by) ON access_grant TO clarion_system"
    )
    op.execute("ALTER TABLE access_grant ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE access_grant FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON access_grant TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY told ON access_grant AS RESTRICTIVE FOR SELECT TO clarion_app USING (told_at <= (SELECT clarion_now()))"
    )
    op.execute(
        "CREATE POLICY staff ON access_grant TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY system ON access_grant TO clarion_system USING (true) WITH CHECK (true)"
    )
    op.create_table(
        "access_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("deed", sa.String(length=10), nullable=False),
        sa.Column("what", sa.String(length=200), nullable=False),
        sa.Column("row", sa.String(length=120), server_default="", nullable=False),
        sa.Column("request_id", sa.String(length=40), server_default="", nullable=False),
        sa.Column(
            "written_in",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
            nullable=False,
        ),
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "deed IN ('screen', 'reveal', 'change', 'denied', 'asked', 'approved', 'refused', 'started', 'ended')",
            name=op.f("ck_access_entry_deed"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "grant_id"],
            ["access_grant.account_id", "access_grant.id"],
            name=op.f("fk_access_entry_account_id_grant_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_access_entry_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_entry")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_access_entry_account_id_id")),
    )
    op.create_index(
        "ix_access_entry_grant",
        "access_entry",
        ["account_id", "grant_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_access_entry_told",
        "access_entry",
        ["account_id", "told_at", "id"],
        unique=False,
    )
    op.execute(
        "GRANT SELECT, INSERT (id, account_id, grant_id, staff_id, deed, what, row, request_id, told_at) ON access_entry TO clarion_app"
    )
    op.execute(
        "GRANT SELECT, INSERT (id, account_id, grant_id, staff_id, deed, what, row, request_id, told_at) ON access_entry TO clarion_staff"
    )
    op.execute(
        "GRANT INSERT (id, account_id, grant_id, staff_id, deed, what, row, request_id, told_at) ON access_entry TO clarion_system"
    )
    op.execute("ALTER TABLE access_entry ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE access_entry FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON access_entry TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY told ON access_entry AS RESTRICTIVE FOR SELECT TO clarion_app USING (told_at <= (SELECT clarion_now()))"
    )
    op.execute(
        "CREATE POLICY staff ON access_entry TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY system ON access_entry TO clarion_system USING (true) WITH CHECK (true)"
    )
    op.create_table(
        "access_question",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(length=1000), nullable=False),
        sa.Column("asked_by", sa.String(length=120), nullable=False),
        sa.Column("answer", sa.String(length=1000), server_default="", nullable=False),
        sa.Column("answered_by", sa.String(length=120), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "grant_id"],
            ["access_grant.account_id", "access_grant.id"],
            name=op.f("fk_access_question_account_id_grant_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_access_question_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_question")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_access_question_account_id_id")
        ),
    )
    op.create_index(
        "ix_access_question_grant",
        "access_question",
        ["account_id", "grant_id"],
        unique=False,
    )
    op.create_index(
        "ix_access_question_open",
        "access_question",
        ["answered_at", "created_at"],
        unique=False,
    )
    op.execute("GRANT SELECT, INSERT ON access_question TO clarion_app")
    op.execute(
        "GRANT SELECT, UPDATE (answer, answered_by, answered_at) ON access_question TO clarion_staff"
    )
    op.execute("ALTER TABLE access_question ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE access_question FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON access_question TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON access_question TO clarion_staff USING (true) WITH CHECK (true)"
    )

    op.execute(FUNCTIONS)


def downgrade() -> None:
    for name in ("grant_ok()", "granted()", "grant_live(uuid)"):
        op.execute(f"DROP FUNCTION clarion_{name}")
    for table in ("access_question", "access_entry", "access_grant", "support_window"):
        op.drop_table(table)
