"""Scripted pieces of office life, posted the way the PBX posts them, for `callbridge simulate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

from bridge import Scenario

PAUSE = 0.05
"""Seconds between two posts: the stamps tell the real durations, nobody wants to wait for them."""

OFFICE = "02129510292"
PHONES = ("1001", "1002", "1003")
FAILURES = {
    "ORIGINATOR_CANCEL": ("487", "Request Terminated"),
    "USER_BUSY": ("486", "Busy Here"),
    "NO_ANSWER": ("480", "Temporarily Unavailable"),
    "CALL_REJECTED": ("603", "Decline"),
}

Form = dict[str, str]
Script = list[tuple[datetime, Form]]


@dataclass(frozen=True, kw_only=True)
class ScriptedCall:
    """One call. It rings for `wait` seconds on every phone of `rang`, and `talk` seconds follow if `connected` took it.

    `talk` None: nobody took it. An outbound call rings outside (`rang` is empty), and connects no extension. A queue
    takes the call itself after a `greeting` (seconds); a ring group (also a `queue` to the PBX) does not.
    """

    start: datetime
    direction: Literal["inbound", "outbound", "internal"] = "inbound"
    caller: str = "905320000000"
    called: str = OFFICE
    outside: str = ""
    rang: tuple[str, ...] = ("1001",)
    connected: str = ""
    wait: int = 12
    talk: int | None = None
    queue: str = ""
    greeting: int = 0
    cause: str = "NORMAL_CLEARING"
    leg_cause: str = "LOSE_RACE"
    hung_up_by: Literal["caller", "callee"] = "caller"
    id: str = field(default_factory=lambda: str(uuid4()))

    def script(self) -> Script:
        """What the PBX posts of this call, with the moment each happens."""
        decided, end = self._at(self.wait), self._at(self.wait + (self.talk or 0))
        ringing = [(self.start, self._ringing(phone)) for phone in self.rang or ("",)]
        answer = [] if self.talk is None else [(decided, self._answer())]
        others = (
            [phone for phone in self.rang if phone != self.connected] if self.connected or len(self.rang) > 1 else []
        )
        return [*ringing, *answer, *((decided, self._leg_ended(phone)) for phone in others), (end, self._hangup(end))]

    def ends_at(self, moment: datetime) -> ScriptedCall:
        """The same call, so long ago that it ends now."""
        return replace(self, start=moment - timedelta(seconds=self.wait + (self.talk or 0)))

    def _at(self, seconds: int) -> datetime:
        return self.start + timedelta(seconds=seconds)

    def _ringing(self, phone: str) -> Form:
        return {
            "event_type": "ringing",
            "domain_id": "101",
            "direction": self.direction,
            "caller_id_number": self.caller,
            "outbound_caller_id_number": self.outside,
            "destination_number": self.called,
            "dialed_user": phone,
            "call_uuid": self.id,
            "start_stamp": _stamp(self.start),
            **({"queue": self.queue} if self.queue else {}),
        }

    def _answer(self) -> Form:
        return self._ringing(self._dialed()) | {
            "event_type": "answer",
            "connected_user": self.connected,
            "answer_stamp": _stamp(self._at(self.wait)),
        }

    def _leg_ended(self, phone: str) -> Form:
        return self._ended(phone, self._at(self.wait), self.leg_cause) | {"event_type": "user_hangup"}

    def _hangup(self, end: datetime) -> Form:
        answered = self.talk is not None
        answer_stamp = self._at(self.wait if answered else self.greeting)
        return self._ended(self._dialed(), end, self.cause, failed=not answered and not self.greeting) | {
            "connected_user": self.connected if answered else "",
            "answer_stamp": _stamp(answer_stamp) if answered or self.greeting else "",
            "duration": str(self.talk or 0),
            "recording_present": _boolean(answered),
            "answered": _boolean(answered),
            "queue_wait_duration": str(self.wait - self.greeting) if self.greeting else "",
            "sip_hangup_disposition": self.hung_up_by,
        }

    def _dialed(self) -> str:
        if self.connected in self.rang or not self.rang:
            return self.connected
        return self.rang[0]

    def _ended(self, phone: str, end: datetime, cause: str, *, failed: bool = False) -> Form:
        failure_status, failure_phrase = FAILURES.get(cause, ("", "")) if failed else ("", "")
        return self._ringing(phone) | {
            "event_type": "hangup",
            "connected_user": "",
            "answer_stamp": "",
            "end_stamp": _stamp(end),
            "duration": "0",
            "recording_present": "false",
            "answered": "false",
            "queue": self.queue,
            "queue_wait_duration": "",
            "sip_hangup_disposition": "",
            "hangup_cause": cause,
            "failure_status": failure_status,
            "failure_phrase": failure_phrase,
        }


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _boolean(value: bool) -> str:
    return "true" if value else "false"


# --- one call each ------------------------------------------------------------------------------------------------


def missed(start: datetime) -> ScriptedCall:
    return ScriptedCall(start=start, called="1001", wait=20, cause="ORIGINATOR_CANCEL")


def answered(start: datetime) -> ScriptedCall:
    return ScriptedCall(start=start, connected="1001", wait=8, talk=95)


def ring_group(start: datetime) -> ScriptedCall:
    return ScriptedCall(start=start, rang=PHONES, connected="1002", wait=10, talk=140, queue="700")


def ring_group_missed(start: datetime) -> ScriptedCall:
    return ScriptedCall(
        start=start, rang=PHONES, wait=30, queue="700", cause="ORIGINATOR_CANCEL", leg_cause="ORIGINATOR_CANCEL"
    )


def queue_abandoned(start: datetime) -> ScriptedCall:
    return ScriptedCall(
        start=start,
        rang=("1001", "1002"),
        wait=48,
        queue="200",
        greeting=5,
        cause="ORIGINATOR_CANCEL",
        leg_cause="ORIGINATOR_CANCEL",
    )


def pickup(start: datetime) -> ScriptedCall:
    return ScriptedCall(start=start, connected="1005", wait=14, talk=70, leg_cause="PICKED_OFF")


def outbound(start: datetime) -> ScriptedCall:
    return ScriptedCall(
        start=start,
        direction="outbound",
        caller="1001",
        called="05320000001",
        outside=OFFICE,
        rang=(),
        wait=11,
        talk=180,
        hung_up_by="callee",
    )


def outbound_unanswered(start: datetime) -> ScriptedCall:
    return replace(outbound(start), wait=40, talk=None, cause="NO_ANSWER")


def internal(start: datetime) -> ScriptedCall:
    return ScriptedCall(
        start=start, direction="internal", caller="1002", called="1003", rang=("1003",), connected="1003", talk=25
    )


# --- a morning ----------------------------------------------------------------------------------------------------


def morning(now: datetime) -> Scenario:
    """Two hours of an office in Istanbul, with the disorder of a real network: a doubled post, and a late one."""

    def ago(minutes: int) -> datetime:
        return now - timedelta(minutes=minutes)

    doubled = replace(answered(ago(110)), caller="905320000002", talk=210)
    late = replace(missed(ago(52)), caller="02163450000")
    calls = [
        replace(missed(ago(118)), caller="905320000003"),
        replace(ring_group(ago(106)), caller="02123450001"),
        replace(internal(ago(101)), talk=40),
        replace(queue_abandoned(ago(97)), caller="05320000004"),
        replace(outbound(ago(93)), called="905320000003"),
        replace(answered(ago(88)), caller="anonymous", talk=65),
        replace(answered(ago(83)), caller="00493089680211", connected="1003", rang=("1003",), talk=320),
        replace(pickup(ago(77)), caller="02123450005"),
        replace(outbound_unanswered(ago(72)), called="05320000004"),
        replace(missed(ago(66)), caller="", cause="USER_BUSY", wait=2),
        replace(ring_group_missed(ago(61)), caller="03123450006"),
        replace(internal(ago(57)), talk=None, connected="", cause="NO_ANSWER", wait=30),
        replace(ring_group(ago(47)), caller="905320000007", connected="1001", talk=55),
        replace(outbound(ago(43)), caller="1003", called="02163450000", talk=90),
        replace(answered(ago(38)), caller="02323450008", queue="200", greeting=5, wait=33, talk=260),
        replace(queue_abandoned(ago(33)), caller="905320000009", wait=95),
        replace(outbound_unanswered(ago(29)), called="05320000010", cause="USER_BUSY", wait=3),
        replace(answered(ago(24)), caller="905320000011", hung_up_by="callee", talk=30),
        replace(missed(ago(19)), caller="08502000012", cause="NO_ANSWER", wait=45, hung_up_by="callee"),
        replace(outbound(ago(15)), caller="1002", called="00493089680211", talk=400),
        replace(pickup(ago(11)), caller="905320000013", talk=35),
        replace(answered(ago(6)), caller="905320000003", rang=("1002",), connected="1002", talk=150),
    ]
    script = [step for call in calls for step in call.script()] + _doubled(doubled) + _late(late)
    return _scenario("morning", sorted(script, key=lambda step: step[0]))


def _doubled(call: ScriptedCall) -> Script:
    first, *rest = call.script()
    return [first, first, *rest]


def _late(call: ScriptedCall) -> Script:
    (_, ringing), *rest = call.script()
    after_the_end = rest[-1][0] + timedelta(seconds=1)
    return [*rest, (after_the_end, ringing)]


# --- what a kind offers -------------------------------------------------------------------------------------------


def _scenario(name: str, script: Iterable[tuple[datetime, Form]]) -> Scenario:
    return Scenario(name, tuple((PAUSE, form) for _, form in script))


def _of_one_call(name: str, make: Callable[[datetime], ScriptedCall]) -> Callable[[datetime], Scenario]:
    return lambda now: _scenario(name, make(now).ends_at(now).script())


CALLS: Mapping[str, Callable[[datetime], ScriptedCall]] = {
    "missed": missed,
    "answered": answered,
    "ring-group": ring_group,
    "ring-group-missed": ring_group_missed,
    "queue-abandoned": queue_abandoned,
    "pickup": pickup,
    "outbound": outbound,
    "outbound-unanswered": outbound_unanswered,
    "internal": internal,
}
SCENARIOS: Mapping[str, Callable[[datetime], Scenario]] = {
    **{name: _of_one_call(name, make) for name, make in CALLS.items()},
    "morning": morning,
}
"""By name: what the PBX would post if it ended at a given moment, with fresh call ids."""
