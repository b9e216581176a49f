"""`init` writes a config that runs, `check` says everything that is wrong with one."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.testing import Answer, BridgeProcess, eventually, recording_sink

if TYPE_CHECKING:
    from pathlib import Path

WRONG = """
locale = "fr"
colour = "red"
[server]
port = "many"
prot = 8080
[intake]
tokens = ["fine", "bulutsantralim", "a/b"]
[sources.bulutsantralim]
timezone = "Mars/Base"
answered_mean = "missed"
[connectors.missed_to_slack]
kind = "slack"
on = ["call.mised"]
webhook_ulr = "https://hooks.slack.com/services/T/B/a-secret"
[connectors.crm]
kind = "webhok"
on = ["call.missed"]
max_age = "soon"
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def write(folder: Path, config: str) -> str:
    path = folder / "bridge.toml"
    path.write_text(config, "utf-8")
    path.chmod(0o600)  # others are warned of
    return str(path)


# --- init ---------------------------------------------------------------------------------------------------------


def test_what_init_writes_is_served_at_the_url_it_prints(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path, "")
    bridge.config.unlink()
    done = bridge.run("init", "--port", str(bridge.port))
    assert done.returncode == 0
    url = done.stdout.strip()
    assert url.startswith(f"{bridge.url}/event/")
    assert len(url.rpartition("/")[2]) >= 32
    try:
        bridge.start()
        assert bridge.post(url.removeprefix(bridge.url), {"event_type": "ringing", "call_uuid": "1234"}).text == "1234"
        assert bridge.post("/event/wrong", b"{}").status_code == 401
        assert bridge.rows("events")[0]["data"]["call"]["id"] == "1234"
        assert (tmp_path / "var" / "callbridge.db").exists()
    finally:
        bridge.close()


def test_init_prints_the_public_url_and_keeps_the_token_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bridge.toml"
    done = run("init", "--config", str(path), "--locale", "tr", "--public-url", "https://calls.example.com/")
    assert done.exit_code == 0
    token = done.stdout.strip().removeprefix("https://calls.example.com/event/")
    assert f'tokens = ["{token}"]' in path.read_text()
    assert 'locale = "tr"' in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("check", "--config", str(path)).exit_code == 0
    again = run("init", "--config", str(tmp_path / "second.toml"))
    assert token not in again.stdout


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "# mine")
    done = run("init", "--config", path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"{path} is there already: edit it, or name another file with --config\n"
    assert (tmp_path / "bridge.toml").read_text() == "# mine"


def test_init_writes_nothing_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    done = run("init", "--config", str(path), "--public-url", "calls.example.com")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("server.public_url: must be the address the PBX reaches")
    assert not path.exists()


# --- check --------------------------------------------------------------------------------------------------------


def test_a_config_without_faults_is_said_to_be_fine(tmp_path: Path) -> None:
    done = run("check", "--config", write(tmp_path, ""))
    assert (done.exit_code, done.output) == (0, "the config is fine\n")


def test_check_lists_every_error_at_once_with_its_key_path(tmp_path: Path) -> None:
    done = run("check", "--config", write(tmp_path, WRONG))
    assert done.exit_code == 1
    told = dict(line.split(": ", 1) for line in done.output.splitlines())
    assert {path: told[path] for path in sorted(told)} == {
        "colour": told["colour"],
        "connectors.crm.kind": told["connectors.crm.kind"],
        "connectors.crm.max_age": told["connectors.crm.max_age"],
        "connectors.missed_to_slack": "give `webhook_url`, or `token` and `channel`",
        "connectors.missed_to_slack.on": 'item 1: "call.mised" matches no event type; did you mean "call.missed"?',
        "connectors.missed_to_slack.webhook_ulr": "unknown key; did you mean `webhook_url`?",
        "intake.tokens": told["intake.tokens"],
        "locale": 'must be "en" or "tr"',
        "server.port": "must be a whole number",
        "server.prot": "unknown key; did you mean `port`?",
        "sources.bulutsantralim.answered_mean": "unknown key; did you mean `answered_means`?",
        "sources.bulutsantralim.timezone": told["sources.bulutsantralim.timezone"],
    }
    assert 'no plugin of kind "webhok" is installed (did you mean `webhook`?)' in told["connectors.crm.kind"]
    assert "Europe/Istanbul" in told["sources.bulutsantralim.timezone"]
    assert "a-secret" not in done.output


def test_check_names_a_variable_that_fits_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBRIDGE_SERVER__PROT", "8081")
    done = run("check", "--config", write(tmp_path, ""))
    assert done.exit_code == 1
    assert done.output.startswith("server.prot: unknown key; did you mean `port`? (set by CALLBRIDGE_SERVER__PROT)")


def test_check_online_runs_the_check_of_each_connector(tmp_path: Path) -> None:
    with recording_sink() as sink:
        sink.answer_with(lambda arrival: Answer(403 if "secret" in arrival.path else 204, b""))
        table = '[connectors.{0}]\nkind = "webhook"\non = ["*"]\nurl = "{1}"\n'
        fine = table.format("fine", f"{sink.url}/hook")
        done = run("check", "--online", "--config", write(tmp_path, fine))
        assert (done.exit_code, done.stderr) == (0, "")
        assert "connectors.fine: reachable" in done.stdout
        assert done.stdout.endswith("the config is fine\n")
        assert [arrival.method for arrival in sink.arrivals] == ["OPTIONS"]

        both = fine + table.format("refused", f"{sink.url}/a-secret-path")
        done = run("check", "--online", "--config", write(tmp_path, both))
        assert done.exit_code == 1
        assert "connectors.fine: reachable" in done.output
        assert "connectors.refused: the receiver refuses us (HTTP 403)" in done.output
        assert "the config is fine" not in done.output
        assert "a-secret-path" not in done.output

        assert run("check", "--config", write(tmp_path, both)).exit_code == 0


# --- what shows when it runs --------------------------------------------------------------------------------------


def test_variables_go_over_secret_files_and_both_over_the_config(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with recording_sink() as sink:
        config = '[intake]\ntokens = ["of-the-file"]\n[connectors.crm]\nkind = "webhook"\non = ["call.*"]\n'
        config += 'headers = {X-Team = "of-the-file"}\n'
        (secrets / "CALLBRIDGE_INTAKE__TOKENS").write_text("of-the-secret, second-secret\n")
        (secrets / "callbridge_connectors__crm__url").write_text("http://127.0.0.1:1/nowhere")
        (secrets / "callbridge_connectors__crm__headers__x_team").write_text("12345")
        environ = {
            "CALLBRIDGE_SECRETS_DIR": str(secrets),
            "CALLBRIDGE_CONNECTORS__CRM__URL": sink.url,
            "CALLBRIDGE_LOCALE": "tr",
        }
        bridge = BridgeProcess(tmp_path, config, environ=environ)
        try:
            bridge.start()
            assert bridge.post("/event/of-the-file", b"{}").status_code == 401
            for token in ("of-the-secret", "second-secret"):
                form = {"event_type": "ringing", "call_uuid": token}
                assert bridge.post(f"/event/{token}", form).status_code == 200
            arrival = sink.wait_for(2)[0]
            assert arrival.headers["X-Team"] == "12345"
            assert arrival.json()["data"]["call"]["caller"]["display"] == "Gizli numara"
            eventually(lambda: {row["state"] for row in bridge.rows("deliveries")} == {"delivered"}, "delivery")
        finally:
            bridge.close()


def test_a_broken_connector_waits_while_the_rest_runs_and_one_that_is_removed_is_orphaned(tmp_path: Path) -> None:
    with recording_sink() as sink:
        table = '[connectors.{0}]\nkind = "webhook"\non = ["call.missed"]\n{1} = "{2}"\n'
        fine = table.format("fine", "url", f"{sink.url}/fine")
        broken = table.format("broken", "ulr", f"{sink.url}/broken") + "max_age = 3600\n"
        missing = table.format("missing", "url", sink.url).replace('"webhook"', '"nonesuch"')
        form = {"event_type": "hangup", "call_uuid": "1", "direction": "inbound", "answered": "false"}

        bridge = BridgeProcess(tmp_path, fine + broken + missing)
        try:
            bridge.start()
            assert bridge.post("/event", form).text == "1"
            assert [arrival.path for arrival in sink.wait_for(1)] == ["/fine"]
            failed = bridge.get("/readyz").json()["failed"]
            assert "connectors.broken.ulr: unknown key; did you mean `url`?" in failed["broken"]
            assert failed["missing"].startswith('no plugin of kind "nonesuch" is installed')
            rows = {row["name"]: row for row in bridge.rows("connectors")}
            for name in ("broken", "missing"):
                assert (rows[name]["state"], rows[name]["error"], rows[name]["waiting"]) == ("failed", failed[name], 1)
                assert f"connector {name} failed, its deliveries wait: {failed[name]}" in bridge.log.read_text()
            assert bridge.stop() == 0

            bridge = BridgeProcess(tmp_path, fine + broken.replace("ulr", "url"))
            bridge.start()
            assert [arrival.path for arrival in sink.wait_for(2)] == ["/fine", "/broken"]
            assert bridge.get("/readyz").json()["failed"] == {}
            orphan = bridge.rows("connectors")[-1]
            assert orphan == {
                "name": "missing", "kind": None, "state": "orphaned", "error": "no longer in the config",
                "waiting": 1, "dead": 0, "last_success": None,
            }  # fmt: skip
            (waiting,) = bridge.rows("deliveries", "--connector", "missing")
            assert (waiting["state"], waiting["attempts"]) == ("pending", 0)
        finally:
            bridge.close()


def test_strict_makes_a_broken_connector_fatal(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path, 'strict = true\n[connectors.crm]\non = ["*"]\nkind = "nonesuch"')
    done = bridge.run("serve")
    assert done.returncode == 1
    assert "\nconnectors.crm." in done.stderr
    assert not bridge.database.exists()
