"""Rules for our own mistakes, each with a good and a bad sample that a test reads.

    python dev/lint/rules.py

Lists every place in `platform/` and `plugins/` (and, for addresses, in every tracked file)
that breaks a rule. What ruff, mypy and the import contracts see is not repeated here.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROOTS = ("platform", "plugins")
SKIPPED = {"node_modules", "dist", "__pycache__", "tests", ".venv"}
HARD_LINES, HARD_FUNCTION = 600, 60

Found = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class Rule:
    """One mistake.

    Attributes:
        name: what it is called in a finding.
        why: what to do instead, or why not.
        ending: which files it reads, by how their path ends.
        allowed: parts of paths where it is right.
        find: yields line and what stands there.
        good: a sample without finding.
        bad: a sample with at least one.
        everywhere: reads all tracked files, not only the two source roots.
    """

    name: str
    why: str
    ending: str | tuple[str, ...]
    find: Callable[[str], Found]
    good: str
    bad: str
    allowed: tuple[str, ...] = ()
    everywhere: bool = False


@dataclass(frozen=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


def findings(rules: "tuple[Rule, ...] | None" = None) -> list[Finding]:
    """Read everything that is ours and return what breaks a rule."""
    found = []
    for rule in rules or RULES:
        paths = _tracked() if rule.everywhere else _sources(rule.ending)
        for path in paths:
            place = path.relative_to(TOP).as_posix()
            if any(part in f"/{place}" for part in rule.allowed):
                continue
            try:
                text = path.read_text()
            except (OSError, UnicodeDecodeError):
                continue  # a picture, or gone a moment ago
            found += [Finding(place, n, rule.name, what) for n, what in rule.find(text)]
    return found


def _sources(ending: str) -> list[Path]:
    return [
        path
        for root in ROOTS
        for path in sorted((TOP / root).rglob(f"*{ending}"))
        if not SKIPPED & set(path.relative_to(TOP).parts)
    ]


def _tracked() -> list[Path]:
    told = subprocess.run(
        ["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=False
    )
    if told.returncode == 0:
        return [TOP / name for name in told.stdout.split("\0") if name]
    return [
        path for ending in (".py", ".md", ".toml", ".html") for path in _sources(ending)
    ]


# --- what is looked for


@lru_cache(maxsize=512)
def _nodes(text: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(text)))


@lru_cache(maxsize=512)
def _calls(text: str) -> list[tuple[ast.Call, str]]:
    return [(n, _dotted(n.func)) for n in _nodes(text) if isinstance(n, ast.Call)]


def _dotted(node: ast.AST) -> str:
    """The dotted name of an expression; what is no name in it stands as `?`."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _commits(text: str) -> Found:
    for call, name in _calls(text):
        if name.endswith(".commit"):
            yield call.lineno, f"{name}()"


def _sql_text(text: str) -> Found:
    for call, name in _calls(text):
        given = _literal(call.args[0]) if call.args else ""
        if name in (
            "text",
            "sa.text",
            "sqlalchemy.text",
            "sql.text",
            "Direct",
            "db.Direct",
        ):
            if call.args:
                yield call.lineno, f"{name}({given[:40]!r})"
        elif name.endswith("exec_driver_sql"):
            yield call.lineno, name
        elif name.endswith((".execute", ".scalars", ".scalar")) and _STATEMENT.match(given):
            yield call.lineno, f"{name}({given[:40]!r})"


def _sql_in_models(text: str) -> Found:
    for call, name in _calls(text):
        given = _literal(call.args[0]) if call.args else ""
        if name.endswith(("text", "DDL")) and _STATEMENT.match(given):
            yield call.lineno, f"{name}({given[:40]!r})"


_STATEMENT = re.compile(
    r"\s*(select|insert|update|delete|with|set|create|alter|drop|grant|revoke|truncate|call|do"
    r"|copy|merge|lock)\s",
    re.IGNORECASE,
)
_SESSION_SET = re.compile(
    r"(^|;)\s*set\s+(?!local\b|transaction\b|constraints\b)"
    r"(session\s+)?(role\b|authorization\b|[a-z_.]+\s*(=|\bto\b))"
    r"|\bset_config\s*\([^)]*,\s*false\s*\)",
    re.IGNORECASE,
)


def _second_wall(text: str) -> Found:
    """Find selects whose only mention of a table is in WHERE."""
    for call, _name in _calls(text):
        where = call.func
        if not isinstance(where, ast.Attribute) or where.attr != "where":
            continue
        of = where.value
        if not isinstance(of, ast.Call) or "account_id" in ast.unparse(call):
            continue
        maker = _dotted(of.func).split(".")[-1]
        bare = all(
            isinstance(a, ast.Call) and _LITERAL.match(ast.unparse(a)) for a in of.args
        )
        if (maker == "exists" and not of.args) or (maker == "select" and of.args and bare):
            yield call.lineno, ast.unparse(of)[:60]


_LITERAL = re.compile(r"(func\.\w+\(\)|literal\([^()]*\))(\.label\([^()]*\))?$")


def _session_set(text: str) -> Found:
    for node in _nodes(text):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            said = _literal(node)
            if _SESSION_SET.search(said):
                yield node.lineno, said.strip()[:60]


def _literal(node: ast.AST) -> str:
    """The text of a literal; what is put into an f-string stands as `?`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "?"
            for part in node.values
        )
    return ""


def _clocks(text: str) -> Found:
    for node in _nodes(text):
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
            owner = _dotted(node.value)
            if owner.split(".")[-1] in ("datetime", "date"):
                yield node.lineno, f"{owner}.{node.attr}"


def _ledger_clocks(text: str) -> Found:
    for node in _nodes(text):
        if isinstance(node, ast.Attribute):
            name = _dotted(node)
            if name in ("clock.now", "time.time", "func.now", "func.clock_timestamp"):
                yield node.lineno, name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = re.search(
                r"(?<!clarion_)\b(now\(\)|clock_timestamp|current_timestamp|localtimestamp)",
                node.value,
                re.IGNORECASE,
            )
            if said:
                yield node.lineno, said[0]


def _enqueues(text: str) -> Found:
    for call, name in _calls(text):
        if re.search(r"\.enqueue(_\w+)?$", name):
            yield call.lineno, f"{name}()"


def _environment(text: str) -> Found:
    for node in _nodes(text):
        if isinstance(node, ast.Attribute) and _dotted(node) in (
            "os.environ",
            "os.getenv",
            "os.environb",
        ):
            yield node.lineno, _dotted(node)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if alias.name in ("environ", "getenv"):
                    yield node.lineno, f"from os import {alias.name}"


def _markup(text: str) -> Found:
    for node in _nodes(text):
        if isinstance(node, ast.ImportFrom) and any(a.name == "Markup" for a in node.names):
            yield node.lineno, f"from {node.module} import Markup"
        elif isinstance(node, ast.Attribute) and node.attr == "Markup":
            yield node.lineno, _dotted(node)


def _template_text(text: str) -> Found:
    for call, name in _calls(text):
        if name.endswith(
            ("render_template_string", ".from_string", "stream_template_string")
        ):
            yield call.lineno, name


def _lines(pattern: str) -> Callable[[str], Found]:
    wanted = re.compile(pattern, re.IGNORECASE)

    def find(text: str) -> Found:
        for number, line in enumerate(text.splitlines(), 1):
            if said := wanted.search(line):
                yield number, said[0][:60]

    return find


def _whole(pattern: str) -> Callable[[str], Found]:
    wanted = re.compile(pattern, re.IGNORECASE | re.DOTALL)

    def find(text: str) -> Found:
        for said in wanted.finditer(text):
            yield text.count("\n", 0, said.start()) + 1, said[0][:60]

    return find


def _lengths(text: str) -> Found:
    lines = text.count("\n")
    if lines > HARD_LINES:
        yield 1, f"{lines} lines; at most {HARD_LINES}"
    for node in _nodes(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            size = node.end_lineno - node.lineno + 1
            if size > HARD_FUNCTION:
                yield node.lineno, f"{node.name}: {size} lines; at most {HARD_FUNCTION}"


# Written so that this file does not find itself.
_REGISTRIES = r"file[s]\.pythonhosted\.org|py[p]i\.org|regi[s]try\.npmjs|de[b]\.debian\.org"
_MACHINE = r"(?<![\w./-])/(?:wor[k]|far[m]|home/[a-z]\w+)/|/tmp/bas[h]_jobs"

RULES = (
    Rule(
        "commit",
        "a verb never commits: the caller's `db.transaction()` does",
        ".py",
        _commits,
        good="def verb():\n    session.add(thing)\n",
        bad="def verb():\n    session.commit()\n",
        allowed=("/clarion/base/db.py", "/clarion/base/migrate.py", "/migrations/"),
    ),
    Rule(
        "sql-text",
        "SQL text could enter a role by itself: write it with SQLAlchemy",
        ".py",
        _sql_text,
        good="session.execute(select(Thing))\n",
        bad='session.execute(text("SELECT 1"))\n',
        allowed=(
            "/clarion/base/",
            "/clarion/messaging/ledger.py",
            "/clarion/messaging/advance.py",
            "/clarion/messaging/caps.py",
            "/clarion/messaging/leases.py",
            "/clarion/messaging/pacing.py",
            "/clarion/messaging/identifiers.py",
            "/clarion/messaging/suppression.py",
            "/clarion/testing/",  # never part of a running process
            "/migrations/",
            "/models.py",  # see the next rule
            "/records.py",  # the same: tables
            "/tenancy/changes.py",  # likewise
        ),
    ),
    Rule(
        "sql-in-models",
        "a model names expressions for defaults and conditions, never statements",
        "models.py",
        _sql_in_models,
        good="server_default=text('clarion_now()')\n",
        bad="rows = text('SELECT * FROM person')\n",
    ),
    Rule(
        "second-wall",
        "no account is added to a table that WHERE alone names: select_from(), or its account_id",
        ".py",
        _second_wall,
        good=(
            "exists().where(Tag.account_id == Tagging.account_id, Tag.id == Tagging.tag_id)\n"
            "select(func.count()).select_from(Tag).where(Tag.key == key)\n"
            "select(Tag.id).where(Tag.key == key).exists()\n"
        ),
        bad="exists().where(Tag.id == Tagging.tag_id)\n",
    ),
    Rule(
        "session-set",
        "a session-level SET leaks to the next user of the pooled connection",
        ".py",
        _session_set,
        good=(
            'text("SET LOCAL lock_timeout = 0")\n'
            "text(\"SELECT set_config('role', :r, true)\")\n"
            'text("UPDATE message SET state = :s")\n'
        ),
        bad='text("SET ROLE clarion_app")\n',
        allowed=("/clarion/base/settings.py",),  # it tells people what to set
    ),
    Rule(
        "clock",
        "time comes from clarion.base.clock.now()",
        ".py",
        _clocks,
        good="at = clock.now()\n",
        bad="at = datetime.now(UTC)\n",
        allowed=("/clarion/base/clock.py", "/simulator/"),
    ),
    Rule(
        "ledger-clock",
        "the ledger knows the database's clock only: clarion_now()",
        ("messaging/ledger.py", "messaging/advance.py"),
        _ledger_clocks,
        good="text(\"UPDATE message SET at = clarion_now() WHERE state = 'claimed'\")\n",
        bad='text("UPDATE message SET at = now()")\n',
    ),
    Rule(
        "enqueue",
        "later() and publish() write to the outbox; only work/ rings",
        ".py",
        _enqueues,
        good="run_import.later(import_id)\n",
        bad="queue.enqueue('module.function')\n",
        allowed=("/clarion/work/",),
    ),
    Rule(
        "environment",
        "a setting is declared in clarion.base.settings",
        ".py",
        _environment,
        good="url = settings().database_url\n",
        bad="url = os.environ['CLARION_DATABASE_URL']\n",
        allowed=(
            "/clarion/base/settings.py",
            "/clarion/base/services.py",
            "/clarion/cli.py",
            "/clarion/demo",
            "/clarion/testing/",
            "/simulator/",  # shares nothing with the core, settings included
        ),
    ),
    Rule(
        "safe",
        "what is marked safe is not escaped; macros build markup",
        ".html",
        _lines(r"\|\s*safe\b|\{%-?\s*autoescape\s+false"),
        good="{{ name }}\n",
        bad="{{ name | safe }}\n",
    ),
    Rule(
        "markup",
        "markup is made in templates, and in clarion.web.ui only",
        ".py",
        _markup,
        good="return render_template('contacts/list.html', rows=rows)\n",
        bad="from markupsafe import Markup\n",
        allowed=("/clarion/web/ui.py",),
    ),
    Rule(
        "template-text",
        "a template is a file; text that becomes one can run code",
        ".py",
        _template_text,
        good="render_template('page.html')\n",
        bad="render_template_string(text)\n",
    ),
    Rule(
        "inline",
        "the content policy refuses inline scripts, styles and handlers",
        ".html",
        _whole(
            r"<[a-z][^<>]*\s(?:on[a-z]+|style)\s*=\s*[^=\s]"
            r"|<script\b(?![^>]*\bsrc=)(?![^>]*\btype=\"application/(?:ld\+)?json\")"
            r"|<style\b"
        ),
        good='<button class="btn" data-on="1"><script src="{{ asset(\'app.js\') }}"></script>\n',
        bad='<button onclick="go()">\n',
        allowed=("/mail/", "/mails/"),
    ),
    Rule(
        "length",
        "a module is about one thing, a function does one thing",
        ".py",
        _lengths,
        good="x = 1\n",
        bad="def f():\n" + "    x = 1\n" * HARD_FUNCTION,
        allowed=("/migrations/",),
    ),
    Rule(
        "registry",
        "which package index serves is the machine's matter",
        "",
        _lines(_REGISTRIES),
        good="pip install clarion\n",
        bad="index = https://py" + "pi.org/simple\n",
        everywhere=True,
    ),
    Rule(
        "machine-path",
        "paths of one machine mean nothing elsewhere",
        "",
        _lines(_MACHINE),
        good="platform/clarion/work/jobs.py\n",
        bad="see /wor" + "k/main/README.md\n",
        everywhere=True,
    ),
)


def main() -> int:
    """Print what breaks a rule; answers the exit code."""
    found = findings()
    for one in found:
        print(one)
    for rule in RULES:
        if any(one.rule == rule.name for one in found):
            print(f"{rule.name}: {rule.why}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
