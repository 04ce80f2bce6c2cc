"""The catalogue: who may have which role on which terms, frozen, and the index that finds the rules for an ask."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property

from chalicelib.core.hours import Hours
from chalicelib.core.patterns import glob, literal_prefix
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.provider import Provider, Via
from chalicelib.core.vouching import Directory, Issuer, directory_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A set of principals: all conditions that are given must hold; none given is nobody."""

    groups: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()
    kind: Kind | None = None
    issuer: str | None = None

    def includes(self, principal: Principal) -> bool:
        return not self.is_empty() and self.lacks(principal) is None

    def is_empty(self) -> bool:
        return not (self.groups or self.ids or self.kind or self.issuer)

    def lacks(self, principal: Principal) -> str | None:
        """The first condition that the principal does not meet, in words; None where all are met."""
        return next(self.lacking(principal), None)

    def lacking(self, principal: Principal) -> Iterator[str]:
        """Every condition that the principal does not meet, in words."""
        if self.groups and self.groups.isdisjoint(principal.groups):
            yield f"needs a group of {', '.join(sorted(self.groups))}"
        if self.ids and not any(glob(pattern).fullmatch(principal.id) for pattern in self.ids):
            yield f"needs an id like {', '.join(self.ids)}"
        if self.kind and self.kind is not principal.kind:
            yield f"is for a {self.kind}"
        if self.issuer and self.issuer != principal.issuer:
            yield f"needs the issuer {self.issuer}"

    @property
    def key(self) -> str:
        """The same text for the same conditions, and no other: what an approval remembers of a stage."""
        parts = {"groups": sorted(self.groups), "ids": sorted(self.ids), "kind": self.kind, "issuer": self.issuer}
        return json.dumps({name: value for name, value in parts.items() if value}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A narrower pass: a session policy with `${parameter}` in its Resource and Condition strings.

    policy: the parsed document; parameters: the full-match regular expression of each.
    """

    name: str
    policy: Mapping[str, object]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role in one target account, under the name by which it is requested.

    max_session: the role's own MaxSessionDuration. chaining: the role ARNs that its sessions may assume further.
    identity_use: sessions log in elsewhere by GetCallerIdentity, which no policy can end.
    """

    name: str
    account: Account
    role_name: str
    partition: str = "aws"
    external_id: str | None = None
    max_session: timedelta = timedelta(hours=1)
    via: Via = Via.ROLE
    chaining: tuple[str, ...] = ()
    require_scope: bool = False
    identity_use: bool = False
    scopes: Mapping[str, Scope] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:iam::{self.account.id}:role/{self.role_name}"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a rule's approvals: `count` different people out of `who`."""

    count: int
    who: Who


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """More of the same: at most `max` times in a row, each after these stages of approvals; none is due where empty."""

    max: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Who hears in Slack of what a rule decides.

    slack: channels, by `#name` or id. direct: in person, those whom the rule names by id, and the requester once
    somebody answered. remind_after: how long a request may wait before those who may approve it are reminded, once,
    and it is told to the channels of escalate_to too.
    """

    slack: tuple[str, ...] = ()
    direct: bool = False
    remind_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """Access now, approval never, review afterwards. Its `who` replaces the rule's; mfa: a second factor is wanted.

    notify: who hears of it beside those who hear of all that the rule decides.
    """

    who: Who
    max_duration: timedelta
    reviewers: Who
    review_within: timedelta
    require_mfa: bool = True
    require_ticket: bool = False
    notify: Notify = Notify()


class Effect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may request which roles, on which terms. A deny has only `who` and `roles`.

    ticket: the regular expression a ticket must match in full; None where none is asked for.
    hours: when it lends; None where always. extensions: the terms of extending; None where nothing is extended.
    max_per_day: how long one person may hold one role by it in a day of UTC's, at least max_duration; None where days
    are not counted, as wherever approvals are asked for. notify: who hears of it.
    """

    name: str
    who: Who
    roles: tuple[str, ...]
    effect: Effect = Effect.ALLOW
    max_duration: timedelta = timedelta(0)
    stages: tuple[Stage, ...] = ()
    require_mfa: bool = False
    ticket: str | None = None
    break_glass: BreakGlass | None = None
    hours: Hours | None = None
    extensions: Extensions | None = None
    max_per_day: timedelta | None = None
    notify: Notify = Notify()

    def covers(self, role: str) -> bool:
        return any(glob(pattern).fullmatch(role) for pattern in self.roles)

    def concerns(self, principal: Principal) -> bool:
        """Whether the rule is for the principal. What is not known of it lets nobody in, and is no way past a deny."""
        return self.who.includes(principal.at_worst if self.effect is Effect.DENY else principal)

    def everybody(self) -> Iterator[Who]:
        """All sets of principals that the rule names."""
        yield self.who
        yield from (stage.who for stage in self.stages)
        if self.extensions:
            yield from (stage.who for stage in self.extensions.stages)
        if self.break_glass:
            yield from (self.break_glass.who, self.break_glass.reviewers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One `[[tests]]` entry of the file: what somebody who asks should hear (a word of the dry run's `would`)."""

    who: Principal
    role: str
    duration: timedelta
    expect: str
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Of each person: requests that are open at once, and emergencies opened in a day; 1 to 100 each."""

    open_requests: int = 20
    break_glass_per_day: int = 5


class RuleIndex:
    """Finds the few rules that an ask may match, at a cost that follows those few and not the catalogue.

    A rule stands under every pair of (literal prefix of a role pattern) and (a group of its `who`, else the literal
    prefix of an id pattern, else "anybody"). An ask looks under the prefixes of its role and id that exist as lengths
    in the index, and under the caller's groups.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._positions: dict[tuple[str, str, str], list[int]] = {}
        self._role_lengths: set[int] = set()
        self._id_lengths: set[int] = set()
        for position, rule in enumerate(rules):
            for role_prefix in {literal_prefix(pattern) for pattern in rule.roles}:
                self._role_lengths.add(len(role_prefix))
                for kind, key in self._who_keys(rule.who):
                    self._positions.setdefault((role_prefix, kind, key), []).append(position)

    def _who_keys(self, who: Who) -> Iterator[tuple[str, str]]:
        if who.groups:
            yield from (("group", group) for group in who.groups)
        elif who.ids:
            for prefix in {literal_prefix(pattern) for pattern in who.ids}:
                self._id_lengths.add(len(prefix))
                yield "id", prefix
        else:
            yield "anybody", ""

    def candidates(self, principal: Principal, role: str) -> Iterator[Rule]:
        """The rules that may match, in the file's order: all that do match are among them."""
        who_keys = [("anybody", "")]
        who_keys += [("group", group) for group in principal.groups | principal.unknown]
        who_keys += [("id", prefix) for prefix in _prefixes(principal.id, self._id_lengths)]
        found = {
            position
            for role_prefix in _prefixes(role, self._role_lengths)
            for kind, key in who_keys
            for position in self._positions.get((role_prefix, kind, key), ())
        }
        return (self._rules[position] for position in sorted(found))


def _prefixes(text: str, lengths: Iterable[int]) -> Iterator[str]:
    return (text[:length] for length in lengths if length <= len(text))


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """digest: the SHA-256 of the file, in hex. serial: goes up with every version that S3 gives.

    frozen: nothing is approved or lent; asking stays possible. doubt: why it may not be today's any more, in a
    sentence; then nothing is approved or lent but in an emergency. provider: where a role is lent via oidc, never None.
    """

    digest: str
    serial: int | None = None
    issuers: tuple[Issuer, ...] = ()
    directories: Mapping[str, Directory] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    auditors: Who = Who()
    frozen: bool = False
    doubt: str | None = None
    quotas: Quotas = field(default_factory=Quotas)
    provider: Provider | None = None
    examples: tuple[Example, ...] = ()

    @cached_property
    def _index(self) -> RuleIndex:
        return RuleIndex(self.rules)

    @cached_property
    def _lent(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (role.account.id, role.role_name.rpartition("/")[2].casefold()) for role in self.roles.values()
        )

    def rules_for(self, principal: Principal, role: str) -> tuple[Rule, ...]:
        """The rules whose `who` includes the principal and whose `roles` cover the role, in the file's order."""
        return tuple(
            rule for rule in self._index.candidates(principal, role) if rule.covers(role) and rule.concerns(principal)
        )

    @cached_property
    def directory_groups(self) -> Mapping[str, frozenset[str]]:
        """The groups that the file asks of each of its directories, under their full names; none it does not ask."""
        everybody = (self.auditors, *(who for rule in self.rules for who in rule.everybody()))
        named = {group for who in everybody for group in who.groups}
        asked = {name: frozenset(g for g in named if directory_of(g) == name) for name in self.directories}
        return {name: groups for name, groups in asked.items() if groups}

    def told_by_tokens(self, groups: Iterable[str]) -> frozenset[str]:
        """Those of the groups that are not a directory's to tell: no token may claim them."""
        return frozenset(group for group in groups if directory_of(group) not in self.directories)

    @cached_property
    def _emergencies(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.break_glass)

    def emergencies_for(self, principal: Principal, role: str) -> tuple[Rule, ...]:
        """The rules by which the principal may break the glass for the role, in the file's order."""
        return tuple(
            rule
            for rule in self._emergencies
            if rule.break_glass and rule.covers(role) and rule.break_glass.who.includes(principal)
        )

    def rule(self, name: str) -> Rule | None:
        """The rule of that name; None where the file has none any more."""
        return self._named.get(name)

    @cached_property
    def _named(self) -> Mapping[str, Rule]:
        return {rule.name: rule for rule in self.rules}

    def rules_about(self, role: str) -> tuple[Rule, ...]:
        """Every rule that covers the role, whoever it is for, in the file's order. Its cost follows all rules."""
        return tuple(rule for rule in self.rules if rule.covers(role))

    def lends(self, account_id: str, role_name: str) -> bool:
        """Whether a role (its name without path, whose case does not count) of an account is one that Daypass lends.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html (RoleName).
        """
        return (account_id, role_name.casefold()) in self._lent
