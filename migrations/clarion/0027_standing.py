"""quotas, notes, measures, misuse

Revision ID: 0027_standing
Revises: 0025_heads
"""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

revision = "0027_standing"
down_revision = "0025_heads"
branch_labels = None
depends_on = None

WATCHED = {  # what who looks for misuse may read of tables that were there before
    "account": "SELECT (id, state, created_at)",
    "breaker": "SELECT (id, account_id, kind, reason, opened_at)",
    "sender": "SELECT (id, account_id, quality)",
}
MOST_SENDERS = """
CREATE FUNCTION clarion_most_senders() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE most int;
BEGIN
  SELECT at_most INTO most FROM account_quota
    WHERE account_id = NEW.account_id AND kind = 'senders';
  IF most IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(4, hashtext(NEW.account_id::text));
    IF (SELECT count(*) FROM sender WHERE account_id = NEW.account_id) >= most THEN
      RAISE EXCEPTION 'the account may have % numbers at most', most
        USING ERRCODE = 'check_violation', CONSTRAINT = 'most_senders';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER most_senders BEFORE INSERT ON sender
  FOR EACH ROW EXECUTE FUNCTION clarion_most_senders();
"""


def _watch() -> None:
    op.execute("GRANT USAGE ON SCHEMA public TO clarion_watch")
    for table, what in WATCHED.items():
        op.execute(f"GRANT {what} ON {table} TO clarion_watch")
        op.execute(
            f"CREATE POLICY watch ON {table} TO clarion_watch USING (true) WITH CHECK (true)"
        )


def _unwatch() -> None:
    op.execute("DROP TRIGGER most_senders ON sender; DROP FUNCTION clarion_most_senders()")
    for table, what in WATCHED.items():
        op.execute(f"DROP POLICY watch ON {table}")
        op.execute(f"REVOKE {what} ON {table} FROM clarion_watch")


def upgrade() -> None:
    _watch()
    op.create_table(
        "account_measure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("flag_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=8), server_default="asked", nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.Column("decided_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
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
            "(state = 'asked') = (decided_by IS NULL)",
            name=op.f("ck_account_measure_decided"),
        ),
        sa.CheckConstraint(
            "kind IN ('suspend', 'close')", name=op.f("ck_account_measure_kind")
        ),
        sa.CheckConstraint(
            "state <> 'done' OR decided_by <> created_by",
            name=op.f("ck_account_measure_another_one"),
        ),
        sa.CheckConstraint(
            "state IN ('asked', 'done', 'refused')", name=op.f("ck_account_measure_state")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_measure_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_measure")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_account_measure_account_id_id")
        ),
    )
    op.execute(
        "GRANT SELECT, INSERT (id, account_id, kind, reason, by, flag_id), UPDATE (state, decided_by, decided_name, decided_at) ON account_measure TO clarion_staff"
    )
    op.execute("ALTER TABLE account_measure ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE account_measure FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY staff ON account_measure TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "uq_account_measure_open",
        "account_measure",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_table(
        "account_note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("text", sa.String(length=2000), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
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
            ["account_id"], ["account.id"], name=op.f("fk_account_note_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_note")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_account_note_account_id_id")),
    )
    op.execute("GRANT SELECT, INSERT ON account_note TO clarion_staff")
    op.execute("ALTER TABLE account_note ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE account_note FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY staff ON account_note TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "ix_account_note_of", "account_note", ["account_id", "created_at"], unique=False
    )
    op.create_table(
        "account_quota",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("at_most", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column(
            "set_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("used_on", sa.Date(), nullable=True),
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
            "kind IN ('people', 'messages', 'senders')", name=op.f("ck_account_quota_kind")
        ),
        sa.CheckConstraint("at_most >= 0", name=op.f("ck_account_quota_most")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_quota_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_quota")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_account_quota_account_id_id")
        ),
        sa.UniqueConstraint(
            "account_id", "kind", name=op.f("uq_account_quota_account_id_kind")
        ),
    )
    op.execute("GRANT SELECT, UPDATE (used, used_on) ON account_quota TO clarion_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (at_most, reason, by, set_at), DELETE ON account_quota TO clarion_staff"
    )
    op.execute("ALTER TABLE account_quota ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE account_quota FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON account_quota TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON account_quota TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_table(
        "misuse_count",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=12), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("people", sa.Integer(), server_default="0", nullable=False),
        sa.Column("left", sa.Integer(), server_default="0", nullable=False),
        sa.Column("delivered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stopped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("blocked", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "counted_at",
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
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_misuse_count_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_count")),
        sa.UniqueConstraint(
            "account_id", "campaign_id", name=op.f("uq_misuse_count_account_id_campaign_id")
        ),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_misuse_count_account_id_id")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON misuse_count TO clarion_app")
    op.execute("GRANT SELECT ON misuse_count TO clarion_staff")
    op.execute("GRANT SELECT ON misuse_count TO clarion_watch")
    op.execute("ALTER TABLE misuse_count ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_count FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_count TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_count TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY watch ON misuse_count TO clarion_watch USING (true) WITH CHECK (true)"
    )
    op.create_index("ix_misuse_count_started", "misuse_count", ["started_at"], unique=False)
    op.create_table(
        "misuse_flag",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("score", sa.SmallInteger(), nullable=False),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rules", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=12), server_default="open", nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_by", sa.String(length=80), server_default="", nullable=False),
        sa.Column("decided_by", sa.String(length=80), server_default="", nullable=False),
        sa.Column("decided_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("said", sa.String(length=1000), server_default="", nullable=False),
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
            "(state = 'open') = (decided_at IS NULL)", name=op.f("ck_misuse_flag_decided")
        ),
        sa.CheckConstraint(
            "state <> 'suspended' OR (asked_by <> '' AND decided_by <> asked_by)",
            name=op.f("ck_misuse_flag_two_for_a_suspension"),
        ),
        sa.CheckConstraint(
            "state = 'open' OR shown_at IS NOT NULL", name=op.f("ck_misuse_flag_shown")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'allowed', 'limited', 'suspended')",
            name=op.f("ck_misuse_flag_state"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_misuse_flag_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_flag")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_misuse_flag_account_id_id")),
    )
    op.execute("GRANT SELECT ON misuse_flag TO clarion_app")
    op.execute(
        "GRANT SELECT, UPDATE (state, asked_by, decided_by, decided_name, decided_at, said, shown_at) ON misuse_flag TO clarion_staff"
    )
    op.execute(
        "GRANT SELECT (id, account_id, score, parts, rules, state, opened_at, held_at, shown_at, decided_at), INSERT (id, account_id, score, parts, rules), UPDATE (score, parts, rules, held_at, shown_at) ON misuse_flag TO clarion_watch"
    )
    op.execute("ALTER TABLE misuse_flag ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_flag FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_flag TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_flag TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY watch ON misuse_flag TO clarion_watch USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "ix_misuse_flag_queue", "misuse_flag", ["state", "score", "id"], unique=False
    )
    op.create_index(
        "uq_misuse_flag_open",
        "misuse_flag",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "misuse_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("links", sa.SmallInteger(), nullable=False),
        sa.Column("odd", sa.SmallInteger(), nullable=False),
        sa.Column(
            "kinds",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column(
            "seen_at",
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
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_misuse_link_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_link")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_misuse_link_account_id_id")),
        sa.UniqueConstraint(
            "account_id", "template_id", name=op.f("uq_misuse_link_account_id_template_id")
        ),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON misuse_link TO clarion_app")
    op.execute("GRANT SELECT ON misuse_link TO clarion_staff")
    op.execute("GRANT SELECT ON misuse_link TO clarion_watch")
    op.execute("ALTER TABLE misuse_link ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_link FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_link TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_link TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY watch ON misuse_link TO clarion_watch USING (true) WITH CHECK (true)"
    )
    op.create_table(
        "misuse_list",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("invalid", sa.Integer(), nullable=False),
        sa.Column("in_row", sa.SmallInteger(), nullable=False),
        sa.Column("countries", sa.SmallInteger(), nullable=False),
        sa.Column("attested", sa.Boolean(), nullable=False),
        sa.Column("likeness", sa.LargeBinary(), nullable=True),
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
            ["account_id"], ["account.id"], name=op.f("fk_misuse_list_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_list")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_misuse_list_account_id_id")),
        sa.UniqueConstraint(
            "account_id", "import_id", name=op.f("uq_misuse_list_account_id_import_id")
        ),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON misuse_list TO clarion_app")
    op.execute(
        "GRANT SELECT (id, account_id, import_id, rows, invalid, created_at) ON misuse_list TO clarion_staff"
    )
    op.execute("GRANT SELECT ON misuse_list TO clarion_watch")
    op.execute("ALTER TABLE misuse_list ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_list FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_list TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_list TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY watch ON misuse_list TO clarion_watch USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "ix_misuse_list_likeness",
        "misuse_list",
        ["likeness"],
        unique=False,
        postgresql_where=sa.text("likeness IS NOT NULL"),
    )
    op.create_index(
        "ix_misuse_list_recent", "misuse_list", ["account_id", "created_at"], unique=False
    )
    op.create_table(
        "misuse_standing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("people", sa.Integer(), server_default="0", nullable=False),
        sa.Column("messages", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("score", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column(
            "parts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("rules", sa.String(length=20), server_default="", nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
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
            ["account_id"], ["account.id"], name=op.f("fk_misuse_standing_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_standing")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_misuse_standing_account_id_id")
        ),
        sa.UniqueConstraint("account_id", name=op.f("uq_misuse_standing_account_id")),
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (people, messages, counted_at) ON misuse_standing TO clarion_app"
    )
    op.execute("GRANT SELECT ON misuse_standing TO clarion_staff")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (score, parts, rules, judged_at) ON misuse_standing TO clarion_watch"
    )
    op.execute("ALTER TABLE misuse_standing ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_standing FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_standing TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_standing TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY watch ON misuse_standing TO clarion_watch USING (true) WITH CHECK (true)"
    )
    op.create_index("ix_misuse_standing_score", "misuse_standing", ["score"], unique=False)
    op.create_table(
        "sending_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("flag_id", sa.Uuid(), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
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
            ["account_id"], ["account.id"], name=op.f("fk_sending_hold_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_hold")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_sending_hold_account_id_id")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (lifted_at) ON sending_hold TO clarion_app")
    op.execute("GRANT SELECT ON sending_hold TO clarion_staff")
    op.execute("GRANT SELECT ON sending_hold TO clarion_watch")
    op.execute("ALTER TABLE sending_hold ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sending_hold FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON sending_hold TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON sending_hold TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY watch ON sending_hold TO clarion_watch USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "uq_sending_hold_standing",
        "sending_hold",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.create_table(
        "misuse_flag_appeal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("flag_id", sa.Uuid(), nullable=False),
        sa.Column("against", sa.String(length=80), nullable=False),
        sa.Column("against_too", sa.String(length=80), server_default="", nullable=False),
        sa.Column("state", sa.String(length=8), server_default="open", nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.Column("decided_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
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
            "(state = 'open') = (decided_by IS NULL)", name=op.f("ck_misuse_flag_appeal_decided")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'granted', 'refused')", name=op.f("ck_misuse_flag_appeal_state")
        ),
        sa.CheckConstraint(
            "decided_by IS NULL OR (decided_by <> against AND decided_by <> against_too)",
            name=op.f("ck_misuse_flag_appeal_somebody_else"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "flag_id"],
            ["misuse_flag.account_id", "misuse_flag.id"],
            name=op.f("fk_misuse_flag_appeal_account_id_flag_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_misuse_flag_appeal_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_flag_appeal")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_misuse_flag_appeal_account_id_id")
        ),
    )
    op.execute(
        "GRANT SELECT, INSERT (id, account_id, flag_id, against, against_too) ON misuse_flag_appeal TO clarion_app"
    )
    op.execute(
        "GRANT SELECT, UPDATE (state, decided_by, decided_name, decided_at) ON misuse_flag_appeal TO clarion_staff"
    )
    op.execute("ALTER TABLE misuse_flag_appeal ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_flag_appeal FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_flag_appeal TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_flag_appeal TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "ix_misuse_flag_appeal_queue", "misuse_flag_appeal", ["state", "created_at"], unique=False
    )
    op.create_index(
        "uq_misuse_flag_appeal_open",
        "misuse_flag_appeal",
        ["account_id", "flag_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "misuse_flag_word",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("flag_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.String(length=8), nullable=False),
        sa.Column("text", sa.String(length=2000), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
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
            "side IN ('customer', 'staff')", name=op.f("ck_misuse_flag_word_side")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "flag_id"],
            ["misuse_flag.account_id", "misuse_flag.id"],
            name=op.f("fk_misuse_flag_word_account_id_flag_id"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_misuse_flag_word_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_misuse_flag_word")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_misuse_flag_word_account_id_id")),
    )
    op.execute("GRANT SELECT, INSERT ON misuse_flag_word TO clarion_app")
    op.execute("GRANT SELECT, INSERT ON misuse_flag_word TO clarion_staff")
    op.execute("ALTER TABLE misuse_flag_word ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE misuse_flag_word FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON misuse_flag_word TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON misuse_flag_word TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_index(
        "ix_misuse_flag_word_of",
        "misuse_flag_word",
        ["account_id", "flag_id", "created_at"],
        unique=False,
    )
    op.execute(MOST_SENDERS)


def downgrade() -> None:
    _unwatch()
    op.drop_index("ix_misuse_flag_word_of", table_name="misuse_flag_word")
    op.drop_table("misuse_flag_word")
    op.drop_index(
        "uq_misuse_flag_appeal_open",
        table_name="misuse_flag_appeal",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index("ix_misuse_flag_appeal_queue", table_name="misuse_flag_appeal")
    op.drop_table("misuse_flag_appeal")
    op.drop_index(
        "uq_sending_hold_standing",
        table_name="sending_hold",
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.drop_table("sending_hold")
    op.drop_index("ix_misuse_standing_score", table_name="misuse_standing")
    op.drop_table("misuse_standing")
    op.drop_index("ix_misuse_list_recent", table_name="misuse_list")
    op.drop_index(
        "ix_misuse_list_likeness",
        table_name="misuse_list",
        postgresql_where=sa.text("likeness IS NOT NULL"),
    )
    op.drop_table("misuse_list")
    op.drop_table("misuse_link")
    op.drop_index(
        "uq_misuse_flag_open",
        table_name="misuse_flag",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index("ix_misuse_flag_queue", table_name="misuse_flag")
    op.drop_table("misuse_flag")
    op.drop_index("ix_misuse_count_started", table_name="misuse_count")
    op.drop_table("misuse_count")
    op.drop_table("account_quota")
    op.drop_index("ix_account_note_of", table_name="account_note")
    op.drop_table("account_note")
    op.drop_index(
        "uq_account_measure_open",
        table_name="account_measure",
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.drop_table("account_measure")
