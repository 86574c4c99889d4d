"""plans: named sets of quotas, and which an account has; no grant goes beyond its window

Revision ID: 0039_plans
Revises: 0038_two_people
"""

import sqlalchemy as sa
from alembic import op

revision = "0039_plans"
down_revision = "0038_two_people"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("clarion_now()")

# To begin with; staff write others, and change these, in the console.
FIRST = (
    ("Free", "To try it out with your own people.", 1, (1_000, 250, 1)),
    ("Growth", "For a business that writes every week.", 2, (50_000, 20_000, 5)),
    ("Scale", "Without limits of ours.", 3, ()),
)
KINDS = ("people", "messages", "senders")

LIVE = """
CREATE OR REPLACE FUNCTION clarion_grant_live(one uuid) RETURNS boolean
  LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (
      SELECT FROM public.access_grant g
      LEFT JOIN public.support_window w ON (w.account_id, w.id) = (g.account_id, g.window_id)
      WHERE g.id = one AND g.revoked_at IS NULL
        AND g.starts_at <= public.clarion_now() AND g.ends_at > public.clarion_now()
        AND (g.window_id IS NULL
             OR w.revoked_at IS NULL AND w.ends_at > public.clarion_now(){scope}))
  $$;
"""
SCOPE = """
             AND (w.scope = 'act' OR g.scope = 'view')"""


def upgrade() -> None:
    op.execute(LIVE.format(scope=SCOPE))
    _plans()
    _chosen()
    op.add_column(
        "account_quota",
        sa.Column("of_plan", sa.Boolean(), server_default="false", nullable=False),
    )
    op.execute("GRANT UPDATE (of_plan) ON account_quota TO clarion_staff")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (at_most, set_at), DELETE ON account_quota TO clarion_system"
    )
    op.execute(
        "CREATE POLICY system ON account_quota TO clarion_system USING (true) WITH CHECK (true)"
    )


def _plans() -> None:
    op.create_table(
        "plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("about", sa.String(length=200), server_default="", nullable=False),
        sa.Column("place", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retired_at", TIME, nullable=True),
        sa.Column("changed_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_plan_named")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("name", name=op.f("uq_plan_name")),
    )
    op.execute("GRANT SELECT ON plan TO clarion_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (name, about, place, retired_at, changed_at) ON plan TO clarion_staff"
    )
    op.execute("GRANT SELECT ON plan TO clarion_system")
    op.create_table(
        "plan_limit",
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("at_most", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('people', 'messages', 'senders')", name=op.f("ck_plan_limit_kind")
        ),
        sa.CheckConstraint("at_most >= 0", name=op.f("ck_plan_limit_most")),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plan.id"], name=op.f("fk_plan_limit_plan_id")
        ),
        sa.PrimaryKeyConstraint("plan_id", "kind", name=op.f("pk_plan_limit")),
    )
    op.execute("GRANT SELECT ON plan_limit TO clarion_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (at_most), DELETE ON plan_limit TO clarion_staff"
    )
    op.execute("GRANT SELECT ON plan_limit TO clarion_system")
    for name, about, place, limits in FIRST:
        op.execute(
            sa.text(
                "INSERT INTO plan (id, name, about, place)"
                " VALUES (clarion_new_id(), :name, :about, :place)"
            ).bindparams(name=name, about=about, place=place)
        )
        for kind, at_most in zip(KINDS, limits, strict=False):
            op.execute(
                sa.text(
                    "INSERT INTO plan_limit (plan_id, kind, at_most)"
                    " SELECT id, :kind, :most FROM plan WHERE name = :name"
                ).bindparams(name=name, kind=kind, most=at_most)
            )


def _chosen() -> None:
    op.create_table(
        "account_plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "account_id",
            sa.Uuid(),
            server_default=sa.text("clarion_account()"),
            nullable=False,
        ),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("since", TIME, server_default=NOW, nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column(
            "created_by",
            sa.String(length=80),
            server_default=sa.text("coalesce(current_setting('app.actor_id', true), '')"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_account_plan_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plan.id"], name=op.f("fk_account_plan_plan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_plan")),
        sa.UniqueConstraint("account_id", name=op.f("uq_account_plan_account_id")),
        sa.UniqueConstraint("account_id", "id", name=op.f("uq_account_plan_account_id_id")),
    )
    op.create_index("ix_account_plan_of", "account_plan", ["plan_id", "account_id"])
    op.execute("GRANT SELECT ON account_plan TO clarion_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (plan_id, since, by), DELETE ON account_plan TO clarion_staff"
    )
    op.execute("GRANT SELECT ON account_plan TO clarion_system")
    op.execute("ALTER TABLE account_plan ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE account_plan FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY app ON account_plan TO clarion_app USING (account_id = (SELECT clarion_account())) WITH CHECK (account_id = (SELECT clarion_account()))"
    )
    for role in ("staff", "system"):
        op.execute(
            f"CREATE POLICY {role} ON account_plan TO clarion_{role} USING (true) WITH CHECK (true)"
        )


def downgrade() -> None:
    op.execute(LIVE.format(scope=""))
    # what plans limited stays limited, as if staff had said so
    op.execute("DROP POLICY system ON account_quota")
    op.execute("REVOKE ALL ON account_quota FROM clarion_system")
    op.drop_column("account_quota", "of_plan")
    op.drop_table("account_plan")
    op.drop_table("plan_limit")
    op.drop_table("plan")
