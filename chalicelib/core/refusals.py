"""Every way in which Daypass says no.

One level of subclasses: a refusal is a word of the domain, and `chalicelib/web/problems.py` alone knows which HTTP
status goes with which word. Whatever is raised and is not a Refusal is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

Calls = Mapping[str, str]
"""CloudTrail's `requestID` of calls that AWS answered, by the names they go by in a history: `sts_request_id`, …"""

NO_CALLS: Calls = {}


class Refusal(Exception):
    """A no with its reason. `slug` is what programs branch on; `detail` tells a person what was wrong and what to do.

    `detail` never holds a secret: it goes to the caller and to the log.
    """

    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Unauthenticated(Refusal):
    slug = "unauthenticated"
    title = "Who is asking could not be proven"


class GroupsOverage(Refusal):
    """The token says that it holds too many groups to list them, so nothing can be decided by group."""

    slug = "groups-overage"
    title = "The token does not list its groups"


class PassAsksForPass(Refusal):
    slug = "pass-asks-for-pass"
    title = "A Daypass session cannot ask for another"


class NotEligible(Refusal):
    slug = "not-eligible"
    title = "You may not have this"


class MayNotApprove(Refusal):
    slug = "may-not-approve"
    title = "You may not decide on this request"


class NotYours(Refusal):
    slug = "not-yours"
    title = "Only the requester may do this"


class NotFound(Refusal):
    slug = "not-found"
    title = "There is no such thing, or you may not see it"


class NotPending(Refusal):
    slug = "not-pending"
    title = "The request is no longer waiting for an answer"


class AlreadyApprovedByYou(Refusal):
    slug = "already-approved-by-you"
    title = "You have approved this request already"


class NotActive(Refusal):
    slug = "not-active"
    title = "The request gives no access now"


class NotCancellable(Refusal):
    slug = "not-cancellable"
    title = "The request can no longer be cancelled"


class NotOver(Refusal):
    slug = "not-over"
    title = "The request is not over yet"


class AlreadyExtended(Refusal):
    slug = "already-extended"
    title = "The request is extended already"


class ChangedMeanwhile(Refusal):
    """Others changed the same request so often that this call gave up; nothing of it was recorded."""

    slug = "changed-meanwhile"
    title = "The request was changed by somebody else at the same time"


class IdempotencyKeyReused(Refusal):
    slug = "idempotency-key-reused"
    title = "This Idempotency-Key came with another body before"


class ReviewOverdue(Refusal):
    slug = "review-overdue"
    title = "An earlier emergency of yours was not reviewed in time"


class AlreadyReviewed(Refusal):
    slug = "already-reviewed"
    title = "The emergency was reviewed already"


class MayNotReview(Refusal):
    slug = "may-not-review"
    title = "You may not review this emergency"


class TooManyOpen(Refusal):
    slug = "too-many-open"
    title = "You have too many open requests"


class QuotaUsed(Refusal):
    """There is not enough left of what the caller may take out of one day."""

    slug = "quota-used"
    title = "Not enough is left of what you may have in a day"


class TooManySessions(Refusal):
    slug = "too-many-sessions"
    title = "This request was given too many sessions"

    def __init__(self, detail: str, retry_after: timedelta | None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooLong(Refusal):
    slug = "too-long"
    title = "Longer than you may have it"


class TooLarge(Refusal):
    slug = "too-large"
    title = "The body is too large"


class UnsupportedMediaType(Refusal):
    slug = "unsupported-media-type"
    title = "Daypass reads application/json only"


class MethodNotAllowed(Refusal):
    slug = "method-not-allowed"
    title = "This address does not know that method"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `field` is its path, as in `scope.parameters.bucket`."""

    field: str
    message: str


class Invalid(Refusal):
    slug = "invalid"
    title = "The request makes no sense as it is"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class StsRefused(Refusal):
    """STS answered no, or KMS that signs for it: for certain no session exists. `code` is AWS's own error code.

    calls: what was asked until then, which is joined by that to what CloudTrail tells of it.
    """

    slug = "sts-refused"
    title = "AWS did not lend the session"

    def __init__(self, detail: str, code: str, calls: Calls = NO_CALLS) -> None:
        super().__init__(detail)
        self.code = code
        self.calls = calls


class ConsoleRefused(Refusal):
    """AWS's sign-in answered, and not with a link into the console. The session that it was asked about is lent."""

    slug = "console-refused"
    title = "AWS did not sign you in to its console"


class CatalogueStale(Refusal):
    """For too long nobody could see that the catalogue is still today's."""

    slug = "catalogue-stale"
    title = "The catalogue may be out of date"
    retry_after = timedelta(minutes=1)


class Unavailable(Refusal):
    """Something Daypass needs did not answer; whether it acted may be unknown. `retry_after`: when to ask again.

    outage: where the table gave no answer to a write, which outage this is, by a number that only the same process
    compares; None for everything else, also for a table that answered that it cannot keep up.
    calls: what AWS was asked and answered before, where a session was to be lent.
    """

    slug = "unavailable"
    title = "Daypass cannot do this right now"

    def __init__(
        self,
        detail: str,
        retry_after: timedelta = timedelta(seconds=5),
        *,
        outage: int | None = None,
        calls: Calls = NO_CALLS,
    ) -> None:
        super().__init__(detail)
        self.calls = calls
        self.retry_after = retry_after
        self.outage = outage
