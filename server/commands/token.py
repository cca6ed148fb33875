"""`agent-tools token`: who may use the HTTP server, and for what."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_tools.errors import InvalidArguments
from server.commands.session import AsJson, flags_of
from server.console import Output

if TYPE_CHECKING:
    from server.tokens import Token, TokenStore

app = typer.Typer(help="Who may use the HTTP server: create, list, revoke.", no_args_is_help=True)
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class ScopeName(StrEnum):
    """What a token allows."""

    GENERATE = "generate"
    READ = "read"
    EXPORT = "export"
    ADMIN = "admin"


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Names the caller; pictures are bound to it.")],
    scope: Annotated[list[ScopeName], typer.Option(help="What it allows; may be repeated.")],
    expires: Annotated[str | None, typer.Option(help="Such as 12h, 90d or 8w.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it, this once; only its hash is kept.

    From the first token on nobody comes in without one, also on this machine.

    Example: agent-tools token create shop-bot --scope read --scope generate --expires 90d
    """
    token = _store(context).create(
        name, [item.value for item in scope], None if expires is None else _seconds(expires)
    )
    output = Output(as_json=as_json)
    output.emit({"name": name, "token": token, "scopes": sorted({item.value for item in scope})})
    output.say(token)
    output.note("Keep it now: it is not shown again. Send it as Authorization: Bearer <token>.")


@app.command("list")
def list_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List the tokens by name, never the tokens themselves."""
    output = Output(as_json=as_json)
    rows = [_row(token) for token in _store(context).all()]
    output.emit({"tokens": rows})
    for row in rows:
        ends = f", until {row['expires']}" if row["expires"] else ""
        output.say(f"{row['name']:<24} {row['state']:<8} {' '.join(row['scopes'])}{ends}")
    if not rows:
        output.note("There are no tokens yet: agent-tools token create NAME --scope read")


@app.command()
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="From token list.")],
    as_json: AsJson = False,
) -> None:
    """Refuse a token from now on, also in servers that are running."""
    _store(context).revoke(name)
    output = Output(as_json=as_json)
    output.emit({"name": name, "state": "revoked"})
    output.say(f"Revoked {name}.")


def _store(context: typer.Context) -> TokenStore:
    from server.tokens import TokenStore

    return TokenStore(flags_of(context).settings().data)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text.strip())
    if found is None:
        raise InvalidArguments(f"'{text[:40]}' is no time span.", hint="Such as 12h, 90d or 8w.")
    return int(found[1]) * _SECONDS[found[2]]


def _row(token: Token) -> dict[str, Any]:
    def moment(value: float | None) -> str | None:
        return (
            None if value is None else datetime.fromtimestamp(value, UTC).isoformat(" ", "minutes")
        )

    state = "revoked" if token.revoked_at else "valid" if token.valid(time.time()) else "expired"
    return {
        "name": token.name,
        "state": state,
        "scopes": sorted(token.scopes),
        "created": moment(token.created_at),
        "expires": moment(token.expires_at),
    }
