"""How long the server takes for pages of the contact list when there are a million people.

The portal answers in this process, a signed-in member asks; every page is asked for thirty
times in turn with the others. Among them: the first page and the following ones by key,
words that nearly everybody has and words that one person has, parts of names, of numbers
and of e-mails, tags with half of the people and with fifty, and each state of consent.
`contacts_p95_ms` is that of the slowest of all these pages. A page does not wait long for the number of
people on all of its pages and asks for it afterwards: `counts_max_ms` is the slowest of those.
"""

import os
import re
import statistics
import time
from html import unescape
from typing import Any
from uuid import UUID

import ground

TARGETS = {"contacts_p95_ms": ("max", 80.0)}
PEOPLE = int(os.environ.get("BENCH_PAGES_PEOPLE", "1000000"))
TIMES = 30


def measure() -> dict[str, float]:
    """Make the people, then leaf through them."""
    with ground.prepared() as land:
        from clarion.boot import boot
        from clarion.testing.factories import make_account
        from clarion.testing.visitor import Visitor

        boot()
        account = make_account()
        tags = people(land.superuser_url, account.id)
        visitor = Visitor(account)
        wanted = pages(tags)
        for _ in range(3):
            for path in wanted.values():
                asked(visitor, path)
        times: dict[str, list[float]] = {name: [] for name in wanted}
        for _ in range(TIMES):
            for name, path in wanted.items():
                times[name].append(asked(visitor, path))
        deep = follow(visitor, TIMES)
        late = [counted(visitor, path) for path in wanted.values()]
    each = {f"{name}_p95_ms": p95(found) for name, found in times.items()}
    each["next_pages_p95_ms"] = p95(deep)
    every = [one for found in times.values() for one in found] + deep
    return {
        "contacts_p95_ms": max(each.values()),
        "all_p95_ms": p95(every),
        "all_median_ms": statistics.median(every),
        "counts_max_ms": max(late),
        **each,
        "people": float(PEOPLE),
    }


def pages(tags: dict[str, UUID]) -> dict[str, str]:
    """Name the pages."""
    return {
        "first": "",
        "common_name": "?q=silva",
        "rare_name": "?q=gonçalves+zilda",
        "part_of_name": "?q=nçal",
        "two_letters": "?q=jo",
        "nobody": "?q=wxyzzy",
        "whole_number": "?q=%2B5511960000123",
        "part_of_number": "?q=60001234",
        "end_of_number": "?q=0999",
        "written_number": "?q=(11)+96000-0123",
        "part_of_mail": "?q=lopes77",
        "common_mail": "?q=mail1.example",
        "name_and_number": "?q=ana+9600",
        "big_tag": f"?tag={tags['half']}",
        "small_tag": f"?tag={tags['fifty']}",
        "tag_and_name": f"?tag={tags['half']}&q=silva",
        "tag_and_rare": f"?tag={tags['half']}&q=lopes77",
        "agreed": "?consent=opted_in",
        "opted_out": "?consent=opted_out",
        "silent": "?consent=suppressed",
        "last_heard": "?sort=heard",
        "agreed_and_name": "?consent=opted_in&q=silva",
        "opted_out_and_name": "?consent=opted_out&q=silva",
    }


def asked(visitor: Any, path: str) -> float:
    """Ask for a page; milliseconds."""
    began = time.perf_counter()
    answer = visitor.get(f"/contacts/{path}")
    took = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, path
    return took


def counted(visitor: Any, path: str) -> float:
    """Ask for the number a page did not wait for; milliseconds, 0 where it had it."""
    found = re.search(
        r'hx-get="/contacts/(count[^"]+)"', visitor.get(f"/contacts/{path}").text
    )
    return asked(visitor, unescape(found[1])) if found else 0.0


def follow(visitor: Any, count: int) -> list[float]:
    """Go on by key from the first page."""
    took, path = [], "?q=silva"
    for _ in range(count):
        took.append(asked(visitor, path))
        found = re.search(
            r"\?[^\"]*after=[0-9a-f-]+", visitor.get(f"/contacts/{path}").text
        )
        assert found, path
        path = found[0].replace("&amp;", "&")
    return took


def p95(times: list[float]) -> float:
    """Of all but one in twenty the slowest."""
    return sorted(times)[int(len(times) * 0.95)]


MAKE = """
INSERT INTO contacts_tag (id, account_id, name, key)
  VALUES (uuidv7(), :account, 'half', 'half'), (uuidv7(), :account, 'fifty', 'fifty');
INSERT INTO contacts_contact (id, account_id, name, phone, phone_idx, email, country,
    consent, consent_id, import_id, attributes)
  SELECT uuidv7(), :account, a || ' ' || b,
    '+55' || (11 + n % 10 * 10) || '9' || (60000000 + n / 10),
    sha256(n::text::bytea), lower(a || '.' || b) || n || '@mail' || n % 50 || '.example',
    'BR', c, CASE WHEN c <> 'none' THEN uuidv7() END, :account, '{{"city": "Recife"}}'
  FROM (SELECT n, ({first})[1 + abs(hashint4(n)) % {firsts}] AS a,
      ({last})[1 + abs(hashint4(n + 1000000)) % {lasts}] AS b,
      CASE n % 200 WHEN 0 THEN 'opted_out' WHEN 1 THEN 'none' ELSE 'opted_in' END AS c
    FROM generate_series(0, {people} - 1) n ORDER BY n) made;
INSERT INTO contacts_contact (id, account_id, name, phone, phone_idx, email)
  VALUES (uuidv7(), :account, 'Zilda Gonçalves', '+5511912340000', '\\x00', '');
INSERT INTO contacts_search (id, account_id, words)
  SELECT id, account_id, lower(concat_ws(' ', '', name, email, phone) COLLATE "default")
  FROM contacts_contact WHERE import_id IS NOT NULL ORDER BY id;
INSERT INTO contacts_tagging (id, account_id, contact_id, tag_id)
  SELECT uuidv7(), c.account_id, c.id, t.id FROM (SELECT *, row_number() OVER (ORDER BY id)
      AS n FROM contacts_contact) c
    JOIN contacts_tag t ON t.name = 'half' AND n % 2 = 0
      OR t.name = 'fifty' AND n % ({people} / 50) = 0;
INSERT INTO suppression (id, account_id, contact_id, kind, idx, scope, reason)
  SELECT uuidv7(), account_id, id, 'phone', phone_idx, 'marketing', 'stop'
  FROM contacts_contact WHERE consent = 'opted_out';
VACUUM ANALYZE
"""


def people(url: str, account: UUID) -> dict[str, UUID]:
    """Make them in SQL; returns their tags."""
    import crowd
    import psycopg

    made = MAKE.format(
        first="ARRAY[" + ",".join(f"'{one}'" for one in crowd.FIRST) + "]",
        last="ARRAY[" + ",".join(f"'{one}'" for one in crowd.LAST) + "]",
        firsts=len(crowd.FIRST),
        lasts=len(crowd.LAST),
        people=PEOPLE,
    ).replace(":account", f"'{account}'")
    plain = url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(plain, autocommit=True) as connection:
        for statement in made.split(";"):
            connection.execute(statement.encode())
        found = connection.execute("SELECT name, id FROM contacts_tag")
        return {str(name): id_ for name, id_ in found}
