"""announcements to customers

Revision ID: 0031_announcements
Revises: 0030_plugin_switches
"""

from alembic import op
import sqlalchemy as sa


revision = "0031_announcements"
down_revision = "0030_plugin_switches"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "announcement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(length=8), server_default="service", nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("severity", sa.String(length=8), server_default="info", nullable=False),
        sa.Column("audience", sa.String(length=10), server_default="all", nullable=False),
        sa.Column("value", sa.String(length=40), server_default="", nullable=False),
        sa.Column("banner", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("mail", sa.Boolean(), server_default="true", nullable=False),
        sa.Column(
            "starts_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("corrects_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=10), server_default="draft", nullable=False),
        sa.Column("two_people", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("accounts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("mails", sa.Integer(), server_default="0", nullable=False),
        sa.Column("written_by", sa.String(length=120), server_default="", nullable=False),
        sa.Column("asked_by", sa.String(length=80), server_default="", nullable=False),
        sa.Column("asked_name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("approved_by", sa.String(length=80), nullable=True),
        sa.Column(
            "approved_name", sa.String(length=120), server_default="", nullable=False
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("spread_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "withdrawn_name", sa.String(length=120), server_default="", nullable=False
        ),
        sa.Column(
            "withdrawn_reason", sa.String(length=300), server_default="", nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(audience = 'reached') = (corrects_id IS NOT NULL)",
            name=op.f("ck_announcement_corrects"),
        ),
        sa.CheckConstraint(
            "(sent_at IS NOT NULL) = (state <> 'draft' AND state <> 'waiting')",
            name=op.f("ck_announcement_sent"),
        ),
        sa.CheckConstraint(
            "audience IN ('all', 'accounts', 'plugin', 'transport', 'reached')",
            name=op.f("ck_announcement_audience"),
        ),
        sa.CheckConstraint(
            "kind IN ('maintenance', 'incident', 'security', 'terms', 'service')",
            name=op.f("ck_announcement_kind"),
        ),
        sa.CheckConstraint("purpose = 'service'", name=op.f("ck_announcement_purpose")),
        sa.CheckConstraint(
            "sent_at IS NULL OR NOT mail OR two_people OR audience = 'accounts' OR audience = 'reached'",
            name=op.f("ck_announcement_mail_to_many"),
        ),
        sa.CheckConstraint(
            "severity IN ('info', 'warning', 'critical')",
            name=op.f("ck_announcement_severity"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'waiting', 'sent', 'withdrawn')",
            name=op.f("ck_announcement_state"),
        ),
        sa.CheckConstraint(
            "NOT banner OR ends_at IS NOT NULL", name=op.f("ck_announcement_banner_ends")
        ),
        sa.CheckConstraint("banner OR mail", name=op.f("ck_announcement_way")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_announcement_length")),
        sa.CheckConstraint(
            "sent_at IS NULL OR NOT two_people OR (approved_by IS NOT NULL AND approved_by <> asked_by)",
            name=op.f("ck_announcement_two_people"),
        ),
        sa.ForeignKeyConstraint(
            ["corrects_id"], ["announcement.id"], name=op.f("fk_announcement_corrects_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcement")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON announcement TO clarion_staff")
    op.execute("GRANT SELECT, UPDATE (spread_at) ON announcement TO clarion_system")
    op.create_index(
        "ix_announcement_newest", "announcement", ["created_at", "id"], unique=False
    )
    op.create_table(
        "announcement_dismissal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("announcement_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
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
            ["account_id"],
            ["account.id"],
            name=op.f("fk_announcement_dismissal_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["announcement_id"],
            ["announcement.id"],
            name=op.f("fk_announcement_dismissal_announcement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_announcement_dismissal_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcement_dismissal")),
        sa.UniqueConstraint(
            "account_id",
            "announcement_id",
            "person_id",
            name=op.f("uq_announcement_dismissal_account_id_announcement_id_person_id"),
        ),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_announcement_dismissal_account_id_id")
        ),
    )
    op.execute("GRANT SELECT, INSERT ON announcement_dismissal TO clarion_app")
    op.execute("GRANT SELECT ON announcement_dismissal TO clarion_staff")
    op.execute("ALTER TABLE announcement_dismissal ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE announcement_dismissal FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON announcement_dismissal TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON announcement_dismissal TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.create_index(
        op.f("ix_announcement_dismissal_announcement_id"),
        "announcement_dismissal",
        ["announcement_id"],
        unique=False,
    )
    op.create_table(
        "announcement_letter",
        sa.Column("announcement_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clarion_now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["announcement_id"],
            ["announcement.id"],
            name=op.f("fk_announcement_letter_announcement_id"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_announcement_letter_person_id")
        ),
        sa.PrimaryKeyConstraint(
            "announcement_id", "person_id", name=op.f("pk_announcement_letter")
        ),
    )
    op.execute("GRANT SELECT ON announcement_letter TO clarion_staff")
    op.execute("GRANT SELECT, INSERT ON announcement_letter TO clarion_system")
    op.create_table(
        "announcement_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("announcement_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("text", sa.String(length=4000), nullable=False),
        sa.Column("banner", sa.Boolean(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("corrects_id", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "withdrawn_reason", sa.String(length=300), server_default="", nullable=False
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
            "kind IN ('maintenance', 'incident', 'security', 'terms', 'service')",
            name=op.f("ck_announcement_notice_kind"),
        ),
        sa.CheckConstraint(
            "severity IN ('info', 'warning', 'critical')",
            name=op.f("ck_announcement_notice_severity"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_announcement_notice_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["announcement_id"],
            ["announcement.id"],
            name=op.f("fk_announcement_notice_announcement_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcement_notice")),
        sa.UniqueConstraint(
            "account_id",
            "announcement_id",
            "language",
            name=op.f("uq_announcement_notice_account_id_announcement_id_language"),
        ),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_announcement_notice_account_id_id")
        ),
    )
    op.execute("GRANT SELECT ON announcement_notice TO clarion_app")
    op.execute(
        "GRANT SELECT, UPDATE (withdrawn_at, withdrawn_reason) ON announcement_notice TO clarion_staff"
    )
    op.execute("GRANT SELECT, INSERT ON announcement_notice TO clarion_system")
    op.execute("ALTER TABLE announcement_notice ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE announcement_notice FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON announcement_notice TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    op.execute(
        "CREATE POLICY staff ON announcement_notice TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY system ON announcement_notice TO clarion_system USING (true) WITH CHECK (true)"
    )
    op.create_index(
        op.f("ix_announcement_notice_announcement_id"),
        "announcement_notice",
        ["announcement_id"],
        unique=False,
    )
    op.create_index(
        "ix_announcement_notice_ends",
        "announcement_notice",
        ["account_id", "ends_at"],
        unique=False,
    )
    op.create_table(
        "announcement_target",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("announcement_id", sa.Uuid(), nullable=False),
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
            ["account_id"], ["account.id"], name=op.f("fk_announcement_target_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["announcement_id"],
            ["announcement.id"],
            name=op.f("fk_announcement_target_announcement_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcement_target")),
        sa.UniqueConstraint(
            "account_id",
            "announcement_id",
            name=op.f("uq_announcement_target_account_id_announcement_id"),
        ),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_announcement_target_account_id_id")
        ),
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON announcement_target TO clarion_staff")
    op.execute("GRANT SELECT ON announcement_target TO clarion_system")
    op.execute("ALTER TABLE announcement_target ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE announcement_target FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY staff ON announcement_target TO clarion_staff USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY system ON announcement_target TO clarion_system USING (true) WITH CHECK (true)"
    )
    op.create_index(
        op.f("ix_announcement_target_announcement_id"),
        "announcement_target",
        ["announcement_id"],
        unique=False,
    )
    op.create_table(
        "announcement_text",
        sa.Column("announcement_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("text", sa.String(length=4000), nullable=False),
        sa.ForeignKeyConstraint(
            ["announcement_id"],
            ["announcement.id"],
            name=op.f("fk_announcement_text_announcement_id"),
        ),
        sa.PrimaryKeyConstraint(
            "announcement_id", "language", name=op.f("pk_announcement_text")
        ),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON announcement_text TO clarion_staff")
    op.execute("GRANT SELECT ON announcement_text TO clarion_system")
    # who has a plugin on, for those an announcement is about
    op.execute(
        "GRANT SELECT (account_id, plugin, name, value) ON preference TO clarion_system"
    )
    op.execute(
        "CREATE POLICY system ON preference TO clarion_system USING (true) WITH CHECK (true)"
    )


def downgrade() -> None:
    op.execute("DROP POLICY system ON preference")
    op.execute(
        "REVOKE SELECT (account_id, plugin, name, value) ON preference FROM clarion_system"
    )
    op.drop_table("announcement_text")
    op.drop_index(
        op.f("ix_announcement_target_announcement_id"), table_name="announcement_target"
    )
    op.drop_table("announcement_target")
    op.drop_index("ix_announcement_notice_ends", table_name="announcement_notice")
    op.drop_index(
        op.f("ix_announcement_notice_announcement_id"), table_name="announcement_notice"
    )
    op.drop_table("announcement_notice")
    op.drop_table("announcement_letter")
    op.drop_index(
        op.f("ix_announcement_dismissal_announcement_id"),
        table_name="announcement_dismissal",
    )
    op.drop_table("announcement_dismissal")
    op.drop_index("ix_announcement_newest", table_name="announcement")
    op.drop_table("announcement")
