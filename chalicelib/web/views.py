"""What callers receive: the JSON of answers, as pydantic models."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from chalicelib.broker.asking import DryRun
from chalicelib.broker.binding import Bound
from chalicelib.broker.console import Link
from chalicelib.broker.lending import Credentials
from chalicelib.broker.seeing import Requestable
from chalicelib.core.binding import GROUPS_LAST, SlackUser
from chalicelib.core.catalogue import BreakGlass, Extensions, Rule, Stage, Who
from chalicelib.core.ledger import Event, Recorded
from chalicelib.core.life import Expired, State
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.request import (
    Approval,
    Covers,
    Deny,
    Request,
    Review,
    Revocation,
    Session,
    SessionStatus,
    StageProgress,
    Verdict,
)
from chalicelib.core.times import stamp
from chalicelib.core.vouching import Issuer
from chalicelib.web.bodies import ScopeBody

if TYPE_CHECKING:
    from chalicelib.broker.looking import Accounted, Act, Activity
    from chalicelib.core.activity import Doings

Instant = Annotated[datetime, PlainSerializer(stamp, return_type=str)]


class Out(BaseModel):
    """What callers receive. A field with a default is left out where there is nothing to say."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class HealthView(Out):
    """catalogue_doubt: why nothing is approved or lent but in an emergency, where that is so."""

    status: Literal["ok"] = "ok"
    version: str
    catalogue_digest: str | None = None
    catalogue_serial: int | None = None
    catalogue_doubt: str | None = None


class LoginIssuer(Out):
    """Who signs people in. redirect_port: the one port of 127.0.0.1 that it sends a browser back to; else any is."""

    name: str
    url: str
    client_id: str | None
    audience: str
    scopes: list[str]
    redirect_port: int | None = None

    @classmethod
    def of(cls, issuer: Issuer) -> LoginIssuer:
        told = {} if issuer.redirect_port is None else {"redirect_port": issuer.redirect_port}
        return cls(
            name=issuer.name,
            url=issuer.url,
            client_id=issuer.client_id,
            audience=issuer.audience,
            scopes=list(issuer.scopes),
            **told,
        )


class LoginView(Out):
    issuers: list[LoginIssuer]


class PrincipalView(Out):
    id: str
    kind: Kind
    groups: list[str]
    issuer: str
    mfa: bool
    authenticated_at: Instant

    @classmethod
    def of(cls, principal: Principal) -> PrincipalView:
        return cls(
            id=principal.id,
            kind=principal.kind,
            groups=sorted(principal.groups),
            issuer=principal.issuer,
            mfa=principal.mfa,
            authenticated_at=principal.authenticated_at,
        )


class SlackBindingView(Out):
    """Which Slack user acts as you from now on. replaced: the user of the same team who does no more.

    until: from then on it has to be confirmed again, since Slack tells no groups.
    """

    team: str
    user: str
    email: str
    principal: str
    groups: list[str]
    confirmed_at: Instant
    until: Instant
    replaced: str | None = None

    @classmethod
    def of(cls, bound: Bound) -> SlackBindingView:
        binding = bound.binding
        return cls(
            team=binding.user.team,
            user=binding.user.id,
            email=binding.email,
            principal=binding.principal_id,
            groups=sorted(binding.groups),
            confirmed_at=binding.confirmed_at,
            until=binding.confirmed_at + GROUPS_LAST,
            **({"replaced": bound.replaced.id} if bound.replaced else {}),
        )


class SlackUserView(Out):
    team: str
    user: str


class UnboundView(Out):
    """ended: the Slack users who were you, and are nobody to Daypass from now on."""

    ended: list[SlackUserView]

    @classmethod
    def of(cls, users: Iterable[SlackUser]) -> UnboundView:
        return cls(ended=[SlackUserView(team=user.team, user=user.id) for user in users])


class WhoView(Out):
    """Who: all conditions that are given must hold."""

    groups: list[str] | None = None
    ids: list[str] | None = None
    kind: Kind | None = None
    issuer: str | None = None

    @classmethod
    def of(cls, who: Who) -> WhoView:
        given = {"groups": sorted(who.groups), "ids": list(who.ids), "kind": who.kind, "issuer": who.issuer}
        return cls(**{name: value for name, value in given.items() if value})  # type: ignore[arg-type]


class StageView(Out):
    model_config = ConfigDict(populate_by_name=True)

    count: int
    who: WhoView = Field(alias="from")
    approved_by: list[str]

    @classmethod
    def of(cls, stage: StageProgress) -> StageView:
        return cls(count=stage.count, who=WhoView.of(stage.who), approved_by=list(stage.approved_by))

    @classmethod
    def unfilled(cls, stages: tuple[Stage, ...]) -> list[StageView]:
        return [cls.of(StageProgress(stage.count, stage.who, ())) for stage in stages]


class ExtensionsView(Out):
    """How often in a row a request can be extended, and after which approvals ([]: at once)."""

    max: int
    stages: list[StageView]

    @classmethod
    def of(cls, extensions: Extensions) -> ExtensionsView:
        return cls(max=extensions.max, stages=StageView.unfilled(extensions.stages))


class TermsView(Out):
    """One rule's terms for a role: how long, after which approvals ([]: at once), in which hours (left out: always).

    max_per_day_seconds: how long you may hold the role by this rule in a day of UTC's; left out: days are not counted.
    """

    rule: str
    max_duration_seconds: int
    stages: list[StageView]
    mfa: bool
    ticket: str | None = None
    hours: str | None = None
    extensions: ExtensionsView | None = None
    max_per_day_seconds: int | None = None

    @classmethod
    def of(cls, rule: Rule) -> TermsView:
        optional: dict[str, Any] = {
            "ticket": rule.ticket,
            "hours": str(rule.hours) if rule.hours else None,
            "extensions": ExtensionsView.of(rule.extensions) if rule.extensions else None,
            "max_per_day_seconds": int(rule.max_per_day.total_seconds()) if rule.max_per_day else None,
        }
        return cls(
            rule=rule.name,
            max_duration_seconds=int(rule.max_duration.total_seconds()),
            stages=StageView.unfilled(rule.stages),
            mfa=rule.require_mfa,
            **{name: value for name, value in optional.items() if value is not None},
        )


class BreakGlassView(Out):
    """The terms of an emergency: at once, reviewed by somebody else within `review_within_seconds`."""

    max_duration_seconds: int
    review_within_seconds: int
    mfa: bool
    ticket: bool


class ScopeView(Out):
    """A scope and the regular expression that each of its parameters must match in full."""

    name: str
    parameters: dict[str, str]


class RoleView(Out):
    role: str
    account: str
    account_id: str
    role_arn: str
    require_scope: bool
    scopes: list[ScopeView]
    terms: list[TermsView]
    break_glass: BreakGlassView | None = None

    @classmethod
    def of(cls, item: Requestable) -> RoleView:
        role = item.role
        return cls(
            role=role.name,
            account=role.account.name,
            account_id=role.account.id,
            role_arn=role.arn,
            require_scope=role.require_scope,
            scopes=[ScopeView(name=s.name, parameters=dict(s.parameters)) for s in role.scopes.values()],
            terms=[TermsView.of(rule) for rule in item.rules],
            **({"break_glass": _glass(item.glass)} if item.glass else {}),
        )


def _glass(glass: BreakGlass) -> BreakGlassView:
    return BreakGlassView(
        max_duration_seconds=int(glass.max_duration.total_seconds()),
        review_within_seconds=int(glass.review_within.total_seconds()),
        mfa=glass.require_mfa,
        ticket=glass.require_ticket,
    )


class RoleList(Out):
    items: list[RoleView]
    next_cursor: str | None


class DryRunView(Out):
    would: Literal["auto-approved", "needs-approval", "break-glass", "not-eligible"]
    rule: str | None
    stages: list[StageView]
    max_duration_seconds: int | None
    session_policy: str | None
    why: list[str]

    @classmethod
    def of(cls, dry: DryRun) -> DryRunView:
        return cls(
            would=dry.would,  # type: ignore[arg-type]
            rule=dry.rule,
            stages=[StageView.of(stage) for stage in dry.stages],
            max_duration_seconds=int(dry.max_duration.total_seconds()) if dry.max_duration is not None else None,
            session_policy=dry.session_policy,
            why=list(dry.why),
        )


class ApprovalView(Out):
    """One yes. mfa: false where no second factor was proved; then it counts only where the rule asks for none."""

    by: str
    at: Instant
    comment: str | None
    mfa: bool = True

    @classmethod
    def of(cls, approval: Approval) -> ApprovalView:
        without = {} if approval.mfa else {"mfa": False}
        return cls(by=approval.by, at=approval.at, comment=approval.comment, **without)


class SessionView(Out):
    """One session that was handed out."""

    id: str
    session_name: str
    access_key_id: str | None = None
    issued_at: Instant
    expires_at: Instant


class ReviewView(Out):
    verdict: Verdict
    by: str
    at: Instant
    comment: str

    @classmethod
    def of(cls, review: Review) -> ReviewView:
        return cls(verdict=review.verdict, by=review.by, at=review.at, comment=review.comment)


class DenyView(Out):
    """The deny at one role: when AWS took it, or why it could not be written; neither while that is not known."""

    role_arn: str
    written_at: Instant | None = None
    covers: Covers | None = Field(
        default=None,
        description="Whose sessions at the role it cuts, once written: the request's; or, where the role's inline "
        "policies are nearly full, all that the person, or everybody, had been lent there by then.",
    )
    error: str | None = None
    removed_at: Instant | None = Field(default=None, description="When it was taken away: its sessions were over.")

    @classmethod
    def of(cls, deny: Deny) -> DenyView:
        told = {
            "written_at": deny.written_at,
            "covers": deny.covers if deny.written_at else None,
            "error": deny.error,
            "removed_at": deny.removed_at,
        }
        return cls(role_arn=deny.role_arn, **{name: value for name, value in told.items() if value})  # type: ignore[arg-type]


class RevocationView(Out):
    """How live sessions are cut. AWS takes up to minutes to apply a deny everywhere once it is written.

    not_covered: roles that the sessions may have gone on to, which no deny reaches.
    """

    stopped_at: Instant
    denies: list[DenyView]
    not_covered: list[str]

    @classmethod
    def of(cls, revocation: Revocation) -> RevocationView:
        return cls(
            stopped_at=revocation.stopped_at,
            denies=[DenyView.of(deny) for deny in revocation.denies],
            not_covered=list(revocation.not_covered),
        )


class RequestSummary(Out):
    """A request as lists show it: without policy and sessions."""

    id: str
    state: State
    expired_because: Expired | None = None
    requester: str
    role: str
    account_id: str
    account: str
    role_arn: str
    duration_seconds: int
    reason: str
    ticket: str | None
    scope: ScopeBody | None
    break_glass: bool
    rule: str
    stages: list[StageView]
    approvals: list[ApprovalView]
    decided_by: str | None = None
    decision_comment: str | None = None
    created_at: Instant
    answer_by: Instant
    use_by: Instant | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    review_by: Instant | None = None
    escalated_because: str | None = None
    review: ReviewView | None = None
    extends: str | None = Field(default=None, description="The request that it goes on from.")
    extended_by: str | None = Field(default=None, description="The newest request that goes on from it.")
    erased_at: Instant | None = Field(default=None, description="When reason and comments were erased.")
    catalogue_digest: str
    version: int

    @classmethod
    def of(cls, request: Request, now: datetime) -> RequestSummary:
        return cls(**_summary(request, now))


class RequestView(RequestSummary):
    session_policy: str | None
    sessions: list[SessionView]
    revocation: RevocationView | None = None

    @classmethod
    def of(cls, request: Request, now: datetime, sessions: tuple[Session, ...] = ()) -> RequestView:
        issued = [session for session in sessions if session.status is SessionStatus.ISSUED]
        cut: dict[str, Any] = {"revocation": RevocationView.of(request.revocation)} if request.revocation else {}
        return cls(
            **_summary(request, now),
            session_policy=request.session_policy,
            sessions=[
                SessionView(
                    id=session.id,
                    session_name=session.session_name,
                    access_key_id=session.access_key_id,
                    issued_at=session.issued_at,  # type: ignore[arg-type]
                    expires_at=session.expires_at,  # type: ignore[arg-type]
                )
                for session in issued
            ],
            **cut,
        )


def _summary(request: Request, now: datetime) -> dict[str, Any]:
    optional = {
        "expired_because": request.expired_because(now),
        "decided_by": request.decided_by,
        "decision_comment": request.decision_comment,
        "use_by": request.use_by,
        "starts_at": request.window.starts_at if request.window else None,
        "ends_at": request.window.ends_at if request.window else None,
        "review_by": request.review_by,
        "escalated_because": request.escalated_because,
        "review": ReviewView.of(request.review) if request.review else None,
        "extends": request.link.base if request.link else None,
        "extended_by": request.extended_by,
        "erased_at": request.erased_at,
    }
    return {
        "id": request.id,
        "state": request.state(now),
        "requester": request.requester.id,
        "role": request.role,
        "account_id": request.account_id,
        "account": request.account,
        "role_arn": request.role_arn,
        "duration_seconds": int(request.duration.total_seconds()),
        "reason": request.reason,
        "ticket": request.ticket,
        "scope": ScopeBody(name=request.scope.name, parameters=dict(request.scope.parameters))
        if request.scope
        else None,
        "break_glass": request.break_glass,
        "rule": request.rule,
        "stages": [StageView.of(stage) for stage in request.stages],
        "approvals": [ApprovalView.of(approval) for approval in request.approvals],
        "created_at": request.created_at,
        "answer_by": request.answer_by,
        "catalogue_digest": request.catalogue_digest,
        "version": request.version,
        **{name: value for name, value in optional.items() if value is not None},
    }


class RequestList(Out):
    items: list[RequestSummary]
    next_cursor: str | None


class EventView(Out):
    """One line of the history. hash: SHA-256 of `prev_hash` and the RFC 8785 form of the event without `hash`."""

    seq: int
    type: str
    at: str
    actor: str
    details: dict[str, Any]
    prev_hash: str
    hash: str

    @classmethod
    def of(cls, event: Event) -> EventView:
        return cls.model_validate(event.as_json())


class EventList(Out):
    items: list[EventView]
    next_cursor: str | None


class RecordedView(EventView):
    """One line of the history of `request_id` or, where it belongs to no request, of `chain`, which is of its day.

    Its hash covers the other fields, as in that history.
    """

    request_id: str | None = None
    chain: str | None = None

    @classmethod
    def told(cls, recorded: Recorded) -> RecordedView:
        return cls.model_validate(recorded.as_json())


class RecordedList(Out):
    items: list[RecordedView]
    next_cursor: str | None


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


class AssumedRoleUser(Out):
    Arn: str
    AssumedRoleId: str


class CredentialsView(Out):
    """What the AWS CLI's `credential_process` reads, and whose it is."""

    Version: Literal[1] = 1
    AccessKeyId: str
    SecretAccessKey: str
    SessionToken: str
    Expiration: Instant
    AccountId: str
    AssumedRoleUser: AssumedRoleUser
    SourceIdentity: str
    RequestId: str
    SessionName: str

    @classmethod
    def of(cls, lent: Credentials) -> CredentialsView:
        return cls(
            Version=1,
            AccessKeyId=lent.access_key_id,
            SecretAccessKey=lent.secret_access_key.value,
            SessionToken=lent.session_token.value,
            Expiration=lent.expiration,
            AccountId=lent.account_id,
            AssumedRoleUser=AssumedRoleUser(Arn=lent.assumed_role_arn, AssumedRoleId=lent.assumed_role_id),
            SourceIdentity=lent.source_identity,
            RequestId=lent.request_id,
            SessionName=lent.session_name,
        )


class ConsoleView(Out):
    """`url` signs in whoever follows it, until `expires_at`: it is as secret as credentials are."""

    url: str
    expires_at: Instant

    @classmethod
    def of(cls, link: Link) -> ConsoleView:
        return cls(url=link.url.value, expires_at=link.expires_at)


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
