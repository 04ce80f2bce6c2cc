"""Deciding: deny beats allow, order does not matter, every admitting rule is a way in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Account, Catalogue, Effect, Role, Rule, Stage, Who
from chalicelib.core.hours import DAYS, Hours
from chalicelib.core.principal import Kind, Principal
from chalicelib.core.refusals import Invalid, NotEligible, Refusal, TooLong
from chalicelib.core.rules import FROZEN, Terms, decide, explain, ways_in

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAYMENTS = Account("payments-prod", "222222222222")
ROLES = {
    name: Role(name=name, account=PAYMENTS, role_name=f"daypass/{name}")
    for name in ("payments-admin", "payments-read", "data-export")
}


def a_person(*groups: str, mfa: bool = True, name: str = "carol") -> Principal:
    return Principal(
        id=f"{name}@example.com",
        kind=Kind.HUMAN,
        groups=frozenset(groups),
        issuer="okta",
        mfa=mfa,
        authenticated_at=NOON,
    )


def of(*groups: str) -> Who:
    return Who(groups=frozenset(groups))


def an_allow(name: str = "sre", who: Who | None = None, **terms) -> Rule:
    given: dict[str, Any] = {"roles": ("payments-*",), "max_duration": 4 * HOUR} | terms
    return Rule(name=name, who=who or of("sre"), **given)


def a_deny(who: Who, name: str = "never", roles: tuple[str, ...] = ("*",)) -> Rule:
    return Rule(name=name, who=who, roles=roles, effect=Effect.DENY)


def a_catalogue(*rules: Rule) -> Catalogue:
    return Catalogue(digest="d", roles=ROLES, rules=rules)


def asking(role: str = "payments-admin", duration: timedelta | None = HOUR, ticket: str | None = None) -> Terms:
    return Terms(role, duration, ticket)


def test_given_a_rule_for_ones_group_then_it_is_a_way_in() -> None:
    rule = an_allow()
    decision = decide(a_catalogue(rule), a_person("sre"), asking())
    assert (decision.role.name, decision.rules) == ("payments-admin", (rule,))


def test_an_unknown_role_a_forbidden_one_and_a_denied_one_are_refused_in_the_same_words() -> None:
    catalogue = a_catalogue(an_allow(), a_deny(of("contractors")))
    refusals = []
    for role, groups in [
        ("data-export", ["sre"]),
        ("nothing-such", ["sre"]),
        ("payments-admin", ["sre", "contractors"]),
    ]:
        with pytest.raises(NotEligible) as refusal:
            decide(catalogue, a_person(*groups), asking(role))
        refusals.append(refusal.value.detail.replace(role, "ROLE"))
    assert len(set(refusals)) == 1


def test_asking_for_more_than_is_allowed_is_refused_and_the_limit_is_named() -> None:
    rules = an_allow("short", max_duration=HOUR), an_allow("long", max_duration=2 * HOUR)
    with pytest.raises(TooLong, match=r"3 h asked, 2 h allowed by rule 'long'"):
        decide(a_catalogue(*rules), a_person("sre"), asking(duration=3 * HOUR))


def test_exactly_the_limit_is_allowed() -> None:
    assert decide(a_catalogue(an_allow(max_duration=HOUR)), a_person("sre"), asking(duration=HOUR))


@pytest.mark.parametrize("ticket", [None, "", "inc-1", "INC-1 ", "INC-1\n", "xINC-1", "INC-\u0661"])
def test_a_ticket_that_does_not_match_in_full_is_named_with_its_form(ticket: str | None) -> None:
    catalogue = a_catalogue(an_allow(ticket=r"[A-Z]+-[0-9]+"))
    with pytest.raises(Invalid) as refusal:
        decide(catalogue, a_person("sre"), asking(ticket=ticket))
    assert refusal.value.errors[0].field == "ticket"
    assert decide(catalogue, a_person("sre"), asking(ticket="INC-1"))


def test_without_the_second_factor_that_a_rule_wants_one_is_told_so() -> None:
    catalogue = a_catalogue(an_allow(require_mfa=True))
    with pytest.raises(NotEligible, match="second factor"):
        decide(catalogue, a_person("sre", mfa=False), asking())
    assert decide(catalogue, a_person("sre"), asking())


def test_of_several_things_to_mend_the_easiest_is_named() -> None:
    catalogue = a_catalogue(
        an_allow("mfa", require_mfa=True), an_allow("ticket", ticket="X"), an_allow("short", max_duration=HOUR / 2)
    )
    with pytest.raises(TooLong):
        decide(catalogue, a_person("sre", mfa=False), asking())
    with pytest.raises(Invalid):
        decide(a_catalogue(*catalogue.rules[:2]), a_person("sre", mfa=False), asking())


def test_explain_tells_of_every_rule_that_covers_the_role() -> None:
    catalogue = a_catalogue(
        an_allow("fits", stages=(Stage(2, of("leads")),)),
        an_allow("not for me", of("dbas")),
        an_allow("too short", max_duration=HOUR / 2),
        an_allow("elsewhere", roles=("data-export",)),
        a_deny(of("contractors")),
    )
    told = {considered.rule.name: considered for considered in explain(catalogue, a_person("sre"), asking(), NOON)}
    assert {name: considered.matches for name, considered in told.items()} == {
        "fits": True,
        "not for me": False,
        "too short": False,
        "never": False,
    }
    assert "2 approvals" in told["fits"].why
    assert "dbas" in told["not for me"].why
    assert "30 min" in told["too short"].why


def test_explain_tells_when_a_rule_lends_how_much_a_day_and_that_the_catalogue_is_frozen() -> None:
    office = Hours(days=frozenset(DAYS[:5]), opens=8 * HOUR, closes=18 * HOUR, zone=ZoneInfo("Europe/Berlin"))
    rule = an_allow(hours=office, max_per_day=6 * HOUR)

    def why(at: datetime, **changed: Any) -> str:
        catalogue = replace(a_catalogue(rule), **changed)
        [considered] = explain(catalogue, a_person("sre"), asking(), at)
        return considered.why

    assert why(NOON) == (
        "'sre' admits this without an approval, up to 4 h. It lends 6 h a day (UTC) of the same role at most. "
        "It lends in its hours only, mon,tue,wed,thu,fri 08:00-18:00 Europe/Berlin: until 2026-11-23T17:00:00Z."
    )
    assert why(NOON + 5 * HOUR).endswith("Berlin: next from 2026-11-24T07:00:00Z.")
    assert why(NOON, frozen=True).endswith("Z. " + FROZEN)


def test_explain_tells_nothing_of_hours_where_a_rule_does_not_admit_the_ask() -> None:
    office = Hours(days=frozenset(DAYS), opens=8 * HOUR, closes=9 * HOUR, zone=ZoneInfo("UTC"))
    catalogue = replace(a_catalogue(an_allow(hours=office)), frozen=True)
    [considered] = explain(catalogue, a_person("sre"), asking(duration=5 * HOUR), NOON)
    assert considered.why == "'sre' allows 4 h, 5 h asked."


def test_of_rules_that_are_equally_long_the_first_by_name_is_named_in_whatever_order_they_stand() -> None:
    rules = [an_allow(name, max_duration=HOUR) for name in ("b", "a", "c")]
    for order in permutations(rules):
        with pytest.raises(TooLong, match=r"1 h allowed by rule 'a'"):
            decide(a_catalogue(*order), a_person("sre"), asking(duration=3 * HOUR))


GROUPS = ("sre", "leads", "contractors", "oncall")
whos = st.one_of(
    st.sets(st.sampled_from(GROUPS), min_size=1).map(lambda groups: of(*groups)),
    st.sampled_from(
        [
            Who(kind=Kind.HUMAN),
            Who(issuer="okta"),
            Who(ids=("carol@*",)),
            Who(ids=("c*",), kind=Kind.HUMAN),
            Who(ids=("eve@example.com",)),
        ]
    ),
)
role_patterns = st.lists(
    st.sampled_from(["*", "payments-*", "payments-admin", "data-export", "*-read"]), min_size=1, max_size=2
).map(tuple)
allows = st.builds(
    lambda who, roles, hours, mfa, ticket: an_allow(
        f"{who.key}{roles}{hours}{mfa}{ticket}",
        who,
        roles=roles,
        max_duration=hours * HOUR,
        require_mfa=mfa,
        ticket=ticket,
    ),
    whos,
    role_patterns,
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from([None, "INC-[0-9]+"]),
)
denies = st.builds(lambda who, roles: a_deny(who, f"deny {who.key}{roles}", roles), whos, role_patterns)
rule_lists = st.lists(allows | denies, max_size=6)
people = st.builds(
    lambda groups, mfa, name: a_person(*groups, mfa=mfa, name=name),
    st.sets(st.sampled_from(GROUPS)),
    st.booleans(),
    st.sampled_from(["carol", "eve"]),
)
asks = st.builds(
    Terms,
    st.sampled_from([*ROLES, "nothing-such"]),
    st.integers(1, 5).map(lambda hours: hours * HOUR),
    st.sampled_from([None, "INC-1", "other"]),
)


def outcome(rules, person: Principal, terms: Terms) -> frozenset[str]:
    """The names of the ways in; none where refused."""
    try:
        return frozenset(rule.name for rule in decide(a_catalogue(*rules), person, terms).rules)
    except Refusal:
        return frozenset()


@given(rule_lists, allows, people, asks)
def test_adding_an_allow_never_takes_access_away(rules, extra, person, terms) -> None:
    assert outcome(rules, person, terms) <= outcome([*rules, extra], person, terms)


@given(rule_lists, denies, people, asks)
def test_adding_a_deny_never_gives_any(rules, extra, person, terms) -> None:
    assert outcome([*rules, extra], person, terms) <= outcome(rules, person, terms)


@given(rule_lists, people, asks, st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_matter(rules, person, terms, random) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert outcome(rules, person, terms) == outcome(shuffled, person, terms)


@given(rule_lists, people, asks)
def test_a_deny_that_includes_the_caller_leaves_no_way_in(rules, person, terms) -> None:
    denied = any(rule.effect is Effect.DENY and rule.covers(terms.role) and rule.who.includes(person) for rule in rules)
    if denied:
        assert not outcome(rules, person, terms)
        assert not ways_in(a_catalogue(*rules), person, terms.role)


@given(rule_lists, people, asks)
def test_the_index_finds_what_a_look_at_every_rule_finds(rules, person, terms) -> None:
    catalogue = a_catalogue(*rules)
    by_hand = tuple(rule for rule in rules if rule.covers(terms.role) and rule.who.includes(person))
    assert catalogue.rules_for(person, terms.role) == by_hand


@given(rule_lists, people, asks)
def test_explain_and_decide_agree(rules, person, terms) -> None:
    told = explain(a_catalogue(*rules), person, terms, NOON)
    denied = any(considered.matches and considered.rule.effect is Effect.DENY for considered in told)
    admitted = {c.rule.name for c in told if c.matches and c.rule.effect is Effect.ALLOW}
    expected = frozenset() if denied or terms.role not in ROLES else admitted
    assert outcome(rules, person, terms) == expected


def test_the_cost_of_a_decision_follows_the_matching_rules_not_all_rules() -> None:
    mine = [an_allow(f"mine {n}") for n in range(3)]
    others = [an_allow(f"other {n}", of(f"team-{n}")) for n in range(2000)]
    elsewhere = [an_allow(f"elsewhere {n}", roles=(f"app-{n}-admin",)) for n in range(2000)]
    catalogue = a_catalogue(*others, *mine, *elsewhere)
    candidates = list(catalogue._index.candidates(a_person("sre"), "payments-admin"))
    assert candidates == mine


def test_a_request_for_nobody_is_never_admitted() -> None:
    nobody = replace(an_allow(), who=Who())
    assert not outcome([nobody], a_person("sre"), asking())
