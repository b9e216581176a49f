"""Who may see what: grants, sessions and PINs, of which only hashes are kept."""

from __future__ import annotations

import json

import pytest
from callbridge_popup.attempts import MOST, MOST_OF_ADDRESS, MOST_OF_EXTENSION, WINDOW, Attempts
from callbridge_popup.grants import (
    NOBODYS_PIN,
    PIN_METHOD,
    Grants,
    end_of_session,
    has_pin,
    hashed,
    new_grant,
    new_session,
    revocation,
)


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
    assert held.sign_in_candidates("1001") == [grant]
    assert has_pin(grant, pin)
    assert has_pin(grant, f" {pin[:4]} {pin[4:]}")
    assert not has_pin(grant, pin[::-1] + "1")
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


def test_every_extension_has_as_many_pins_to_check_whether_it_is_granted_or_not() -> None:
    held = Grants()
    assert held.sign_in_candidates("1001") == [None]
    for extension in ("1001", "1002", "1002"):
        granted(held, extension)
    candidates = [held.sign_in_candidates(extension) for extension in ("1001", "1002", "1009")]
    assert [[one is not None for one in some] for some in candidates] == [[True, False], [True, True], [False, False]]
    assert NOBODYS_PIN.startswith(f"{PIN_METHOD}$")
    assert not has_pin(None, "12345678")


class Guesser:
    """Tries PINs, at a moment of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.attempts = Attempts(lambda: self.now)

    def guess(self, times: int, address: str, extension: str) -> float:
        return [self.attempts.begin(address, extension) for _ in range(times)][-1]


def test_wrong_pins_are_limited_and_the_right_one_forgives() -> None:
    guesser = Guesser()
    assert guesser.guess(MOST, "192.0.2.1", "1001") == 0.0
    assert guesser.guess(1, "192.0.2.1", "1001") == WINDOW
    assert guesser.guess(1, "192.0.2.1", "1002") == 0.0
    guesser.now = WINDOW
    assert guesser.guess(1, "192.0.2.1", "1001") == 0.0
    guesser.attempts.succeeded("192.0.2.1", "1001")
    assert guesser.guess(MOST, "192.0.2.1", "1001") == 0.0


def test_a_stranger_who_guesses_keeps_nobody_out_who_sits_elsewhere() -> None:
    guesser = Guesser()
    assert guesser.guess(99, "203.0.113.9", "1001") == WINDOW
    assert guesser.guess(1, "192.0.2.1", "1001") == 0.0


@pytest.mark.parametrize("extensions", [range(1000), range(MOST_OF_ADDRESS + 1)])
def test_one_address_has_few_tries_for_all_extensions_together(extensions: range) -> None:
    guesser = Guesser()
    waits = [guesser.guess(1, "2001:db8::1", str(extension)) for extension in extensions]
    assert [wait == 0.0 for wait in waits] == [number < MOST_OF_ADDRESS for number in range(len(waits))]
    assert guesser.guess(1, "2001:db8::ffff", "1001") > 0.0
    assert guesser.guess(1, "2001:db8:0:1::1", "1001") == 0.0


def test_many_addresses_together_are_slowed_down_but_not_one_the_extension_is_signed_in_from() -> None:
    guesser = Guesser()
    assert guesser.guess(1, "192.0.2.1", "1001") == 0.0
    guesser.attempts.succeeded("192.0.2.1", "1001")
    waits = [guesser.guess(1, f"203.0.{number}.9", "1001") for number in range(MOST_OF_EXTENSION + 1)]
    assert (waits[-2], waits[-1]) == (0.0, WINDOW)
    assert guesser.guess(1, "203.0.113.10", "1002") == 0.0
    assert guesser.guess(1, "192.0.2.1", "1001") == 0.0
