"""What was done with an access, as answers tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.core.request import (
    SessionStatus,
)
from chalicelib.web.views.out import Instant, Out

if TYPE_CHECKING:
    from chalicelib.broker.looking import Accounted, Act, Activity
    from chalicelib.core.activity import Doings


class ActView(Out):
    """One call that CloudTrail told of.

    action: CloudTrail's service and event name, which IAM may call otherwise. session: of the request's, the one that
    it goes back to; role_arn, session_name: where it was made, which is another role once that went on to one.
    """

    at: Instant
    action: str
    event_id: str
    session: str
    role_arn: str
    session_name: str
    access_key_id: str | None = None
    error: str | None = None
    read_only: bool | None = None
    region: str | None = None
    address: str | None = None

    @classmethod
    def of(cls, act: Act) -> ActView:
        deed = act.deed
        told = {
            "access_key_id": act.access_key_id,
            "error": deed.error,
            "read_only": deed.read_only,
            "region": deed.region,
            "address": deed.address,
        }
        return cls(
            at=deed.at,
            action=deed.action,
            event_id=deed.id,
            session=act.session,
            role_arn=act.place.role_arn,
            session_name=act.place.session_name,
            **{name: value for name, value in told.items() if value is not None},  # type: ignore[arg-type]
        )


class DoingsView(Out):
    """What CloudTrail told of one session. Counts are of different events; docs/cloudtrail.md says how far.

    seen: its AssumeRole was told of, in the trails of the accounts `seen_in`. used: something was done with it.
    denied: how many calls of each action were. unlisted: how many events are counted only. partial: there is more than
    could be read.
    """

    role_arn: str
    session_name: str
    access_key_id: str | None = None
    seen: bool
    seen_in: list[str]
    used: bool
    first_use: Instant | None = None
    last_use: Instant | None = None
    events: int
    unlisted: int
    services: list[str]
    actions: dict[str, int]
    denied: dict[str, int]
    errors: dict[str, int]
    regions: dict[str, int]
    addresses: dict[str, int]
    partial: bool = False


class AccountView(DoingsView):
    """The account of one of the request's sessions, and of those that it went on to."""

    id: str
    status: SessionStatus
    issued_at: Instant | None = None
    expires_at: Instant | None = None
    went_on_to: list[DoingsView]

    @classmethod
    def of(cls, account: Accounted) -> AccountView:
        session = account.session
        times: dict[str, Any] = {"issued_at": session.issued_at, "expires_at": session.expires_at}
        return cls(
            id=session.id,
            status=session.status,
            went_on_to=[
                DoingsView(
                    **_doings(each.doings, each.onward.role_arn, each.onward.session_name, each.onward.access_key_id)
                )
                for each in account.went_on
            ],
            **_doings(account.doings, account.role_arn, session.session_name, session.access_key_id),
            **{name: value for name, value in times.items() if value is not None},
        )


def _doings(told: Doings, role_arn: str, session_name: str, access_key_id: str | None) -> dict[str, Any]:
    optional = {"access_key_id": access_key_id, "first_use": told.first_use, "last_use": told.last_use}
    return {
        "role_arn": role_arn,
        "session_name": session_name,
        "seen": bool(told.seen_in),
        "seen_in": sorted(told.seen_in),
        "used": told.events > 0,
        "events": told.events,
        "unlisted": told.unlisted,
        "services": list(told.services),
        "actions": dict(told.actions),
        "denied": dict(told.denied),
        "errors": dict(told.errors),
        "regions": dict(told.regions),
        "addresses": dict(told.addresses),
        **({} if told.whole else {"partial": True}),
        **{name: value for name, value in optional.items() if value is not None},
    }


class ActivityView(Out):
    """What was done with a request's last 50 sessions. summary: in words, of all of them."""

    items: list[ActView]
    next_cursor: str | None
    sessions: list[AccountView]
    summary: str

    @classmethod
    def of(cls, activity: Activity, next_cursor: str | None) -> ActivityView:
        return cls(
            items=[ActView.of(act) for act in activity.page.items],
            next_cursor=next_cursor,
            sessions=[AccountView.of(account) for account in activity.sessions],
            summary=activity.summary,
        )
