"""What a row of the contract is: who calls, what is answered, and what an address takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from chalicelib.broker.ports import World
from chalicelib.core.catalogue import Catalogue
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import (
    Refusal,
)
from chalicelib.web import bodies
from chalicelib.web.gate import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, proven and parsed. door: the one it came by. id: of the path, if any. key: the Idempotency-Key."""

    world: World
    door: Door
    principal: Principal
    id: str
    body: Any
    query: Any
    key: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the contract.

    view: answers a proven call. body: None where none is read. answers: the models of each good status.
    refuses: what may be raised beside what the gate raises everywhere. takes_key: reads an Idempotency-Key.
    """

    method: str
    path: str
    summary: str
    view: Callable[[Call], Answer]
    answers: Mapping[int, tuple[type[BaseModel], ...]]
    body: type[bodies.In] | None = None
    query: type[bodies.In] = bodies.NoQuery
    refuses: tuple[type[Refusal], ...] = ()
    takes_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEndpoint:
    """An address that needs no proof: it tells what anybody may know. view: takes the catalogue, if there is one.

    looks: whether the catalogue is looked for, or only told as it is held.
    """

    path: str
    summary: str
    view: Callable[[Catalogue | None], BaseModel]
    answer: type[BaseModel]
    refuses: tuple[type[Refusal], ...] = ()
    looks: bool = True
