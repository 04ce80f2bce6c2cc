"""What every answer is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from chalicelib.core.catalogue import Stage, Who
from chalicelib.core.principal import Kind
from chalicelib.core.request import (
    StageProgress,
)
from chalicelib.core.times import stamp

Instant = Annotated[datetime, PlainSerializer(stamp, return_type=str)]


class Out(BaseModel):
    """What callers receive. A field with a default is left out where there is nothing to say."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class WhoView(Out):
    """Who: all conditions that are given must hold."""

    groups: list[str] | None = None
    ids: list[str] | None = None
    kind: Kind | None = None
    issuer: str | None = None

    @classmethod
    def of(cls, who: Who) -> WhoView:
        given = {"groups": sorted(who.groups), "ids": list(who.ids), "kind": who.kind, "issuer": who.issuer}
        return cls(**{name: value for name, value in given.items() if value})  # type: ignore[arg-type]


class StageView(Out):
    model_config = ConfigDict(populate_by_name=True)

    count: int
    who: WhoView = Field(alias="from")
    approved_by: list[str]

    @classmethod
    def of(cls, stage: StageProgress) -> StageView:
        return cls(count=stage.count, who=WhoView.of(stage.who), approved_by=list(stage.approved_by))

    @classmethod
    def unfilled(cls, stages: tuple[Stage, ...]) -> list[StageView]:
        return [cls.of(StageProgress(stage.count, stage.who, ())) for stage in stages]
