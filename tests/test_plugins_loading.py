"""Finding, importing and isolating plugins, which are really installed: found by their distributions' metadata."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import PluginError, SettingsError
from bridge.model import Delivery, Receipt
from bridge.plugins import Plugins, describe_installed, find_faults, load_plugins, load_source_kind
from bridge.settings import Settings
from bridge.testing import sample_event
from tests.plugins_for_tests.install import install

GOOD = """
    from pydantic import BaseModel, SecretStr
    from bridge import ConnectorKind, Receipt, hookimpl

    class Options(BaseModel):
        room: str
        token: SecretStr = SecretStr("")

    class Chat:
        def __init__(self, options, context):
            self.options, self.context = options, context

        @hookimpl
        def bridge_deliver(self, delivery):
            return Receipt(text=f"{self.context.name}: {self.options.room}")

    @hookimpl
    def bridge_connectors():
        yield ConnectorKind(name="good", create=Chat, settings=Options, timeout=3.0, max_age=60.0)
"""

SECOND = {"kind": "good", "on": ["call.*"], "room": "second"}
FIRST = {"kind": "good", "on": ["call.*"], "room": "first"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed plugins, with a good one; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "good", GOOD)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("callbridge_test_")]:
        del sys.modules[name]


@pytest.fixture
def add(site: Path) -> Callable[..., None]:
    """Installs one more plugin."""
    return lambda kind, source, **options: install(site, kind, source, **options)


def load(**connectors: dict[str, Any]) -> Plugins:
    return load_plugins(Settings(connectors=connectors))


def deliver(plugins: Plugins, name: str) -> object:
    call = plugins.caller("connectors", name, "bridge_deliver")
    assert call is not None
    delivery = Delivery(id="dlv_1", connector=name, target="", attempt=1, event=sample_event())
    return call(delivery=delivery, batch=[delivery])


# --- what works ---------------------------------------------------------------------------------------------------

PACED = """
    from pydantic import BaseModel
    from bridge import ConnectorKind, hookimpl

    class Options(BaseModel):
        every: str

    class Slow:
        @hookimpl
        def bridge_deliver(self, delivery):
            return None

    @hookimpl
    def bridge_connectors():
        rate = lambda options: options.every and f"1/{options.every}"
        yield ConnectorKind(name="paced", create=lambda *_: Slow(), settings=Options, rate=rate)
"""


@pytest.mark.parametrize(
    ("table", "rate"),
    [({"every": "30s"}, "1/30s"), ({"every": "30s", "rate": "5/s"}, "5/s")],
    ids=["of the settings", "the config's word before it"],
)
def test_a_kind_can_make_its_rate_of_the_settings(add: Callable[..., None], table: dict[str, Any], rate: str) -> None:
    add("paced", PACED)

    assert load(slow={"kind": "paced", "on": ["*"], **table}).connectors["slow"].policy.rate == rate


def test_a_rate_that_a_kind_makes_and_nobody_can_read_is_a_fault(add: Callable[..., None]) -> None:
    add("paced", PACED)
    plugins = load(slow={"kind": "paced", "on": ["*"], "every": "often"})

    (fault,) = plugins.faults
    assert '"1/often" is no rate' in fault.message
    assert plugins.connectors["slow"].error == fault.message
    assert plugins.connectors["slow"].policy.rate is None


def test_an_installed_plugin_works_once_the_config_names_it(site: Path) -> None:
    plugins = load(chat=FIRST)

    assert plugins.faults == []
    assert deliver(plugins, "chat") == Receipt(text="chat: first")


def test_one_kind_can_be_configured_many_times_and_exactly_the_named_one_is_called(site: Path) -> None:
    plugins = load(one=FIRST, two=SECOND, three=FIRST | {"room": "third"})

    for _ in range(2):
        assert deliver(plugins, "two") == Receipt(text="two: second")
        assert deliver(plugins, "one") == Receipt(text="one: first")
        assert deliver(plugins, "three") == Receipt(text="three: third")


def test_the_kind_s_defaults_hold_until_the_config_says_otherwise(site: Path) -> None:
    plugins = load(one=FIRST, two=SECOND | {"timeout": "7s", "max_age": "2h"})
    policies = [plugins.connectors[name].policy for name in ("one", "two")]

    assert [(policy.timeout, policy.max_age) for policy in policies] == [(3.0, 60.0), (7.0, 7200.0)]
    contexts = [plugins.connectors[name].plugin.context for name in ("one", "two")]  # type: ignore[union-attr]
    assert [(context.name, context.timeout) for context in contexts] == [("one", 3.0), ("two", 7.0)]


def test_secrets_of_a_plugin_s_settings_are_known_to_the_core(site: Path) -> None:
    assert load(chat=FIRST | {"token": "s3cret-token"}).secrets == {"s3cret-token"}


def test_a_hook_that_a_connector_does_not_have_is_not_called(site: Path) -> None:
    assert load(chat=FIRST).caller("connectors", "chat", "bridge_check") is None


def test_a_connector_and_a_directory_may_have_the_same_name(site: Path, add: Callable[..., None]) -> None:
    add(
        "book",
        """
        from bridge import Contact, DirectoryKind, hookimpl

        class Book:
            @hookimpl
            def bridge_lookup(self, number):
                return Contact(name="Ayşe")

        @hookimpl
        def bridge_directories():
            return [DirectoryKind(name="book", create=lambda options, context: Book())]
        """,
    )
    plugins = load_plugins(Settings(connectors={"office": FIRST}, directories={"office": {"kind": "book"}}))
    lookup = plugins.caller("directories", "office", "bridge_lookup")

    assert plugins.faults == []
    assert lookup is not None
    assert lookup(number=None).name == "Ayşe"
    assert deliver(plugins, "office") == Receipt(text="office: first")


# --- only what is named is imported -------------------------------------------------------------------------------


def test_one_module_may_bring_several_kinds_under_an_entry_point_each(site: Path) -> None:
    two = GOOD.replace(
        'yield ConnectorKind(name="good"',
        'yield ConnectorKind(name="other", create=Chat, settings=Options)\n        yield ConnectorKind(name="good"',
    )
    install(site, "pair", two.replace('name="good"', 'name="pair"'), also=("other",))
    plugins = load(
        first={"kind": "pair", "on": ["*"], "room": "one"}, second={"kind": "other", "on": ["*"], "room": "two"}
    )

    assert (deliver(plugins, "first"), deliver(plugins, "second")) == (
        Receipt(text="first: one"),
        Receipt(text="second: two"),
    )
    listed = {row["name"]: row["state"] for row in describe_installed(plugins)}
    assert (listed["pair"], listed["other"]) == ("loaded", "loaded")


def test_a_plugin_that_nobody_names_is_listed_and_not_imported(site: Path, add: Callable[..., None]) -> None:
    add("loud", f"from pathlib import Path; Path({str(site)!r}, 'imported').touch()", version="4.5.6")
    plugins = load(chat=FIRST)

    assert not (site / "imported").exists()
    listed = {row["name"]: row for row in describe_installed(plugins)}
    assert listed["loud"] == {
        "name": "loud",
        "role": None,
        "distribution": "callbridge-test-loud",
        "version": "4.5.6",
        "state": "installed",
        "error": None,
    }
    assert (listed["good"]["role"], listed["good"]["state"]) == ("connector", "loaded")


# --- what is broken -----------------------------------------------------------------------------------------------

NO_CONNECTORS = """
    from bridge import hookimpl

    @hookimpl
    def bridge_directories():
        return []
"""

BROKEN = {
    "fails at import": ("1 / 0", "division by zero"),
    "exits at import": ("import sys; sys.exit(3)", "SystemExit"),
    "does not compile": ("def", "invalid syntax"),
    "needs what is not installed": ("import no_such_module", "no_such_module"),
    "misspells a hook": (
        "from bridge import hookimpl\n@hookimpl\ndef bridge_conectors():\n    return []",
        "bridge_conectors",
    ),
    "asks for an argument there is not": (
        "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors(bridge):\n    return []",
        "bridge_connectors",
    ),
    "has no hooks": ("x = 1", "brings no connector"),
    "brings something else": (NO_CONNECTORS, "brings no connector"),
    "brings nothing": (
        "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors():\n    return []",
        "brings no connector",
    ),
    "returns None": (
        "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors():\n    pass",
        "brings no connector",
    ),
    "brings another kind": (GOOD, "brings no connector of that name"),
    "fails while it lists its kinds": (
        "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors():\n    yield 7\n    raise OSError('half way')",
        "half way",
    ),
    "exits while it lists its kinds": (
        "from bridge import hookimpl\n@hookimpl\ndef bridge_connectors():\n    raise SystemExit('bye')",
        "bye",
    ),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_named_with_its_reason_and_breaks_nothing_else(
    site: Path, add: Callable[..., None], source: str, reason: str
) -> None:
    add("broken", source)
    plugins = load(first={"kind": "broken", "on": ["*"]}, chat=FIRST, last={"kind": "broken", "on": ["*"]})

    assert deliver(plugins, "chat") == Receipt(text="chat: first")
    for name in ("first", "last"):
        assert reason in (plugins.connectors[name].error or "")
        assert plugins.caller("connectors", name, "bridge_deliver") is None
    assert {fault.path.split(".")[1] for fault in plugins.faults} == {"first", "last"}


@pytest.mark.parametrize("kind", ["fails at import", "misspells a hook"])
def test_a_plugin_that_cannot_be_imported_is_listed_as_failed(site: Path, add: Callable[..., None], kind: str) -> None:
    source, reason = BROKEN[kind]
    add("broken", source)
    (row,) = [
        row
        for row in describe_installed(load(x={"kind": "broken", "on": ["*"]}, chat=FIRST))
        if row["name"] == "broken"
    ]

    assert row["state"] == "failed"
    assert "callbridge-test-broken" in row["error"]
    assert reason in row["error"]


CREATE = """
    from bridge import ConnectorKind, hookimpl

    class Chat:
        @hookimpl
        def {hook}(self):
            pass

    def create(options, context):
        {create}

    @hookimpl
    def bridge_connectors():
        return [ConnectorKind(name="broken", create=create, targets=lambda options: {targets})]
"""


@pytest.mark.parametrize(
    ("create", "hook", "targets", "reason"),
    [
        ("raise RuntimeError('no room')", "bridge_deliver", '[""]', "no room"),
        ("raise SystemExit('no licence')", "bridge_deliver", '[""]', "no licence"),
        ("return Chat()", "bridge_check", '[""]', "bridge_deliver"),
        ("return Chat()", "bridge_delivr", '[""]', "bridge_delivr"),
        ("return Chat()", "bridge_deliver", "[]", "at least one target"),
        ("return Chat()", "bridge_deliver", '["a", "a"]', "each once"),
        ("return Chat()", "bridge_deliver", "[1]", "as text"),
        ("return Chat()", "bridge_deliver", "1 / 0", "division by zero"),
    ],
)
def test_a_connector_that_cannot_be_made_is_failed_and_the_others_run(
    site: Path, add: Callable[..., None], create: str, hook: str, targets: str, reason: str
) -> None:
    add("broken", CREATE.format(create=create, hook=hook, targets=targets))
    plugins = load(bad={"kind": "broken", "on": ["*"]}, chat=FIRST)

    assert reason in (plugins.connectors["bad"].error or "")
    assert plugins.caller("connectors", "bad", "bridge_deliver") is None
    assert deliver(plugins, "chat") == Receipt(text="chat: first")


def test_a_plugin_s_own_keys_are_checked_with_their_paths_and_the_rest_runs(site: Path) -> None:
    plugins = load(bad={"kind": "good", "on": ["*"], "rooms": "typo"}, chat=FIRST)
    faults = {fault.path: fault.message for fault in plugins.faults}

    assert set(faults) == {"connectors.bad.room", "connectors.bad.rooms"}
    assert "room" in faults["connectors.bad.rooms"]
    assert plugins.connectors["bad"].error
    assert deliver(plugins, "chat") == Receipt(text="chat: first")


def test_a_kind_that_is_not_installed_is_a_fault_with_its_path(site: Path) -> None:
    (fault,) = find_faults(Settings(connectors={"chat": {"kind": "nowhere", "on": ["*"]}}))

    assert fault.path == "connectors.chat.kind"
    assert "nowhere" in fault.message


def test_a_broken_source_stops_the_start_with_every_other_fault_told_too(site: Path, add: Callable[..., None]) -> None:
    add("broken", "1 / 0")
    settings = Settings(sources={"broken": {}}, connectors={"chat": {"kind": "nowhere", "on": ["*"]}})

    with pytest.raises(SettingsError) as caught:
        load_plugins(settings)
    assert {fault.path for fault in caught.value.faults} == {"sources.broken.kind", "connectors.chat.kind"}


def test_a_source_can_be_brought_by_anybody(site: Path, add: Callable[..., None]) -> None:
    add(
        "pbx",
        """
        from bridge import SourceKind, hookimpl

        class Pbx:
            def read(self, post):
                return None

            def cause_text(self, cause, locale):
                return None

        @hookimpl
        def bridge_sources():
            return [SourceKind(name="pbx", create=lambda options, context: Pbx())]
        """,
    )
    plugins = load_plugins(Settings(sources={"office": {"kind": "pbx"}}))

    assert list(plugins.sources) == ["office"]
    assert load_source_kind("pbx").name == "pbx"
    with pytest.raises(PluginError, match="brings no source"):
        load_source_kind("good")
