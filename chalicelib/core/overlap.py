"""Two sets of principals: whether they are certainly apart, or one certainly within the other."""

from __future__ import annotations

from chalicelib.core.catalogue import Who
from chalicelib.core.patterns import glob, literal_prefix


def apart(one: Who, other: Who) -> bool:
    """Whether certainly nobody is in both. People may be in any groups together, so groups never tell."""
    if one.is_empty() or other.is_empty():
        return True
    if one.kind and other.kind and one.kind is not other.kind:
        return True
    if one.issuer and other.issuer and one.issuer != other.issuer:
        return True
    if not one.ids or not other.ids:
        return False
    return all(_no_id_matches_both(mine, theirs) for mine in one.ids for theirs in other.ids)


def within(one: Who, other: Who) -> bool:
    """Whether certainly everybody of one is in the other as well."""
    if one.is_empty():
        return True
    return (
        not other.is_empty()
        and (not other.groups or (bool(one.groups) and one.groups <= other.groups))
        and (not other.ids or (bool(one.ids) and all(_matches(other.ids, pattern) for pattern in one.ids)))
        and other.kind in (None, one.kind)
        and other.issuer in (None, one.issuer)
    )


def _matches(patterns: tuple[str, ...], pattern: str) -> bool:
    """Whether what the pattern matches is matched by one of the patterns, as far as they show it."""
    return pattern in patterns or (_literal(pattern) and any(glob(each).fullmatch(pattern) for each in patterns))


def _no_id_matches_both(one: str, other: str) -> bool:
    if _literal(one):
        return glob(other).fullmatch(one) is None
    if _literal(other):
        return glob(one).fullmatch(other) is None
    return not (_one_begins_other(one, other) and _one_begins_other(one[::-1], other[::-1]))


def _one_begins_other(one: str, other: str) -> bool:
    mine, theirs = literal_prefix(one), literal_prefix(other)
    return mine.startswith(theirs) or theirs.startswith(mine)


def _literal(pattern: str) -> bool:
    return literal_prefix(pattern) == pattern
