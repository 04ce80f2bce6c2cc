"""An emergency in Slack: before the glass breaks, the person reads who is told and who reviews it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chalicelib.broker import asking
from chalicelib.core.refusals import NotEligible
from chalicelib.core.request import Ask
from chalicelib.core.rules import Emergency, Terms, emergency
from chalicelib.core.times import spoken
from chalicelib.slack import asks, forms
from chalicelib.slack.text import Json, quoted, section
from chalicelib.slack.visit import Office, Visit
from chalicelib.slack.words import privately, who


def begin(office: Office, visit: Visit, ask: Ask, trigger: str) -> Json | None:
    """Show what breaking the glass means, to be confirmed; or say why it cannot be. Raises what judging raises."""
    dry = asking.dry_run(visit.world, visit.principal, ask)
    if dry.would == "not-eligible":
        if told := asks.needs_mfa(visit, ask):
            return privately(*told)
        raise NotEligible(dry.why[0])
    way = emergency(visit.world.catalogue(), visit.principal, Terms(ask.role, ask.duration, ask.ticket))
    kept = {"role": ask.role, "seconds": int(ask.duration.total_seconds()), "reason": ask.reason, "ticket": ask.ticket}
    office.calls.open(trigger, forms.emergency(_warning(ask, way), kept))
    return None


def confirmed(visit: Visit, view: Mapping[str, Any]) -> list[Json]:
    """Break the glass, as it was confirmed, and tell what became of it. Judged anew. Raises what asking raises."""
    kept = json.loads(view["private_metadata"])
    ask = asks.wish(
        role=kept["role"],
        duration=timedelta(seconds=kept["seconds"]),
        reason=kept["reason"],
        ticket=kept["ticket"],
        break_glass=True,
    )
    return asks.asked(visit, ask, view["id"])


def _warning(ask: Ask, way: Emergency) -> list[Json]:
    reviewers = " and ".join(quoted(who(each), 500) for each in way.reviewers[:5])
    return [
        section(
            f"*Nobody approves this.* You get {quoted(ask.role, 300)} in {quoted(way.role.account.name, 300)} at once, "
            f"for {spoken(ask.duration)}."
        ),
        section(
            f"It is announced as critical the moment you confirm. {reviewers} are told, and one of them, who is not "
            f"you, has to review it within {spoken(way.review_within)}: until then it stands open in your name."
        ),
        section(f"Your reason: {quoted(ask.reason, 2900)}"),
    ]
