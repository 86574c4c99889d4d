"""What somebody is building in the form of a segment: a rule that may be unfinished.

A sketch is a tree of plain texts as the form sends them. A group is `{"group": "and",
"of": […]}`; a rule is `{"what": "field:name", "test": "contains", "value": "ana"}`. In the
form each has a path, `0.2.1`, and each part of a rule is a field named `0.2.1:value`.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

Sketch = dict[str, Any]  # Any: texts, or a list of sketches
GROUPS = ("and", "or", "none")
PARTS = (
    "what", "test", "value", "to", "days", "times", "campaign", "reason", "code",
    "purpose", "percent", "seed", "kind",
)  # fmt: skip
DEEPEST, MOST = 6, 60
PICKED = ("tag", "list", "import", "segment", "snapshot")
NUMBERS = ("percent",)
WHOLE = ("days", "times")


def blank() -> Sketch:
    """Begin with one group and one rule in it, not chosen yet."""
    return {"group": "and", "of": [{"what": ""}]}


def read(form: Mapping[str, str]) -> Sketch:
    """Read the tree that the form sends."""
    return _read(form, "0", [MOST * 2]) or blank()


def _read(form: Mapping[str, str], path: str, left: list[int]) -> Sketch | None:
    left[0] -= 1
    if left[0] < 0 or path.count(".") > DEEPEST:
        return None
    if f"{path}:group" in form:
        kind = form[f"{path}:group"]
        of: list[Sketch] = []
        while (one := _read(form, f"{path}.{len(of)}", left)) is not None:
            of.append(one)
        return {"group": kind if kind in GROUPS else "and", "of": of}
    if f"{path}:what" not in form:
        return None
    named = ((part, form.get(f"{path}:{part}", "").strip()) for part in PARTS)
    return {part: text for part, text in named if text or part == "what"}


# --- acts: what a button of the form does


def act(sketch: Sketch, given: str) -> tuple[Sketch, str]:
    """Do what a button says, like `add 0.1`; returns the sketch and where to look then."""
    verb, _blank, path = given.partition(" ")
    known = _ACTS.get(verb)
    steps = _steps(path)
    if known is None or steps is None or _at(sketch, steps) is None:
        return sketch, ""
    return sketch, known(sketch, steps)


def size(sketch: Sketch) -> int:
    """Count rules and groups."""
    return 1 + sum(map(size, sketch.get("of", ())))


def _add(sketch: Sketch, steps: list[int]) -> str:
    group = _at(sketch, steps)
    if group is None or "of" not in group or size(sketch) >= MOST:
        return ""
    group["of"].append({"what": ""})
    return _path([*steps, len(group["of"]) - 1])


def _add_group(sketch: Sketch, steps: list[int]) -> str:
    group = _at(sketch, steps)
    full = size(sketch) >= MOST or len(steps) >= DEEPEST - 1
    if group is None or "of" not in group or full:
        return ""
    kind = "or" if group["group"] == "and" else "and"
    group["of"].append({"group": kind, "of": [{"what": ""}]})
    return _path([*steps, len(group["of"]) - 1, 0])


def _remove(sketch: Sketch, steps: list[int]) -> str:
    above = _above(sketch, steps)
    if above is None:
        return ""
    del above["of"][steps[-1]]
    if not above["of"] and len(steps) > 1:
        return _remove(sketch, steps[:-1])  # a group without rules says nothing
    if above["of"]:
        return _path([*steps[:-1], min(steps[-1], len(above["of"]) - 1)])
    return _path(steps[:-1])


def _copy(sketch: Sketch, steps: list[int]) -> str:
    above, mine = _above(sketch, steps), _at(sketch, steps)
    if above is None or mine is None or size(sketch) + size(mine) > MOST:
        return ""
    above["of"].insert(steps[-1] + 1, _again(mine))
    return _path([*steps[:-1], steps[-1] + 1])


def _indent(sketch: Sketch, steps: list[int]) -> str:
    """Put a rule into a group of its own, where others can join it."""
    above, mine = _above(sketch, steps), _at(sketch, steps)
    if above is None or mine is None or len(steps) + _depth(mine) >= DEEPEST:
        return ""
    kind = "or" if above["group"] == "and" else "and"
    above["of"][steps[-1]] = {"group": kind, "of": [mine]}
    return _path([*steps, 0])


def _outdent(sketch: Sketch, steps: list[int]) -> str:
    """Move a rule out of its group, behind it; a group left empty goes."""
    if len(steps) < 2:
        return ""
    group, above = _at(sketch, steps[:-1]), _above(sketch, steps[:-1])
    if group is None or above is None:
        return ""
    mine = group["of"].pop(steps[-1])
    at = steps[-2] + 1
    if not group["of"]:
        del above["of"][steps[-2]]
        at -= 1
    above["of"].insert(at, mine)
    return _path([*steps[:-2], at])


def _up(sketch: Sketch, steps: list[int]) -> str:
    above = _above(sketch, steps)
    if above is None or steps[-1] == 0:
        return ""
    of, at = above["of"], steps[-1]
    of[at - 1], of[at] = of[at], of[at - 1]
    return _path([*steps[:-1], at - 1])


def _down(sketch: Sketch, steps: list[int]) -> str:
    above = _above(sketch, steps)
    if above is None or steps[-1] + 1 >= len(above["of"]):
        return ""
    of, at = above["of"], steps[-1]
    of[at], of[at + 1] = of[at + 1], of[at]
    return _path([*steps[:-1], at + 1])


_ACTS = {
    "add": _add,
    "group": _add_group,
    "remove": _remove,
    "copy": _copy,
    "indent": _indent,
    "outdent": _outdent,
    "up": _up,
    "down": _down,
}


def _again(mine: Sketch) -> Sketch:
    copy = {key: value for key, value in mine.items() if key != "of"}
    if "of" in mine:
        copy["of"] = [_again(one) for one in mine["of"]]
    return copy


def _depth(mine: Sketch) -> int:
    return 1 + max(map(_depth, mine.get("of", ())), default=0)


def _steps(path: str) -> list[int] | None:
    parts = path.split(".")
    if parts[0] != "0" or not all(p.isdecimal() and len(p) < 4 for p in parts):
        return None
    return [int(one) for one in parts[1:]]


def _path(steps: list[int]) -> str:
    return ".".join(["0", *map(str, steps)])


def _at(sketch: Sketch, steps: list[int]) -> Sketch | None:
    for step in steps:
        of = sketch.get("of", ())
        if step >= len(of):
            return None
        sketch = of[step]
    return sketch


def _above(sketch: Sketch, steps: list[int]) -> Sketch | None:
    return _at(sketch, steps[:-1]) if steps else None


# --- between sketches and rules


def to_rule(sketch: Sketch) -> dict[str, Any]:
    """Write the rule a sketch means; whether it is finished is for the rules to say."""
    if "of" in sketch:
        return {"op": sketch["group"], "of": [to_rule(one) for one in sketch["of"]]}
    what, _colon, name = sketch.get("what", "").partition(":")
    test = sketch.get("test", "")
    rule: dict[str, Any] = {"op": what or "field"}
    if test.startswith("not_"):
        rule["not"], test = True, test.removeprefix("not_")
    write = _WRITTEN.get(what)
    if what in PICKED:
        return rule | {what: sketch.get("value", "")}
    return rule | write(name, test, sketch) if write else rule


def of_rule(rule: Mapping[str, Any]) -> Sketch:
    """Draw what a stored rule means; the outermost is always a group."""
    drawn = _drawn(rule)
    return drawn if "of" in drawn else {"group": "and", "of": [drawn]}


def _consent(name: str, test: str, sketch: Sketch) -> dict[str, Any]:
    purpose = sketch.get("purpose", "marketing")
    return {"part": name, "purpose": purpose, "test": test, **_values(sketch)}


def _field(name: str, test: str, sketch: Sketch) -> dict[str, Any]:
    rule = {"field": name, "test": test, **_values(sketch)}
    if sketch.get("kind"):
        rule["kind"] = sketch["kind"]
    if sketch.get("kind") == "number":
        rule |= {key: _number(sketch.get(key, "")) for key in ("value", "to")}
    return rule


def _values(sketch: Sketch, *only: str) -> dict[str, Any]:
    parts = only or ("value", "to", "days", "times", "campaign", "reason", "code")
    given = {part: sketch[part] for part in parts if part in sketch}
    for part in (*NUMBERS, *WHOLE):
        if part in given:
            given[part] = _number(given[part])
    return given


_WRITTEN: Mapping[str, Callable[[str, str, Sketch], dict[str, Any]]] = {
    "field": _field,
    "consent": _consent,
    "campaign": lambda _name, test, sketch: {"did": test, **_values(sketch)},
    "inbound": lambda _name, test, sketch: {"test": test or "ever", **_values(sketch)},
    "share": lambda _name, _test, sketch: {
        "seed": sketch.get("seed", ""),
        **_values(sketch, "percent"),
    },
    "holdout": lambda _name, _test, sketch: {
        "name": sketch.get("value", ""),
        **_values(sketch, "percent"),
    },
}


def _number(text: str) -> int | float | str:
    """Read a number as people write it; what is none stays, and is refused with a reason."""
    plain = text.replace(",", ".")
    try:
        return int(plain) if plain.lstrip("+-").isdecimal() else float(plain)
    except ValueError:
        return text


def _drawn(rule: Mapping[str, Any]) -> Sketch:
    op, of = str(rule.get("op", "")), rule.get("of", [])
    if op in (*GROUPS, "not"):
        drawn = [_drawn(one) for one in of]
        return {"group": "none" if op == "not" else op, "of": drawn}
    if op == "all":
        return {"group": "and", "of": []}
    turned = "not_" if rule.get("not") else ""
    test = str(rule.get("did") or rule.get("test") or "")
    given = {
        part: _plain(rule[part]) for part in PARTS[2:] if rule.get(part) not in (None, "")
    }
    what = op
    if op == "field":
        what = f"field:{rule.get('field', '')}"
    elif op == "consent":
        what, test = f"consent:{rule.get('part', 'state')}", test or "is"
    elif op == "inbound":
        test = test or "ever"
    elif op == "holdout":
        given["value"], test = str(rule.get("name", "")), "is"
    elif op in PICKED:
        given["value"], test = str(rule.get(op, "")), "is"
    elif op != "campaign":
        test = "is"
    return {"what": what, "test": f"{turned}{test}", **given}


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def draw() -> str:
    """Name a new draw of a random share."""
    return uuid4().hex[:12]
