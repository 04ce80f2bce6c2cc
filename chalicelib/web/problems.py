"""Every no as RFC 9457 `application/problem+json`: the one place that knows which refusal is which HTTP status."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from chalice.app import Response

from chalicelib.core import refusals
from chalicelib.core.refusals import Refusal

STATUS: Mapping[type[Refusal], int] = {
    refusals.Unauthenticated: 401,
    refusals.GroupsOverage: 403,
    refusals.PassAsksForPass: 403,
    refusals.NotEligible: 403,
    refusals.MayNotApprove: 403,
    refusals.NotYours: 403,
    refusals.MayNotReview: 403,
    refusals.NotFound: 404,
    refusals.MethodNotAllowed: 405,
    refusals.NotPending: 409,
    refusals.AlreadyApprovedByYou: 409,
    refusals.NotActive: 409,
    refusals.NotCancellable: 409,
    refusals.NotOver: 409,
    refusals.ChangedMeanwhile: 409,
    refusals.IdempotencyKeyReused: 409,
    refusals.AlreadyExtended: 409,
    refusals.TooManyOpen: 409,
    refusals.QuotaUsed: 409,
    refusals.ReviewOverdue: 409,
    refusals.AlreadyReviewed: 409,
    refusals.TooLarge: 413,
    refusals.UnsupportedMediaType: 415,
    refusals.Invalid: 422,
    refusals.TooLong: 422,
    refusals.TooManySessions: 429,
    refusals.StsRefused: 502,
    refusals.ConsoleRefused: 502,
    refusals.CatalogueStale: 503,
    refusals.Unavailable: 503,
}

CONTENT_TYPE = "application/problem+json"


def problem(refusal: Refusal) -> Response:
    """The answer to a refusal, with `Retry-After` (whole seconds, rounded up) where waiting helps."""
    members: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(refusal, refusals.Invalid):
        members["errors"] = [{"field": error.field, "message": error.message} for error in refusal.errors]
    if isinstance(refusal, refusals.StsRefused):
        members["code"] = refusal.code
    if isinstance(refusal, refusals.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="daypass"'
    retry_after: timedelta | None = getattr(refusal, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after.total_seconds())))
    return _answer(STATUS[type(refusal)], refusal.slug, refusal.title, refusal.detail, members, headers)


def bug() -> Response:
    """The answer where Daypass itself is wrong: it says nothing of what happened; the log does."""
    detail = "Something is wrong with Daypass itself. The log holds it under this answer's X-Request-Id."
    return _answer(500, "internal-error", "Daypass failed", detail, {}, {})


def in_our_words(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Chalice middleware: what Chalice answers by itself (a method that an address does not know) as a problem."""
    response = get_response(event)
    if isinstance(response.body, dict) and set(response.body) == {"Code", "Message"}:
        if response.status_code == STATUS[refusals.MethodNotAllowed]:
            allow = {"Allow": response.headers.get("Allow", "")}
            answer = problem(refusals.MethodNotAllowed("This address does not know that method."))
            answer.headers.update(allow)
            return answer
        return bug()
    return response


def _answer(
    status: int, slug: str, title: str, detail: str, members: Mapping[str, Any], headers: Mapping[str, str]
) -> Response:
    body = {"type": f"urn:daypass:problem:{slug}", "title": title, "status": status, "detail": detail, **members}
    return Response(body=body, status_code=status, headers={"Content-Type": CONTENT_TYPE, **headers})
