"""Row level security, generated from what each model declares.

A migration carries the statements as they were when it was written; `test_tables`
compares the catalogue with today's declarations.
"""

from sqlalchemy import Table
from sqlalchemy.orm import Mapper

from clarion.base.db import Base, Wall

PREAMBLE = """
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
"""What the first migration runs before any table: the functions policies call."""

GRANTS = """
CREATE FUNCTION clarion_grant_live(one uuid) RETURNS boolean
  LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (
      SELECT FROM public.access_grant g
      LEFT JOIN public.support_window w ON (w.account_id, w.id) = (g.account_id, g.window_id)
      WHERE g.id = one AND g.revoked_at IS NULL
        AND g.starts_at <= public.clarion_now() AND g.ends_at > public.clarion_now()
        AND (g.window_id IS NULL
             OR w.revoked_at IS NULL AND w.ends_at > public.clarion_now()
             AND (w.scope = 'act' OR g.scope = 'view')))
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
"""What policies ask about grants: is one live, and was this reading written down before?

They run with the rights of whoever asks: staff see every grant, an account its own, and
that is all they need. Every name is qualified, so that no search path changes its meaning.
`clarion_grant_ok` is asked by every statement of customers on content: as a function in SQL
it cost each about 0.1 ms, for it is planned anew each time.
"""


def models() -> dict[str, type[Base]]:
    """List every mapped class of ours by table name."""
    found: dict[str, type[Base]] = {}
    for mapper in Base.registry.mappers:
        if isinstance(mapper, Mapper) and isinstance(mapper.local_table, Table):
            found[mapper.local_table.name] = mapper.class_
    return found


def statements(table: str, wall: Wall) -> list[str]:
    """Write the grants and policies of one table.

    Platform tables get grants only: their privileges are the whole wall, listed with a
    reason. `account` itself is shown to its own members by its id. Staff read content under
    a grant, and whoever acts as a customer does so only while theirs is live.
    """
    out = []
    for role, privileges in (
        ("clarion_app", wall.app),
        ("clarion_staff", ("SELECT",) if wall.kind == "content" else wall.staff),
        ("clarion_system", wall.system),
        ("clarion_watch", wall.watch),
    ):
        if privileges:
            out.append(f"GRANT {', '.join(privileges)} ON {table} TO {role}")
    if wall.kind == "platform" and table != "account":
        return out
    key = "id" if table == "account" else "account_id"
    mine = f"{key} = (SELECT clarion_account())"
    out += [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    ]
    if wall.app:
        out.append(
            f"CREATE POLICY app ON {table} TO clarion_app USING ({mine}) WITH CHECK ({mine})"
        )
    if wall.kind == "content":
        out += under_grant(table)
    if wall.told:
        out.append(
            f"CREATE POLICY told ON {table} AS RESTRICTIVE FOR SELECT TO clarion_app"
            f" USING ({wall.told} <= (SELECT clarion_now()))"
        )
    if wall.staff:
        out.append(
            f"CREATE POLICY staff ON {table} TO clarion_staff USING (true) WITH CHECK (true)"
        )
    if wall.system:
        out.append(
            f"CREATE POLICY system ON {table} TO clarion_system"
            " USING (true) WITH CHECK (true)"
        )
    if wall.watch:
        out.append(
            f"CREATE POLICY watch ON {table} TO clarion_watch USING (true) WITH CHECK (true)"
        )
    return out


def under_grant(table: str) -> list[str]:
    """Write the policies of content that speak of staff: those of tables made before too."""
    behind = f"CREATE POLICY behind ON {table} AS RESTRICTIVE TO clarion_app"
    granted = f"CREATE POLICY granted ON {table} FOR SELECT TO clarion_staff"
    return [
        f"{behind} USING ((SELECT clarion_grant_ok()))",
        f"{granted} USING (account_id = (SELECT clarion_granted()))",
    ]
