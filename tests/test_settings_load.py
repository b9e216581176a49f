"""Where settings come from, which goes over which, and how faults are told."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.errors import SettingsError
from bridge.settings import FaultySettingsError, Settings, load_settings, read_options

TOML = """
[server]
host = "127.0.0.1"
port = 9000
[intake]
tokens = ["from-the-file"]
[connectors.missed_to_slack]
kind = "slack"
on = ["call.missed"]
when = {queue = ["200"], direction = ["inbound"]}
webhook_url = "https://example.com/from-the-file"
headers = {Authorization = "from-the-file", X-Team = "sales"}
"""


class Options(BaseModel):
    """The settings of some plugin."""

    webhook_url: SecretStr
    token: str = ""
    attempts: int = 1
    verbose: bool = False
    secrets: list[SecretStr] = []
    headers: dict[str, str] = {}
    answered_means: str = Field("accepted", pattern="^(accepted|missed)$")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(TOML, "utf-8")
    return path


def load(file: Path | None, **variables: str) -> Settings:
    return load_settings(file, {f"CALLBRIDGE_{name}": value for name, value in variables.items()})


def faults(file: Path | None, **variables: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(file, **variables)
    return {fault.path: fault.message for fault in caught.value.faults}


def option_faults(options: Mapping[str, Any], model: type[BaseModel] = Options) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        read_options(model, options, "connectors.x")
    return {fault.path: fault.message for fault in caught.value.faults}


# --- which file ---------------------------------------------------------------------------------------------------


def test_the_given_file_goes_before_the_one_the_environment_names(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("server.port = 9001", "utf-8")
    assert load(other, CONFIG=str(file)).server.port == 9001
    assert load(None, CONFIG=str(file)).server.port == 9000


def test_without_a_name_the_usual_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "bridge.toml").write_text("server.port = 9002", "utf-8")
    assert load(None).server.port == 9002
    assert load(None, SERVER__PORT="9003").server.port == 9003


def test_without_any_file_the_environment_alone_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, CONNECTORS__X__KIND="slack", CONNECTORS__X__ON="call.missed, bridge.*", LOCALE="tr")
    assert settings.locale == "tr"
    assert settings.connectors["x"].on == ("call.missed", "bridge.*")
    assert list(settings.sources) == ["bulutsantralim"]


def test_without_file_and_environment_the_way_to_get_a_file_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "callbridge init" in faults(None)[""]
    assert "config/bridge.toml" in faults(None)[""]


def test_a_file_may_begin_with_the_mark_that_editors_of_windows_put_there(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_text('locale = "tr"\n', "utf-8-sig")
    assert load_settings(tmp_path / "marked.toml", {}).locale == "tr"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'locale = "\xfc"')
    (tmp_path / "broken.toml").write_text('locale = "tr"\nport = = 1', "utf-8")
    assert "there is no such file" in faults(tmp_path / "missing.toml")[""]
    assert "UTF-8" in faults(tmp_path / "latin.toml")[""]
    assert "there is no such file" in faults(tmp_path)[""]
    broken = faults(tmp_path / "broken.toml")[""]
    assert "broken.toml" in broken
    assert "line 2" in broken


# --- environment and secret files ---------------------------------------------------------------------------------


def test_every_key_can_be_overridden_by_environment_and_the_rest_stays(file: Path) -> None:
    settings = load(
        file,
        SERVER__PORT="9001",
        STRICT="true",
        INTAKE__DUPLICATE_WINDOW="5",
        CONNECTORS__MISSED_TO_SLACK__WHEN__QUEUE="300,301",
        CONNECTORS__MISSED_TO_SLACK__RETRY__SCHEDULE="5s,10s",
        CONNECTORS__MISSED_TO_SLACK__WEBHOOK_URL="https://example.com/new",
        SOURCES__BULUTSANTRALIM__REGION="DE",
    )
    slack = settings.connectors["missed_to_slack"]
    assert (settings.server.port, settings.server.host, settings.strict) == (9001, "127.0.0.1", True)
    assert settings.intake.duplicate_window == 5
    assert (slack.when.queue, slack.when.direction) == (("300", "301"), ("inbound",))
    assert slack.retry.schedule == (5, 10)
    assert slack.options["webhook_url"] == "https://example.com/new"
    assert settings.sources["bulutsantralim"].region == "DE"


def test_a_key_with_capitals_or_hyphens_in_the_file_can_be_overridden_too(file: Path) -> None:
    settings = load(
        file,
        CONNECTORS__MISSED_TO_SLACK__HEADERS__AUTHORIZATION="new",
        CONNECTORS__MISSED_TO_SLACK__HEADERS__X_TEAM="support",
    )
    headers = settings.connectors["missed_to_slack"].options["headers"]
    assert headers == {"Authorization": "new", "X-Team": "support"}


def test_a_table_can_be_given_as_json_and_is_merged(file: Path) -> None:
    settings = load(
        file,
        SERVER='{"port": 9001, "host": "::1"}',
        SERVER__PORT="9002",
        CONNECTORS='{"other": {"kind": "webhook", "on": ["*"]}}',
        CONNECTORS__MISSED_TO_SLACK__BREAKER='{"failures": 0}',
    )
    assert (settings.server.port, settings.server.host) == (9002, "::1")
    assert list(settings.connectors) == ["missed_to_slack", "other"]
    assert settings.connectors["missed_to_slack"].breaker.failures == 0


def test_a_list_reads_as_json_or_with_commas_and_its_items_stay_text(file: Path) -> None:
    def tokens(text: str) -> list[str]:
        return [token.get_secret_value() for token in load(file, INTAKE__TOKENS=text).intake.tokens]

    assert tokens("12345") == ["12345"]
    assert tokens("one, two") == ["one", "two"]
    assert tokens('["one", "t,wo"]') == ["one", "t,wo"]
    assert tokens("") == []


def test_secret_files_go_over_the_file_and_the_environment_over_them(file: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "run"
    hidden = mounted / "..data"
    hidden.mkdir(parents=True)
    (hidden / "slack").write_text("https://example.com/secret\n", "utf-8")
    (mounted / "CALLBRIDGE_CONNECTORS__MISSED_TO_SLACK__WEBHOOK_URL").symlink_to(hidden / "slack")
    (mounted / "callbridge_intake__tokens").write_text("from-a-secret\r\n", "utf-8")
    (mounted / "CALLBRIDGE_SERVER__PORT").write_text("9001", "utf-8")
    (mounted / "tls.key").write_text("nobody's business", "utf-8")
    settings = load(file, SECRETS_DIR=str(mounted), SERVER__PORT="9002")
    assert settings.connectors["missed_to_slack"].options["webhook_url"] == "https://example.com/secret"
    assert settings.intake.tokens == (SecretStr("from-a-secret"),)
    assert settings.server.port == 9002


def test_a_secret_file_that_fits_no_key_is_a_fault(file: Path, tmp_path: Path) -> None:
    (tmp_path / "CALLBRIDGE_SERVER__PRT").write_text("s3cret", "utf-8")
    message = faults(file, SECRETS_DIR=str(tmp_path))["server.prt"]
    assert "did you mean `port`?" in message
    assert str(tmp_path / "CALLBRIDGE_SERVER__PRT") in message
    assert "s3cret" not in message


def test_a_secrets_directory_that_cannot_be_read_is_a_fault(file: Path, tmp_path: Path) -> None:
    (message,) = faults(file, SECRETS_DIR=str(tmp_path / "missing")).values()
    assert message.startswith("CALLBRIDGE_SECRETS_DIR=")


@pytest.mark.parametrize(
    ("variable", "path", "nearest"),
    [
        ("SERVER__PRT", "server.prt", "`port`"),
        ("PORT", "port", "`server.port`"),
        ("SERVER_PORT", "server_port", "`server.port`"),
        ("LOCAL", "local", "`locale`"),
        ("CONNECTORS__MISSED_TO_SLACK__RETRY__JITER", "connectors.missed_to_slack.retry.jiter", "`jitter`"),
        ("CONNECTORS__MISED_TO_SLACK__TOKEN", "connectors.mised_to_slack.on", "`connectors.missed_to_slack`"),
    ],
)
def test_a_variable_that_fits_no_key_is_named_with_the_nearest_key(
    file: Path, variable: str, path: str, nearest: str
) -> None:
    message = faults(file, **{variable: "1"})[path]
    assert f"CALLBRIDGE_{variable}" in message
    assert f"did you mean {nearest}?" in message


def test_a_variable_with_a_value_that_cannot_be_used_is_named(file: Path) -> None:
    found = faults(file, SERVER__PORT="many", SERVER__MONITOR_FROM="::1, nowhere", SERVER__TRUSTED_PROXIES="[1")
    assert found["server.port"] == "must be a whole number (set by CALLBRIDGE_SERVER__PORT)"
    assert found["server.monitor_from"].startswith('item 2: "nowhere" is no network')
    assert found["server.monitor_from"].endswith("(set by CALLBRIDGE_SERVER__MONITOR_FROM)")
    assert found["server.trusted_proxies"] == "must be a list (set by CALLBRIDGE_SERVER__TRUSTED_PROXIES)"


def test_a_variable_within_another_that_is_no_table_is_a_fault(file: Path) -> None:
    (message,) = faults(file, SERVER="here", SERVER__PORT="1").values()
    assert "CALLBRIDGE_SERVER is no table" in message
    assert "CALLBRIDGE_SERVER__PORT" in message


# --- every fault at once ------------------------------------------------------------------------------------------


def test_every_fault_is_told_at_once_with_its_key_path(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(
        """
        prot = 1
        [server]
        host = "0.0.0.0"
        port = "many"
        [connectors.one]
        kind = "slack"
        on = ["call.mised"]
        rate = "often"
        [connectors.two]
        on = ["*"]
        [connectors.Three]
        kind = "slack"
        on = ["*"]
        """,
        "utf-8",
    )
    found = faults(file, INTAKE__OPEN="perhaps")
    assert set(found) == {
        "prot",
        "server.port",
        "intake.open",
        "intake.tokens",
        "connectors.one.on",
        "connectors.one.rate",
        "connectors.two.kind",
        "connectors.Three",
    }
    assert "set a token" in found["intake.tokens"]


def test_the_message_has_one_line_for_each_fault(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(file, SERVER__PORT="x", LOCALE="y")
    assert str(caught.value).splitlines() == [
        'locale: must be "en" or "tr" (set by CALLBRIDGE_LOCALE)',
        "server.port: must be a whole number (set by CALLBRIDGE_SERVER__PORT)",
    ]


def test_what_is_left_beside_the_faults_can_be_checked_further() -> None:
    connectors: dict[str, Any] = {
        "one": {"kind": "slack", "on": ["call.mised"], "webhook_url": 1},
        "two": {"kind": "webhook", "url": "https://example.com"},
        "three": {"on": ["*"]},
    }
    tables: dict[str, Any] = {"server": {"port": "many"}, "connectors": connectors}
    with pytest.raises(FaultySettingsError) as caught:
        Settings(**tables)
    assert len(caught.value.faults) == 4
    rest = caught.value.rest
    assert rest is not None
    assert {name: each.options for name, each in rest.connectors.items()} == {
        "one": {"webhook_url": 1},
        "two": {"url": "https://example.com"},
    }


def test_an_unknown_key_far_from_any_known_one_shows_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text("store.zzz = 1", "utf-8")
    assert faults(file)["store.zzz"] == "unknown key; the keys here are `url`"


# --- a plugin's own keys ------------------------------------------------------------------------------------------


def test_a_plugins_model_decodes_what_came_as_text(file: Path) -> None:
    prefix = "CONNECTORS__MISSED_TO_SLACK__"
    variables = {"TOKEN": "12345", "ATTEMPTS": "5", "VERBOSE": "yes", "SECRETS": "one,two", "HEADERS": '{"X-New": "1"}'}
    settings = load(file, **{prefix + key: value for key, value in variables.items()})
    options = read_options(Options, settings.connectors["missed_to_slack"].options, "connectors.missed_to_slack")
    assert (options.token, options.attempts, options.verbose) == ("12345", 5, True)
    assert [secret.get_secret_value() for secret in options.secrets] == ["one", "two"]
    assert options.headers == {"Authorization": "from-the-file", "X-Team": "sales", "X-New": "1"}
    assert options.webhook_url.get_secret_value() == "https://example.com/from-the-file"


def test_a_table_of_a_plugin_reads_as_json_where_the_file_has_none(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text('connectors.x = {kind = "k", on = ["*"], webhook_url = "u"}', "utf-8")
    settings = load(file, CONNECTORS__X__HEADERS='{"A": "b"}', CONNECTORS__X__TOKEN="{{ no json }}")
    options = read_options(Options, settings.connectors["x"].options, "connectors.x")
    assert (options.headers, options.token) == ({"A": "b"}, "{{ no json }}")


def test_every_fault_of_a_plugins_keys_is_told_with_its_path() -> None:
    found = option_faults({"attempts": "many", "headers": 5, "secrets": ["a", 5], "webhok_url": "u", "timeot": 1})
    assert found == {
        "connectors.x.webhook_url": "is required",
        "connectors.x.attempts": "must be a whole number",
        "connectors.x.headers": "must be a table",
        "connectors.x.secrets": "item 2: must be text, in quotes",
        "connectors.x.webhok_url": "unknown key; did you mean `webhook_url`?",
        "connectors.x.timeot": "unknown key; did you mean `timeout`?",
    }


def test_a_variable_that_fits_no_key_of_the_plugin_is_named(file: Path) -> None:
    settings = load(file, CONNECTORS__MISSED_TO_SLACK__WEBHOK_URL="s3cret")
    found = option_faults(settings.connectors["missed_to_slack"].options)
    assert found["connectors.x.webhok_url"] == (
        "unknown key; did you mean `webhook_url`? (set by CALLBRIDGE_CONNECTORS__MISSED_TO_SLACK__WEBHOK_URL)"
    )


def test_an_unknown_key_within_a_plugins_table_is_a_fault_too() -> None:
    class Sheet(BaseModel):
        columns: int = 1

    class Nested(BaseModel):
        sheet: Sheet = Sheet()
        sheets: list[Sheet] = []

    found = option_faults({"sheet": {"colums": 1}, "sheets": [{"columns": 1}, {"colums": 1}]}, Nested)
    assert found == {
        "connectors.x.sheet.colums": "unknown key; did you mean `columns`?",
        "connectors.x.sheets[1].colums": "unknown key; did you mean `columns`?",
    }


def test_a_plugin_that_asks_for_any_key_gets_it() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    assert read_options(Open, {"anything": 1}, "connectors.x").model_extra == {"anything": 1}


def test_an_alias_is_the_key_people_write() -> None:
    class Aliased(BaseModel):
        from_: str = Field(alias="from")

    assert read_options(Aliased, {"from": "me"}, "connectors.x").from_ == "me"
    assert option_faults({"form": "me"}, Aliased) == {
        "connectors.x.from": "is required",
        "connectors.x.form": "unknown key; did you mean `from`?",
    }


def test_no_value_of_a_secret_key_shows_in_an_error() -> None:
    class Careless(BaseModel):
        url: SecretStr
        keys: list[SecretStr] = []

        @field_validator("url")
        @classmethod
        def _show(cls, url: SecretStr) -> SecretStr:
            raise ValueError(f"{url.get_secret_value()} is no URL")

    class CarelessWhole(BaseModel):
        url: SecretStr | None = None
        keys: list[SecretStr] = []

        @model_validator(mode="after")
        def _show(self) -> CarelessWhole:
            raise ValueError(f"{self.url} and {[key.get_secret_value() for key in self.keys]} do not go together")

    options = {"url": "s3cret-url", "keys": ["s3cret-key"]}
    assert option_faults(options, Careless) == {"connectors.x.url": "*** is no URL"}
    assert option_faults(options, CarelessWhole) == {"connectors.x": "********** and ['***'] do not go together"}


def test_no_value_of_a_plugins_key_shows_in_an_error_or_its_traceback() -> None:
    value = "s3" + "cret"
    with pytest.raises(SettingsError) as caught:
        read_options(Options, {"attempts": value, "webhok_url": value, "answered_means": value}, "sources.x")
    assert len(caught.value.faults) == 4
    assert value not in "".join(traceback.format_exception(caught.value))
