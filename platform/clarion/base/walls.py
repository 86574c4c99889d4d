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
    reason. `account` itself is shown to its own members by its id.
    """
    out = []
    for role, privileges in (
        ("clarion_app", wall.app),
        ("clarion_staff", wall.staff),
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
