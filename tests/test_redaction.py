"""Secrets never show, in whatever form they come up."""

from __future__ import annotations

import io
import logging
import threading
from base64 import b64encode

import pytest

from bridge.redaction import RedactingFormatter, Redactor

SLACK = "https://hooks.slack.com/services/T00000000/B00000000/abcDEF123456abcDEF"


def test_a_text_without_secrets_stays_as_it_is() -> None:
    assert Redactor().clean("nothing to hide") == "nothing to hide"
    assert Redactor(["s3cret"]).clean("nothing to hide") == "nothing to hide"


def test_a_secret_is_replaced_wherever_it_comes_up() -> None:
    assert Redactor(["s3cret"]).clean("POST /event/s3cret?x=s3cret") == "POST /event/***?x=***"


@pytest.mark.parametrize("form", ["p@ss/w ord", "p%40ss/w%20ord", "p%40ss%2Fw%20ord", "p%40ss%2Fw+ord"])
def test_a_secret_is_replaced_in_its_percent_encoded_forms(form: str) -> None:
    assert Redactor(["p@ss/w ord"]).clean(f"at {form}!") == "at ***!"


def test_the_longer_of_two_secrets_that_begin_alike_is_replaced_as_a_whole() -> None:
    assert Redactor(["token", "token-and-more"]).clean("token-and-more, token") == "***, ***"


def test_special_characters_of_a_secret_have_no_meaning() -> None:
    assert Redactor(["a.c*(d"]).clean("a.c*(d abcd") == "*** abcd"


def test_a_secret_too_short_to_protect_anything_does_not_shred_the_text() -> None:
    assert Redactor(["a", "is", "abc", ""]).clean("this is abc") == "this is abc"


@pytest.mark.parametrize(
    "shown",
    [
        SLACK,
        "HTTPSConnectionPool: Max retries exceeded with url: /services/T00000000/B00000000/abcDEF123456abcDEF",
        "no such hook: abcDEF123456abcDEF",
        "no such team: T00000000",
    ],
)
def test_a_secret_url_does_not_show_in_parts(shown: str) -> None:
    cleaned = Redactor([SLACK]).clean(shown)
    assert "***" in cleaned
    assert "abcDEF" not in cleaned
    assert "T00000000" not in cleaned


def test_the_password_and_the_query_of_a_secret_url_do_not_show() -> None:
    redactor = Redactor(["https://me:hunter%212@example.com/in?key=0123456789&a=b"])
    assert redactor.clean("hunter%212 hunter!2 0123456789 /in?key=0123456789&a=b") == "*** *** *** ***"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("tgram://123456789:AAFabc_def/12345678/", ["123456789", "AAFabc_def", "12345678"]),
        ("discord://123456789012345678/abcDEF0123", ["123456789012345678", "abcDEF0123"]),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkc/#general", ["T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkc"]),
        ("pover://uQiRzpo4DXghDmr@aBcDeFgHiJkL", ["uQiRzpo4DXghDmr", "aBcDeFgHiJkL"]),
        ("mailto://office:pa%24s@smtp.example.com:587?pass=otto", ["pa$s", "pa%24s", "otto"]),
        ("workflows://prod-1.westeurope.logic.azure.com:443/workflow12/SIGabc012", ["workflow12", "SIGabc012"]),
        ("mmosts://bot.name%2B1@chat.example.com/3ccdd113474722377935", ["bot.name+1", "3ccdd113474722377935"]),
    ],
)
def test_no_part_of_a_chats_url_shows_that_may_be_a_token(url: str, secrets: list[str]) -> None:
    redactor = Redactor([url])
    for secret in secrets:
        assert redactor.clean(f"POST /bot{secret}/send") == "POST /bot***/send"


def test_the_host_of_a_chats_url_stays_readable_where_it_is_one() -> None:
    hosts = ("smtp.example.com", "localhost:8065", "10.0.0.12:8080", "[2001:db8::1]:443")
    text = "cannot reach {}, check localhost"
    for host in hosts:
        assert Redactor([f"mmost://{host}/3ccdd113474722377935"]).clean(text.format(host)) == text.format(host)


def test_plain_words_and_the_host_of_a_secret_url_stay_readable() -> None:
    text = "hooks.slack.com: services are down"
    assert Redactor([SLACK]).clean(text) == text


def test_a_secret_that_only_looks_like_a_url_is_still_replaced() -> None:
    assert Redactor(["http://[broken"]).clean("http://[broken") == "***"


def test_secrets_can_be_added_while_others_clean() -> None:
    redactor = Redactor()
    threads = [threading.Thread(target=redactor.add, args=([f"secret-{number}"],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redactor.clean(" ".join(f"secret-{number}" for number in range(8))) == " ".join(["***"] * 8)


def test_a_log_shows_no_secret_in_message_arguments_or_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter(Redactor(["s3cret"]), logging.Formatter("%(levelname)s %(message)s")))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise RuntimeError("refused: s3cret")
    except RuntimeError:
        log.exception("posting to %s with s3cret", "http://x/?t=s3cret")
    shown = stream.getvalue()
    assert shown.startswith("ERROR posting to http://x/?t=*** with ***\nTraceback")
    assert "refused: ***" in shown
    assert "s3cret" not in shown


def test_the_token_of_a_header_is_replaced_without_its_first_word_too() -> None:
    redactor = Redactor(["Bearer abc123DEF456"])
    assert (
        redactor.clean("Bearer abc123DEF456 is not abc123DEF456, says the Bearer") == "*** is not ***, says the Bearer"
    )


def test_a_login_is_replaced_however_it_is_echoed() -> None:
    pair = "office:pa55w0rd-of-crm"
    sent = b64encode(pair.encode()).decode()
    for secret in (f"https://{pair}@crm.example/hook", f"Basic {sent}"):
        shown = Redactor([secret]).clean(f"you sent Basic {sent}, which is {pair}, with pa55w0rd-of-crm")
        assert sent not in shown
        assert "pa55w0rd-of-crm" not in shown
