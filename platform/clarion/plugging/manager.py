"""Find the plugins, check their shape, call their hooks, remember what failed."""

import importlib.metadata
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pluggy
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from clarion.base.errors import ClarionError
from clarion.base.telemetry import logger
from clarion.plugging import hookspecs
from clarion.plugging.manifest import NavItem, Permission, Plugin

log = logger(__name__)
GROUP, API = "clarion.plugins", Version("1.0")
RESERVED = ("on", "barred")  # settings that are the platform's own
LOOK_SECONDS = 3.0  # so old may be what a process knows of the switches
LATE_SECONDS = {"before": 2.0, "render": 1.0}  # a call that takes longer has overrun
FAULTS = 5  # so many in one process are told before the ten seconds are over


class PluginError(Exception):
    """A plugin cannot be loaded or registered; names the plugin and says why."""


class Shut(ClarionError):
    """A plugin that guards this act is on but cannot be asked: the act does not happen."""

    status = 503
    retry = True


@dataclass
class Found:
    """One entry point and what became of it: found, off, loaded or failed."""

    name: str
    dist: str
    target: str
    state: str = "found"
    error: str = ""
    load_ms: float = 0.0
    module: ModuleType | None = None
    plugin: Plugin | None = None
    hooks: tuple[str, ...] = field(default=())

    @property
    def about(self) -> str:
        """Say what the plugin is: the docstring of its `plugin.py`."""
        return (self.module.__doc__ or "").strip() if self.module else ""


class Spent(NamedTuple):
    """What calls of one hook took: how many, how many failed, microseconds, the longest."""

    calls: int = 0
    failures: int = 0
    micros: int = 0
    slowest: int = 0

    def plus(self, micros: int, failed: int) -> "Spent":
        """Add one call."""
        return Spent(
            self.calls + 1,
            self.failures + failed,
            self.micros + micros,
            max(self.slowest, micros),
        )


NOTHING = Spent()


class Strain(NamedTuple):
    """How calls of one hook went: how many, how many raised or overran, the last error."""

    calls: int = 0
    failed: int = 0
    late: int = 0
    error: str = ""

    @property
    def faults(self) -> int:
        """Calls that count against its budget."""
        return self.failed + self.late


CALM = Strain()


class Plugins:
    """The plugins of this process, in the order of `requires`."""

    def __init__(
        self,
        off: Collection[str] = (),
        *,
        strict: bool = False,
        guards: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.pm = pluggy.PluginManager("clarion")
        self.pm.add_hookspecs(hookspecs)
        self.found: dict[str, Found] = {}
        self.off, self.strict = frozenset(off), strict
        self._find()
        for name in self._ordered():
            self._check(self.found[name])
        self.guarded_by(lambda: guards or {})
        self.switched_by(lambda: ())
        self.rested_by(lambda: ())
        self._spent: dict[tuple[str, str], Spent] = {}
        self._strain: dict[tuple[str, str], Strain] = {}
        self._strained = False
        self._spending = threading.Lock()

    def guarded_by(self, read: Callable[[], Mapping[str, Collection[str]]]) -> None:
        """Say who knows the guards of the last good start: plugin → its before_* hooks.

        Asked at the first act that may be stopped, and then no more.
        """
        self._read_guards = read
        self._shut: dict[str, Collection[str]] | None = None

    def switched_by(self, read: Callable[[], Collection[str]]) -> None:
        """Say who knows which plugins are switched off for the whole installation.

        Asked at most every three seconds, and before the first use.
        """
        self._read_switches: Callable[[], Collection[str]] = read
        self._switched: frozenset[str] = frozenset()
        self.look_again()

    def rested_by(self, read: Callable[[], Collection[tuple[str, str]]]) -> None:
        """Say who knows which hooks of plugins rest now: (plugin, hook).

        Asked when `switched_by` is.
        """
        self._read_rests: Callable[[], Collection[tuple[str, str]]] = read
        self._rests: frozenset[tuple[str, str]] = frozenset()
        self.look_again()

    def look_again(self) -> None:
        """Ask at the next use which plugins are switched off, and which hooks rest."""
        self._look_at = 0.0

    @property
    def switched_off(self) -> frozenset[str]:
        """The plugins that staff switched off; they stay loaded, and nothing calls them."""
        self._look()
        return self._switched

    def rests(self, name: str, hook: str) -> bool:
        """Say whether a hook is not called for a while: it failed or overran too often."""
        self._look()
        return (name, hook) in self._rests

    def _look(self) -> None:
        if time.monotonic() >= self._look_at:
            self._switched = frozenset(self._read_switches())
            self._rests = frozenset(self._read_rests())
            self._look_at = time.monotonic() + LOOK_SECONDS

    def running(self, name: str) -> bool:
        """Say whether a plugin is loaded and nobody has switched it off."""
        return self.on(name) and name not in self.switched_off

    def owner_of(self, module: str) -> str | None:
        """Name the plugin that brings a module; None for the core's own."""
        top = module.partition(".")[0]
        if top == "clarion":
            return None
        for one in self.loaded():
            if one.target.partition(":")[0].partition(".")[0] == top:
                return one.name
        return None

    @contextmanager
    def timed(self, name: str, hook: str) -> Iterator[None]:
        """Count what is done with a hook's answer as time of that hook, and its failure."""
        start, error = time.perf_counter(), ""
        try:
            yield
        except Exception as e:
            error = type(e).__name__
            raise
        finally:
            micros = round((time.perf_counter() - start) * 1e6)
            with self._spending:
                had = self._spent.get((name, hook), NOTHING)
                more = had._replace(
                    micros=had.micros + micros, slowest=max(had.slowest, micros)
                )
                self._spent[name, hook] = more
            late = micros > LATE_SECONDS["before"] * 1e6
            if error or late:
                self.note(name, hook, error=error, late=late)

    def note(self, name: str, hook: str, *, error: str = "", late: bool = False) -> None:
        """Count one call against a hook's budget; handlers of events are counted alike.

        Args:
            name: of the plugin.
            hook: of the hook, or `job:` and the name of a handler.
            error: class of what it raised; "" when it went well.
            late: it took longer than it may.
        """
        with self._spending:
            had = self._strain.get((name, hook), CALM)
            now = Strain(
                had.calls + 1, had.failed + bool(error), had.late + late, error or had.error
            )
            self._strain[name, hook] = now
            self._strained = self._strained or now.faults >= FAULTS

    @property
    def strained(self) -> bool:
        """Say whether a hook had so many faults in this process that it should be told."""
        return self._strained

    def strain(self) -> dict[tuple[str, str], "Strain"]:
        """Hand over how the calls went of hooks that had faults, and begin anew."""
        with self._spending:
            found, self._strain, self._strained = self._strain, {}, False
        return {key: one for key, one in found.items() if one.faults}

    def spent(self) -> dict[tuple[str, str], "Spent"]:
        """Hand over what hooks took since the last time, by plugin and hook, and begin anew."""
        with self._spending:
            found, self._spent = self._spent, {}
        return found

    @property
    def shut(self) -> dict[str, Collection[str]]:
        """The guards that cannot be asked, because their plugin is not loaded."""
        if self._shut is None:
            self._shut = {
                name: hooks
                for name, hooks in self._read_guards().items()
                if name not in self.off and not self.on(name)
            }
        return self._shut

    def on(self, name: str) -> bool:
        """Say whether a plugin is loaded and not switched off for the deployment."""
        one = self.found.get(name)
        return one is not None and one.state == "loaded" and name not in self.off

    def loaded(self) -> list[Found]:
        """List the loaded plugins in the order of `requires`."""
        names = [name for name, _ in self.pm.list_name_plugin()]
        return [self.found[n] for n in names if self.on(n)]

    def guards(self) -> dict[str, list[str]]:
        """List the `before_…` hooks of each loaded plugin, to be stored at a good start."""
        pairs = (
            (f.name, [h for h in f.hooks if h.startswith("before_")]) for f in self.loaded()
        )
        return {name: hooks for name, hooks in pairs if hooks}

    def permissions(self, realm: str = "portal") -> dict[str, Permission]:
        """List every permission of a realm by its full name, `plugin.verb`."""
        return {
            f"{one.name}.{p.name}": p
            for one in self.loaded()
            if one.plugin
            for p in one.plugin.permissions
            if p.realm == realm
        }

    def nav(self, realm: str = "portal") -> list[tuple[str, NavItem]]:
        """List the menu entries of a realm as (plugin, item), in their order."""
        items = [
            (one.name, item)
            for one in self.loaded()
            if one.plugin
            for item in one.plugin.nav
            if item.realm == realm
        ]
        return sorted(items, key=lambda pair: pair[1].order)

    # --- calling: what an exception means depends on the kind of hook

    def register(self, hook: str, **given: Any) -> Iterator[tuple[str, Any]]:
        """At boot. A half-registered plugin cannot be undone: stop, with its name."""
        for name, call in self._calls(f"register_{hook}", lambda _: True, given):
            try:
                answer = call()
            except Exception as e:
                raise PluginError(f"{name}: register_{hook}: {e}") from e
            if answer is not None:
                yield name, answer

    def before(
        self, hook: str, who: Callable[[str], bool], **given: Any
    ) -> Iterator[tuple[str, Any]]:
        """In the transaction. What cannot be asked has not agreed."""

        def asked(name: str) -> bool:
            return name not in self.switched_off and who(name)

        for name, hooks in self.shut.items():
            if f"before_{hook}" in hooks and asked(name):
                raise Shut("plugin_shut", f"The plugin {name} is on, but is not loaded.")
        for name, call in self._calls(f"before_{hook}", asked, given):
            yield name, call()

    def render(
        self, place: str, who: Callable[[str], bool], context: dict[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """While a page is drawn. What raises draws nothing and is logged."""
        given = {"place": place, "context": context}

        hook = at("render_slot", place)

        def asked(name: str) -> bool:
            return (
                name not in self.switched_off and not self.rests(name, hook) and who(name)
            )

        for name, call in self._calls("render_slot", asked, given):
            try:
                answer = call()
            except Exception:
                log.exception("plugin.slot_failed", plugin=name, place=place)
                continue
            if answer:
                yield name, answer

    def _calls(
        self, hook: str, who: Callable[[str], bool], given: dict[str, Any]
    ) -> Iterator[tuple[str, Callable[[], Any]]]:
        # pluggy lists the last registered last; that is the order of `requires`
        for impl in getattr(self.pm.hook, hook).get_hookimpls():
            name = impl.plugin_name
            if self.on(name) and who(name):
                yield name, self._bound(impl, given, hook)

    def _bound(self, impl: Any, given: dict[str, Any], hook: str) -> Callable[[], Any]:
        def call() -> Any:
            start, failed, error = time.perf_counter(), 1, ""
            try:
                answer = impl.function(*(given[a] for a in impl.argnames))
                failed = 0
                return answer
            except Exception as e:
                error = type(e).__name__
                raise
            finally:
                micros = round((time.perf_counter() - start) * 1e6)
                with self._spending:
                    key = impl.plugin_name, hook
                    self._spent[key] = self._spent.get(key, NOTHING).plus(micros, failed)
                may = LATE_SECONDS.get(hook.partition("_")[0])
                if may is not None:  # of what happens once, at boot, nobody may take a rest
                    where, late = at(hook, given.get("place", "")), micros > may * 1e6
                    self.note(impl.plugin_name, where, error=error, late=late)
                if _tracing():
                    log.info("hook.called", hook=hook, plugin=impl.plugin_name, us=micros)

        return call

    # --- loading: a broken plugin is recorded, the site starts

    def _find(self) -> None:
        points = importlib.metadata.entry_points(group=GROUP)
        for ep in sorted(points, key=lambda e: e.name):
            dist = ep.dist.name if ep.dist else "?"
            one = self.found.get(ep.name)
            if one is None:
                one = self.found[ep.name] = Found(ep.name, dist, ep.value)
                if ep.name in self.off:
                    one.state = "off"
                else:
                    self._read(one, ep.load)
            elif (one.dist, one.target) != (dist, ep.value):  # else an old build
                one.error += f"a second one, from {dist}, is ignored"

    def _read(self, one: Found, load: Callable[[], ModuleType]) -> None:
        start = time.perf_counter()
        try:
            module = load()
            plugin = module.plugin
            if plugin.name != one.name:
                raise PluginError(f"calls itself {plugin.name!r}")
            if API not in SpecifierSet(plugin.api):
                raise PluginError(f"wants plugin API {plugin.api}, this is {API}")
            for setting in plugin.settings:
                if setting.name in RESERVED:
                    raise PluginError(f"a setting may not be called {setting.name!r}")
                if setting.secret and (setting.kind, setting.scope) != (str, "instance"):
                    raise PluginError(f"{setting.name}: a secret is a str of the instance")
            one.module, one.plugin = module, plugin
        except KeyboardInterrupt:
            raise
        except BaseException as e:  # SystemExit at import included
            self._failed(one, e)
        one.load_ms = (time.perf_counter() - start) * 1e3

    def _ordered(self) -> list[str]:
        order: list[str] = []
        visiting: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            one = self.found.get(name)
            if one is None or one.plugin is None or name in order:
                return
            if name in visiting:
                self._failed(one, PluginError(f"needs itself: {' → '.join((*path, name))}"))
                return
            visiting.add(name)
            for need in one.plugin.requires:
                visit(need, (*path, name))
            visiting.discard(name)
            if one.state == "found":
                order.append(name)

        for name in self.found:
            visit(name, ())
        return order

    def _check(self, one: Found) -> None:
        assert one.plugin is not None  # noqa: S101 -- _ordered lists read plugins only
        try:
            missing = [n for n in one.plugin.requires if not self.on(n)]
            if missing:
                raise PluginError(f"needs {', '.join(missing)}")
            self.pm.register(one.module, name=one.name)  # refuses wrong argument names
            callers = self.pm.get_hookcallers(one.module) or []
            unknown = [
                c.name
                for c in callers
                if not c.has_spec() and not all(i.optionalhook for i in c.get_hookimpls())
            ]
            if unknown:
                raise PluginError(
                    f"implements hooks that do not exist: {', '.join(unknown)}"
                )
            one.hooks = tuple(c.name for c in callers)
            one.state = "loaded"
        except Exception as e:
            if self.pm.has_plugin(one.name):
                self.pm.unregister(name=one.name)
            self._failed(one, e)

    def _failed(self, one: Found, error: BaseException) -> None:
        if self.strict:
            raise PluginError(f"{one.name}: {error}") from error
        one.state, one.error = "failed", f"{type(error).__name__}: {error}"
        log.error("plugin.failed", plugin=one.name, error=one.error)


def at(hook: str, place: str) -> str:
    """Name a hook as its budget does: what is drawn fails for itself in each place."""
    return f"{hook}:{place}" if place else hook


@cache
def _tracing() -> bool:
    from clarion.base.settings import settings

    return "hooks" in settings().trace


def histories() -> dict[str, Path]:
    """Find the migrations of each loaded plugin that has any, in dependency order."""
    places = {}
    for one in plugins().loaded():
        if one.module is not None and one.module.__file__:
            folder = Path(one.module.__file__).parent / "migrations"
            if folder.is_dir():
                places[one.name] = folder
    return places


@cache
def plugins() -> Plugins:
    """Load the plugins of this process, once."""
    from clarion.base.settings import settings

    return Plugins(off=settings().plugins_off)
