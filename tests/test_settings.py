"""What the keys of the configuration mean, their defaults and their limits."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from bridge.errors import SettingsError
from bridge.settings import (
    PLUGIN_TABLES,
    ConnectorSettings,
    Settings,
    load_settings,
    parse_duration,
    parse_rate,
    secrets_of,
)

EXAMPLE = Path(__file__).parent.parent / "config" / "bridge.toml"


def made(**tables: Any) -> Settings:
    return Settings(**tables)


def connector(**keys: Any) -> ConnectorSettings:
    return made(connectors={"x": {"kind": "slack", "on": ["call.missed"], **keys}}).connectors["x"]


def faults(**tables: Any) -> dict[str, str]:
    """The faults of these settings, by key path."""
    with pytest.raises(SettingsError) as caught:
        Settings(**tables)
    return {fault.path: fault.message for fault in caught.value.faults}


def connector_faults(**keys: Any) -> dict[str, str]:
    found = faults(connectors={"x": {"kind": "slack", "on": ["call.missed"], **keys}})
    return {path.removeprefix("connectors.x."): message for path, message in found.items()}


# --- durations and rates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.5s", 0.5),
        ("90s", 90),
        ("10m", 600),
        ("24h", 86400),
        ("90d", 7776000),
        ("1m30s", 90),
        ("7", 7),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_a_duration_reads_with_a_unit_or_as_a_number_of_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", -5, "5 parsecs", "s", True, None, float("inf"), float("nan"), [1]])
def test_what_is_no_duration_is_an_error_that_shows_how_to_write_one(text: object) -> None:
    with pytest.raises(ValueError, match=r'write "0\.5s", "90s", "10m"'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/s", (1, 1)),
        ("30/m", (30, 60)),
        ("100/h", (100, 3600)),
        ("5/minute", (5, 60)),
        ("2 per second", (2, 1)),
        ("1/30s", (1, 30)),
        ("3 / 2.5 min", (3, 150)),
        ("1/0.5s", (1, 0.5)),
    ],
)
def test_a_rate_reads_as_a_count_and_a_period(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "1", "0/s", "1/day", "-1/s", "fast", "1/0s", "1/30"])
def test_what_is_no_rate_is_an_error_that_shows_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match='write "1/s"'):
        parse_rate(text)


# --- the core's tables --------------------------------------------------------------------------------------------


def test_settings_have_defaults_that_run_on_this_machine_alone() -> None:
    settings = Settings()
    assert (settings.locale, settings.strict) == ("en", False)
    assert (settings.server.host, settings.server.port, settings.server.public_url) == ("127.0.0.1", 8080, None)
    assert [str(network) for network in settings.server.monitor_from] == ["127.0.0.0/8", "::1/128"]
    assert settings.server.trusted_proxies == ()
    assert (settings.intake.tokens, settings.intake.open, settings.intake.allow_from) == ((), False, ())
    assert settings.intake.duplicate_window == 10
    assert settings.store.url.get_secret_value() == "sqlite:///var/callbridge.db"
    assert settings.log.level == "info"
    assert settings.connectors == {}
    assert settings.directories == {}


def test_settings_read_nothing_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALE", "tr")
    monkeypatch.setenv("CALLBRIDGE_LOCALE", "tr")
    assert Settings().locale == "en"


def test_without_sources_the_first_pbx_is_meant() -> None:
    (name, source), *others = Settings().sources.items()
    assert (name, source.kind, source.timezone, source.region) == (
        "bulutsantralim",
        "bulutsantralim",
        ZoneInfo("Europe/Istanbul"),
        "TR",
    )
    assert source.silence is None
    assert others == []


def test_a_source_is_of_the_kind_of_its_name_unless_it_says_so() -> None:
    sources = made(sources={"mine": {"region": "DE"}, "office": {"kind": "mine", "silence": "2h"}}).sources
    assert [source.kind for source in sources.values()] == ["mine", "mine"]
    assert sources["office"].silence == 7200


def test_other_keys_of_a_source_connector_or_directory_are_the_plugins() -> None:
    settings = made(
        sources={"pbx": {"answered_means": "missed"}},
        connectors={"x": {"kind": "slack", "on": ["*"], "webhook_url": "u", "options": 1, "wants": 2}},
        directories={"crm": {"kind": "sheet", "path": "a.csv"}},
    )
    assert settings.sources["pbx"].options == {"answered_means": "missed"}
    assert settings.connectors["x"].options == {"webhook_url": "u", "options": 1, "wants": 2}
    assert settings.directories["crm"].options == {"path": "a.csv"}
    assert settings.directories["crm"].timeout == 1.5


def test_a_plugins_keys_and_tokens_do_not_show_in_the_repr() -> None:
    settings = made(
        intake={"tokens": ["s3cret-token"]},
        connectors={"x": {"kind": "slack", "on": ["*"], "webhook_url": "s3cret-url"}},
    )
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings.connectors["x"])


@pytest.mark.parametrize(
    ("tables", "path", "words"),
    [
        ({"locale": "de"}, "locale", 'must be "en" or "tr"'),
        ({"strict": "perhaps"}, "strict", "true or false"),
        ({"server": {"port": 0}}, "server.port", "must be greater than or equal to 1"),
        ({"server": {"port": "many"}}, "server.port", "must be a whole number"),
        ({"server": {"public_url": "calls.example.com"}}, "server.public_url", "https://calls.example.com"),
        ({"server": {"trusted_proxies": ["proxy"]}}, "server.trusted_proxies", "10.0.0.0/8"),
        ({"server": {"trusted_proxies": "127.0.0.1"}}, "server.trusted_proxies", "must be a list"),
        ({"server": {"monitor_from": ["10.1.2.3/8"]}}, "server.monitor_from", "the network is 10.0.0.0/8"),
        ({"server": "here"}, "server", "must be a table"),
        ({"intake": {"duplicate_window": -1}}, "intake.duplicate_window", "is no duration"),
        ({"intake": {"tokens": [12345]}}, "intake.tokens", "must be text, in quotes"),
        ({"log": {"level": "loud"}}, "log.level", '"debug"'),
        ({"sources": {}}, "sources", "must not be empty"),
        ({"sources": {"pbx": {"timezone": "Europe/Istambul"}}}, "sources.pbx.timezone", "Europe/Istanbul"),
        ({"sources": {"pbx": {"region": "Turkey"}}}, "sources.pbx.region", "TR"),
        ({"sources": {"pbx": {"silence": "0s"}}}, "sources.pbx.silence", "greater than 0"),
        ({"directories": {"crm": {}}}, "directories.crm.kind", "is required"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_a_remedy(tables: dict[str, Any], path: str, words: str) -> None:
    found = faults(**tables)
    assert list(found) == [path]
    assert words in found[path]


@pytest.mark.parametrize("url", ["postgresql+asyncpg://me:hunter2@db/calls", "mysql://me:hunter2@db", "var/calls.db"])
def test_another_store_than_sqlite_or_postgresql_is_refused_without_showing_its_password(url: str) -> None:
    message = faults(store={"url": url})["store.url"]
    assert "must be an SQLite file or a PostgreSQL database" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@db", "postgresql+psycopg://db/", "postgresql:///?host=db"])
def test_a_postgresql_url_without_a_database_is_refused_without_showing_its_password(url: str) -> None:
    message = faults(store={"url": url})["store.url"]
    assert "must name a database" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        ("postgresql+psycopg://me:hunter%2f2@db:5433/calls", {"hunter%2f2", "hunter/2"}),
        ("postgresql:///calls?host=/run/postgresql&user=me&password=hunter2", {"hunter2"}),
        ("postgresql://me@db/calls", set()),
        ("sqlite:///var/calls.db", set()),
    ],
)
def test_of_a_store_only_the_password_is_secret_but_nothing_of_it_is_shown(url: str, passwords: set[str]) -> None:
    settings = Settings(store={"url": url})
    assert secrets_of(settings) == passwords
    assert "hunter" not in repr(settings)
    assert "hunter" not in str(settings.model_dump())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_that_would_forget_is_refused(url: str) -> None:
    assert "must name a file" in faults(store={"url": url})["store.url"]


@pytest.mark.parametrize("name", ["a__b", "Slack", "1st", "a-b", "ç", "_a"])
def test_names_are_lower_case_words_without_a_double_underscore(name: str) -> None:
    found = faults(sources={name: {}}, connectors={name: {"kind": "slack", "on": ["*"]}})
    assert list(found) == [f"sources.{name}", f"connectors.{name}"]
    assert all("is no name" in message for message in found.values())


# --- who may post -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["socks5://office:s3cret@proxy:1080", "https://proxy", "office:s3cret@proxy", "http://p/x"]
)
def test_another_proxy_than_one_of_http_is_refused_without_showing_its_password(url: str) -> None:
    found = faults(http={"proxy": url})
    assert found == {"http.proxy": "must be the address of an HTTP proxy, such as http://proxy.example.com:3128"}
    assert "s3cret" not in repr(Settings(http={"proxy": "http://office:s3cret@proxy:3128"}))
    assert secrets_of(Settings(http={"proxy": "http://office:s3cret@proxy"})) == {"http://office:s3cret@proxy"}


def test_numbers_are_masked_for_some_connectors_or_for_all() -> None:
    connectors = {name: {"kind": "slack", "on": ["*"]} for name in ("chat", "crm")}
    for masked, seen in (([], []), (["crm"], ["crm"]), (True, ["chat", "crm"]), (False, [])):
        privacy = made(connectors=connectors, privacy={"mask_numbers": masked}).privacy
        assert [name for name in ("chat", "crm") if privacy.masks(name)] == seen
    found = faults(connectors=connectors, privacy={"mask_numbers": ["crm", "cmr"]})
    assert found == {"privacy.mask_numbers": "there is no connector cmr"}


def test_the_retention_is_a_duration_and_not_nothing() -> None:
    assert made(privacy={"retention": "30d"}).privacy.retention == 30 * 86400
    assert "privacy.retention" in faults(privacy={"retention": 0})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "::1", "localhost"])
def test_without_a_token_the_bridge_may_listen_on_a_loopback_address(host: str) -> None:
    assert made(server={"host": host}).server.on_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "calls.example.com", ""])
def test_without_a_token_the_bridge_may_not_listen_elsewhere(host: str) -> None:
    message = faults(server={"host": host})["intake.tokens"]
    assert "set a token" in message
    assert "127.0.0.1" in message
    assert "intake.open = true" in message


def test_with_a_token_or_when_open_the_bridge_may_listen_anywhere() -> None:
    made(server={"host": "0.0.0.0"}, intake={"tokens": ["one", "two"]})
    made(server={"host": "0.0.0.0"}, intake={"open": True})


@pytest.mark.parametrize(
    ("token", "words"),
    [("", "empty"), ("  ", "empty"), ("a/b", "/event/<token>"), ("bulutsantralim", "name of a source")],
)
def test_a_token_that_could_not_be_told_from_a_path_is_refused(token: str, words: str) -> None:
    message = faults(intake={"tokens": ["good-one", token]})["intake.tokens"]
    assert message.startswith("item 2: ")
    assert words in message


# --- connectors ---------------------------------------------------------------------------------------------------


def test_a_connector_takes_its_kinds_own_values_unless_it_says_so() -> None:
    x = connector()
    assert (x.max_age, x.timeout, x.concurrency, x.rate, x.order_hold, x.retry.schedule) == (None,) * 6
    assert x.retry.jitter == 0.2
    assert x.breaker.failures == 5
    assert x.breaker.cooldown == (30, 60, 120, 300)
    assert (x.when.queue, x.when.direction, x.when.tenant, x.when.called, x.when.dialed_user) == ((),) * 5


def test_a_connector_reads_every_key() -> None:
    x = connector(
        when={"queue": [200, "201"], "direction": ["inbound"], "called": ["0212 320 50 62"], "dialed_user": [1001]},
        max_age="24h",
        timeout="10s",
        concurrency=4,
        rate="1/s",
        retry={"schedule": ["5s", "30s", 120], "jitter": 0},
        breaker={"failures": 0, "cooldown": ["1s"]},
        order_hold=0,
    )
    assert (x.max_age, x.timeout, x.concurrency, x.rate, x.order_hold) == (86400, 10, 4, "1/s", 0)
    assert x.when.queue == ("200", "201")
    assert x.when.dialed_user == ("1001",)
    assert x.retry.schedule == (5, 30, 120)
    assert x.breaker.failures == 0


def test_an_empty_schedule_means_never_again() -> None:
    assert connector(retry={"schedule": []}).retry.schedule == ()


@pytest.mark.parametrize(
    ("on", "wanted", "unwanted"),
    [
        (["call.missed"], ["call.missed"], ["call.completed", "other"]),
        (["call.*"], ["call.ringing", "call.missed"], ["leg.ended", "bridge.delivery_dead"]),
        (["bridge.*", "other"], ["bridge.source_silent", "other"], ["call.missed"]),
        (["*"], ["call.missed", "leg.ended", "other", "bridge.connector_paused"], []),
        (["*.*ed"], ["call.missed", "leg.ended"], ["call.ringing"]),
    ],
)
def test_a_connector_wants_the_types_that_on_names(on: list[str], wanted: list[str], unwanted: list[str]) -> None:
    x = connector(on=on)
    assert [each for each in wanted if not x.wants(each)] == []
    assert [each for each in unwanted if x.wants(each)] == []


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [("call.mised", "call.missed"), ("calls.*", "call."), ("missed", "call.missed"), ("call?missed", "call.missed")],
)
def test_a_pattern_that_matches_nothing_names_the_nearest_type(pattern: str, nearest: str) -> None:
    message = connector_faults(on=["call.*", pattern])["on"]
    assert message.startswith(f'item 2: "{pattern}" matches no event type; did you mean "{nearest}')


def test_kind_and_on_are_required() -> None:
    assert faults(connectors={"x": {}}) == {"connectors.x.kind": "is required", "connectors.x.on": "is required"}
    assert connector_faults(on=[]) == {"on": "must not be empty"}


def test_a_list_of_faulty_items_is_not_called_empty() -> None:
    with pytest.raises(SettingsError) as caught:
        made(connectors={"x": {"kind": "slack", "on": ["call.mised"], "breaker": {"cooldown": ["soon"]}}})
    assert [fault.message[:7] for fault in caught.value.faults] == ["item 1:", "item 1:"]


@pytest.mark.parametrize(
    ("keys", "path", "words"),
    [
        ({"on": "call.missed"}, "on", "must be a list"),
        ({"max_age": "old"}, "max_age", "is no duration"),
        ({"timeout": 0}, "timeout", "greater than 0"),
        ({"concurrency": 0}, "concurrency", "greater than or equal to 1"),
        ({"concurrency": 65}, "concurrency", "less than or equal to 64"),
        ({"rate": "often"}, "rate", "is no rate"),
        ({"when": {"direction": ["in"]}}, "when.direction", '"inbound", "outbound" or "internal"'),
        ({"when": {"queues": ["1"]}}, "when.queues", "did you mean `queue`?"),
        ({"retry": {"schedule": ["5x"]}}, "retry.schedule", "item 1: "),
        ({"retry": {"jitter": 1.5}}, "retry.jitter", "less than or equal to 1"),
        ({"breaker": {"failures": -1}}, "breaker.failures", "greater than or equal to 0"),
        ({"breaker": {"cooldown": []}}, "breaker.cooldown", "must not be empty"),
        ({"order_hold": "-1s"}, "order_hold", "is no duration"),
    ],
)
def test_a_connectors_key_that_cannot_be_used_is_named(keys: dict[str, Any], path: str, words: str) -> None:
    found = connector_faults(**keys)
    assert list(found) == [path]
    assert words in found[path]


# --- secrets ------------------------------------------------------------------------------------------------------


def test_every_secret_within_settings_is_found() -> None:
    class Inner(BaseModel):
        key: SecretBytes

    class Options(BaseModel):
        token: SecretStr
        secrets: list[SecretStr]
        headers: dict[str, SecretStr]
        inner: Inner
        url: str = "https://example.com"
        none: SecretStr | None = None

    @dataclasses.dataclass
    class Holder:
        options: Options

    options = Options(
        token=SecretStr("one"),
        secrets=[SecretStr("two"), SecretStr("")],
        headers={"a": SecretStr("three")},
        inner=Inner(key=SecretBytes(b"four")),
    )
    assert secrets_of({"x": (Holder(options),)}) == {"one", "two", "three", "four"}
    assert secrets_of(made(intake={"tokens": ["five"]})) == {"five"}


# --- the example --------------------------------------------------------------------------------------------------


def uncommented(text: str) -> str:
    return re.sub(r"(?m)^#(?=[a-z\[])", "", text)


def test_the_example_configuration_loads_as_it_is_and_says_the_defaults() -> None:
    settings = load_settings(EXAMPLE, {})
    assert settings.sources["bulutsantralim"].options == {"answered_means": "accepted"}
    assert settings.model_dump(exclude={"sources"}) == Settings().model_dump(exclude={"sources"})


def test_the_example_configuration_loads_with_every_example_in_use(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(uncommented(EXAMPLE.read_text("utf-8")), "utf-8")
    settings = load_settings(file, {})
    assert list(settings.connectors) == ["missed_to_slack", "crm", "call_log", "crm_log", "screens", "team_chat"]
    assert set(settings.connectors["missed_to_slack"].options) == {"webhook_url"}
    assert set(settings.connectors["crm"].options) == {"url", "secrets"}


def test_the_example_configuration_shows_every_key_of_the_core() -> None:
    shown = set(re.findall(r"(?m)^(\w+) =", uncommented(EXAMPLE.read_text("utf-8"))))
    tables = [field.annotation for field in Settings.model_fields.values()] + [*PLUGIN_TABLES.values()]
    models = [table for table in tables if isinstance(table, type) and issubclass(table, BaseModel)]
    nested = [field.annotation for field in ConnectorSettings.model_fields.values()]
    models += [table for table in nested if isinstance(table, type) and issubclass(table, BaseModel)]
    keys = {key for model in models for key in model.model_fields} - {"when", "retry", "breaker"}
    assert keys | {"locale", "strict"} <= shown
