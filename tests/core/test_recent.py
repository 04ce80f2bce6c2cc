"""What was seen last, in memory that does not grow."""

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.recent import Recent


@given(st.integers(1, 5), st.lists(st.integers(0, 12).map(str), max_size=60))
def test_the_last_size_different_ids_are_remembered_and_never_more_than_twice_as_many(size, ids) -> None:
    recent, seen = Recent(size), list[str]()
    for id in ids:
        new = recent.add(id)
        if id not in seen:
            assert new
        last = list(dict.fromkeys(reversed(seen)))[:size]
        if id in last:
            assert not new
        seen.append(id)
        assert id in recent
        assert sum(each in recent for each in set(seen)) <= 2 * size
