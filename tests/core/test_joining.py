"""The two books: every session to its request, every use to its session, in whatever order they are told."""

from __future__ import annotations

import gc
import random
import types
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core import account, joining
from chalicelib.core.joining import Books
from chalicelib.core.known import Known, Record
from chalicelib.core.reckoning import every_role, under_daypass
from chalicelib.core.trail import read
from tests.trails import (
    ADMIN,
    BROKER,
    BROKER_KEY,
    BROKERS_OWN,
    DEPLOY,
    HUB,
    MINUTE,
    NOON,
    TARGET,
    a_denial,
    a_pair,
    a_record,
    a_session,
    a_use,
    an_issuance,
)

CAROL, CHAINED, ZOE = "ASIACAROL00000000001", "ASIACHAINED000000001", "ASIAZOE0000000000001"
REQUEST = "01KREQUEST0000000000000000"
TAGS = {"daypass:request": REQUEST}
ZOES = {
    "type": "IAMUser",
    "arn": f"arn:aws:iam::{TARGET}:user/zoe",
    "accountId": TARGET,
    "accessKeyId": "AKIAZOE0000000000001",
}
KNOWN = Known(
    request_id=REQUEST,
    session_name="01K-carol",
    role_arn=ADMIN,
    begun_at=NOON,
    access_key_id=CAROL,
    assumed_role_id=a_session(CAROL)["principalId"],
    sts_request_id="r-carol",
)


def took(*records, record: Record | None = None, **how) -> Books:
    books = Books(record, **how)
    for each in records:
        books.take(read(each))
    return books


def sessions(books: Books, managed=under_daypass) -> dict[str | None, account.Account]:
    """By access key; a key twice would be a mistake."""
    told = books.accounts(managed)
    assert len({each.access_key_id for each in told}) == len(told)
    return {each.access_key_id: each for each in told}


class TestForwards:
    def test_the_events_of_both_accounts_are_one_session_of_its_request(self):
        books = took(*a_pair(CAROL, tags=TAGS))
        (session,) = books.accounts(under_daypass)
        assert (session.session_name, session.role_arn, session.access_key_id) == ("01K-carol", ADMIN, CAROL)
        assert (session.request_id, session.bypass, session.issued_at) == (REQUEST, False, NOON)
        assert (session.seen_in, session.unseen_in) == (frozenset({HUB, TARGET}), frozenset())
        assert (session.source_identity, session.expires_at) == ("carol@example.com", NOON + timedelta(hours=1))
        assert session.caller is not None
        assert session.caller.access_key_id == BROKER_KEY
        assert (session.events, session.first_use, session.last_use) == (0, None, None)
        assert (books.totals().issued, books.totals().distinct_keys) == (2, 1)

    def test_where_one_account_says_nothing_it_is_named(self):
        hub, target = a_pair(CAROL, tags=TAGS)
        assert sessions(took(hub))[CAROL].unseen_in == {TARGET}
        assert sessions(took(target))[CAROL].unseen_in == {HUB}

    def test_what_was_done_with_the_key_is_counted(self):
        books = took(
            *a_pair(CAROL, tags=TAGS),
            a_use(CAROL, NOON + 2 * MINUTE),
            a_use(CAROL, NOON + MINUTE, action="ec2:RunInstances", errorCode="AccessDenied", awsRegion="eu-west-1"),
            a_use(CAROL, NOON + 3 * MINUTE, sourceIPAddress="198.51.100.7"),
            a_use(ZOE, session=a_session(ZOE, DEPLOY, "zoe")),
            a_record(),
        )
        session = sessions(books)[CAROL]
        assert (session.events, session.first_use, session.last_use) == (3, NOON + MINUTE, NOON + 3 * MINUTE)
        assert session.actions == {"ec2:RunInstances": 1, "s3:GetObject": 2}
        assert session.errors == {"AccessDenied": 1}
        assert session.regions == {"eu-west-1": 1, "us-east-1": 2}
        assert session.addresses == {"192.0.2.1": 2, "198.51.100.7": 1}
        totals = books.totals()
        assert (totals.events, totals.uses, totals.keys_used) == (7, 3, 1)

    @pytest.mark.parametrize("key", [None, "ASIAOFASERVICE000001"])
    def test_a_use_without_its_key_or_with_a_services_own_is_joined_by_role_id_name_and_instant(self, key):
        books = took(*a_pair(CAROL, tags=TAGS), a_use(CAROL), a_use(None, session=a_session(key)))
        assert sessions(books)[CAROL].events == 2
        assert books.totals().uses == 1  # signed with a key that was seen issued

    @pytest.mark.parametrize(
        "other", [{"role_arn": ADMIN + "2"}, {"name": "01K-zoe"}, {"begun_at": NOON + timedelta(seconds=1)}]
    )
    def test_a_use_without_its_key_is_nobodys_where_anything_differs(self, other):
        found = sessions(took(*a_pair(CAROL, tags=TAGS), a_use(None, session=a_session(None, **other))))
        assert found[CAROL].events == 0
        assert found[None].bypass

    def test_calls_without_a_key_that_several_sessions_may_have_made_are_given_to_none_of_them(self):
        twins = [an_issuance(f"ASIA{n}", by=ZOES, tags={"daypass:request": f"01K{n}"}) for n in (1, 2)]
        found = sessions(took(*twins, a_use(None, session=a_session(None))))
        assert [found[key].events for key in ("ASIA1", "ASIA2", None)] == [0, 0, 1]
        assert (found[None].request_id, found[None].bypass, found[None].issued_at) == (None, True, None)
        same = [an_issuance(f"ASIA{n}", by=ZOES, tags=TAGS) for n in (1, 2)]
        found = sessions(took(*same, a_use(None, session=a_session(None))))
        assert (found[None].request_id, found[None].bypass) == (REQUEST, False)

    def test_a_chained_role_is_followed_by_the_issued_key(self):
        books = took(
            *a_pair(CAROL, tags=TAGS),
            an_issuance(CHAINED, DEPLOY, "cdk", NOON + MINUTE, by=a_session(CAROL)),
            a_use(
                CHAINED, session=a_session(CHAINED, DEPLOY, "cdk", NOON + MINUTE), action="cloudformation:CreateStack"
            ),
            an_issuance("ASIA3", DEPLOY, "further", NOON + MINUTE, by=a_session(CHAINED, DEPLOY, "cdk", NOON + MINUTE)),
        )
        found = sessions(books)
        assert found[CAROL].actions == {"sts:AssumeRole": 1}
        assert [(found[key].request_id, found[key].bypass) for key in (CHAINED, "ASIA3")] == [(REQUEST, False)] * 2
        assert found[CHAINED].actions == {"cloudformation:CreateStack": 1, "sts:AssumeRole": 1}

    def test_a_web_identitys_session_is_joined_in_the_targets_trail_alone(self):
        by = {"type": "WebIdentityUser", "userName": "daypass:role:x"}
        asked = {"principalTags": TAGS}
        web = an_issuance(CAROL, by=by, asked=asked, eventName="AssumeRoleWithWebIdentity")
        session = sessions(took(web, a_use(CAROL)))[CAROL]
        assert (session.request_id, session.events, session.unseen_in) == (REQUEST, 1, frozenset())


class TestBackwards:
    def test_a_session_of_a_managed_role_without_a_request_is_a_bypass(self):
        session = sessions(took(an_issuance(ZOE, by=ZOES, name="zoe"), a_use(ZOE)))[ZOE]
        assert (session.bypass, session.request_id, session.issued_at, session.address) == (
            True,
            None,
            NOON,
            "192.0.2.1",
        )
        assert session.caller is not None
        assert (session.caller.name, session.caller.access_key_id) == (ZOES["arn"], ZOES["accessKeyId"])

    def test_so_is_a_use_whose_issuance_nobody_saw(self):
        session = sessions(took(a_use(ZOE)))[ZOE]
        assert (session.bypass, session.issued_at, session.session_name) == (True, None, "01K-carol")

    def test_so_is_what_a_bypass_went_on_to(self):
        books = took(an_issuance(ZOE, by=ZOES), an_issuance(CHAINED, DEPLOY, "cdk", by=a_session(ZOE)), a_use(CHAINED))
        assert {key: session.bypass for key, session in sessions(books).items()} == {ZOE: True, CHAINED: True}

    def test_other_roles_are_counted_and_not_told_of_unless_every_role_is_managed(self):
        books = took(an_issuance(ZOE, DEPLOY, by=ZOES), a_use(ZOE))
        assert sessions(books) == {}
        assert (books.totals().distinct_keys, books.totals().uses) == (1, 1)
        assert sessions(books, every_role)[ZOE].bypass

    @pytest.mark.parametrize(
        ("role", "managed"),
        [
            (ADMIN, True),
            ("arn:aws-cn:iam::222222222222:role/daypass/team/Admin", True),
            ("arn:aws:iam::222222222222:role/daypass-revoker/DaypassRevoker", False),
            ("arn:aws:iam::222222222222:role/x/daypass/Admin", False),
            ("arn:aws:iam::222222222222:role/daypass", False),
            (BROKER, False),
        ],
    )
    def test_managed_is_what_lies_under_daypass(self, role, managed):
        assert under_daypass(role) is managed

    def test_denied_attempts_are_told_with_the_request_they_were_made_for(self):
        books = took(a_denial(requestID="r-carol"), a_denial(NOON + MINUTE, by=ZOES), record=Record([KNOWN]))
        assert [request for _, request in books.denials()] == [REQUEST, None]
        assert [denial.caller.name for denial, _ in books.denials()][1] == ZOES["arn"]
        assert books.totals().denied == 2

    def test_only_so_many_denied_attempts_are_kept_but_all_are_counted_and_ours_are_kept_always(self, monkeypatch):
        monkeypatch.setattr(joining, "MOST_DENIALS", 3)
        strangers = [a_denial(by=ZOES) for _ in range(10)]
        books = took(*strangers, a_denial(NOON + MINUTE, requestID="r-carol"), record=Record([KNOWN]))
        assert [request for _, request in books.denials()] == [None, None, None, REQUEST]
        assert books.totals().denied == 11


class TestTheRecordAlone:
    """Where there is a record, names and tags prove nothing."""

    def told(self, *records, known=KNOWN):
        return sessions(took(*records, record=Record([known])))

    def test_a_session_is_known_by_its_key(self):
        session = self.told(*a_pair(CAROL), a_use(CAROL))[CAROL]
        assert (session.request_id, session.bypass) == (REQUEST, False)

    def test_also_where_its_issuance_was_not_seen(self):
        session = self.told(a_use(CAROL))[CAROL]
        assert (session.request_id, session.issued_at, session.events) == (REQUEST, None, 1)

    def test_and_where_its_calls_are_told_without_key_too(self):
        session = self.told(a_use(None, session=a_session(None)))[None]
        assert (session.request_id, session.bypass) == (REQUEST, False)

    def test_a_session_is_known_by_stss_request_id(self):
        known = replace(KNOWN, access_key_id=None)
        session = self.told(*a_pair(CAROL, requestID="r-carol"), known=known)[CAROL]
        assert session.request_id == REQUEST

    def test_the_id_of_a_call_that_sts_refused_vouches_for_no_session(self):
        refused = replace(KNOWN, access_key_id=None, possible=False)
        assert self.told(*a_pair(CAROL, requestID="r-carol"), known=refused)[CAROL].bypass

    def test_a_forged_tag_is_told_and_not_believed(self):
        session = self.told(*a_pair(CAROL), an_issuance(ZOE, by=ZOES, name="zoe", tags=TAGS))[ZOE]
        assert (session.bypass, session.request_id, session.claimed) == (True, None, REQUEST)

    def test_a_forged_name_is_not_believed_while_the_record_knows_the_key(self):
        found = self.told(*a_pair(CAROL), an_issuance(ZOE, by=ZOES))
        assert {key: session.bypass for key, session in found.items()} == {CAROL: False, ZOE: True}

    def test_a_name_is_believed_where_the_outcome_never_came_onto_the_record(self):
        known = replace(KNOWN, access_key_id=None, assumed_role_id=None, sts_request_id=None)
        assert self.told(*a_pair(CAROL), known=known)[CAROL].request_id == REQUEST

    def test_but_not_where_two_bear_it(self):
        known = replace(KNOWN, access_key_id=None, assumed_role_id=None, sts_request_id=None)
        found = self.told(*a_pair(CAROL), an_issuance(ZOE, by=ZOES), known=known)
        assert [found[key].bypass for key in (CAROL, ZOE)] == [True, True]

    def test_a_session_that_nothing_was_seen_of_is_told(self):
        session = self.told()[CAROL]
        assert (session.request_id, session.session_name, session.role_arn) == (REQUEST, "01K-carol", ADMIN)
        assert (session.issued_at, session.first_use, session.events, session.bypass) == (None, None, 0, False)

    def test_but_not_one_that_sts_made_none_of(self):
        assert self.told(known=replace(KNOWN, access_key_id=None, possible=False)) == {}


class TestRepeats:
    def test_an_event_told_twice_is_counted_once(self):
        pair, use, denial = a_pair(CAROL, tags=TAGS), a_use(CAROL), a_denial()
        once, twice = took(*pair, use, denial), took(*pair, use, denial, use, denial, *pair, use)
        assert twice.accounts(under_daypass) == once.accounts(under_daypass)
        assert twice.totals() == replace(once.totals(), duplicates=5)

    def test_a_file_of_the_same_content_counts_once_however_long_ago_it_was_read(self):
        books = Books(recent=1)
        assert books.take_file(b"1", [a_use(CAROL), a_use(CAROL), None]) == {"no JSON object": 1}
        books.take_file(b"2", [a_record() for _ in range(100)])
        before = books.accounts(under_daypass)
        assert books.take_file(b"1", [a_use(CAROL), a_use(CAROL), None]) == {}
        assert books.accounts(under_daypass) == before
        assert (books.totals().events, books.totals().duplicates) == (102, 2)

    @pytest.mark.parametrize(("others", "counted"), [(0, 1), (3, 1), (4, 1), (8, 2), (100, 2)])
    def test_an_event_of_another_file_is_recognised_among_the_last_different_ones(self, others, counted):
        """Of four: always up to the fourth, never from the eighth on; what is not a count is right in any case."""
        use, pair = a_use(CAROL), a_pair(CAROL, tags=TAGS)
        books = took(*pair, use, *(a_record() for _ in range(others)), use, *pair, recent=4)
        session = sessions(books)[CAROL]
        assert session.events == counted
        assert (session.first_use, session.last_use, session.request_id) == (NOON + MINUTE, NOON + MINUTE, REQUEST)
        assert (books.totals().issued, books.totals().distinct_keys) == (2, 1)

    def test_an_event_and_its_addendum_are_one_call_in_either_order(self):
        use = a_use(CAROL, action="s3:PutObject")
        addendum = a_use(CAROL, errorCode="AccessDenied", addendum={"originalEventID": use["eventID"]})
        again = a_use(CAROL, addendum={"originalEventID": use["eventID"]})
        for told in ([use, addendum, again], [addendum, use, again], [again, addendum, use]):
            assert sessions(took(*a_pair(CAROL), *told))[CAROL].events == 1

    def test_an_addendum_corrects_what_the_first_record_of_an_issuance_said(self):
        first = an_issuance(CAROL, by=ZOES, name="wrong")
        addendum = an_issuance(CAROL, by=ZOES, name="right", addendum={"originalEventID": first["eventID"]})
        for told in ([first, addendum], [addendum, first]):
            books = took(*told)
            assert sessions(books)[CAROL].session_name == "right"
            assert books.totals().issued == 1


def a_story() -> list[list[dict]]:
    """Files of a day: pairs, chains, uses before their issuance, without a key, by nobody's session; and an attempt."""
    chained = a_session(CHAINED, DEPLOY, "cdk", NOON + MINUTE)
    nobodys = [a_use(None, session=a_session(None, begun_at=NOON - n * MINUTE)) for n in (1, 2)]
    return [
        [a_use(CAROL), a_use(CHAINED, NOON + 2 * MINUTE, session=chained)],
        [a_use(None, session=a_session(None)), a_record(), a_use(ZOE, session=a_session(ZOE, name="zoe"))],
        a_pair(CAROL, tags=TAGS),
        [an_issuance(CHAINED, DEPLOY, "cdk", NOON + MINUTE, by=a_session(CAROL)), a_denial(), nobodys[0]],
        [nobodys[1], an_issuance(ZOE, by=ZOES, name="zoe"), a_use(CAROL, errorCode="Denied")],
        [an_issuance(BROKER_KEY, BROKER, "daypass-api", NOON - MINUTE, by={"type": "AWSService"}), a_record()],
    ]


STORY = a_story()


def told_of(files: Iterable[list[dict]], record: Record | None = None):
    books = Books(record)
    for records in files:
        books.take_file(repr(records).encode(), records)
    totals = replace(books.totals(), duplicates=0, before_their_issuance=0)
    return books.accounts(every_role), totals, list(books.denials())


@pytest.mark.parametrize("record", [None, Record([KNOWN])])
@given(files=st.permutations([*STORY, *STORY[:3], STORY[0] + STORY[4]]), within=st.randoms(use_true_random=False))
def test_the_books_are_the_same_in_any_order_of_files_and_records_and_with_any_repeats(record, files, within) -> None:
    shuffled = [within.sample(records, len(records)) for records in files]
    assert told_of(shuffled, record) == told_of(STORY, record)


SESSION = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 2))


@settings(max_examples=200)
@given(
    issued=st.dictionaries(st.integers(0, 5), SESSION),
    used=st.lists(st.tuples(st.integers(0, 7), SESSION, st.booleans()), max_size=20),
    files=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_the_books_are_what_a_reader_with_all_the_time_and_memory_would_write(issued, used, files, seed) -> None:
    """Against two nested loops over everything, with each record delivered in any file."""
    chance = random.Random(seed)
    begun = {n: NOON + n * MINUTE for n in range(3)}
    lent = {f"ASIA{key}": (name, at) for key, (name, at) in issued.items()}
    records = [an_issuance(key, name=name, at=begun[at], by=ZOES) for key, (name, at) in lent.items()]
    uses, bearers = [], dict(lent)  # a key is one session's, also where nobody saw it issued
    for key, (name, at), keyless in used:
        given = None if keyless else f"ASIA{key}"
        if given:
            name, at = bearers.setdefault(given, (name, at))
        uses.append((given, name, at))
        records.append(a_use(given, session=a_session(given, name=name, begun_at=begun[at])))
    delivered = [chance.randrange(files) for _ in records]
    books = Books()
    for number in range(files):
        books.take_file(b"%d" % number, [r for r, file in zip(records, delivered, strict=True) if file == number])

    def events(key: str) -> int:
        alone = [other for other, identity in lent.items() if identity == lent[key]] == [key]
        by_name = [use for use in uses if use[0] not in lent and use[1:] == lent[key]] if alone else []
        return sum(use[0] == key for use in uses) + len(by_name)

    found = {account.access_key_id: account for account in books.accounts(every_role)}
    assert {key: found[key].events for key in lent} == {key: events(key) for key in lent}
    signers = [(use[0], file) for use, file in zip(uses, delivered[len(lent) :], strict=True)]
    signed = [(key, file) for key, file in signers if key is not None and key in lent]
    issued_in = dict(zip(lent, delivered, strict=False))
    totals = books.totals()
    assert (totals.uses, totals.keys_used) == (len(signed), len({key for key, _ in signed}))
    assert totals.before_their_issuance == sum(file < issued_in[key] for key, file in signed)
    assert sum(account.events for account in books.accounts(every_role)) == len(uses)


class TestHostileLogs:
    def test_a_long_chain_of_roles_is_climbed(self):
        books = took(*a_pair("ASIA0", tags=TAGS))
        for n in range(1, 5_000):
            books.take(read(an_issuance(f"ASIA{n}", DEPLOY, by=a_session(f"ASIA{n - 1}"))))
        found = books.accounts(under_daypass)
        assert len(found) == 5_000
        assert {session.request_id for session in found} == {REQUEST}

    def test_a_ring_of_roles_ends(self):
        ring = [an_issuance(f"ASIA{n}", by=a_session(f"ASIA{(n + 1) % 3}")) for n in range(3)]
        assert all(session.bypass for session in sessions(took(*ring)).values())
        assert sessions(took(an_issuance(CAROL, by=a_session(CAROL))))[CAROL].bypass

    def test_a_session_is_told_with_so_many_different_names_and_no_more(self):
        books = took(*(a_use(CAROL, action=f"s3:{n}", sourceIPAddress=f"{n}") for n in range(1_500)))
        session = sessions(books)[CAROL]
        assert len(session.actions) == len(session.addresses) == account.MOST_NAMES + 1
        assert (session.actions[account.OTHERS], session.events) == (500, 1_500)

    def test_a_key_that_is_issued_over_and_over_keeps_a_few_of_its_events(self):
        books = took(*(an_issuance(CAROL, by=ZOES) for _ in range(100)))
        assert (books.totals().distinct_keys, books.totals().issued) == (1, 100)
        assert len(sessions(books)) == 1

    def test_a_role_that_is_no_arn_breaks_nothing(self):
        session = sessions(took(an_issuance(ZOE, by=ZOES, asked={"roleArn": "Admin"})), every_role)[ZOE]
        assert (session.role_arn, session.unseen_in) == ("Admin", frozenset())


class TestMemory:
    """Counted, not timed: all that the books hold, object by object."""

    def objects(self, books: Books) -> int:
        seen: dict[int, object] = {}
        waiting: list[object] = [books]
        while waiting:
            each = waiting.pop()
            if id(each) in seen or isinstance(each, int | type | types.ModuleType | types.FunctionType):
                continue
            seen[id(each)] = each
            waiting.extend(gc.get_referents(each))
        return len(seen)

    def filled(self, sessions: int, events: int) -> Books:
        """Every session used in turn, in files of a hundred records."""
        books = Books(recent=64)
        for n in range(sessions):
            for record in a_pair(f"ASIA{n:016d}", name=f"01K-{n:06d}", tags=TAGS):
                books.take(read(record))
        for n in range(events):
            key = f"ASIA{n % sessions:016d}"
            session = a_session(key, name=f"01K-{n % sessions:06d}")
            books.take(read(a_use(key, NOON + n * timedelta(milliseconds=1), session=session)))
        return books

    def test_the_books_do_not_grow_with_events(self):
        assert self.objects(self.filled(5, 64 * 30)) == self.objects(self.filled(5, 64 * 300))

    def test_they_grow_by_the_same_for_every_session(self):
        sizes = [self.objects(self.filled(n, n * 64)) for n in (32, 64, 96, 128)]
        assert len({more - fewer for fewer, more in pairwise(sizes)}) == 1
        assert (sizes[1] - sizes[0]) / 32 < 60


def test_the_brokers_own_session_is_nobodys_business() -> None:
    begun = NOON - 10 * MINUTE
    own = an_issuance(BROKER_KEY, BROKER, "daypass-api", begun, by={"type": "AWSService"}, recipientAccountId=HUB)
    found = sessions(took(own, *a_pair(CAROL, tags=TAGS), a_use(BROKER_KEY, session=BROKERS_OWN)))
    assert list(found) == [CAROL]
