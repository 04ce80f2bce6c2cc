"""Errors, as answers tell them (RFC 9457)."""

from __future__ import annotations

from chalicelib.web.views.out import Out


class ProblemField(Out):
    field: str
    message: str


class Problem(Out):
    """RFC 9457. `type` is `urn:daypass:problem:<slug>`; `code` is AWS's own where it refused to lend."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] | None = None
    code: str | None = None
