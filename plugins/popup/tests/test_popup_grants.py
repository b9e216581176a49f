"""Who may see what: grants, sessions and PINs, of which only hashes are kept."""

from __future__ import annotations

import json

from callbridge_popup.attempts import MOST, WINDOW, Attempts
from callbridge_popup.grants import Grants, end_of_session, hashed, new_grant, new_session, revocation


def granted(held: Grants, *extensions: str, now: float = 1.0) -> tuple[str, str]:
    item, issued = new_grant(extensions, "Ayşe", now)
    held.take(json.loads(json.dumps(item)))
    return issued.token, issued.pin


def test_a_token_and_a_pin_lead_to_the_grant() -> None:
    held = Grants()
    token, pin = granted(held, "1001", "1002")
    grant = held.of_token(token)
    assert grant is not None
    assert grant.extensions == ("1001", "1002")
    assert held.of_extension("1001") == [grant]
    assert held.of_extension("1002") == []
    assert grant.has_pin(pin)
    assert grant.has_pin(f" {pin[:4]} {pin[4:]}")
    assert not grant.has_pin(pin[::-1] + "1")
    assert held.of_token(f"{token}x") is None


def test_what_is_kept_holds_no_secret() -> None:
    item, issued = new_grant(["1001"], "", 1.0)
    assert len(issued.token) >= 43
    assert len(issued.pin) == 8
    assert issued.token not in json.dumps(item)
    assert issued.pin not in json.dumps(item)
    assert item["pin"].startswith("scrypt:")
    assert new_grant(["1001"], "", 1.0)[0]["pin"] != item["pin"]


def test_a_session_holds_until_it_is_over_or_signed_out() -> None:
    held = Grants()
    token, _ = granted(held, "1001")
    grant = held.of_token(token)
    assert grant is not None
    item, secret = new_session(grant, until=100.0)
    assert secret not in json.dumps(item)
    held.take(item)
    assert held.of_session(secret, 99.0) == grant
    assert held.of_session(secret, 100.0) is None
    assert held.take(end_of_session(secret)) == {hashed(secret)}
    assert held.of_session(secret, 99.0) is None


def test_a_revoked_grant_takes_its_sessions_along() -> None:
    held = Grants()
    token, _ = granted(held, "1001")
    other, _ = granted(held, "1001")
    grant = held.of_token(token)
    assert grant is not None
    item, secret = new_session(grant, until=100.0)
    held.take(item)
    assert held.take(revocation([grant])) == {grant.id}
    assert held.take(revocation([grant])) == set()
    assert held.of_token(token) is None
    assert held.of_session(secret, 50.0) is None
    held.forget_old(50.0)
    assert [one.token_hash for one in held.all()] == [hashed(other)]


def test_wrong_pins_are_limited_and_the_right_one_forgives() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    assert [attempts.begin("1001") for _ in range(MOST)] == [0.0] * MOST
    assert attempts.begin("1001") == WINDOW
    assert attempts.begin("1002") == 0.0
    now = WINDOW
    assert attempts.begin("1001") == 0.0
    attempts.succeeded("1001")
    assert [attempts.begin("1001") for _ in range(MOST)] == [0.0] * MOST
