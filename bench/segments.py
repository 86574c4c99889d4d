"""How long counting a segment takes among a million people, and beside SQL by hand.

A million contacts with six campaigns' messages (a million in all), tags, a list, own
fields, consent and answers; then the questions of `QUESTIONS`, each of three rules with
what people did among them. Each is asked `ROUNDS` times through the service, as the page
does while somebody edits, and as often as SQL written by hand under the same role; the
answers must be equal. `count_p95_ms` is over all questions, `vs_hand_sql` the worst of
them by medians; `…_cpu_ms` is what one of ours costs PostgreSQL's processes, which tells
more than the clock where others use the machine.

Then everybody is frozen into a snapshot. PostgreSQL has two gigabytes of buffers, as a
database of this size would; the embedded one's 128 MB are for a laptop.

`BENCH_SEGMENTS` makes the population smaller; the size is among the figures.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import ground
import psycopg

TARGETS = {"count_p95_ms": ("max", 300.0), "vs_hand_sql": ("max", 2.0)}
CONTACTS = int(os.environ.get("BENCH_SEGMENTS", "1000000"))
ROUNDS = 15
CAMPAIGNS = ((0.3, 200), (0.3, 60), (0.1, 40), (0.1, 20), (0.1, 12), (0.1, 3))
"""Which share of all people each campaign went to, and how many days ago."""


def measure() -> dict[str, float]:
    """Load, ask, compare."""
    from clarion.base import servers

    servers.CONFIGURATION["shared_buffers"] = "2GB"
    with ground.prepared() as land:
        from clarion.boot import boot
        from clarion.testing.factories import make_account, make_sender

        boot()
        account = make_account(country="BR", timezone="America/Sao_Paulo")
        ids = load(land.superuser_url, account.id, make_sender(account))
        return ask(account, ids, land.postgres) | freeze(account)


def ask(account: Any, ids: dict[str, str], postgres: int) -> dict[str, float]:
    """Ask each question both ways, in turns, and compare."""
    from clarion.base import db
    from clarion.tenancy.scope import account_scope
    from clarion_contacts import service

    every, worst, figures = [], 0.0, {}
    with account_scope(account.id, account.actor):
        for name, (rule, sql) in QUESTIONS.items():
            given = {**ids, "account": account.id}
            asked = rule(ids)

            def ours(asked: Any = asked) -> int | None:
                with db.transaction():
                    return service.people_in(asked, patience_ms=60_000)

            def by_hand(sql: str = sql, given: Any = given) -> int:
                with db.transaction() as orm:
                    driver = orm.connection().connection.driver_connection
                    return driver.execute(sql, given).fetchone()[0]

            found = ours()
            assert found == by_hand(), name
            figures[f"{name}_people"] = float(found or 0)
            mine, hand, spent = [], [], 0.0
            for _ in range(ROUNDS):
                before = ground.cpu_seconds(postgres)
                mine.append(took(ours))
                spent += ground.cpu_seconds(postgres) - before
                hand.append(took(by_hand))
            figures[f"{name}_cpu_ms"] = spent / ROUNDS * 1000
            every += mine
            ratio = statistics.median(mine) / statistics.median(hand)
            figures[f"{name}_ms"] = statistics.median(mine)
            figures[f"{name}_vs_hand"] = ratio
            worst = max(worst, ratio)
    p95 = statistics.quantiles(every, n=20)[-1]
    return {
        "count_p95_ms": p95,
        "vs_hand_sql": worst,
        **figures,
        "contacts": float(CONTACTS),
    }


def freeze(account: Any) -> dict[str, float]:
    """Freeze everybody, as the worker does."""
    from clarion.base import db
    from clarion.tenancy.scope import account_scope
    from clarion_contacts import service

    with account_scope(account.id, account.actor):
        with db.transaction():
            view = service.save_segment(service.everyone(), "Everybody")
            snapshot_id = service.freeze(view.id)

        def write() -> None:
            with db.transaction():
                assert service.write_members(snapshot_id) == CONTACTS

        return {"snapshot_s": took(write) / 1000}


def took(work: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _tag(ids: dict[str, str]) -> dict[str, Any]:
    return {"op": "tag", "tag": ids["vip"]}


def _all(*of: dict[str, Any]) -> dict[str, Any]:
    return {"op": "and", "of": list(of)}


def _field(field: str, test: str, value: Any = None, **more: Any) -> dict[str, Any]:
    return {"op": "field", "field": field, "test": test, "value": value, **more}


def _did(did: str, **more: Any) -> dict[str, Any]:
    return {"op": "campaign", "did": did, **more}


HEAD = "SELECT count(*) FROM contacts_contact c WHERE c.account_id = %(account)s AND "
AGREED = {"op": "consent", "value": "given"}
QUESTIONS: dict[str, tuple[Callable[[dict[str, str]], dict[str, Any]], str]] = {
    "readers": (  # in two countries, tagged, read one campaign
        lambda ids: _all(
            _field("country", "one_of", "DE,BR"),
            _tag(ids),
            _did("read", campaign=ids["campaign0"]),
        ),
        HEAD
        + """c.country IN ('DE', 'BR') AND EXISTS (SELECT FROM contacts_tagging t
          WHERE t.account_id = c.account_id AND t.contact_id = c.id AND t.tag_id = %(vip)s)
        AND EXISTS (SELECT FROM message m WHERE m.account_id = c.account_id
          AND m.contact_id = c.id AND m.campaign_id = %(campaign0)s AND m.state = 'read')""",
    ),
    "not_yet": (  # agreed, over thirty, did not get one campaign
        lambda ids: _all(
            AGREED,
            _field("attributes.age", "ge", 30, kind="number"),
            _did("sent", campaign=ids["campaign1"], **{"not": True}),
        ),
        HEAD
        + """c.consent = 'opted_in' AND (c.attributes->>'age')::numeric >= 30
        AND NOT EXISTS (SELECT FROM message m WHERE m.account_id = c.account_id
          AND m.contact_id = c.id AND m.campaign_id = %(campaign1)s
          AND m.state IN ('accepted', 'sent', 'delivered', 'read'))""",
    ),
    "lately": (  # of one city, new this half year, got anything in a month
        lambda _ids: _all(
            _field("attributes.city", "is", "City 7"),
            _field("added_on", "last_days", days=180),
            _did("delivered", days=30),
        ),
        HEAD
        + """c.attributes->>'city' = 'City 7' AND c.created_at >= timezone(
            'America/Sao_Paulo', (timezone('America/Sao_Paulo', now())::date - 180)::timestamp)
        AND EXISTS (SELECT FROM message m WHERE m.account_id = c.account_id
          AND m.contact_id = c.id AND m.campaign_id IS NOT NULL AND m.purpose <> 'service'
          AND m.state IN ('delivered', 'read') AND m.intent_at >= now() - interval '30 days')""",
    ),
    "limited": (  # on a list, of one language, kept out of one campaign by the limit
        lambda ids: _all(
            {"op": "list", "list": ids["list"]},
            _field("language", "is", "pt-BR"),
            _did("failed", campaign=ids["campaign2"], reason="per_user_limit"),
        ),
        HEAD
        + """c.language = 'pt-BR' AND EXISTS (SELECT FROM contacts_listing l
          WHERE l.account_id = c.account_id AND l.contact_id = c.id AND l.list_id = %(list)s)
        AND EXISTS (SELECT FROM message m WHERE m.account_id = c.account_id
          AND m.contact_id = c.id AND m.campaign_id = %(campaign2)s
          AND m.state = 'failed' AND m.reason = 'per_user_limit')""",
    ),
    "either": (  # agreed, and tagged or a reader of another campaign
        lambda ids: _all(
            AGREED,
            {
                "op": "or",
                "of": [_tag(ids), _did("read", campaign=ids["campaign3"])],
            },
        ),
        HEAD
        + """c.consent = 'opted_in' AND (c.id IN (SELECT t.contact_id
          FROM contacts_tagging t WHERE t.account_id = %(account)s AND t.tag_id = %(vip)s)
        OR c.id IN (SELECT m.contact_id FROM message m WHERE m.account_id = %(account)s
          AND m.campaign_id = %(campaign3)s AND m.state = 'read'))""",
    ),
    "asleep": (  # agreed, of one country, not written to for a month
        lambda _ids: _all(
            AGREED,
            _field("country", "is", "BR"),
            _did("sent", days=30, **{"not": True}),
        ),
        HEAD
        + """c.consent = 'opted_in' AND c.country = 'BR' AND NOT EXISTS (
          SELECT FROM message m WHERE m.account_id = c.account_id AND m.contact_id = c.id
          AND m.campaign_id IS NOT NULL AND m.purpose <> 'service'
          AND m.state IN ('accepted', 'sent', 'delivered', 'read')
          AND m.intent_at >= now() - interval '30 days')""",
    ),
}


# --- the population


def load(superuser_url: str, account: UUID, sender: UUID) -> dict[str, str]:
    """Write everybody and what was sent to them, past triggers and keys."""
    ids = {name: str(uuid4()) for name in ("vip", "blue", "list")}
    ids |= {f"campaign{n}": str(uuid4()) for n in range(len(CAMPAIGNS))}
    given = {**ids, "account": account, "sender": sender, "people": CONTACTS}
    with psycopg.connect(superuser_url.replace("+psycopg", ""), autocommit=True) as line:
        line.execute("SET session_replication_role = replica")
        line.execute("SELECT set_config('app.account_id', %s, false)", [str(account)])
        line.execute("SELECT setseed(0.5)")
        for statement in POPULATION:
            line.execute(statement, given)
        for n, (share, ago) in enumerate(CAMPAIGNS):
            some = {**given, "n": n, "share": int(share * 100), "ago": ago}
            some |= {"campaign": ids[f"campaign{n}"]}
            line.execute(ORDER, some)
            line.execute(MESSAGES, some)
        for table in (
            "contacts_contact",
            "contacts_tagging",
            "contacts_listing",
            "message",
            "campaign",
        ):
            line.execute(f"VACUUM (ANALYZE) {table}")
        line.execute("CHECKPOINT")
    return ids


POPULATION = (
    """
    CREATE TABLE everybody AS SELECT n, uuidv7() AS id, (random() * 1e6)::int AS a,
      (random() * 1e6)::int AS b, (random() * 1e6)::int AS c, (random() * 1e6)::int AS d
    FROM generate_series(1, %(people)s) n
    """,
    """
    INSERT INTO contacts_contact (id, account_id, name, first_name, last_name, phone,
      phone_idx, email, language, country, attributes, consent, consent_id, consent_at,
      created_at)
    SELECT id, %(account)s, 'Person ' || n, 'Person', 'Number ' || n,
      '+55119' || (10000000 + n), sha256(convert_to(n::text, 'UTF8')),
      'person' || n || '@example.org',
      (ARRAY['pt-BR', 'pt-BR', 'en', 'de', 'es'])[1 + a %% 5],
      (ARRAY['BR', 'BR', 'BR', 'DE', 'US', 'IN', 'MX', 'ES', 'AR', 'CO'])[1 + b %% 10],
      jsonb_build_object('city', 'City ' || c %% 200, 'age', 18 + d %% 60,
        'born', to_char(date '1960-01-01' + a %% 15000, 'YYYY-MM-DD'), 'vip', b %% 9 = 0),
      CASE WHEN (a + c) %% 5 > 0 THEN 'opted_in' ELSE 'none' END,
      CASE WHEN (a + c) %% 5 > 0 THEN id END, now(),
      now() - (720 - 720 * n / %(people)s) * interval '1 day'
    FROM everybody
    """,
    """
    INSERT INTO contacts_tag (id, account_id, name, key)
    VALUES (%(vip)s, %(account)s, 'VIP', 'vip'), (%(blue)s, %(account)s, 'Blue', 'blue')
    """,
    """
    INSERT INTO contacts_tagging (id, account_id, contact_id, tag_id)
    SELECT uuidv7(), %(account)s, id, CASE WHEN d %% 7 = 0 THEN %(vip)s::uuid ELSE %(blue)s END
    FROM everybody WHERE d %% 7 < 3
    """,
    """
    INSERT INTO contacts_list (id, account_id, name, key)
    VALUES (%(list)s, %(account)s, 'News', 'news')
    """,
    """
    INSERT INTO contacts_listing (id, account_id, contact_id, list_id)
    SELECT uuidv7(), %(account)s, id, %(list)s FROM everybody WHERE (b + d) %% 3 = 0
    """,
)
ORDER = """
INSERT INTO campaign (id, account_id, name, purpose, sender_id, template, state, started_at,
  finished_at)
SELECT %(campaign)s, %(account)s, 'Order ' || %(n)s, 'marketing', %(sender)s, '{}',
  'finished', at, at + interval '1 hour'
FROM (SELECT now() - %(ago)s * interval '1 day' AS at) one
"""
MESSAGES = """
INSERT INTO message (id, account_id, campaign_id, contact_id, sender_id, address,
  address_idx, purpose, state, reason, attempt, intent_at, state_since, created_at, variables)
SELECT uuidv7(), %(account)s, %(campaign)s, id, %(sender)s, '+55119' || (10000000 + n),
  sha256(convert_to(n::text, 'UTF8')), 'marketing', state,
  CASE WHEN state = 'failed' THEN (ARRAY['per_user_limit', 'not_on_whatsapp'])[1 + a %% 2]
    ELSE '' END,
  1, at, at + interval '1 minute', at, '{"first_name": "Person"}'
FROM (SELECT *, (ARRAY['read', 'read', 'read', 'delivered', 'delivered', 'delivered', 'sent',
    'delivered', 'failed', 'delivered'])[1 + (b + %(n)s * c) %% 10] AS state,
    now() - %(ago)s * interval '1 day' AS at
  FROM everybody WHERE (c + %(n)s * (a + d)) %% 100 < %(share)s) chosen
"""
