"""Today's catalogue from S3: whose word is believed, which of two versions, and for how long."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.broker.ports import Stale
from chalicelib.core.believing import LastGood, NotBelieved, Standing, Stored, Version, standing
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.refusals import Unavailable
from chalicelib.core.rsa import read_public_key
from chalicelib.core.times import stamp
from chalicelib.signed_catalogue import AGAIN, EVERY, MAX_STALE, TOLD_EVERY, SignedCatalogue
from tests.builders import NOW, SECOND
from tests.signing import CI, PUBLIC_KEYS, SOMEBODY_ELSE, sign
from tests.stage import EXAMPLE, read_example

LOCATION = "s3://daypass-catalogue/prod/catalogue.toml"
KEY = read_public_key(PUBLIC_KEYS[0])
HOUR = timedelta(hours=1)


def text(serial: int | None = 1, changed: str = "8h") -> bytes:
    told = f"serial = {serial}\n" if serial is not None else ""
    return (told + EXAMPLE.replace('max_duration = "8h"', f'max_duration = "{changed}"')).encode()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@dataclass
class FakeBucket:
    """A versioned object. down: S3 does not answer. asked: what was asked of it."""

    location: str = LOCATION
    versions: dict[str, Stored] = field(default_factory=dict)
    newest: str | None = None
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def put(self, body: bytes, *, by: Any = CI) -> str:
        return self.put_signed(body, sign(by, body))

    def put_signed(self, body: bytes, signature: bytes) -> str:
        self.newest = f"v{len(self.versions) + 1}"
        self.versions[self.newest] = Stored(
            body=body,
            signature=signature,
            etag=f'"{hashlib.md5(body).hexdigest()}"',
            version_id=self.newest,
        )
        return self.newest

    def current(self, *, unless: str | None) -> Stored | None:
        self.asked.append("current" if unless is None else "current?")
        stored = self._found(self.newest)
        return None if stored.etag == unless else stored

    def version(self, version_id: str) -> Stored:
        self.asked.append(version_id)
        return self._found(version_id)

    def _found(self, version_id: str | None) -> Stored:
        if self.down:
            raise Unavailable("S3 did not answer (ReadTimeoutError).")
        if version_id not in self.versions:
            raise Unavailable("S3 refused: NoSuchVersion.")
        found = self.versions[version_id]
        if not found.signature:
            raise NotBelieved("it comes without a signature")
        return found


@dataclass
class FakeState:
    """What all instances know. down: the table does not answer. meanwhile: what others do before the next write."""

    last: LastGood | None = None
    down: bool = False
    events: list[Version] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def read(self) -> LastGood | None:
        self._called("read")
        return self.last

    def believe(self, before: LastGood | None, after: LastGood) -> None:
        self._called("believe")
        others, self.meanwhile = self.meanwhile, lambda: None
        others()
        if (self.last and self.last.version) != (before and before.version):
            raise Stale
        self.last = after
        self.events.append(after.version)

    def seen(self, before: LastGood, version: Version, at: datetime) -> None:
        self._called("seen")
        if self.last == before:
            self.last = replace(before, version=version, seen_at=at)

    def _called(self, call: str) -> None:
        if self.down:
            raise Unavailable("DynamoDB did not answer.")
        self.calls.append(call)


@dataclass
class Scene:
    """One bucket and one table; any number of instances, whose clocks are one."""

    now: datetime = NOW
    bucket: FakeBucket = field(default_factory=FakeBucket)
    state: FakeState = field(default_factory=FakeState)

    def instance(self, **changed: Any) -> SignedCatalogue:
        told: dict[str, Any] = {"bucket": self.bucket, "keys": [KEY], **changed}
        return SignedCatalogue(
            told["bucket"], self.state, told["keys"], read_example, lambda: self.now, max_stale=MAX_STALE
        )

    def warm(self, body: bytes | None = None) -> SignedCatalogue:
        """An instance that believes the first version."""
        if body is not None or self.bucket.newest is None:
            self.bucket.put(text() if body is None else body)
        source = self.instance()
        assert source().doubt is None
        return source

    def after(self, length: timedelta, source: SignedCatalogue) -> Catalogue:
        """What an instance says that is asked once a minute meanwhile."""
        until = self.now + length
        while self.now < until:
            self.now = min(until, self.now + EVERY)
            catalogue = source()
        return catalogue


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def refused(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Why a version was not believed, as the log tells it."""
    caplog.set_level(logging.INFO, logger="daypass")

    def whys() -> list[str]:
        found = [
            why for record in caplog.records if record.message == "catalogue_refused" for why in vars(record)["whys"]
        ]
        caplog.clear()
        return found

    return whys


# The first start ever.


def test_the_first_version_ever_is_believed_put_down_for_all_instances_and_on_the_record(scene: Scene) -> None:
    version_id = scene.bucket.put(text())
    catalogue = scene.instance()()
    assert (catalogue.serial, catalogue.digest, catalogue.doubt) == (1, digest(text()), None)
    known = Version(serial=1, digest=digest(text()), location=LOCATION, version_id=version_id)
    assert (scene.state.last, scene.state.events) == (LastGood(version=known, seen_at=NOW), [known])


@pytest.mark.parametrize("what", ["nothing there", "unsigned", "by another key", "S3 down", "no serial", "a mistake"])
def test_given_nothing_to_believe_ever_then_nothing_is_decided_and_it_is_soon_looked_for_again(
    scene: Scene, what: str
) -> None:
    bucket = scene.bucket
    match what:
        case "unsigned":
            bucket.put_signed(text(), b"")
        case "by another key":
            bucket.put(text(), by=SOMEBODY_ELSE)
        case "S3 down":
            bucket.put(text())
            bucket.down = True
        case "no serial":
            bucket.put(text(None))
        case "a mistake":
            bucket.put(text() + b"[[rules]]\n")
    source = scene.instance()
    with pytest.raises(Unavailable, match="no usable catalogue yet: the log says why") as refusal:
        source()
    assert (refusal.value.retry_after, source.held(), scene.state.last) == (AGAIN, None, None)
    bucket.down = False
    bucket.put(text())
    with pytest.raises(Unavailable):
        source()
    scene.now += AGAIN
    assert source().serial == 1


# How often it is looked for.


def test_it_is_looked_for_once_a_minute_whoever_asks_however_often(scene: Scene) -> None:
    source = scene.warm()
    scene.bucket.asked.clear()
    scene.state.calls.clear()
    first = source()
    for _ in range(59):
        scene.now += SECOND
        assert source() is first
    assert (scene.bucket.asked, scene.state.calls) == ([], [])
    scene.now += SECOND
    assert source() is first
    assert (scene.bucket.asked, scene.state.calls) == (["current?"], ["read"])


def test_a_minute_is_also_waited_for_where_looking_failed(scene: Scene) -> None:
    source = scene.warm()
    scene.bucket.down = True
    scene.now += EVERY
    scene.bucket.asked.clear()
    for _ in range(9):
        source()
    assert scene.bucket.asked == ["current?"]


def test_that_nothing_changed_is_put_down_every_ten_minutes_by_one_of_all_instances(scene: Scene) -> None:
    sources = [scene.warm() for _ in range(3)]
    scene.state.calls.clear()
    for minutes in range(1, 11):
        scene.now = NOW + minutes * EVERY
        for source in sources:
            source()
    assert scene.state.calls.count("seen") == 1
    assert scene.state.last is not None
    assert scene.state.last.seen_at == NOW + TOLD_EVERY
    assert len(scene.state.events) == 1


def test_what_is_held_is_told_without_asking_anybody(scene: Scene) -> None:
    source = scene.instance()
    assert source.held() is None
    scene.bucket.put(text())
    source()
    scene.bucket.asked.clear()
    scene.now += 5 * HOUR
    held = source.held()
    assert held is not None
    assert held.doubt
    assert scene.bucket.asked == []


# A newer version.


def test_a_newer_version_is_believed_by_whoever_looks_first_and_said_once(scene: Scene) -> None:
    sources = [scene.warm() for _ in range(2)]
    version_id = scene.bucket.put(text(2, "6h"))
    scene.now += EVERY
    assert [source().serial for source in sources] == [2, 2]
    assert [version.serial for version in scene.state.events] == [1, 2]
    assert scene.state.events[-1].version_id == version_id


BAD: dict[str, tuple[bytes, Any, str]] = {
    "by another key": (text(2), SOMEBODY_ELSE, "its signature is by none of the keys"),
    "with a mistake": (text(2) + b"[[rules]]\n", CI, "name: is missing"),
    "no TOML": (b"serial = 2\n[[rules", CI, "is not TOML"),
    "no text": (b"\xff\xfe", CI, "it is not text"),
    "without a serial": (text(None, "6h"), CI, "it has no serial"),
    "with a lower serial": (text(4, "6h"), CI, "its serial 4 is lower than 5, the highest seen: raise it"),
    "with the serial of another": (text(5, "6h"), CI, "its serial 5 is another catalogue's"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_version_that_is_not_to_be_believed_leaves_the_last_good_one_for_an_hour(
    scene: Scene, bad: str, refused: Callable[[], list[str]]
) -> None:
    source = scene.warm(text(5))
    body, by, why = BAD[bad]
    scene.bucket.put(body, by=by)
    scene.now += EVERY
    catalogue = source()
    assert (catalogue.serial, catalogue.doubt) == (5, None)
    assert any(why in each for each in refused())
    assert scene.after(MAX_STALE - EVERY, source).doubt is None
    stale = scene.after(SECOND, source)
    assert stale.serial == 5
    assert stale.doubt == f"This catalogue was last seen to be the newest at {stamp(NOW)}, longer ago than 1 h."
    assert [version.serial for version in scene.state.events] == [5]


@pytest.mark.parametrize("bad", BAD)
def test_and_an_instance_that_begins_meanwhile_says_the_same(scene: Scene, bad: str) -> None:
    """It fetches the last good version by its id, and knows when the others saw it last."""
    warm = scene.warm(text(5))
    body, by, _ = BAD[bad]
    scene.bucket.put(body, by=by)
    scene.after(MAX_STALE, warm)
    cold = scene.instance()
    assert (cold().serial, cold().doubt) == (5, None)
    assert "v1" in scene.bucket.asked
    scene.after(SECOND, warm)
    assert warm().doubt == scene.instance()().doubt is not None


def test_after_all_that_a_good_version_ends_the_doubt(scene: Scene) -> None:
    source = scene.warm()
    scene.bucket.put(text(2), by=SOMEBODY_ELSE)
    assert scene.after(2 * HOUR, source).doubt
    scene.bucket.put(text(2, "6h"))
    catalogue = scene.after(EVERY, source)
    assert (catalogue.serial, catalogue.doubt) == (2, None)


def test_given_the_right_signature_comes_later_for_the_same_bytes_then_they_are_believed(scene: Scene) -> None:
    """S3's ETag is of the bytes alone: what was refused is fetched again without a condition."""
    source = scene.warm()
    scene.bucket.put(text(2), by=SOMEBODY_ELSE)
    scene.after(EVERY, source)
    scene.bucket.put(text(2))
    assert scene.after(EVERY, source).serial == 2


def test_while_the_key_is_replaced_both_are_believed(scene: Scene) -> None:
    keys = [read_public_key(key) for key in PUBLIC_KEYS]
    for serial, by in ((1, CI), (2, SOMEBODY_ELSE)):
        scene.bucket.put(text(serial), by=by)
        assert scene.instance(keys=keys)().serial == serial


def test_the_same_catalogue_uploaded_again_is_the_same_and_its_newest_id_is_kept(scene: Scene) -> None:
    """S3 may forget versions that are not current: the last good one's id has to be one that is there."""
    source = scene.warm()
    again = scene.bucket.put(text())
    assert scene.instance()().doubt is None
    assert source().serial == 1
    assert scene.state.last is not None
    assert scene.state.last.version.version_id == again
    assert len(scene.state.events) == 1


# An old version, well signed, put back.


@pytest.mark.parametrize("saw_the_newer", [True, False])
def test_an_old_version_put_back_is_believed_by_nobody_whether_they_saw_the_newer_one_or_not(
    scene: Scene, saw_the_newer: bool, refused: Callable[[], list[str]]
) -> None:
    """Whoever did not see it holds the very bytes that are put back: S3 tells them that nothing changed."""
    scene.bucket.put(text(1))
    source = scene.instance()
    source()
    scene.bucket.put(text(2, "6h"))
    scene.now += EVERY
    scene.instance()()
    if saw_the_newer:
        source()
    scene.bucket.put(text(1))
    scene.now += EVERY
    catalogue = source()
    assert (catalogue.serial, catalogue.doubt) == (2, None)
    assert "its serial 1 is lower than 2, the highest seen: raise it" in refused()
    assert scene.instance()().serial == 2
    assert scene.after(MAX_STALE, source).doubt


def test_given_the_newer_version_cannot_be_fetched_then_the_older_one_breaks_the_glass_only(scene: Scene) -> None:
    source = scene.warm()
    newer = scene.bucket.put(text(2, "6h"))
    scene.now += EVERY
    scene.instance()()
    scene.bucket.put(text(1))
    del scene.bucket.versions[newer]
    catalogue = scene.after(EVERY, source)
    assert (catalogue.serial, catalogue.doubt) == (1, "It is not known whether this catalogue is the newest.")
    with pytest.raises(Unavailable):
        scene.instance()()


def test_given_the_last_good_one_lies_where_the_settings_do_not_lead_any_more_then_it_is_not_fetched(
    scene: Scene, refused: Callable[[], list[str]]
) -> None:
    scene.warm(text(7))
    moved = FakeBucket("s3://another/catalogue.toml")
    moved.put(text(6))
    with pytest.raises(Unavailable):
        scene.instance(bucket=moved)()
    assert f"the last good one is in {LOCATION}, which the settings do not name any more" in refused()
    moved.put(text(7))
    source = scene.instance(bucket=moved)
    assert source().doubt is None, "the same catalogue, in its new place"
    assert scene.state.last is not None
    assert scene.state.last.version.location == moved.location


# Several instances at once.


def test_given_another_instance_was_faster_with_the_same_version_then_it_is_believed_and_said_once(
    scene: Scene,
) -> None:
    scene.bucket.put(text())
    scene.state.meanwhile = lambda: scene.instance()()
    assert scene.instance()().doubt is None
    assert len(scene.state.events) == 1


def test_given_another_instance_was_faster_with_a_newer_version_then_that_one_is_believed(scene: Scene) -> None:
    scene.bucket.put(text(1))

    def newer() -> None:
        scene.bucket.put(text(2, "6h"))
        scene.instance()()

    scene.state.meanwhile = newer
    assert scene.instance()().serial == 2
    assert [version.serial for version in scene.state.events] == [2]


# Outages.


def test_given_s3_is_down_then_a_warm_instance_lends_for_an_hour_and_breaks_the_glass_from_then_on(
    scene: Scene,
) -> None:
    source = scene.warm()
    scene.bucket.down = True
    assert scene.after(MAX_STALE, source).doubt is None
    stale = scene.after(SECOND, source)
    assert stale.doubt
    assert source() is stale, "kept, with the index of its rules"
    scene.bucket.down = False
    assert scene.after(EVERY, source).doubt is None


def test_given_only_this_instance_cannot_reach_s3_then_it_takes_the_others_word_that_nothing_changed(
    scene: Scene,
) -> None:
    source, other = scene.warm(), FakeBucket(versions=scene.bucket.versions, newest=scene.bucket.newest)
    cut_off = scene.instance(bucket=other)
    cut_off()
    other.down = True
    for _ in range(90):
        scene.now += EVERY
        source()
        assert cut_off().doubt is None


def test_given_s3_is_down_then_an_instance_that_begins_decides_nothing(scene: Scene) -> None:
    scene.warm()
    scene.bucket.down = True
    with pytest.raises(Unavailable, match="S3 and the table have to answer again"):
        scene.instance()()


def test_given_the_table_is_out_then_a_warm_instance_goes_on_and_s3_is_not_asked(scene: Scene) -> None:
    source = scene.warm()
    scene.state.down = True
    scene.bucket.asked.clear()
    assert scene.after(MAX_STALE, source).doubt is None
    assert scene.bucket.asked == []
    assert scene.after(SECOND, source).doubt


def test_given_the_table_is_out_then_an_instance_that_begins_breaks_the_glass_only(scene: Scene) -> None:
    """Its emergency may be the table's outage. Whether an old version was put back it cannot know."""
    scene.bucket.put(text())
    scene.state.down = True
    source = scene.instance()
    assert source().doubt == "It is not known whether this catalogue is the newest."
    scene.state.down = False
    assert scene.after(EVERY, source).doubt is None
    assert len(scene.state.events) == 1


def test_given_the_table_is_out_then_what_is_not_signed_breaks_no_glass_either(scene: Scene) -> None:
    scene.bucket.put(text(), by=SOMEBODY_ELSE)
    scene.state.down = True
    with pytest.raises(Unavailable):
        scene.instance()()


def test_given_a_newer_version_cannot_be_put_down_then_it_is_not_believed_yet(scene: Scene) -> None:
    source = scene.warm()
    scene.bucket.put(text(2, "6h"))

    def out() -> None:
        raise Unavailable("The table of requests did not answer.")

    scene.state.meanwhile = out
    assert scene.after(EVERY, source).serial == 1
    assert scene.after(EVERY, source).serial == 2


# Clocks.


def test_given_the_clock_is_set_back_then_it_is_looked_for_at_once(scene: Scene) -> None:
    source = scene.warm()
    scene.bucket.asked.clear()
    scene.now -= HOUR
    assert source().doubt is None
    assert scene.bucket.asked == ["current?"]


def test_given_the_clock_is_set_back_while_s3_is_down_then_the_age_is_not_known_and_the_glass_only_is_broken(
    scene: Scene,
) -> None:
    source = scene.warm()
    scene.bucket.down = True
    scene.now -= HOUR
    assert source().doubt


def test_given_one_instance_put_down_an_instant_of_the_future_then_nobody_believes_it_and_it_is_put_right(
    scene: Scene,
) -> None:
    scene.warm()
    assert scene.state.last is not None
    scene.state.last = replace(scene.state.last, seen_at=NOW + 1000 * HOUR)
    scene.bucket.put(text(2), by=SOMEBODY_ELSE)
    assert scene.instance()().doubt
    scene.bucket.put(text())
    assert scene.instance()().doubt is None
    assert scene.state.last.seen_at == NOW


def test_clocks_of_instances_may_be_a_little_apart(scene: Scene) -> None:
    scene.warm()
    scene.bucket.put(text(2), by=SOMEBODY_ELSE)
    scene.now -= 2 * SECOND
    assert scene.instance()().doubt is None


# Which of two versions.

VERSIONS = st.builds(
    Version,
    serial=st.integers(1, 4),
    digest=st.sampled_from("abc"),
    location=st.just(LOCATION),
    version_id=st.just("v"),
)


@given(seen=st.lists(VERSIONS, min_size=1))
def test_the_last_good_serial_never_goes_down_and_each_is_one_catalogues(seen: list[Version]) -> None:
    last: LastGood | None = None
    by_serial: dict[int, str] = {}
    for version in seen:
        before = last.version.serial if last else 0
        if (found := standing(version, last)) is Standing.NEWER:
            last = LastGood(version=version, seen_at=NOW)
        if found in (Standing.NEWER, Standing.SAME):
            assert version.serial >= before
            assert by_serial.setdefault(version.serial, version.digest) == version.digest


# Whatever happens.

# Believing costs a signature and a parse: the versions are made once.
SERIALS = (1, 2, 3)
UPLOADS = {
    **{f"version {serial}": (text(serial, f"{serial}h"), sign(CI, text(serial, f"{serial}h"))) for serial in SERIALS},
    "another version 2": (text(2, "5h"), sign(CI, text(2, "5h"))),
    "forged version 3": (text(3, "6h"), sign(SOMEBODY_ELSE, text(3, "6h"))),
}
STEPS = st.one_of(
    st.sampled_from(list(UPLOADS)),
    st.sampled_from(["S3", "table"]),
    st.sampled_from([0, 1, 2]),  # an instance is asked
    st.sampled_from([0, 1, 2]),
    st.sampled_from([SECOND, EVERY, EVERY, TOLD_EVERY, HOUR, MAX_STALE + SECOND]),
    st.just("cold"),
)


@settings(max_examples=150)
@given(steps=st.lists(STEPS, max_size=25))
def test_whatever_happens_what_is_not_in_doubt_was_in_the_bucket_within_the_hour_and_is_the_newest_known(
    steps: list[Any],
) -> None:
    parsed = {body: read_example(body.decode()) for body, _ in UPLOADS.values()}
    scene = Scene()
    held: dict[str, datetime] = {}  # by digest: when it last lay in the bucket

    def instance() -> SignedCatalogue:
        return SignedCatalogue(scene.bucket, scene.state, [KEY], lambda text: parsed[text.encode()], lambda: scene.now)

    instances = [instance() for _ in range(3)]
    highest = 0
    for step in [*steps, 0, 1, 2]:
        if step in ("S3", "table"):
            there: Any = scene.bucket if step == "S3" else scene.state
            there.down = not there.down
        elif step in UPLOADS:
            scene.bucket.put_signed(*UPLOADS[step])
        elif step == "cold":
            instances[0] = instance()
        elif isinstance(step, timedelta):
            scene.now += step
        if scene.bucket.newest:
            held[digest(scene.bucket.versions[scene.bucket.newest].body)] = scene.now
        if isinstance(step, int):
            source = instances[step]
            looks = source._due(scene.now) and not scene.state.down
            try:
                catalogue = source()
            except Unavailable:
                continue
            assert catalogue.digest != digest(UPLOADS["forged version 3"][0])
            last = scene.state.last
            if catalogue.doubt is None:
                assert scene.now - held[catalogue.digest] <= MAX_STALE
                assert last is not None
                assert not looks or catalogue.digest == last.version.digest
        if scene.state.last:
            assert scene.state.last.version.serial >= highest
            highest = scene.state.last.version.serial
