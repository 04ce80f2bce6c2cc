"""Answering, and ending: what somebody types who decides, reviews, or gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daypass.arguments import AsJson, Id, seconds
from daypass.connecting import connect
from daypass.fetching import forget
from daypass.saying import tell

if TYPE_CHECKING:
    pass


def approve(
    request_id: Id,
    comment: Annotated[str | None, typer.Option(help="A word to the requester and to the record.")] = None,
    duration: Annotated[str | None, typer.Option(help="Give less time than was asked: 30m.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to somebody's request."""
    client = connect()
    shorter = None if duration is None else seconds(duration)
    tell(client.approve(client.find(request_id), comment=comment, duration_seconds=shorter), as_json)


def deny(
    request_id: Id,
    comment: Annotated[list[str], typer.Argument(metavar="COMMENT...", help="Why not: the requester reads it.")],
    as_json: AsJson = False,
) -> None:
    """Say no to somebody's request. It is final."""
    client = connect()
    tell(client.deny(client.find(request_id), " ".join(comment)), as_json)


def review(
    request_id: Id,
    verdict: Annotated[Literal["justified", "unjustified"], typer.Argument()],
    comment: Annotated[list[str], typer.Argument(metavar="COMMENT...", help="What you found.")],
    as_json: AsJson = False,
) -> None:
    """Say whether somebody's emergency was justified. It is final."""
    client = connect()
    tell(client.review(client.find(request_id), verdict, " ".join(comment)), as_json)


def cancel(request_id: Id, as_json: AsJson = False) -> None:
    """Take back a request of yours that is not used yet."""
    client = connect()
    answer = client.cancel(client.find(request_id, mine=True))
    forget(answer)
    tell(answer, as_json)


def give_back(
    request_id: Id,
    cut: Annotated[bool, typer.Option("--cut", help="End the sessions that you hold, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that you are done: no new sessions; those you hold run out by themselves, or are cut."""
    client = connect()
    answer = client.give_back(client.find(request_id, mine=True), cut=cut)
    forget(answer)
    tell(answer, as_json)


def revoke(
    request_id: Id,
    comment: Annotated[list[str], typer.Argument(metavar="COMMENT...", help="Why: the requester reads it.")],
    as_json: AsJson = False,
) -> None:
    """Take somebody's access away, and cut the sessions that they hold."""
    client = connect()
    tell(client.revoke(client.find(request_id), " ".join(comment)), as_json)


def erase(request_id: Id, as_json: AsJson = False) -> None:
    """Erase what people wrote in a request that is over: reason and comments. For auditors, and for good."""
    client = connect()
    tell(client.erase(client.find(request_id)), as_json)
