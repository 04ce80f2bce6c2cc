"""Session policies: scopes that are filled in, callers' own, and the wall around both."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.core.catalogue import Scope
from chalicelib.core.policy import LONGEST, caller_policy, scope_policy, with_wall
from chalicelib.core.refusals import Invalid

END = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLIMBS = (
    "sts:AssumeRole",
    "sts:AssumeRoot",
    "sts:GetWebIdentityToken",
    "signin:AuthorizeOAuth2Access",
    "signin:CreateOAuth2Token",
)


def a_policy(*statements: object) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def a_statement(**changed: object) -> dict[str, object]:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::files/*", **changed}
    return {key: value for key, value in statement.items() if value is not None}


def a_scope(parameters: dict[str, str] | None = None, **changed: object) -> Scope:
    statement = a_statement(
        Resource=["arn:aws:s3:::${bucket}", "arn:aws:s3:::${bucket}/${aws:PrincipalTag/team}/*"],
        Condition={"StringLike": {"s3:prefix": ["${bucket}-${*}"]}},
    )
    policy = a_policy({**statement, **changed})
    return Scope(name="one-bucket", policy=policy, parameters=parameters or {"bucket": "[a-z0-9.-]{3,63}"})


def errors_of(call: object, *args: object, **kwargs: object) -> dict[str, str]:
    assert callable(call)
    with pytest.raises(Invalid) as refused:
        call(*args, **kwargs)
    return {error.field: error.message for error in refused.value.errors}


# A scope


def test_given_a_value_that_fits_when_filling_a_scope_then_it_stands_in_resource_and_condition_only():
    filled = json.loads(scope_policy(a_scope(), {"bucket": "payments-files"}))
    [statement] = filled["Statement"]
    assert statement["Resource"] == [
        "arn:aws:s3:::payments-files",
        "arn:aws:s3:::payments-files/${aws:PrincipalTag/team}/*",
    ]
    assert statement["Condition"] == {"StringLike": {"s3:prefix": ["payments-files-${*}"]}}


def test_given_a_placeholder_outside_resource_and_condition_when_filling_then_it_is_left_as_it_is():
    scope = a_scope(Sid="${bucket}", Condition={"StringEquals": {"aws:${bucket}": "x"}})
    [statement] = json.loads(scope_policy(scope, {"bucket": "files"}))["Statement"]
    assert statement["Sid"] == "${bucket}"
    assert statement["Condition"] == {"StringEquals": {"aws:${bucket}": "x"}}


def test_given_a_scope_when_filled_in_then_the_text_is_minified_and_without_the_wall():
    text = scope_policy(a_scope(), {"bucket": "files"})
    assert text == json.dumps(json.loads(text), separators=(",", ":"))
    assert "Deny" not in text


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({}, "bucket", "is missing"),
        ({"bucket": "files", "key": "x"}, "key", "is not a parameter of this scope"),
        ({"bucket": "Files"}, "bucket", "must match [a-z0-9.-]{3,63}"),
        ({"bucket": "files\n"}, "bucket", "printable ASCII"),
        ({"bucket": "fi"}, "bucket", "must match"),
        ({"bucket": "٣٣٣"}, "bucket", "printable ASCII"),
    ],
)
def test_given_parameters_that_do_not_fit_when_filling_then_each_is_named(given, field, words):
    assert words in errors_of(scope_policy, a_scope(), given)[f"scope.parameters.{field}"]


def test_given_several_wrong_parameters_when_filling_then_all_are_told_at_once():
    scope = a_scope(parameters={"bucket": "[a-z]+", "key": "[a-z]+"})
    assert errors_of(scope_policy, scope, {"bucket": "B", "other": "x"}).keys() == {
        "scope.parameters.bucket",
        "scope.parameters.key",
        "scope.parameters.other",
    }


@pytest.mark.parametrize("harm", [*"*?${}\\\"'\x00\n\x1f\x7f\x85é\u202e\U0001f511", "\ud800"])
def test_given_a_character_that_could_change_a_policy_when_filling_then_refused_whatever_the_pattern_says(harm):
    scope = a_scope(parameters={"bucket": "(?s).*"})
    assert "scope.parameters.bucket" in errors_of(scope_policy, scope, {"bucket": f"files{harm}"})


def test_given_a_value_of_257_characters_when_filling_then_refused_whatever_the_pattern_says():
    scope = a_scope(parameters={"bucket": ".*"})
    assert "scope.parameters.bucket" in errors_of(scope_policy, scope, {"bucket": "a" * 257})
    assert scope_policy(scope, {"bucket": "a" * 256})


def test_given_a_pattern_with_digits_and_words_when_filling_then_ascii_is_meant():
    scope = a_scope(parameters={"bucket": r"\w+"})
    assert scope_policy(scope, {"bucket": "a_1"})
    assert errors_of(scope_policy, scope, {"bucket": "ß"})


def shape_of(part: object) -> object:
    """A document with the strings taken out, but for its keys."""
    match part:
        case str():
            return "a string"
        case list():
            return [shape_of(item) for item in part]
        case dict():
            return {key: shape_of(item) for key, item in part.items()}
        case _:
            return part


def wildcards_of(text: str) -> list[str]:
    return re.findall(r"[*?$]", text)


@given(value=st.text(max_size=40) | st.text(st.sampled_from("ab*?${}\\\"',:/[] \n"), max_size=12))
def test_no_value_ever_changes_the_structure_of_a_policy_or_adds_a_wildcard(value):
    scope = a_scope(parameters={"bucket": "(?s).*"})
    plain = scope_policy(scope, {"bucket": "x"})
    try:
        filled = scope_policy(scope, {"bucket": value})
    except Invalid:
        return
    assert shape_of(json.loads(filled)) == shape_of(json.loads(plain))
    assert wildcards_of(filled) == wildcards_of(plain)


# A caller's own policy


def test_given_a_good_policy_when_read_then_the_same_policy_comes_back_minified():
    policy = a_policy(
        a_statement(Sid="Read", Condition={"ForAnyValue:StringEqualsIfExists": {"aws:PrincipalTag/Team Name": "x"}}),
        a_statement(Sid="Not", Effect="Deny", Action=None, NotAction=["s3:*", "*"], Resource=None, NotResource="*"),
    )
    text = caller_policy(json.dumps(policy, indent=2))
    assert json.loads(text) == policy
    assert text == json.dumps(policy, separators=(",", ":"))


def test_given_a_single_statement_instead_of_a_list_when_read_then_it_is_taken():
    assert caller_policy(json.dumps({"Version": "2012-10-17", "Statement": a_statement()}))


def test_given_a_character_that_reads_backwards_when_read_then_it_is_refused():
    policy = json.dumps(a_policy(a_statement(Resource="arn:aws:s3:::\u202efiles")))
    assert "session_policy.Statement[0].Resource" in errors_of(caller_policy, policy)


def test_given_a_latin_letter_when_read_then_the_approver_sees_its_escape():
    assert "\\u00e9" in caller_policy(json.dumps(a_policy(a_statement(Resource="arn:aws:s3:::é"))))


BROKEN: list[tuple[object, str, str]] = [
    ([], "", "must be a JSON object"),
    ("x", "", "must be a JSON object"),
    ({"Statement": [a_statement()]}, ".Version", 'must be "2012-10-17"'),
    ({"Version": "2008-10-17", "Statement": [a_statement()]}, ".Version", "2012-10-17"),
    ({**a_policy(a_statement()), "Id": "x"}, "", "may not hold 'Id'"),
    ({"Version": "2012-10-17"}, ".Statement", "must be a statement"),
    (a_policy(), ".Statement", "at least one"),
    (a_policy(3), ".Statement[0]", "must be a JSON object"),
    (a_policy(a_statement(Effect="allow")), ".Statement[0].Effect", '"Allow" or "Deny"'),
    (a_policy(a_statement(Effect=None)), ".Statement[0].Effect", '"Allow" or "Deny"'),
    (a_policy(a_statement(Effect=["Allow"])), ".Statement[0].Effect", '"Allow" or "Deny"'),
    (a_policy(a_statement(Principal="*")), ".Statement[0]", "may not hold 'Principal'"),
    (a_policy(a_statement(effect="Deny")), ".Statement[0]", "may not hold 'effect'"),
    (a_policy(a_statement(Sid="a b")), ".Statement[0].Sid", "letters and digits"),
    (a_policy(a_statement(Sid="a"), a_statement(Sid="a")), ".Statement[1].Sid", "an earlier statement"),
    (a_policy(a_statement(Action=None)), ".Statement[0]", "exactly one of Action and NotAction"),
    (a_policy(a_statement(NotAction="s3:*")), ".Statement[0]", "exactly one of Action and NotAction"),
    (a_policy(a_statement(Resource=None)), ".Statement[0]", "exactly one of Resource and NotResource"),
    (a_policy(a_statement(NotResource="*")), ".Statement[0]", "exactly one of Resource and NotResource"),
    (a_policy(a_statement(Action=[])), ".Statement[0].Action", "must not be empty"),
    (a_policy(a_statement(Action=["s3:*", 7])), ".Statement[0].Action[1]", "an action"),
    (a_policy(a_statement(Action="GetObject")), ".Statement[0].Action", "an action"),
    (a_policy(a_statement(Action="s3:${aws:username}")), ".Statement[0].Action", "an action"),
    (a_policy(a_statement(Resource="files")), ".Statement[0].Resource", "an ARN or *"),
    (a_policy(a_statement(Resource={"a": "b"})), ".Statement[0].Resource", "an ARN or *"),
    (a_policy(a_statement(Condition={})), ".Statement[0].Condition", "names an operator"),
    (a_policy(a_statement(Condition={"StringIs": {"aws:x": "y"}})), ".Statement[0].Condition", "not an operator"),
    (a_policy(a_statement(Condition={"Bool": {}})), ".Statement[0].Condition.Bool", "names a key"),
    (a_policy(a_statement(Condition={"Bool": {"x": "y"}})), ".Statement[0].Condition.Bool", "not a condition key"),
    (a_policy(a_statement(Condition={"Bool": {"aws:x": True}})), ".Statement[0].Condition.Bool.aws:x", "a string"),
    (
        a_policy(a_statement(Condition={"Bool": {"aws:x": ["y", 1]}})),
        ".Statement[0].Condition.Bool.aws:x[1]",
        "a string",
    ),
    (a_policy(a_statement(Condition={"Bool": {"aws:x": []}})), ".Statement[0].Condition.Bool.aws:x", "not be empty"),
    (a_policy(a_statement(Condition={"Bool": {"aws:x": "\u0100"}})), ".Statement[0].Condition.Bool.aws:x", "U+00FF"),
]


@pytest.mark.parametrize(("document", "path", "words"), BROKEN)
def test_given_a_policy_with_one_fault_when_read_then_its_path_is_named(document, path, words):
    errors = errors_of(caller_policy, json.dumps(document))
    assert words in errors[f"session_policy{path}"]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not the JSON"),
        ("{", "is not the JSON"),
        ("\ufeff{}", "is not the JSON"),
        ('{"Version":"2012-10-17","Version":"2012-10-17"}', "the key 'Version' twice"),
        ('{"Version":NaN}', "no NaN"),
        ('{"Version":-Infinity}', "no -Infinity"),
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 7 + "1" + "}" * 7, "nested deeper"),
    ],
)
def test_given_a_text_that_is_no_policy_when_read_then_the_whole_is_refused(text, words):
    assert words in errors_of(caller_policy, text)["session_policy"]


def test_given_an_effect_hidden_behind_an_escape_when_read_then_the_second_key_is_seen():
    text = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","\\u0045ffect":"Allow","Action":"*","Resource":"*"}}'
    assert "the key 'Effect' twice" in errors_of(caller_policy, text)["session_policy"]


def test_given_a_number_too_long_for_python_when_read_then_it_is_a_fault_like_any_other():
    assert "session_policy" in errors_of(caller_policy, "1" * 5000)


def test_given_hundreds_of_faults_when_read_then_twenty_are_told():
    assert len(errors_of(caller_policy, json.dumps(a_policy(*range(300))))) == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
ACTIONS = st.sampled_from(["*", "s3:*", "s3:GetObject", "sts:AssumeRole", "sts:*", "iam:Create*", "signin:*"])
RESOURCES = st.sampled_from(["*", "arn:aws:s3:::files/*", "arn:aws:iam::111122223333:role/x", "arn:aws:iam::*:role/*"])
CONDITIONS = st.just({"DateLessThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}})


@st.composite
def statements(draw: st.DrawFn) -> dict[str, object]:
    action, resource = (
        draw(st.sampled_from(["Action", "NotAction"])),
        draw(st.sampled_from(["Resource", "NotResource"])),
    )
    statement: dict[str, object] = {
        "Effect": draw(st.sampled_from(["Allow", "Deny"])),
        action: draw(ACTIONS | st.lists(ACTIONS, min_size=1, max_size=3)),
        resource: draw(RESOURCES | st.lists(RESOURCES, min_size=1, max_size=3)),
    }
    if draw(st.booleans()):
        statement["Condition"] = draw(CONDITIONS)
    return statement


@st.composite
def damaged_policies(draw: st.DrawFn) -> object:
    given = draw(st.lists(statements(), min_size=1, max_size=3))
    policy = a_policy(*given)
    some = draw(st.sampled_from([policy, *given]))
    some[draw(st.sampled_from([*some, "Principal", "Id", ""]))] = draw(JSON)
    return policy


def taken_or_refused(text: str) -> str | None:
    try:
        return caller_policy(text)
    except Invalid as refusal:
        errors = refusal.errors
    assert errors
    assert all(error.field.startswith("session_policy") for error in errors)
    return None


@given(text=st.text(max_size=60) | JSON.map(json.dumps) | damaged_policies().map(json.dumps))
def test_whatever_a_caller_sends_is_taken_whole_or_refused_as_invalid(text):
    taken = taken_or_refused(text)
    if taken is None:
        return
    assert json.loads(taken) == json.loads(text)
    assert caller_policy(taken) == taken
    assert taken.isascii()
    assert with_wall(taken, ends_at=END, chaining=())


@given(document=st.lists(statements(), min_size=1, max_size=3).map(lambda given: a_policy(*given)))
def test_every_policy_of_the_grammar_is_taken(document):
    assert json.loads(caller_policy(json.dumps(document))) == document


# The wall


def test_given_no_permissions_when_walled_then_sts_gets_exactly_this():
    assert with_wall(None, ends_at=END, chaining=()) == (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},'
        '{"Effect":"Deny","Action":"*","Resource":"*","Condition":'
        '{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-23T12:00:00Z"}}},'
        '{"Effect":"Deny","Action":["sts:AssumeRole","sts:AssumeRoot","sts:GetWebIdentityToken",'
        '"signin:AuthorizeOAuth2Access","signin:CreateOAuth2Token"],"Resource":"*"}]}'
    )


def test_given_roles_to_chain_to_when_walled_then_assume_role_is_denied_on_all_others():
    arn = "arn:aws:iam::*:role/cdk-*"
    *_, chaining, climbing = json.loads(with_wall(None, ends_at=END, chaining=(arn,)))["Statement"]
    assert chaining == {"Effect": "Deny", "Action": "sts:AssumeRole", "NotResource": [arn]}
    assert climbing == {"Effect": "Deny", "Action": list(CLIMBS[1:]), "Resource": "*"}


def test_given_an_end_within_a_second_when_walled_then_the_wall_stands_at_its_beginning():
    assert "2026-11-23T12:00:00Z" in with_wall(None, ends_at=END + timedelta(microseconds=999_999), chaining=())


def test_given_an_end_without_a_zone_when_walled_then_it_is_a_bug():
    with pytest.raises(ValueError, match="zone"):
        with_wall(None, ends_at=END.replace(tzinfo=None), chaining=())


@given(after=st.integers(0, 10**11))
def test_the_length_never_depends_on_the_end(after):
    ends_at = END + timedelta(seconds=after)
    length = len(with_wall(None, ends_at=END, chaining=("arn:aws:iam::*:role/x",)))
    assert len(with_wall(None, ends_at=ends_at, chaining=("arn:aws:iam::*:role/x",))) == length


def a_policy_of(length: int) -> str:
    bare = len(caller_policy(json.dumps(a_policy(a_statement()))))
    return caller_policy(json.dumps(a_policy(a_statement(Resource="arn:aws:s3:::files/*" + "x" * (length - bare)))))


def test_given_exactly_what_sts_takes_when_walled_then_it_passes_and_one_more_is_refused_with_the_lengths():
    own = len(with_wall(a_policy_of(500), ends_at=END, chaining=())) - 500
    assert len(with_wall(a_policy_of(LONGEST - own), ends_at=END, chaining=())) == LONGEST
    errors = errors_of(with_wall, a_policy_of(LONGEST - own + 1), ends_at=END, chaining=())
    assert errors == {
        "session_policy": f"is 2049 characters long, {own} of them Daypass's own, and STS takes 2048",
    }


def allowed(policy: str, action: str, resource: str, now: datetime) -> bool:
    """What IAM would say, as far as these tests' policies go: no Allow is needed where there is none, a Deny wins."""
    decision = False
    for statement in json.loads(policy)["Statement"]:
        if (
            _speaks_of(statement, "Action", action)
            and _speaks_of(statement, "Resource", resource)
            and _holds(statement, now)
        ):
            if statement["Effect"] == "Deny":
                return False
            decision = True
    return decision


def _speaks_of(statement: dict[str, Any], element: str, value: str) -> bool:
    inverse = f"Not{element}" in statement
    given = statement[f"Not{element}" if inverse else element]
    patterns = [given] if isinstance(given, str) else given
    return any(fnmatchcase(value, pattern) for pattern in patterns) != inverse


def _holds(statement: dict[str, Any], now: datetime) -> bool:
    for operator, keys in statement.get("Condition", {}).items():
        instant = datetime.strptime(keys["aws:CurrentTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if not {"DateGreaterThanEquals": now >= instant, "DateLessThan": now < instant}[operator]:
            return False
    return True


POLICIES = st.none() | st.lists(statements(), min_size=1, max_size=3).map(lambda given: json.dumps(a_policy(*given)))


@given(permissions=POLICIES, after=st.integers(0, 10**6), chaining=st.sampled_from([(), ("arn:aws:iam::*:role/*",)]))
def test_no_statement_of_a_caller_reaches_past_the_wall(permissions, after, chaining):
    policy = with_wall(permissions and caller_policy(permissions), ends_at=END, chaining=chaining)
    now = END + timedelta(seconds=after)
    for action in ("s3:GetObject", *CLIMBS):
        assert not allowed(policy, action, "arn:aws:iam::111122223333:role/x", now)


@given(permissions=POLICIES, before=st.integers(1, 10**6))
def test_no_statement_of_a_caller_climbs_over_the_wall(permissions, before):
    listed = "arn:aws:iam::111122223333:role/cdk-deploy"
    now = END - timedelta(seconds=before)
    text = permissions and caller_policy(permissions)
    alone = with_wall(text, ends_at=END, chaining=())
    chained = with_wall(text, ends_at=END, chaining=("arn:aws:iam::*:role/cdk-*",))
    for action in CLIMBS:
        assert not allowed(alone, action, listed, now)
        assert not allowed(chained, action, "arn:aws:iam::111122223333:role/other", now)
        assert action == "sts:AssumeRole" or not allowed(chained, action, listed, now)


@given(permissions=POLICIES, before=st.integers(1, 10**6))
def test_before_its_end_the_wall_takes_nothing_else_away(permissions, before):
    assume(permissions)
    now = END - timedelta(seconds=before)
    policy = with_wall(caller_policy(permissions), ends_at=END, chaining=())
    resource = "arn:aws:s3:::files/x"
    assert allowed(policy, "s3:GetObject", resource, now) == allowed(permissions, "s3:GetObject", resource, now)
