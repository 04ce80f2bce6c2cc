"""The accounts and roles of the catalogue file: what may be lent, and narrowed to what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.catalogue import Account, Role, Scope
from chalicelib.core.catalogue_file.mistakes import NAME, Say, below, entry, length, regular_expression
from chalicelib.core.catalogue_file.shape import AccountShape, RoleShape, ScopeShape
from chalicelib.core.patterns import glob
from chalicelib.core.policy import PARAMETER, filled_in, variable_faults, variables, with_wall
from chalicelib.core.policy_grammar import faults, parsed
from chalicelib.core.provider import Via
from chalicelib.core.refusals import FieldError, Invalid

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html (RoleName: 64, Path: 512; a narrower alphabet)
_ROLE_NAME = re.compile(r"(?=.{0,510}/[^/]*$)daypass/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}")
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (ExternalId)
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_ROLE_ARN = re.compile(r"arn:(?P<partition>[a-z0-9-]+|\*):iam::[0-9*?]{1,12}:role/[A-Za-z0-9_+=,.@/*?-]+")
# IAM's own MaxSessionDuration is 1 h to 12 h; less is a wish of the catalogue's, down to STS's shortest session.
_SHORTEST_SESSION = timedelta(minutes=15)
_LONGEST_SESSION = timedelta(hours=12)
_ANY_END = datetime(2000, 1, 1, tzinfo=UTC)
_NOWHERE = Account("", "")
_BAD_NAME = "is not a name: 1 to 63 lower-case letters, digits and -"


@dataclass(frozen=True, slots=True)
class Roles:
    """lent: by the name they are requested by. unread: names that mistakes kept from becoming roles."""

    lent: Mapping[str, Role]
    unread: frozenset[str]


def read_accounts(shapes: Mapping[str, AccountShape | None], say: Say) -> dict[str, Account | None]:
    """The accounts by name; None for one that is there with mistakes."""
    accounts: dict[str, Account | None] = {}
    first: dict[str, str] = {}
    for name, shape in shapes.items():
        place = entry("accounts", name)
        accounts[name] = None
        if not (well_named := NAME.fullmatch(name)):
            say(place, _BAD_NAME)
        if shape is None:
            continue
        if not _ACCOUNT_ID.fullmatch(shape.id):
            say(f"{place}.id", "must be the 12 digits of an AWS account")
        elif (other := first.setdefault(shape.id, place)) != place:
            say(f"{place}.id", f"is the id of {other}")
        elif well_named:
            accounts[name] = Account(name, shape.id)
    return accounts


def read_roles(
    shapes: Mapping[str, RoleShape | None],
    accounts: Mapping[str, Account | None],
    say: Say,
    *,
    hub_account: str,
    partition: str,
    provided: bool,
) -> Roles:
    """provided: whether the file has a provider, by which roles may be lent."""
    lent: dict[str, Role] = {}
    unread: set[str] = set()
    places: dict[tuple[str, str], str] = {}
    for name, shape in shapes.items():
        place = entry("roles", name)
        if not NAME.fullmatch(name):
            say(place, _BAD_NAME)
        if shape is None:
            unread |= _thinkable(name, accounts)
            continue
        template = _template(name, shape, place, partition, say)
        if template.via is Via.OIDC and not provided:
            say(f"{place}.via", "needs a [provider], whose issuer the account trusts")
        for requested, account in _where(name, shape, place, accounts, say):
            if account is None:
                unread.add(requested)
                continue
            if account.id == hub_account:
                say(
                    f"{place}.account{'s' if shape.accounts else ''}",
                    f"{account.name} is the hub account, which lends none",
                )
            # IAM tells the roles of an account apart by name, without path and in any case.
            arn = (account.id, shape.role_name.rpartition("/")[2].lower())
            if (other := places.setdefault(arn, place)) != place:
                say(f"{place}.role_name", f"is the same role in {account.name} as {other}")
            lent[requested] = replace(template, name=requested, account=account)
    return Roles(lent, frozenset(unread))


def _where(
    name: str, shape: RoleShape, place: str, accounts: Mapping[str, Account | None], say: Say
) -> Iterator[tuple[str, Account | None]]:
    """The names by which a role is requested, and the account behind each; None where a mistake stands in the way."""
    if (shape.account is None) == (shape.accounts is None):
        say(place, 'give either account = "…" or accounts = ["…"]')
        yield from ((each, None) for each in _thinkable(name, accounts))
    if shape.account is not None and shape.accounts is None:
        if shape.account not in accounts:
            say(f"{place}.account", f"there is no account {shape.account!r:.80}")
        yield name, accounts.get(shape.account)
    if shape.accounts is not None and shape.account is None:
        yield from _in_accounts(name, shape.accounts, f"{place}.accounts", accounts, say)


def _in_accounts(
    name: str, patterns: Sequence[str], place: str, accounts: Mapping[str, Account | None], say: Say
) -> Iterator[tuple[str, Account | None]]:
    found: dict[str, Account | None] = {}
    for number, pattern in enumerate(patterns):
        matching = [account for account in accounts if glob(pattern).fullmatch(account)]
        if not matching:
            say(f"{place}[{number}]", f"{pattern!r:.80} matches no account")
        found |= {account: accounts[account] for account in matching}
    return ((f"{name}@{account}", found[account]) for account in found)


def _thinkable(name: str, accounts: Iterable[str]) -> frozenset[str]:
    return frozenset({name, *(f"{name}@{account}" for account in accounts)})


def _template(name: str, shape: RoleShape, place: str, partition: str, say: Say) -> Role:
    """The role as it is in every account that has it."""
    via = Via(shape.via)
    if not _ROLE_NAME.fullmatch(shape.role_name):
        say(f"{place}.role_name", f"{shape.role_name!r:.80} is no role under /daypass/, as daypass/Admin is")
    if shape.external_id is not None and not _EXTERNAL_ID.fullmatch(shape.external_id):
        say(f"{place}.external_id", "must be 2 to 1224 letters, digits and _+=,.@:/-")
    elif shape.external_id is not None and via is Via.OIDC:
        say(f"{place}.external_id", 'goes with via = "role" only: a trust by OIDC asks for the token\'s sub instead')
    if shape.require_scope and not shape.scopes:
        say(f"{place}.require_scope", "asks for a scope, and the role has none")
    _say_chaining(shape.chaining, f"{place}.chaining", partition, say)
    scopes = {
        scope: _scope(scope, given, below(place, ("scopes", scope)), shape.chaining, say)
        for scope, given in shape.scopes.items()
    }
    return Role(
        name=name,
        account=_NOWHERE,
        role_name=shape.role_name,
        partition=partition,
        external_id=shape.external_id,
        max_session=length(
            shape.max_session, f"{place}.max_session", say, least=_SHORTEST_SESSION, most=_LONGEST_SESSION
        ),
        via=via,
        chaining=shape.chaining,
        require_scope=shape.require_scope,
        identity_use=shape.identity_use,
        scopes={scope: read for scope, read in scopes.items() if read},
    )


def _say_chaining(arns: tuple[str, ...], place: str, partition: str, say: Say) -> None:
    for number, arn in enumerate(arns):
        match = _ROLE_ARN.fullmatch(arn)
        if match is None:
            say(f"{place}[{number}]", f"{arn!r:.80} is not a role ARN such as arn:{partition}:iam::*:role/cdk-*")
        elif match["partition"] not in (partition, "*"):
            say(f"{place}[{number}]", f"{arn!r:.80} can never match: the partition is {partition}")
    if arns:
        _say_too_long(None, arns, place, say)


def _scope(name: str, shape: ScopeShape, place: str, chaining: tuple[str, ...], say: Say) -> Scope | None:
    if not NAME.fullmatch(name):
        say(place, _BAD_NAME)
    for parameter, pattern in shape.parameters.items():
        at = below(place, ("parameters", parameter))
        if not PARAMETER.fullmatch(parameter):
            say(at, "a name is a lower-case letter, then lower-case letters, digits and _")
        regular_expression(pattern, at, say)
    policy = _policy(shape, place, say)
    if policy is None:
        return None
    _say_too_long(filled_in(policy, dict.fromkeys(shape.parameters, "")), chaining, f"{place}.policy", say)
    return Scope(name=name, policy=policy, parameters=shape.parameters)


def _policy(shape: ScopeShape, place: str, say: Say) -> dict[str, object] | None:
    """The parsed policy of a scope; None where it is not one that parameters can be filled in to."""
    try:
        policy = parsed(shape.policy)
    except ValueError as error:
        say(f"{place}.policy", f"is not the JSON of a policy: {error}")
        return None
    wrong = [*faults(policy, f"{place}.policy"), *variable_faults(policy, shape.parameters, f"{place}.policy")]
    unused = shape.parameters.keys() - variables(policy)
    wrong += [
        FieldError(below(place, ("parameters", each)), "is used nowhere in the policy") for each in sorted(unused)
    ]
    for fault in wrong:
        say(fault.field, fault.message)
    return None if wrong else policy


def _say_too_long(permissions: str | None, chaining: tuple[str, ...], place: str, say: Say) -> None:
    """Says where not even the shortest session policy of a scope, or of a role that may chain, fits what STS takes."""
    try:
        with_wall(permissions, ends_at=_ANY_END, chaining=chaining)
    except Invalid as refusal:
        say(place, f"makes a session policy that {refusal.errors[0].message}")
