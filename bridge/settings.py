"""The configuration: a TOML file, with environment variables and secret files over it; every fault at once.

The core reads its own keys here. Those of a plugin stay unread in `options` until the plugin's own model reads them
(`read_options`).
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    Secret,
    SecretBytes,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bridge.durations import Duration, PositiveDuration, Rate, parse_duration, parse_rate
from bridge.environment import (
    CONFIG_VARIABLE,
    SECRETS_VARIABLE,
    KeyPath,
    Texts,
    environment_texts,
    nested,
    secret_texts,
)
from bridge.errors import Fault, SettingsError
from bridge.faults import validate
from bridge.model import Direction, Locale
from bridge.values import (
    Cidr,
    Name,
    NumberText,
    Pattern,
    ProxyUrl,
    PublicUrl,
    Region,
    StoreUrl,
    Text,
    Token,
    matching_types,
)

__all__ = [
    "BreakerSettings",
    "ConnectorSettings",
    "DirectorySettings",
    "Duration",
    "FaultySettingsError",
    "HttpSettings",
    "IntakeSettings",
    "LogSettings",
    "PrivacySettings",
    "RetrySettings",
    "ServerSettings",
    "Settings",
    "SourceSettings",
    "StoreSettings",
    "WhenSettings",
    "load_settings",
    "parse_duration",
    "parse_rate",
    "read_options",
    "secrets_of",
]

DEFAULT_FILE = Path("config/bridge.toml")

M = TypeVar("M", bound=BaseModel)


# --- tables -------------------------------------------------------------------------------------------------------


class Table(BaseModel):
    """A table whose keys are all the core's."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PluginTable(BaseModel):
    """A table whose other keys are a plugin's."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    @property
    def options(self) -> dict[str, Any]:
        """The plugin's own keys, unread (see `read_options`); they may hold secrets as plain text."""
        return dict(self.model_extra or {})

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(key, value) for key, value in super().__repr_args__() if key in type(self).model_fields]


class ServerSettings(Table):
    """Where the bridge listens. `public_url` is how the PBX reaches it, without a slash at the end."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    public_url: PublicUrl | None = None
    trusted_proxies: tuple[Cidr, ...] = ()
    monitor_from: tuple[Cidr, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

    @property
    def local_url(self) -> str:
        """Where this machine reaches the bridge, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the bridge."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


class IntakeSettings(Table):
    """Who may post. `duplicate_window`: seconds in which an identical form is the same one again; `wrong_tokens`: how
    many of one address are told so, the others are told to wait."""

    tokens: tuple[Token, ...] = ()
    open: bool = False
    allow_from: tuple[Cidr, ...] = ()
    duplicate_window: Duration = 10.0
    wrong_tokens: Rate = "20/1m"


class StoreSettings(Table):
    """Where everything is kept: an SQLAlchemy URL, of SQLite or PostgreSQL."""

    url: StoreUrl = SecretStr("sqlite:///var/callbridge.db")

    @property
    def passwords(self) -> set[str]:
        """What of the URL is secret, as it is written and as it is meant. The rest may be told to people."""
        url = urlsplit(self.url.get_secret_value())
        written = [
            url.password,
            *(value for name, value in parse_qsl(url.query) if name in ("password", "sslpassword")),
        ]
        return {form for one in written if one for form in (one, unquote(one))}


class HttpSettings(Table):
    """What connectors and directories may reach: `allow` names the inside networks (empty: all), `deny` what may not be
    reached at all; `proxy` is the way out."""

    allow: tuple[Cidr, ...] = ()
    deny: tuple[Cidr, ...] = ()
    proxy: ProxyUrl | None = None


class PrivacySettings(Table):
    """How long people are remembered (`retention`, seconds), and which connectors (True: all) see no whole number."""

    retention: PositiveDuration = 90 * 86400.0
    mask_numbers: bool | tuple[Name, ...] = ()

    def masks(self, connector: str) -> bool:
        """Whether a connector sees no whole number."""
        return self.mask_numbers if isinstance(self.mask_numbers, bool) else connector in self.mask_numbers


class LogSettings(Table):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class SourceSettings(PluginTable):
    """One PBX. `silence`: seconds without an event after which `bridge.source_silent` is raised."""

    kind: Text
    timezone: ZoneInfo = ZoneInfo("Europe/Istanbul")
    region: Region = "TR"
    silence: PositiveDuration | None = None


class WhenSettings(Table):
    """Which events a connector gets, besides their type; an empty list restricts nothing."""

    queue: tuple[NumberText, ...] = ()
    direction: tuple[Direction, ...] = ()
    tenant: tuple[NumberText, ...] = ()
    called: tuple[NumberText, ...] = ()
    dialed_user: tuple[NumberText, ...] = ()


class RetrySettings(Table):
    """When to try again: seconds from try to try (None: the kind's own; empty: never), longer by up to `jitter`."""

    schedule: tuple[Duration, ...] | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2


class BreakerSettings(Table):
    """After `failures` in a row (0: never) pause for the first `cooldown` (seconds), probe, pause for the next, …"""

    failures: Annotated[int, Field(ge=0)] = 5
    cooldown: Annotated[tuple[Duration, ...], Field(min_length=1)] = (30.0, 60.0, 120.0, 300.0)


class ConnectorSettings(PluginTable):
    """A configured, named destination. None stands for the kind's own value; all times are seconds."""

    kind: Text
    on: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    when: WhenSettings = WhenSettings()
    max_age: PositiveDuration | None = None
    timeout: PositiveDuration | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    rate: Rate | None = None
    retry: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    order_hold: Duration | None = None

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The event types that `on` means."""
        return frozenset(each for pattern in self.on for each in matching_types(pattern))

    def wants(self, event_type: str) -> bool:
        """Whether `on` names this event type."""
        return event_type in self.event_types


class DirectorySettings(PluginTable):
    """A place that knows who has a number. `timeout`: seconds it may take, of those a delivery's lease has to spare.
    `region`: the country of national numbers (None: that of the first source)."""

    kind: Text
    timeout: Annotated[PositiveDuration, Field(le=10)] = 1.5
    region: Region | None = None


PLUGIN_TABLES: Mapping[str, type[PluginTable]] = {
    "sources": SourceSettings,
    "connectors": ConnectorSettings,
    "directories": DirectorySettings,
}


# --- the whole ----------------------------------------------------------------------------------------------------


class FaultySettingsError(SettingsError):
    """The settings have faults. `rest` is what they are without the faulty ones (None where nothing can be read).

    With it a check can go on to the plugins' keys. Never run a bridge with it.
    """

    def __init__(self, faults: Iterable[Fault], rest: Settings | None) -> None:
        super().__init__(tuple(faults))
        self.rest = rest


class Settings(BaseSettings):
    """The settings of the core. Made only from what is given: `load_settings` adds the file and the environment.

    Raises FaultySettingsError with every fault.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    locale: Locale = "en"
    strict: bool = False
    server: ServerSettings = ServerSettings()
    intake: IntakeSettings = IntakeSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    privacy: PrivacySettings = PrivacySettings()
    log: LogSettings = LogSettings()
    # A config without sources means the PBX the bridge was made for, so that the shortest config works.
    sources: Annotated[dict[Name, SourceSettings], Field(min_length=1)] = {
        "bulutsantralim": SourceSettings(kind="bulutsantralim")
    }
    connectors: dict[Name, ConnectorSettings] = {}
    directories: dict[Name, DirectorySettings] = {}

    @classmethod
    def settings_customise_sources(cls, *_: Any, **layers: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing that was not given: not the environment of whoever imports this."""
        return (layers["init_settings"],)

    @field_validator("sources", mode="before")
    @classmethod
    def _kind_is_the_name(cls, sources: object) -> object:
        if not isinstance(sources, Mapping):
            return sources
        return {
            name: {"kind": name, **source} if isinstance(source, Mapping) else source
            for name, source in sources.items()
        }

    @model_validator(mode="wrap")
    @classmethod
    def _every_fault_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[Settings]) -> Settings:
        settings, faults = validate(handler, data, cls, stand_in=_stand_in)
        if settings is not None:
            said = {fault.path for fault in faults}
            faults += [fault for fault in _conflicts(settings) if fault.path not in said]
        if settings is None or faults:
            raise FaultySettingsError(faults, settings)
        return settings


def _stand_in(path: KeyPath) -> object | None:
    """A connector with a faulty `on` stays, so that its other keys and the plugin's can be checked."""
    return ["*"] if path[:1] == ("connectors",) and path[2:] == ("on",) else None


def _conflicts(settings: Settings) -> Iterator[Fault]:
    for number, token in enumerate(settings.intake.tokens, 1):
        if token.get_secret_value() in settings.sources:
            yield Fault("intake.tokens", f"item {number}: a token must not be the name of a source, as both are paths")
    masked = settings.privacy.mask_numbers
    for name in () if isinstance(masked, bool) else masked:
        if name not in settings.connectors:
            yield Fault("privacy.mask_numbers", f"there is no connector {name}")
    if not settings.intake.tokens and not settings.intake.open and not settings.server.on_loopback:
        reason = "anybody who reaches the bridge could post: set a token"
        yield Fault("intake.tokens", f"{reason}, or server.host = 127.0.0.1, or intake.open = true")


# --- reading ------------------------------------------------------------------------------------------------------


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of the file, with the secret files and then the environment over it.

    The file is `path`, else the one `CALLBRIDGE_CONFIG` names, else `config/bridge.toml`; without any, the environment
    alone will do. Raises SettingsError with every fault.
    """
    faults: list[Fault] = []
    texts = {**_secret_files(environ, faults), **environment_texts(environ)}
    path = config_file(path, environ)
    tables = _tables(path if path is not None or texts else DEFAULT_FILE, faults)
    if faults:
        raise SettingsError(faults)
    layers = (InitSettingsSource(Settings, nested(texts, tables)), InitSettingsSource(Settings, tables))

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(cls, *_: Any, **__: Any) -> tuple[PydanticBaseSettingsSource, ...]:
            return layers

    return Layered()


def config_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The config file `load_settings` reads; None where none is named and there is none at the usual place."""
    if path is None and environ.get(CONFIG_VARIABLE):
        path = Path(environ[CONFIG_VARIABLE])
    return path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def _tables(path: Path | None, faults: list[Fault]) -> dict[str, Any]:
    try:
        if path is not None and not path.is_file():
            faults.append(Fault("", f"{path}: there is no such file (`callbridge init` writes one)"))
        elif path is not None:
            return tomllib.loads(path.read_text("utf-8-sig"))  # editors of Windows begin a file with a mark
    except OSError as error:
        faults.append(Fault("", f"{path}: cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        faults.append(Fault("", f"{path}: is no UTF-8 text"))
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault("", f"{path}: is no TOML: {error}"))
    return {}


def _secret_files(environ: Mapping[str, str], faults: list[Fault]) -> Texts:
    directory = environ.get(SECRETS_VARIABLE)
    try:
        return secret_texts(Path(directory)) if directory else {}
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault("", f"{SECRETS_VARIABLE}={directory}: cannot be read: {error}"))
        return {}


def read_options(model: type[M], options: Mapping[str, Any], path: str) -> M:
    """A plugin's own keys, read by its model. `path` is their table, such as `connectors.missed_to_slack`.

    Raises SettingsError with every fault. A key the model does not know is one, unless the model says `extra="allow"`.
    """
    extra: Literal["allow", "forbid"] = "allow" if model.model_config.get("extra") == "allow" else "forbid"
    table = tuple(path.split("."))
    core = PLUGIN_TABLES.get(table[0], PluginTable).model_fields
    read, faults = validate(
        lambda data: model.model_validate(data, extra=extra), dict(options), model, path=table, also_known=core
    )
    if read is None or faults:
        raise SettingsError(faults)
    return read


def secrets_of(value: object) -> set[str]:
    """Every secret text within models, dataclasses, mappings and lists."""
    if isinstance(value, StoreSettings):
        return value.passwords
    if isinstance(value, SecretBytes):
        return {value.get_secret_value().decode("utf-8", "replace")}
    if isinstance(value, SecretStr | Secret):
        return {str(value.get_secret_value())} - {""}
    if isinstance(value, BaseModel):
        return secrets_of([*dict(value).values()])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return secrets_of([getattr(value, field.name) for field in dataclasses.fields(value)])
    if isinstance(value, Mapping):
        return secrets_of([*value.values()])
    if isinstance(value, list | tuple | set | frozenset):
        return {secret for each in value for secret in secrets_of(each)}
    return set()
