"""`callbridge popup grant`, `grants` and `revoke`: who may see which extensions. They work beside a running bridge."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click

from bridge import BridgeError, ConnectorContext, Feed
from callbridge_popup.grants import Grants, new_grant, revocation
from callbridge_popup.hub import GRANTS

EXTENSION = re.compile(r"[0-9*#+]{1,20}")


def commands(context: ConnectorContext) -> Iterable[click.Command]:
    """The commands of one connector."""
    feed, home = context.feed, context.pages_url

    @click.command()
    @click.argument("extensions", nargs=-1, required=True, metavar="EXTENSION...")
    @click.option("--name", default="", help="Whom it is for, to tell grants apart.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
    def grant(extensions: tuple[str, ...], name: str, as_json: bool) -> None:
        """Let an agent see the calls of EXTENSION; prints a link and a PIN, which are shown this once.

        Of several extensions the first is the one to sign in with. The link, the PIN and the token hold until they are
        revoked; further grants of the same extension (another device, a substitute) leave them as they are.
        """
        item, issued = new_grant(_checked(extensions), name.strip()[:100], time.time())
        feed.publish(GRANTS, item, keep=None)
        link = f"{home}in/{issued.token}"
        if as_json:
            shown = {"id": item["grant"], "extensions": item["extensions"], "name": item["name"]}
            click.echo(json.dumps({**shown, "link": link, "pin": issued.pin, "token": issued.token, "page": home}))
            return
        click.echo(f"Grant {item['grant']}: {_words(item['extensions'], item['name'])}")
        click.echo(f"Link:  {link}")
        click.echo(f"PIN:   {issued.pin[:4]} {issued.pin[4:]}  (with the extension {extensions[0]}, at {home})")
        click.echo(f"Token: {issued.token}  (for embed.js and programs)")

    @click.command()
    @click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
    def grants(as_json: bool) -> None:
        """Who may see which extensions."""
        held = _held(feed).all()
        for one in held:
            made_at = datetime.fromtimestamp(one.made_at, UTC).isoformat(timespec="seconds")
            if as_json:
                row = {"id": one.id, "extensions": one.extensions, "name": one.name, "made_at": made_at}
                click.echo(json.dumps(row, ensure_ascii=False))
            else:
                click.echo(f"{one.id}  {made_at}  {_words(one.extensions, one.name)}")
        if not held and not as_json:
            click.echo("no grants: callbridge popup grant EXTENSION")

    @click.command()
    @click.argument("which", metavar="EXTENSION_OR_ID")
    def revoke(which: str) -> None:
        """End every grant of an extension, or one by its id: its link, PIN, token, sign-ins and open streams."""
        ended = [one for one in _held(feed).all() if which == one.id or which in one.extensions]
        if not ended:
            raise BridgeError(f"nothing is granted for {which}: callbridge popup grants lists what is")
        feed.publish(GRANTS, revocation(ended), keep=None)
        for one in ended:
            click.echo(f"{one.id} is revoked: {_words(one.extensions, one.name)}")

    return [grant, grants, revoke]


def _checked(extensions: Sequence[str]) -> list[str]:
    for extension in extensions:
        if not EXTENSION.fullmatch(extension):
            raise click.BadParameter(f"{extension!r} is no extension", param_hint="EXTENSION")
    return list(dict.fromkeys(extensions))


def _held(feed: Feed) -> Grants:
    held, after = Grants(), 0
    while items := feed.read([GRANTS], after):
        for item in items:
            held.take(item.data)
            after = item.id
    return held


def _words(extensions: Sequence[str], name: str) -> str:
    return f"{', '.join(extensions)}{f' ({name})' if name else ''}"
