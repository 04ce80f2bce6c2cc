"""Denies: the inline policies that cut sessions at a role, as their names tell them.

    daypass-deny-<request id>               the sessions of one request
    daypass-deny-person-<hash>-<instant>    the sessions of one person that were made before the instant
    daypass-deny-role-<instant>             everybody's that were made before the instant

All inline policies of a role share 10,240 characters, so near that limit denies become wider. A wide one has its
instant in its name: none is ever overwritten, the later stands for the earlier, and anybody can tell when it has become
needless (docs/decisions/0015).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.core.policy_grammar import VERSION, minified
from chalicelib.core.request import Covers
from chalicelib.core.session import REQUEST_TAG
from chalicelib.core.times import stamp

AHEAD = timedelta(seconds=30)
"""How much later than a revocation the instant of its wide deny is: a session that was being lent just then is made
within 22 s, clocks differ, and IAM's console looks as far ahead.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html.
"""

NEEDED = timedelta(hours=12, minutes=1)
"""How long after its instant a wide deny is needed. STS lends for 12 h at most, whatever the way; and clocks differ.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (DurationSeconds).
"""

PERSON_ABOVE, ROLE_ABOVE = 8_000, 9_200
"""Characters of all inline policies of a role, above which a deny is of the person, then of the role. What is left of
the 10,240 is room for those that are being written at the same time.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (white space is not counted).
"""

_LONGEST_IDENTITY = "x" * 64
_NAME = re.compile(
    r"daypass-deny-(?:(?P<request>[0-7][0-9A-HJKMNP-TV-Z]{25})"
    r"|(?:person-(?P<person>[0-9a-f]{32})|role)-(?P<before>[0-9]{8}T[0-9]{6}Z))",
    re.ASCII,
)
_INSTANT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is to be cut: the sessions of one request at one role.

    source_identity: the requester's, which all of them carry. before: all of them were made earlier than this.
    """

    role_arn: str
    request_id: str
    source_identity: str
    before: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A deny, as its name tells it. whose: a request's id, a person's hash, or nothing: everybody's.

    before: it cuts what was made earlier; None: whenever it was made.
    """

    name: str
    covers: Covers
    whose: str = ""
    before: datetime | None = None


def named(cut: Cut, covers: Covers) -> Standing:
    """What the deny that covers so much is called: at most 69 characters, of which IAM takes 128."""
    instant = cut.before.astimezone(UTC).strftime(_INSTANT)
    match covers:
        case Covers.REQUEST:
            return Standing(f"daypass-deny-{cut.request_id}", covers, cut.request_id)
        case Covers.PERSON:
            person = _hash(cut.source_identity)
            return Standing(f"daypass-deny-person-{person}-{instant}", covers, person, cut.before)
        case Covers.ROLE:
            return Standing(f"daypass-deny-role-{instant}", covers, before=cut.before)


def read(name: str) -> Standing | None:
    """The deny that `named` called so; None for every other policy."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match["request"]:
        return Standing(name, Covers.REQUEST, match["request"])
    try:
        before = datetime.strptime(match["before"], _INSTANT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Standing(name, Covers.PERSON if match["person"] else Covers.ROLE, match["person"] or "", before)


def document(cut: Cut, covers: Covers) -> str:
    """The policy itself, minified: everything is denied to the sessions that it covers.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html (aws:PrincipalTag,
    aws:SourceIdentity, aws:TokenIssueTime).
    """
    earlier = {"DateLessThan": {"aws:TokenIssueTime": stamp(cut.before)}}
    match covers:
        case Covers.REQUEST:
            return _deny({"StringEquals": {f"aws:PrincipalTag/{REQUEST_TAG}": cut.request_id}})
        case Covers.PERSON:
            return _deny({"StringEquals": {"aws:SourceIdentity": cut.source_identity}, **earlier})
        case Covers.ROLE:
            return _deny(earlier)


def room(standing: Standing) -> int:
    """How many characters of the role's it takes, at most: whose identity stands in it the name does not tell."""
    whose = standing.whose if standing.covers is Covers.REQUEST else ""
    any_instant = standing.before or datetime(2000, 1, 1, tzinfo=UTC)
    widest = Cut(role_arn="", request_id=whose, source_identity=_LONGEST_IDENTITY, before=any_instant)
    return len(document(widest, standing.covers))


def needless(standing: Standing, now: datetime) -> bool:
    """Whether a wide deny cuts nothing any more, whosever it is: all sessions from before its instant are over."""
    return standing.before is not None and now >= standing.before + NEEDED


def width(used: int) -> Covers:
    """How much a deny covers where all inline policies of the role, its own narrow one among them, take so many."""
    if used > ROLE_ABOVE:
        return Covers.ROLE
    return Covers.PERSON if used > PERSON_ABOVE else Covers.REQUEST


def covering(cut: Cut, standing: Iterable[Standing]) -> Standing | None:
    """A wide deny that cuts all of it already.

    One that is gone from the role by now will do too: it went because a later one stands there, or its sessions ended.
    """
    person = _hash(cut.source_identity)
    wide = (each for each in standing if each.before is not None and cut.before <= each.before)
    return next((each for each in wide if each.covers is Covers.ROLE or each.whose == person), None)


def superseded(by: Standing, standing: Iterable[Standing]) -> Iterator[Standing]:
    """The wide denies that cut nothing which `by`, standing at the same role, does not cut too."""
    for each in standing:
        earlier = each.before is not None and by.before is not None and each.before <= by.before
        within = by.covers is Covers.ROLE or (by.covers is each.covers and by.whose == each.whose)
        if each.name != by.name and earlier and within:
            yield each


def _deny(condition: Mapping[str, object]) -> str:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    return minified({"Version": VERSION, "Statement": [statement]})


def _hash(source_identity: str) -> str:
    return hashlib.sha256(source_identity.encode()).hexdigest()[:32]
