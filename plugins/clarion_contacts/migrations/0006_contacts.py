"""contacts that became one, and those that look alike

Revision ID: 0006_contacts
Revises: 0005_contacts
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_contacts"
down_revision = "0005_contacts"
branch_labels = None
depends_on = None

MINE = "account_id = (SELECT clarion_account())"


def upgrade() -> None:
    op.add_column("contacts_contact", sa.Column("merged_into", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_contacts_contact_account_id_merged_into"),
        "contacts_contact",
        "contacts_contact",
        ["account_id", "merged_into"],
        ["account_id", "id"],
        ondelete="CASCADE",
    )
    op.create_check_constraint(
        op.f("ck_contacts_contact_merged_into"),
        "contacts_contact",
        "merged_into IS NULL OR phone IS NULL",
    )
    op.create_index(
        "ix_contacts_contact_merged",
        "contacts_contact",
        ["account_id", "merged_into"],
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    _merge()
    _likeness()


def downgrade() -> None:
    op.drop_table("contacts_likeness")
    op.drop_table("contacts_merge")
    op.drop_index("ix_contacts_contact_merged", table_name="contacts_contact")
    op.drop_constraint(op.f("ck_contacts_contact_merged_into"), "contacts_contact")
    op.drop_constraint(
        op.f("fk_contacts_contact_account_id_merged_into"), "contacts_contact"
    )
    op.drop_column("contacts_contact", "merged_into")


def _account() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
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
    ]


def _of_contact(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", column],
        ["contacts_contact.account_id", "contacts_contact.id"],
        name=op.f(f"fk_{table}_account_id_{column}"),
        ondelete="CASCADE",
    )


def _walled(table: str) -> None:
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO clarion_app")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY app ON {table} TO clarion_app USING ({MINE}) WITH CHECK ({MINE})"
    )


def _merge() -> None:
    op.create_table(
        "contacts_merge",
        *_account(),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("merged_id", sa.Uuid(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("kept", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "events",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_by", sa.String(length=80), server_default="", nullable=False),
        _of_contact("contacts_merge", "contact_id"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_contacts_merge_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts_merge")),
        sa.UniqueConstraint(
            "account_id", "id", name=op.f("uq_contacts_merge_account_id_id")
        ),
    )
    op.create_index(
        "ix_contacts_merge_contact", "contacts_merge", ["account_id", "contact_id"]
    )
    op.create_index(
        "uq_contacts_merge_merged",
        "contacts_merge",
        ["account_id", "merged_id"],
        unique=True,
        postgresql_where=sa.text("undone_at IS NULL"),
    )
    op.create_index(
        "ix_contacts_merge_kept",
        "contacts_merge",
        ["created_at"],
        postgresql_where=sa.text("kept"),
    )
    _walled("contacts_merge")
    op.execute(
        "GRANT SELECT (id, account_id, created_at, kept) ON contacts_merge"
        " TO clarion_system"
    )
    op.execute(
        "CREATE POLICY system ON contacts_merge TO clarion_system"
        " USING (true) WITH CHECK (true)"
    )


def _likeness() -> None:
    op.create_table(
        "contacts_likeness",
        *_account(),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("why", sa.String(length=12), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "why IN ('email', 'spelling', 'name_phone', 'name')",
            name=op.f("ck_contacts_likeness_why"),
        ),
        _of_contact("contacts_likeness", "contact_id"),
        _of_contact("contacts_likeness", "other_id"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_contacts_likeness_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts_likeness")),
        sa.UniqueConstraint(
            "account_id",
            "contact_id",
            "other_id",
            name=op.f("uq_contacts_likeness_account_id_contact_id_other_id"),
        ),
    )
    op.create_index(
        "ix_contacts_likeness_other", "contacts_likeness", ["account_id", "other_id"]
    )
    _walled("contacts_likeness")
