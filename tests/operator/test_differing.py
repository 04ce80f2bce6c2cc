"""`daypass catalogue diff` is exact: whom it does not name gains and loses nothing, and whom it names does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations, product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core import rules
from chalicelib.core.approvals import lacking
from chalicelib.core.catalogue import Account, BreakGlass, Catalogue, Effect, Extensions, Role, Rule, Stage, Who
from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import Refusal
from chalicelib.core.request import Approval
from chalicelib.core.rules import Terms
from daypass.operator.differing import Change, Sign, changes_of_roles
from daypass.operator.easing import as_easily_broken, as_easy, filled_as_soon
from daypass.operator.witness import People
from tests.builders import HOUR, NOW
from tests.operator.test_witness import CATALOGUE as VOUCHED
from tests.operator.test_witness import PRINCIPAL, WHO, a_principal

ROLES = ("read", "admin")
LENGTHS = st.sampled_from([HOUR, 2 * HOUR, 4 * HOUR])
TICKETS = {None: None, "A-[0-9]+": "A-1", "B-[0-9]+": "B-1"}
BERLIN = ZoneInfo("Europe/Berlin")
WEEK = Hours(days=frozenset(DAYS[:5]), opens=8 * HOUR, closes=18 * HOUR, zone=BERLIN)
ALWAYS = Hours(days=frozenset(DAYS), opens=timedelta(0), closes=24 * HOUR, zone=BERLIN)

# Few sets of few people, so that rules meet; and now and then any.
FEW = [
    Who(groups=frozenset("g")),
    Who(groups=frozenset("h")),
    Who(groups=frozenset("gh")),
    Who(kind=Kind.HUMAN),
    Who(issuer="okta"),
    Who(ids=("*@a.io",)),
    Who(ids=("a@a.io", "b@a.io")),
    Who(groups=frozenset("g"), ids=("*@a.io", "*@c.io")),
]
REAL_WHO = st.sampled_from(FEW) | st.sampled_from(FEW) | WHO.filter(lambda who: not who.is_empty())
FEW_PEOPLE = [
    a_principal((Kind.HUMAN, "okta", id), frozenset(groups), mfa)
    for id, groups, mfa in product(["a@a.io", "x@a.io", "a@b.io"], ["", "g", "h", "gh"], [True, False])
]
STAGES = st.lists(st.builds(Stage, st.integers(1, 2), REAL_WHO), max_size=2).map(tuple)
EXTENSIONS = st.none() | st.builds(Extensions, max=st.integers(1, 2), stages=STAGES)
GLASS = st.builds(
    BreakGlass,
    who=REAL_WHO,
    max_duration=LENGTHS,
    reviewers=REAL_WHO,
    review_within=LENGTHS,
    require_mfa=st.booleans(),
    require_ticket=st.booleans(),
)
PATTERNS = st.sampled_from([("*",), ("*",), ("*",), ("read",), ("r*", "a*")])
ALLOW = st.builds(
    Rule,
    name=st.just(""),
    who=REAL_WHO,
    roles=PATTERNS,
    max_duration=LENGTHS,
    stages=st.just(()) | STAGES,
    require_mfa=st.booleans(),
    ticket=st.sampled_from([None, *TICKETS]),
    break_glass=st.none() | GLASS | GLASS,
    hours=st.sampled_from([None, None, WEEK, ALWAYS]),
    extensions=st.none() | EXTENSIONS,
)
DENY = st.builds(Rule, name=st.just(""), who=REAL_WHO, roles=PATTERNS, effect=st.just(Effect.DENY))
RULES = st.lists(ALLOW | ALLOW | DENY, max_size=4)


def catalogue(found: list[Rule], roles: tuple[str, ...] = ROLES) -> Catalogue:
    named = tuple(replace(rule, name=f"rule {number}") for number, rule in enumerate(found))
    lent = {
        name: Role(name=name, account=Account("prod", "1" * 12), role_name=f"daypass/{name.title()}") for name in roles
    }
    return replace(VOUCHED, roles=lent, rules=named)


@st.composite
def two(draw: Any) -> tuple[Catalogue, Catalogue]:
    """Two catalogues; mostly alike, as two versions of one are."""
    older = draw(RULES)
    newer = list(older)
    for number in range(len(newer)):
        match draw(st.sampled_from(["same", "same", "gone", "another", "who", "terms", "doubled"])):
            case "gone":
                newer[number] = replace(newer[number], roles=("nothing",))
            case "another":
                newer[number] = draw(ALLOW | DENY)
            case "who":
                newer[number] = replace(newer[number], who=draw(REAL_WHO))
            case "terms" if newer[number].effect is Effect.ALLOW:
                other = draw(ALLOW)
                name = draw(
                    st.sampled_from(["max_duration", "stages", "require_mfa", "ticket", "break_glass", "hours"])
                )
                newer[number] = replace(newer[number], **{name: getattr(other, name)})
            case "doubled":
                newer.append(newer[number])
    if draw(st.booleans()):
        newer = draw(st.permutations(newer))
    roles = draw(st.sampled_from([ROLES, ROLES, ROLES, ROLES[:1]]))
    pair = catalogue(older), catalogue(newer, roles)
    return pair if draw(st.booleans()) else (pair[1], pair[0])


ASKS = st.builds(
    Terms,
    role=st.sampled_from(ROLES),
    duration=st.sampled_from([HOUR, HOUR, 2 * HOUR, 4 * HOUR]),
    ticket=st.sampled_from(["A-1", "A-1", *TICKETS.values(), "C-1"]),
)


def admitted(by: Catalogue, principal: Principal, asks: Terms) -> tuple[Rule, ...]:
    try:
        return rules.decide(by, principal, asks).rules
    except Refusal:
        return ()


def breaks(by: Catalogue, principal: Principal, asks: Terms) -> rules.Emergency | None:
    try:
        return rules.emergency(by, principal, asks)
    except Refusal:
        return None


def named(found: dict[str, tuple[Change, ...]], role: str, sign: Sign, *, emergency: bool) -> list[Change]:
    return [change for change in found.get(role, ()) if change.sign is sign and change.emergency is emergency]


@settings(max_examples=250)
@given(pair=two(), somebody=PRINCIPAL, asks=ASKS)
def test_where_nobody_is_said_to_gain_or_lose_nobody_does(
    pair: tuple[Catalogue, Catalogue], somebody: Principal, asks: Terms
) -> None:
    found = dict(changes_of_roles(*pair))
    for sign, (before, after) in ((Sign.GAINS, pair), (Sign.LOSES, pair[::-1])):
        people = People(after)
        nobody = {emergency: not named(found, asks.role, sign, emergency=emergency) for emergency in (False, True)}
        for principal in (somebody, *FEW_PEOPLE):
            if nobody[False]:
                known = admitted(before, principal, asks)
                for rule in admitted(after, principal, asks):
                    assert any(as_easy(each, rule, people) for each in known), (sign, rule.name)
            if nobody[True] and (way := breaks(after, principal, asks)):
                known_way = breaks(before, principal, asks)
                assert known_way, sign
                ours, theirs = (_glass(each.rule(told.rule)) for each, told in ((after, way), (before, known_way)))
                assert as_easily_broken(theirs, ours, people), sign


def hardest(rule: Rule, emergency: bool) -> tuple[timedelta, str | None]:
    """The ask that a rule just admits: what the other catalogue has to admit too where nothing changed."""
    if emergency and rule.break_glass:
        return rule.break_glass.max_duration, "C-1" if rule.break_glass.require_ticket else None
    return rule.max_duration, TICKETS[rule.ticket]


@settings(max_examples=300)
@given(pair=two())
def test_whoever_is_named_is_let_in_by_the_one_catalogue_and_not_so_easily_by_the_other(
    pair: tuple[Catalogue, Catalogue],
) -> None:
    for role, changes in changes_of_roles(*pair).items():
        for change in changes:
            before, after = pair if change.sign is Sign.GAINS else pair[::-1]
            duration, ticket = hardest(change.rule, change.emergency)
            asks = Terms(role, duration, ticket)
            people = People(after)
            if change.emergency:
                way, known = breaks(after, change.example, asks), breaks(before, change.example, asks)
                assert way is not None
                assert way.rule == change.rule.name
                other = before.rule(known.rule) if known else None
                assert other is None or not as_easily_broken(_glass(other), _glass(change.rule), people)
            else:
                assert change.rule.name in {rule.name for rule in admitted(after, change.example, asks)}
                known_rules = admitted(before, change.example, asks)
                assert not any(as_easy(rule, change.rule, people) for rule in known_rules)


def _glass(rule: Rule | None) -> BreakGlass:
    assert rule
    assert rule.break_glass
    return rule.break_glass


@given(RULES)
def test_nothing_changes_between_a_catalogue_and_itself_in_any_order_and_under_any_names(found: list[Rule]) -> None:
    same = catalogue(found)
    assert changes_of_roles(same, same) == {}
    assert changes_of_roles(same, replace(same, rules=same.rules[::-1])) == {}


@settings(max_examples=60)
@given(pair=two())
def test_what_one_way_is_a_gain_is_a_loss_the_other_way(pair: tuple[Catalogue, Catalogue]) -> None:
    there, back = changes_of_roles(*pair), changes_of_roles(*pair[::-1])
    opposite = {Sign.GAINS: Sign.LOSES, Sign.LOSES: Sign.GAINS}

    def told(changes: tuple[Change, ...]) -> set[tuple[Sign, str, bool]]:
        return {(change.sign, change.rule.name, change.emergency) for change in changes}

    assert {role: {(opposite[sign], *rest) for sign, *rest in told(changes)} for role, changes in there.items()} == {
        role: told(changes) for role, changes in back.items()
    }


# Terms.


@settings(max_examples=200)
@given(stages=STAGES, others=STAGES, givers=st.lists(st.frozensets(st.sampled_from("gh")), max_size=4))
def test_stages_that_are_filled_as_soon_are_filled_by_whoever_fills_the_others(
    stages: tuple[Stage, ...], others: tuple[Stage, ...], givers: list[frozenset[str]]
) -> None:
    if not filled_as_soon(stages, others, People(VOUCHED)):
        return
    people = [
        Principal(id=f"a{n}@a.io", kind=Kind.HUMAN, groups=groups, issuer="okta", mfa=True, authenticated_at=NOW)
        for n, groups in enumerate(givers)
    ]
    ours, theirs = (Rule(name="", who=Who(), roles=(), stages=each) for each in (stages, others))
    for some in _parts(people):
        given = [
            Approval(
                by=each.id,
                at=NOW,
                comment=None,
                mfa=True,
                qualifies=frozenset(s.who.key for s in (*stages, *others) if s.who.includes(each)),
            )
            for each in some
        ]
        if lacking(theirs, given) == 0:
            assert lacking(ours, given) == 0


def _parts(people: list[Principal]) -> Iterator[tuple[Principal, ...]]:
    for size in range(len(people) + 1):
        yield from permutations(people, size)


SRE, LEADS = Who(groups=frozenset("g")), Who(groups=frozenset("h"))
RULE = Rule(name="r", who=SRE, roles=("*",), max_duration=2 * HOUR, stages=(Stage(1, LEADS),))
EASIER: dict[str, dict[str, Any]] = {
    "longer": {"max_duration": 4 * HOUR},
    "fewer approvals": {"stages": ()},
    "more who approve": {"stages": (Stage(1, Who(groups=frozenset("gh"))),)},
    "extended": {"extensions": Extensions(max=1, stages=())},
}
HARDER: dict[str, dict[str, Any]] = {
    "a second factor": {"require_mfa": True},
    "a ticket": {"ticket": "A-[0-9]+"},
    "hours": {"hours": WEEK},
    "a day's length": {"max_per_day": 4 * HOUR},
    "more approvals": {"stages": (Stage(2, LEADS),)},
    "another stage": {"stages": (Stage(1, LEADS), Stage(1, SRE))},
}


@pytest.mark.parametrize("name", [*EASIER, *HARDER])
def test_every_term_counts(name: str) -> None:
    changed = catalogue([replace(RULE, **{**EASIER, **HARDER}[name])])
    first, second = (Sign.GAINS, Sign.LOSES) if name in EASIER else (Sign.LOSES, Sign.GAINS)
    there = dict(changes_of_roles(catalogue([RULE]), changed))
    for role in ROLES:
        assert [change.rule.name for change in named(there, role, first, emergency=False)] == ["rule 0"]
        assert named(there, role, second, emergency=False) == []


@pytest.mark.parametrize(
    ("hours", "others", "wider"),
    [
        (None, WEEK, True),
        (WEEK, None, False),
        (ALWAYS, WEEK, True),
        (WEEK, ALWAYS, False),
        (replace(ALWAYS, zone=ZoneInfo("Asia/Tokyo")), WEEK, False),
    ],
)
def test_hours_are_wider_where_they_hold_the_others(hours: Hours | None, others: Hours | None, wider: bool) -> None:
    assert as_easy(replace(RULE, hours=hours), replace(RULE, hours=others), People(VOUCHED)) is wider


def test_a_role_that_is_another_one_in_aws_by_now_is_taken_away_and_given_anew() -> None:
    older = catalogue([RULE])
    elsewhere = replace(older.roles["admin"], account=Account("other", "2" * 12))
    newer = replace(older, roles={**older.roles, "admin": elsewhere})
    found = changes_of_roles(older, newer)
    assert list(found) == ["admin"]
    assert [change.sign for change in found["admin"]] == [Sign.LOSES, Sign.GAINS]


def test_a_rule_split_in_two_and_two_put_together_change_nothing() -> None:
    both = replace(RULE, who=Who(groups=frozenset("gh")))
    split = [replace(RULE, who=Who(groups=frozenset(group))) for group in "gh"]
    assert changes_of_roles(catalogue([both]), catalogue(split)) == {}
    assert changes_of_roles(catalogue(split), catalogue([both])) == {}


def test_a_deny_for_everybody_else_is_as_good_as_a_narrower_rule() -> None:
    """Compared is who gets in, not how that is written."""
    wide = replace(RULE, who=Who(issuer="okta"))
    narrow = replace(RULE, who=Who(ids=("*@a.io",)))
    deny = Rule(name="", who=Who(ids=("*@b.io",)), roles=("*",), effect=Effect.DENY)
    assert changes_of_roles(catalogue([wide, deny]), catalogue([narrow])) == {}
    gained = changes_of_roles(catalogue([narrow]), catalogue([wide]))
    assert {change.example.id.rpartition("@")[2] for changes in gained.values() for change in changes} == {"b.io"}


def glass(who: Who, longest: timedelta, **changed: Any) -> Rule:
    """A rule for nobody who asks, by which some break the glass."""
    told: dict[str, Any] = {"reviewers": LEADS, "review_within": HOUR, "require_mfa": False, **changed}
    return replace(RULE, who=Who(ids=("nobody@a.io",)), break_glass=BreakGlass(who=who, max_duration=longest, **told))


def broken(older: list[Rule], newer: list[Rule]) -> list[tuple[Sign, str]]:
    found = changes_of_roles(catalogue(older), catalogue(newer)).get("admin", ())
    return [(change.sign, change.rule.name) for change in found if change.emergency]


def test_a_longer_glass_with_a_second_factor_takes_the_shorter_one_from_who_has_none() -> None:
    """Of several glasses the longest decides, also where it is the harder one."""
    shorter, longer = glass(SRE, HOUR), glass(SRE, 2 * HOUR, require_mfa=True)
    assert broken([shorter], [shorter, longer]) == [(Sign.GAINS, "rule 1"), (Sign.LOSES, "rule 0")]
    assert broken([shorter, longer], [shorter]) == [(Sign.GAINS, "rule 0"), (Sign.LOSES, "rule 1")]


def test_a_glass_behind_a_longer_one_for_the_same_people_makes_no_difference() -> None:
    shorter, longer = glass(SRE, HOUR), glass(Who(groups=frozenset("gh")), 2 * HOUR)
    nothing = replace(RULE, who=Who(ids=("nobody@a.io",)))
    assert broken([shorter, longer], [nothing, longer]) == []
    assert broken([shorter], [nothing]) == [(Sign.LOSES, "rule 0")]


def test_a_deny_keeps_people_from_the_glass_too_and_workloads_never_break_one() -> None:
    deny = Rule(name="", who=LEADS, roles=("*",), effect=Effect.DENY)
    assert broken([glass(SRE, HOUR), deny], [glass(SRE, HOUR)]) == [(Sign.GAINS, "rule 0")]
    robots = glass(Who(kind=Kind.WORKLOAD), HOUR)
    assert broken([], [robots]) == []


@pytest.mark.parametrize(
    ("changed", "sign"),
    [
        ({"require_mfa": True}, Sign.LOSES),
        ({"require_ticket": True}, Sign.LOSES),
        ({"review_within": HOUR / 2}, Sign.LOSES),
        ({"reviewers": Who(groups=frozenset("gh"))}, Sign.GAINS),
        ({"max_duration": 2 * HOUR}, Sign.GAINS),
    ],
)
def test_every_term_of_a_glass_counts(changed: dict[str, Any], sign: Sign) -> None:
    plain = glass(SRE, HOUR)
    other = replace(plain, break_glass=replace(_glass(plain), **changed))
    assert broken([plain], [other]) == [(sign, "rule 0")]
