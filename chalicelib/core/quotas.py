"""Quotas: how much a person may have open at once, and take out of one day without anybody's approval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from chalicelib.core.catalogue import Quotas, Rule
from chalicelib.core.refusals import QuotaUsed
from chalicelib.core.times import spoken, stamp

A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a transition needs to be left of a person's day, and takes out of it.

    day: UTC's. rule, role: whose seconds without approval are counted; both None: emergencies are.
    limit: what there is of it a day. takes: 0 where only room is asked for; what is negative is given back, and that
    needs none.
    """

    principal_id: str
    day: date
    limit: int
    needs: int
    takes: int
    rule: str | None = None
    role: str | None = None

    def only_asked(self) -> Charge:
        return replace(self, takes=0)

    def as_happened(self) -> Charge:
        """What is taken, whether there is room or not."""
        return replace(self, needs=0)

    def given_back(self) -> Charge:
        return replace(self, needs=0, takes=-self.takes)

    @property
    def over_at(self) -> datetime:
        """When the day is over, and all of it free again."""
        return datetime.combine(self.day + A_DAY, time(), UTC)

    def refusal(self, used: int) -> QuotaUsed:
        """Why there is not enough left of the day, of which so much is used, and when there will be."""
        if self.rule is None:
            return QuotaUsed(
                f"{used} emergencies opened on {self.day} (UTC), {self.limit} a day allowed by `break_glass_per_day` "
                f"of the catalogue's quotas: the next may be opened from {stamp(self.over_at)} on."
            )
        needs, of, taken = (spoken(timedelta(seconds=seconds)) for seconds in (self.needs, self.limit, used))
        left = spoken(timedelta(seconds=max(self.limit - used, 0)))
        return QuotaUsed(
            f"{needs} asked, {left} left on {self.day} (UTC) of {of} a day without approval by rule {self.rule!r}, "
            f"{taken} used: ask for less, or from {stamp(self.over_at)} on."
        )


def one_emergency(principal_id: str, quotas: Quotas, now: datetime) -> Charge:
    """What breaking the glass takes out of the day on which it happens."""
    return Charge(principal_id=principal_id, day=_day(now), limit=quotas.break_glass_per_day, needs=1, takes=1)


def held(principal_id: str, rule: Rule, role: str, length: timedelta, at: datetime) -> Charge | None:
    """What holding the role that long takes out of the day of `at`; None where the rule counts no days."""
    if rule.max_per_day is None:
        return None
    limit, seconds = (int(each.total_seconds()) for each in (rule.max_per_day, length))
    return Charge(
        principal_id=principal_id, day=_day(at), limit=limit, needs=seconds, takes=seconds, rule=rule.name, role=role
    )


def _day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()
