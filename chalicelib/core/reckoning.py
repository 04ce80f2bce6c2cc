"""Whose each session is: its own request's, else that of the session it was come to from, else nobody's: a bypass."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from chalicelib.core.account import Account, Identity, Sheet
from chalicelib.core.known import Known, Record

Managed = Callable[[str], bool]
"""Whether Daypass manages the role of this ARN: whoever gets at it otherwise bypasses Daypass."""

_UNDER_DAYPASS = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/daypass/.+", re.ASCII)
_NEVER = datetime.max.replace(tzinfo=UTC)


def under_daypass(role_arn: str) -> bool:
    """A role under `/daypass/`: Daypass lends those, and nobody else should."""
    return _UNDER_DAYPASS.fullmatch(role_arn) is not None


def every_role(role_arn: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Standing:
    """concerns: whether the session is of a managed role, of a known request, or was come to from one that is."""

    concerns: bool
    request_id: str | None

    @property
    def bypass(self) -> bool:
        return self.concerns and self.request_id is None


class Reckoning:
    """What all sheets together come to. by_key: sheets by access key; keyless: those of calls told without one."""

    def __init__(
        self, by_key: Mapping[str, Sheet], keyless: Sequence[Sheet], record: Record | None, managed: Managed
    ) -> None:
        self._by_key = by_key
        self._keyless = keyless
        self._record = record
        self._managed = managed
        self._standings: dict[Sheet, _Standing] = {}
        self._seen: set[Known] = set()
        sheets = [sheet for _, sheet in sorted(by_key.items())]
        issued = [sheet for sheet in sheets if sheet.issuances]
        self._bearers = Counter((sheet.role_arn, sheet.session_name) for sheet in issued)
        self._issued_as = _by_identity(issued)
        self._used_as = _by_identity(sheet for sheet in sheets if not sheet.issuances)

    def accounts(self) -> list[Account]:
        told: dict[Sheet, list[Sheet]] = {}
        shared = []
        for sheet in (*(sheet for _, sheet in sorted(self._by_key.items())), *self._keyless):
            hosts = self._hosts(sheet)
            if len(hosts) == 1:
                told.setdefault(hosts[0], []).append(sheet)
            elif hosts:
                shared.append((sheet, hosts))
            else:
                told.setdefault(sheet, [])
        accounts = [*self._of(told), *self._of_several(shared)]
        accounts.extend(_unseen(known) for known in self._unseen())
        return sorted(accounts, key=_order)

    def _of(self, told: Mapping[Sheet, list[Sheet]]) -> Iterable[Account]:
        for sheet, others in told.items():
            standing = self._standing(sheet)
            if standing.concerns:
                yield sheet.account(others, request_id=standing.request_id, bypass=standing.bypass)

    def _of_several(self, shared: Iterable[tuple[Sheet, list[Sheet]]]) -> Iterable[Account]:
        """Calls without a key that any of several sessions may have made: of a request only where they all are."""
        for sheet, hosts in shared:
            standings = [self._standing(host) for host in hosts]
            if any(standing.concerns for standing in standings):
                requests = {standing.request_id for standing in standings}
                request_id = requests.pop() if len(requests) == 1 else None
                yield sheet.account(request_id=request_id, bypass=request_id is None)

    def _hosts(self, sheet: Sheet) -> list[Sheet]:
        """The sessions that calls may belong to whose own key nobody was seen to issue, or that are told without one.

        A service that acts for a session may sign with a key of its own; role id, name and instant stay the session's.
        """
        if sheet.issuances:
            return []
        hosts = self._issued_as.get(sheet.identity, [])
        return hosts or (self._used_as.get(sheet.identity, []) if sheet.access_key_id is None else [])

    def _standing(self, sheet: Sheet) -> _Standing:
        """Up the chain of callers, which may be long, and in a log that somebody made up may be a ring."""
        climbed: dict[Sheet, None] = {}
        at: Sheet | None = sheet
        while at is not None and at not in climbed and at not in self._standings:
            climbed[at] = None
            at = self._above(at)
        above = self._standings.get(at) if at is not None else None
        for each in reversed(climbed):
            above = self._standings[each] = self._own(each, above)
        assert above is not None
        return above

    def _above(self, sheet: Sheet) -> Sheet | None:
        """The session that made this one, by the key it called STS with."""
        if len(hosts := self._hosts(sheet)) == 1:
            return hosts[0]
        caller = sheet.caller
        return self._by_key.get(caller.access_key_id) if caller and caller.access_key_id else None

    def _own(self, sheet: Sheet, above: _Standing | None) -> _Standing:
        request_id, role_arn = self._request(sheet), sheet.role_arn
        inherited = above.request_id if above else None
        concerns = request_id is not None or (role_arn is not None and self._managed(role_arn))
        return _Standing(concerns or (above is not None and above.concerns), request_id or inherited)

    def _request(self, sheet: Sheet) -> str | None:
        if self._record is None:
            return sheet.claimed
        known = self._known(self._record, sheet)
        if known is None:
            return None
        self._seen.add(known)
        return known.request_id

    def _known(self, record: Record, sheet: Sheet) -> Known | None:
        if known := record.by_key(sheet.access_key_id):
            return known
        if sheet.access_key_id is None:
            return record.by_identity(*sheet.identity)
        for fact in sheet.issuances.values():
            if (known := record.by_call(fact.request_id)) and known.possible:
                return known
        if self._bearers[sheet.role_arn, sheet.session_name] != 1:
            return None
        return record.by_name(sheet.session_name, sheet.role_arn, sheet.identity[1])

    def _unseen(self) -> Iterable[Known]:
        due = self._record.due if self._record else ()
        return (each for each in due if each.possible and each not in self._seen)


def _by_identity(sheets: Iterable[Sheet]) -> Mapping[Identity, list[Sheet]]:
    found: dict[Identity, list[Sheet]] = defaultdict(list)
    for sheet in sheets:
        if None not in sheet.identity:
            found[sheet.identity].append(sheet)
    return found


def _unseen(known: Known) -> Account:
    """A session on the record that nothing was seen of."""
    nothing = Sheet(known.access_key_id).account(request_id=known.request_id, bypass=False)
    return replace(nothing, session_name=known.session_name, role_arn=known.role_arn)


def _order(account: Account) -> tuple[datetime, str, str]:
    at = account.issued_at or account.first_use or _NEVER
    return at, account.access_key_id or "", account.session_name or ""
