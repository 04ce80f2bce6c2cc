"""A request as Slack shows it: what the broker knows in the broker's words, and other people's words as quotations.

The same message is asked for an answer, follows everything that happens to the request, and in the end tells who did
what and when. It never holds a credential: it tells the requester how to fetch one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.catalogue import Role
from chalicelib.core.life import Expired, State
from chalicelib.core.request import Request, StageProgress
from chalicelib.core.session import longest
from chalicelib.core.times import spoken
from chalicelib.slack import blocks, words
from chalicelib.slack.quotation import closed, quotation, shortened
from chalicelib.slack.text import Json, cut, escaped

# Characters of what others wrote. Of all blocks together Slack takes some 11,000, as people found out.
# Source: https://github.com/slackapi/bolt-js/issues/2509 and /2867.
_REASON, _POLICY, _COMMENT, _ASIDE, _VALUE, _DONE = 3000, 2048, 500, 200, 300, 500
_MOST_STAGES = _MOST_APPROVALS = 5

_HEADLINES: Mapping[State, tuple[str, str]] = {
    State.PENDING: ("⏳", "{who} asks for {role}"),
    State.READY: ("✅", "{who} may use {role}"),
    State.SCHEDULED: ("✅", "{who} will have {role}"),
    State.ACTIVE: ("🔑", "{who} has {role}"),
    State.EXPIRED: ("⌛", "{who} asked for {role}"),
    State.DENIED: ("⛔", "{who} does not get {role}"),
    State.CANCELLED: ("↩️", "{who} no longer asks for {role}"),
    State.ENDED: ("⏹️", "{who} had {role}"),
    State.RETURNED: ("⏹️", "{who} gave back {role}"),
    State.REVOKED: ("⛔", "{role} was taken away from {who}"),
}

_FETCHABLE = frozenset({State.READY, State.SCHEDULED, State.ACTIVE})


@dataclass(frozen=True, slots=True)
class Rendered:
    """text: mrkdwn, for notifications and readers of screens; blocks: Block Kit, for everybody else."""

    text: str
    blocks: list[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a message is made of, and for whom.

    request: as it is shown. role: today's; None where the catalogue has it no more. ended_at: when somebody ended it.
    for_requester: it tells how to go on, and asks nobody. loud: it calls everybody at the place.
    done: what was done with an emergency's access, as far as CloudTrail has told; None where it is not over.
    """

    request: Request
    now: datetime
    role: Role | None = None
    ended_at: datetime | None = None
    for_requester: bool = False
    loud: bool = False
    done: str | None = None

    @property
    def state(self) -> State:
        return self.request.state(self.now)


def rendered(telling: Telling) -> Rendered:
    """At most 50 blocks, each within Block Kit's limits."""
    headline = _headline(telling)
    shown = [
        blocks.header(headline),
        blocks.rich(*_calling(telling), _facts(telling)),
        blocks.rich(*_words(telling.request)),
    ]
    if outcome := tuple(_outcome(telling)):
        shown.append(blocks.rich(*outcome))
    if telling.for_requester:
        shown.append(blocks.rich(_how_to_go_on(telling)))
    elif telling.state is State.PENDING:
        shown.append(blocks.buttons(telling.request.id))
    return Rendered(escaped(headline), [*shown, blocks.footer(telling.request.id)])


def reminder(telling: Telling) -> Rendered:
    """For the thread of a request that has waited for long: who may approve it, and until when."""
    request = telling.request
    waiting = [
        blocks.text(f"Still waiting for {stages(request.stages, missing=True)}, until "),
        blocks.date(request.answer_by),
    ]
    return Rendered("A request is still waiting for an answer.", [blocks.rich(blocks.section(*waiting))])


def alarm(telling: Telling) -> Rendered:
    """For the thread of a request that has become an emergency: everybody at the place is called."""
    headline = _headline(telling)
    return Rendered(escaped(headline), [blocks.rich(*_calling(telling), blocks.section(blocks.text(headline)))])


def stages(of: Iterable[StageProgress], *, missing: bool = False) -> str:
    """`1 of groups sre-leads and 1 of groups security`; missing: what is still to be said yes to."""
    counts = [(stage.count - (len(stage.approved_by) if missing else 0), stage.who) for stage in of]
    told = [f"{count} of {cut(words.who(who), _VALUE)}" for count, who in counts if count > 0]
    more = [f"{len(told) - _MOST_STAGES} more"] if len(told) > _MOST_STAGES else []
    return " and ".join([*told[:_MOST_STAGES], *more])


def _headline(telling: Telling) -> str:
    request = telling.request
    mark, words = _HEADLINES[telling.state]
    first = "🚨 EMERGENCY:" if request.break_glass else mark
    return f"{first} {words.format(who=cut(request.requester.id, 60), role=request.role)}"


def _calling(telling: Telling) -> Iterator[Json]:
    if telling.loud:
        everybody = {"type": "broadcast", "range": "channel"}
        yield blocks.section(
            everybody, blocks.text(" The glass was broken: access without approval, reviewed afterwards.")
        )


def _facts(telling: Telling) -> Json:
    request, who = telling.request, telling.request.requester
    factor = "with" if who.mfa else "without"
    facts: list[tuple[str, list[Json]]] = [
        ("Who", [blocks.text(f"{cut(who.id, 200)} ({who.kind} of {who.issuer}, {factor} a second factor)")]),
        ("Role", [blocks.text(f"{request.role} in {request.account} ({request.account_id})")]),
        ("ARN", [blocks.text(cut(request.role_arn, 200))]),
        ("For", _how_long(telling)),
        ("Scope", _scope(request)),
        ("Ticket", [blocks.text(request.ticket)] if request.ticket else []),
        ("Rule", [blocks.text(f"“{request.rule}”")]),
        ("Approvals", [blocks.text(_approvals_due(request))]),
        ("Review", _review_due(telling)),
        ("Answer by", [blocks.date(request.answer_by)] if telling.state is State.PENDING else []),
        ("Use by", [blocks.date(request.use_by)] if telling.state is State.READY and request.use_by else []),
    ]
    lines = [[blocks.text(f"{name}: ", bold=True), *value] for name, value in facts if value]
    return blocks.section(*blocks.lines(lines))


def _how_long(telling: Telling) -> list[Json]:
    request, role = telling.request, telling.role
    sessions = ""
    if role and request.duration > longest(role):
        sessions = f", in sessions of {spoken(longest(role))} at most"
    length = f"{spoken(request.duration)}{sessions}"
    if request.window:
        return [
            blocks.text(f"{length}, from "),
            blocks.date(request.window.starts_at),
            blocks.text(" to "),
            blocks.date(request.window.ends_at),
        ]
    return [blocks.text(f"{length}, from the first use on")]


def _scope(request: Request) -> list[Json]:
    if request.scope is None:
        return [] if request.session_policy else [blocks.text("all that the role may")]
    given = ", ".join(f"{name} = {value}" for name, value in sorted(request.scope.parameters.items()))
    return [blocks.text(cut(f"{request.scope.name}: {given}" if given else request.scope.name, _VALUE))]


def _approvals_due(request: Request) -> str:
    if request.break_glass:
        return "none: an emergency"
    return stages(request.stages) or "none needed"


def _review_due(telling: Telling) -> list[Json]:
    request = telling.request
    if not request.break_glass or request.review or request.review_by is None:
        return []
    reviewers = " or ".join(cut(words.who(who), 100) for who in request.reviewers[:_MOST_STAGES])
    return [blocks.text(f"by {reviewers}, until "), blocks.date(request.review_by)]


def _words(request: Request) -> Iterator[Json]:
    """What the requester wrote, the reason first. A policy is shown in full: it is what is approved."""
    yield blocks.label("Reason, in the requester's words")
    yield quotation(request.reason, _REASON)
    if request.escalated_because:
        yield blocks.label("Why it became an emergency, in the requester's words")
        yield quotation(request.escalated_because, _COMMENT)
    if request.session_policy and request.scope is None:
        yield blocks.label("The requester's own session policy")
        policy = closed(shortened(request.session_policy, _POLICY))
        yield {"type": "rich_text_preformatted", "elements": [blocks.text(policy)]}


def _outcome(telling: Telling) -> Iterator[Json]:
    """Who did what, and when."""
    request, state = telling.request, telling.state
    for approval in request.approvals[-_MOST_APPROVALS:]:
        yield blocks.done(f"{cut(approval.by, 200)} said yes", approval.at)
        if approval.comment:
            yield quotation(approval.comment, _ASIDE)
    if ending := _ending(telling):
        yield ending
    if state in (State.DENIED, State.REVOKED) and request.decision_comment:
        yield quotation(request.decision_comment, _COMMENT)
    if telling.done:
        yield _what_was_done(telling.done, request.id)
    if request.review:
        yield blocks.done(
            f"{cut(request.review.by, 200)} found the emergency {request.review.verdict}", request.review.at
        )
        yield quotation(request.review.comment, _ASIDE)


def _what_was_done(done: str, id: str) -> Json:
    return blocks.section(
        blocks.text("What was done, as CloudTrail has told it by now: ", bold=True),
        blocks.text(closed(shortened(done, _DONE))),
        blocks.text(" All of it: "),
        blocks.text(f"daypass activity {id}", code=True),
    )


def _ending(telling: Telling) -> Json | None:
    request, requester = telling.request, cut(telling.request.requester.id, 200)
    by = cut(request.decided_by or "", 200)
    match telling.state:
        case State.DENIED:
            return blocks.done(f"{by} said no", telling.ended_at)
        case State.REVOKED:
            return blocks.done(f"{by} took it away", telling.ended_at)
        case State.CANCELLED:
            return blocks.done(f"{requester} took it back", telling.ended_at)
        case State.RETURNED:
            return blocks.done(f"{requester} gave it back", telling.ended_at)
        case State.ENDED if request.window:
            return blocks.done("It ended", request.window.ends_at)
        case State.EXPIRED:
            unanswered = request.expired_because(telling.now) is Expired.UNANSWERED
            return (
                blocks.done("Nobody answered", request.answer_by)
                if unanswered
                else blocks.done("Nobody used it", request.use_by)
            )
        case _:
            return None


def _how_to_go_on(telling: Telling) -> Json:
    id = telling.request.id
    if telling.state not in _FETCHABLE:
        return blocks.section(
            blocks.text("There is nothing to fetch: "),
            blocks.text(f"daypass show {id}", code=True),
            blocks.text(" tells more."),
        )
    return blocks.section(
        blocks.text("Your credentials: "),
        blocks.text(f"daypass credentials {id}", code=True),
        blocks.text(", or the AWS console: "),
        blocks.text(f"daypass console {id}", code=True),
    )
