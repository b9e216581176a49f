"""What Slack's answers mean: what went wrong, for people, and whether trying again can help."""

from __future__ import annotations

from typing import Any

from bridge import DeliveryFailure, HttpResponse, Misconfigured, PermanentFailure, TemporaryFailure

_TOKEN = "Slack does not accept the token: install the app again (or make a new token) and put it into `token`"  # noqa: S105
_HOOK = "the incoming webhook is gone: make a new one in the Slack app's settings and put its URL into `webhook_url`"
_SCOPE = "the app may not do this: give it the scope chat:write, install it again and put the new token into `token`"
_CHANNEL = "Slack knows no such channel, or the app cannot see it: invite the app there, or put its id into `channel`"
_ARCHIVED = "the channel is archived: unarchive it, or choose another one"
_FORBIDDEN = "the workspace does not allow this post: ask its administrator to allow the app in the channel"

MISCONFIGURED = {
    "access_denied": _FORBIDDEN,
    "accesslimited": _FORBIDDEN,
    "account_inactive": _TOKEN,
    "action_prohibited": _FORBIDDEN,
    "channel_is_archived": _ARCHIVED,
    "channel_not_found": _CHANNEL,
    "ekm_access_denied": _FORBIDDEN,
    "enterprise_is_restricted": _FORBIDDEN,
    "invalid_auth": _TOKEN,
    "invalid_token": _HOOK,
    "is_archived": _ARCHIVED,
    "missing_scope": _SCOPE,
    "no_active_hooks": _HOOK,
    "no_permission": _SCOPE,
    "no_service": _HOOK,
    "no_service_id": _HOOK,
    "no_team": _HOOK,
    "not_allowed_token_type": _TOKEN,
    "not_authed": _TOKEN,
    "not_in_channel": "the app is not in the channel: write /invite @… with its name there",
    "org_login_required": _TOKEN,
    "posting_to_general_channel_denied": _FORBIDDEN,
    "team_access_not_granted": _FORBIDDEN,
    "team_disabled": _HOOK,
    "team_not_found": _TOKEN,
    "token_expired": _TOKEN,
    "token_revoked": _TOKEN,
    "two_factor_setup_required": _TOKEN,
}
"""Slack's errors that last until somebody mends something, and what to mend; `restricted_action…` beside them."""

TEMPORARY = frozenset(
    {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
    }
)
"""Slack's errors that pass by themselves."""

HOOK_PROBED = frozenset({"no_text", "invalid_payload", "missing_text_or_fallback_or_attachments"})
"""How a webhook that works answers an empty message."""


def of_webhook(response: HttpResponse) -> None:
    """Raise what an incoming webhook's answer means; 2xx is success."""
    if response.status in {400, 401, 403, 404, 410}:
        failure = _sorted(response.text.strip(), response)
        # Failure policy: whatever its text, such a status means the URL or the channel, not this one message.
        if response.status != 400 and not isinstance(failure, Misconfigured | TemporaryFailure):
            failure = Misconfigured(f"Slack answered HTTP {response.status}: {_HOOK}", **_record(response))
        raise failure
    response.raise_for_failure()


def of_api(response: HttpResponse) -> dict[str, Any]:
    """The answer of a Web API method; raises what an error means."""
    answer = _json(response)
    if answer is None:
        if response.status == 404:
            raise Misconfigured("nothing of Slack answers there (HTTP 404): mend `api_url`", **_record(response))
        response.raise_for_failure()
        raise TemporaryFailure("Slack's answer is not one of its API: is something in between?", **_record(response))
    if answer["ok"] is not True:
        failure = _sorted(str(answer.get("error", "")), response)
        if isinstance(failure, PermanentFailure) or response.status == 429 or response.status >= 500:
            response.raise_for_failure()
        raise failure
    return answer


def _sorted(code: str, response: HttpResponse) -> DeliveryFailure:
    """The failure that an error code of Slack means. An unknown one is permanent: Slack would say the same again."""
    record = _record(response)
    if advice := _FORBIDDEN if code.startswith("restricted_action") else MISCONFIGURED.get(code):
        return Misconfigured(f"{advice} ({code})", **record)
    if code in TEMPORARY:
        return TemporaryFailure(f"Slack cannot take the message now ({code})", retry_after=_wait(response), **record)
    return PermanentFailure(f"Slack does not take this message ({code[:100] or 'no reason given'})", **record)


def _record(response: HttpResponse) -> dict[str, Any]:
    return {"status": response.status, "answer": response.text}


def _json(response: HttpResponse) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and "ok" in answer else None


def _wait(response: HttpResponse) -> float | None:
    """Seconds to wait, where an error in a 200 names them."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
