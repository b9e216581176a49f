"""Plugins: find what is installed, import what the config names, isolate what is broken, and call exactly one.

A plugin that cannot be imported, registered or configured is named with its reason and breaks nothing else: a connector
of it is failed, and its deliveries wait.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import pluggy

from bridge import hookspecs
from bridge.destinations import Destinations
from bridge.durations import parse_rate
from bridge.errors import Fault, PluginError, SettingsError
from bridge.health import Breaker, Place
from bridge.hookspecs import (
    PROJECT,
    ConnectorContext,
    ConnectorKind,
    DirectoryContext,
    DirectoryKind,
    Source,
    SourceContext,
    SourceKind,
)
from bridge.http import HttpClient
from bridge.memory import MemoryFeed, MemoryHistory, NobodyKnows
from bridge.redaction import Redactor
from bridge.retry import RetrySchedule
from bridge.services import Services
from bridge.settings import ConnectorSettings, DirectorySettings, Settings, SourceSettings, read_options, secrets_of

if TYPE_CHECKING:  # flask is imported for connectors that have pages
    from bridge.pages import Pages

ENTRY_POINTS = "callbridge"

Kind = TypeVar("Kind", SourceKind, ConnectorKind, DirectoryKind)


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed plugin, imported or not. `role` is known once it is imported; `state` is installed, loaded,
    failed."""

    name: str
    distribution: str
    version: str
    role: str | None = None
    state: str = "installed"
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """A configured source, ready to read posts."""

    name: str
    settings: SourceSettings
    source: Source


@dataclass(frozen=True, slots=True)
class LoadedConnector:
    """A configured connector; `error` says why it failed, and then `kind` and `plugin` may be missing."""

    name: str
    settings: ConnectorSettings
    kind: ConnectorKind | None = None
    plugin: object | None = None
    targets: tuple[str, ...] = ("",)
    pages: Pages | None = None
    error: str | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """Where its deliveries go: each has a lane and a health of its own."""
        return tuple((self.name, target) for target in self.targets)

    @property
    def policy(self) -> Policy:
        """How its deliveries are made: the config's word, else the kind's."""
        own, kind = self.settings, self.kind or _UNKNOWN_KIND
        schedule = own.retry.schedule if own.retry.schedule is not None else kind.retry_schedule
        concurrency = own.concurrency if own.concurrency is not None else kind.concurrency
        rate = own.rate if own.rate is not None else kind.rate
        return Policy(
            max_age=own.max_age if own.max_age is not None else kind.max_age,
            timeout=own.timeout if own.timeout is not None else kind.timeout,
            concurrency=concurrency if kind.threadsafe else 1,
            rate=rate if isinstance(rate, str) else None,  # a function of settings that could not be read
            schedule=RetrySchedule(schedule, own.retry.jitter),
            breaker=Breaker(own.breaker.failures, tuple(own.breaker.cooldown)),
            order_hold=own.order_hold if own.order_hold is not None else kind.order_hold,
            max_batch=max(1, kind.max_batch),
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """How the deliveries of a connector are made. Times are seconds; `rate` is text such as `1/s`."""

    max_age: float
    timeout: float
    concurrency: int
    rate: str | None
    schedule: RetrySchedule
    breaker: Breaker
    order_hold: float
    max_batch: int


@dataclass(frozen=True, slots=True)
class LoadedDirectory:
    """A configured directory; `error` says why it failed."""

    name: str
    settings: DirectorySettings
    plugin: object | None = None
    error: str | None = None


def _no_connector(_settings: Any, _context: ConnectorContext) -> object:
    raise PluginError("no plugin of this kind is installed")


_UNKNOWN_KIND = ConnectorKind(name="", create=_no_connector)


@dataclass(slots=True)
class Plugins:
    """Everything the config names, loaded. `faults` has every fault found on the way; `secrets` every secret of a
    plugin's settings."""

    installed: dict[str, Installed]
    sources: dict[str, LoadedSource] = field(default_factory=dict)
    connectors: dict[str, LoadedConnector] = field(default_factory=dict)
    directories: dict[str, LoadedDirectory] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    _configured: pluggy.PluginManager = field(default_factory=lambda: _new_manager())

    def caller(self, role: str, name: str, hook: str) -> Callable[..., Any] | None:
        """The hook of exactly the connector or directory `name` (`role`: connectors, directories); None where it does
        not implement it. Ask after loading: a subset made before would also call what is registered later."""
        own = f"{role}.{name}"
        plugin = self._configured.get_plugin(own)
        if plugin is None or not _implements(self._configured, plugin, hook):
            return None
        others = [other for other_name, other in self._configured.list_name_plugin() if other_name != own]
        return self._configured.subset_hook_caller(hook, others)

    def check(self, role: str, name: str) -> tuple[str | None, str | None]:
        """What the own check of a connector or directory says (None where it has none), and what is wrong, if anything.

        Both may hold secrets.
        """
        call = self.caller(role, name, "bridge_check")
        if call is None:
            return None, None
        try:
            return call() or "works", None
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
            return None, str(error) or type(error).__name__


def find_installed() -> dict[str, tuple[EntryPoint, Installed]]:
    """Every installed plugin by its kind's name, without importing any."""
    found: dict[str, tuple[EntryPoint, Installed]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        distribution = point.dist.name if point.dist else ""
        version = point.dist.version if point.dist else ""
        found.setdefault(point.name, (point, Installed(point.name, distribution, version)))
    return found


def examine_plugins(settings: Settings, services: Services | None = None) -> Plugins:
    """Import and configure what the settings name. Broken connectors and directories are in the result, as failed; a
    broken source is missing there; every fault is told. Without `services` connectors keep everything in memory."""
    loader = _Loader(settings, services)
    plugins = loader.plugins
    for name, source in settings.sources.items():
        loader.load_source(name, source)
    for name, connector in settings.connectors.items():
        plugins.connectors[name] = loader.load_connector(name, connector)
    for name, directory in settings.directories.items():
        plugins.directories[name] = loader.load_directory(name, directory)
    return plugins


def load_plugins(settings: Settings, services: Services | None = None) -> Plugins:
    """The plugins of a bridge that is to run.

    Raises SettingsError where a source is broken: the bridge could not read what comes in.
    """
    plugins = examine_plugins(settings, services)
    if plugins.sources.keys() != settings.sources.keys():
        raise SettingsError(plugins.faults)
    return plugins


def find_faults(settings: Settings) -> list[Fault]:
    """Every fault of the plugins the settings name, and of their keys; of settings with other faults too."""
    return examine_plugins(settings).faults


def load_kind(kind: ConnectorKind, name: str, table: Mapping[str, Any], services: Services | None = None) -> Plugins:
    """A connector of a kind that need not be installed, loaded as a bridge does it; `table` holds its keys in the
    config. For the test kit. Raises SettingsError where the core's keys are wrong."""
    settings = Settings.model_validate({"connectors": {name: {"kind": kind.name, "on": ["*"], **table}}})
    loader = _Loader(settings, services, {})
    loader.plugins.connectors[name] = loader.load_connector(name, settings.connectors[name], kind)
    return loader.plugins


def load_source_kind(name: str) -> SourceKind:
    """The source kind of that name. Raises PluginError."""
    return _Loader(Settings()).kind(SourceKind, "bridge_sources", "source", name)


class _Loader:
    def __init__(
        self,
        settings: Settings,
        services: Services | None = None,
        found: Mapping[str, tuple[EntryPoint, Installed]] | None = None,
    ) -> None:
        self._settings = settings
        self._services = services or Services(MemoryHistory(), lambda _: MemoryFeed(), NobodyKnows())
        self._http = _http_client(settings)
        self._found = find_installed() if found is None else found
        self._modules = _new_manager()
        self._broken: dict[str, str] = {}
        self._known_as: dict[str, str] = {}  # a module that brings several kinds is registered once, under the first
        self.plugins = Plugins({name: installed for name, (_, installed) in self._found.items()})

    def load_source(self, name: str, settings: SourceSettings) -> None:
        kind_name = settings.kind or name
        path = f"sources.{name}"
        try:
            kind = self.kind(SourceKind, "bridge_sources", "source", kind_name)
            options = read_options(kind.settings, settings.options, path)
            self.plugins.secrets |= secrets_of(options)
            source = kind.create(options, SourceContext(name, settings.timezone, settings.region))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
            self._fault(path, error)
            return
        self.plugins.sources[name] = LoadedSource(name, settings, source)

    def load_connector(
        self, name: str, settings: ConnectorSettings, kind: ConnectorKind | None = None
    ) -> LoadedConnector:
        path = f"connectors.{name}"
        loaded = LoadedConnector(name, settings, kind)
        try:
            kind = kind or self.kind(ConnectorKind, "bridge_connectors", "connector", settings.kind)
            loaded = LoadedConnector(name, settings, kind)
            options = read_options(kind.settings, settings.options, path)
            self.plugins.secrets |= secrets_of(options)
            kind = replace(kind, rate=_checked_rate(kind, options))
            loaded = LoadedConnector(name, settings, kind)
            plugin = kind.create(options, self._context(loaded))
            targets = _checked_targets(kind, options)
            self._register(path, plugin, "bridge_deliver")
            pages = self._pages(loaded, options)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
            return LoadedConnector(name, settings, loaded.kind, error=self._fault(path, error))
        return LoadedConnector(name, settings, kind, plugin, targets, pages)

    def _context(self, connector: LoadedConnector) -> ConnectorContext:
        policy, server = connector.policy, self._settings.server
        return ConnectorContext(
            name=connector.name,
            locale=self._settings.locale,
            timeout=policy.timeout,
            http=self._http.with_timeout(policy.timeout, policy.concurrency),
            log=logging.getLogger(f"callbridge.connectors.{connector.name}"),
            history=self._services.history,
            feed=self._services.feed(connector.name),
            directories=self._services.directories,
            events=connector.settings.event_types,
            public_url=server.public_url,
            pages_url=(server.public_url or server.local_url) + self._pages_path(connector),
        )

    def _pages_path(self, connector: LoadedConnector) -> str:
        """Where its pages are: at `/KIND/` for the first of a kind in the config, else at `/KIND/NAME/`."""
        kind = connector.settings.kind
        first = next(name for name, one in self._settings.connectors.items() if one.kind == kind)
        return f"/{quote(kind, safe='')}/" + ("" if connector.name == first else f"{connector.name}/")

    def _pages(self, connector: LoadedConnector, options: Any) -> Pages | None:
        call = self.plugins.caller("connectors", connector.name, "bridge_pages")
        if call is None or connector.kind is None:
            return None
        from bridge.pages import RESERVED, Pages

        if connector.settings.kind in RESERVED:
            raise PluginError(f"pages at /{connector.settings.kind} would hide the bridge's own")
        return Pages(connector.name, self._pages_path(connector), call(), connector.kind.streams(options))

    def load_directory(self, name: str, settings: DirectorySettings) -> LoadedDirectory:
        path = f"directories.{name}"
        try:
            kind = self.kind(DirectoryKind, "bridge_directories", "directory", settings.kind)
            options = read_options(kind.settings, settings.options, path)
            self.plugins.secrets |= secrets_of(options)
            log = logging.getLogger(f"callbridge.directories.{name}")
            http = self._http.with_timeout(settings.timeout)
            region = settings.region or next(iter(self._settings.sources.values())).region
            plugin = kind.create(options, DirectoryContext(name, settings.timeout, http, log, region))
            self._register(path, plugin, "bridge_lookup")
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
            return LoadedDirectory(name, settings, error=self._fault(path, error))
        return LoadedDirectory(name, settings, plugin)

    def kind(self, wanted: type[Kind], hook: str, role: str, name: str) -> Kind:
        """The kind of that name, from the plugin of that name. Raises PluginError."""
        if name not in self._found:
            near = difflib.get_close_matches(name, self._found, n=1)
            hint = f"did you mean `{near[0]}`?" if near else "`callbridge plugins` lists those that are"
            raise PluginError(f'no plugin of kind "{name}" is installed ({hint})')
        self._import(name)
        plugin = self._modules.get_plugin(self._known_as[name])
        if not _implements(self._modules, plugin, hook):
            raise PluginError(f'the plugin "{name}" brings no {role}')
        others = [other for _, other in self._modules.list_name_plugin() if other is not plugin]
        kinds: list[Iterable[Kind]] = self._modules.subset_hook_caller(hook, others)()
        for kind in chain.from_iterable(kinds):  # inside the caller's guard: it may be a generator
            if isinstance(kind, wanted) and kind.name == name:
                self.plugins.installed[name] = _with(self.plugins.installed[name], role=role, state="loaded")
                return kind
        raise PluginError(f'the plugin "{name}" brings no {role} of that name')

    def _import(self, name: str) -> None:
        if name in self._broken:
            raise PluginError(self._broken[name])
        if name in self._known_as:
            return
        point, installed = self._found[name]
        try:
            module = point.load()
            _check_hooks(module)
            self._known_as[name] = self._modules.get_name(module) or self._modules.register(module, name) or name
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            # SystemExit too: a plugin that exits when imported must not take the bridge with it.
            reason = f"the plugin {installed.distribution} cannot be loaded: {type(error).__name__}: {error}"
            self._broken[name] = reason
            self.plugins.installed[name] = _with(self.plugins.installed[name], state="failed", error=reason)
            raise PluginError(reason) from error

    def _register(self, name: str, plugin: object, required_hook: str) -> None:
        _check_hooks(plugin)
        manager = self.plugins._configured
        manager.register(plugin, name)
        if not _implements(manager, plugin, required_hook):
            manager.unregister(name=name)
            raise PluginError(f"the plugin does not implement {required_hook}")

    def _fault(self, path: str, error: BaseException) -> str:
        if isinstance(error, SettingsError):
            self.plugins.faults.extend(error.faults)
            return "; ".join(str(fault) for fault in error.faults)
        where = f"{path}.kind" if isinstance(error, PluginError) else path
        reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        reason = Redactor(self.plugins.secrets).clean(reason)  # a plugin may have put one of its own into it
        self.plugins.faults.append(Fault(where, reason))
        return reason


def _http_client(settings: Settings) -> HttpClient:
    """The client that those of all plugins are made of: it says what they may reach."""
    own = settings.http
    proxy = own.proxy.get_secret_value() if own.proxy else None
    return HttpClient(timeout=1, destinations=Destinations(own.allow, own.deny), proxy=proxy)


def _new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _check_hooks(plugin: object) -> None:
    """Refuse hooks that no specification knows: pluggy takes them silently, and a misspelt hook is never called."""
    manager = _new_manager()
    manager.register(plugin)
    manager.check_pending()


def _implements(manager: pluggy.PluginManager, plugin: object, hook: str) -> bool:
    return any(caller.name == hook for caller in manager.get_hookcallers(plugin) or ())


def _checked_rate(kind: ConnectorKind, options: Any) -> str | None:
    rate = kind.rate(options) if callable(kind.rate) else kind.rate
    try:
        if rate is not None:
            parse_rate(rate)
    except ValueError as error:
        raise PluginError(f"the rate of its kind: {error}") from None
    return rate


def _checked_targets(kind: ConnectorKind, options: Any) -> tuple[str, ...]:
    named = tuple(kind.targets(options))
    if not named or len(set(named)) != len(named) or not all(isinstance(target, str) for target in named):
        raise PluginError("a kind must name at least one target, each once, as text")
    if len(named) > 1 and not kind.threadsafe:
        raise PluginError("a kind that is not threadsafe has one target, as each is delivered to by itself")
    return named


def _with(installed: Installed, *, role: str | None = None, state: str, error: str | None = None) -> Installed:
    return Installed(installed.name, installed.distribution, installed.version, role or installed.role, state, error)


def describe_installed(plugins: Plugins) -> list[Mapping[str, Any]]:
    """One row for each installed plugin, imported or not."""
    return [
        {
            "name": one.name,
            "role": one.role,
            "distribution": one.distribution,
            "version": one.version,
            "state": one.state,
            "error": one.error,
        }
        for _, one in sorted(plugins.installed.items())
    ]
