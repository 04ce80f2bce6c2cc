"""The catalogue file: TOML to a frozen catalogue, or every mistake with its place."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from chalicelib.core.catalogue import Catalogue, Example, Quotas, Who
from chalicelib.core.catalogue_file.directories import read_directories
from chalicelib.core.catalogue_file.issuers import read_issuers
from chalicelib.core.catalogue_file.mistakes import CatalogueMistakes, Mistake, Say, entry, length
from chalicelib.core.catalogue_file.people import People
from chalicelib.core.catalogue_file.provider import read_provider
from chalicelib.core.catalogue_file.roles import read_accounts, read_roles
from chalicelib.core.catalogue_file.rules import RoleNames, read_rules
from chalicelib.core.catalogue_file.shape import ExampleShape, shaped

__all__ = ["CatalogueMistakes", "Mistake", "read_catalogue"]

_TOML_MISTAKE = re.compile(r"(?P<message>.*) \(at (?P<place>line \d+, column \d+|end of document)\)", re.DOTALL)


def read_catalogue(text: str, *, hub_account: str, partition: str = "aws", local: bool = False) -> Catalogue:
    """The catalogue that a TOML document describes.

    hub_account: the id of the account that the broker lives in: none of its roles is lent.
    local: issuers at `http://` on this machine are believed.
    Raises CatalogueMistakes with every mistake; what an entry means is judged once it has the shape of one.
    """
    found: list[Mistake] = []

    def say(place: str, message: str) -> None:
        found.append(Mistake(place, message))

    document = _parsed(text)
    if not document:
        say("the file", "is empty: half-written, perhaps")
    provided = "provider" in document  # also where it has not the shape of one
    file = shaped(document, say)
    issuers = read_issuers(file.issuers, say, local=local)
    directories = read_directories(file.directories, say, partition=partition)
    people = People(
        issuers, directories, complete=all(shape and (shape.domains or shape.subjects) for shape in file.issuers)
    )
    accounts = read_accounts(file.accounts, say)
    provider = read_provider(file.provider, issuers, say, hub_account=hub_account, partition=partition, local=local)
    roles = read_roles(file.roles, accounts, say, hub_account=hub_account, partition=partition, provided=provided)
    names = RoleNames([*roles.lent, *roles.unread])
    rules = read_rules(file.rules, people, names, say)
    auditors = people.who(file.auditors, "auditors", say) if file.auditors else Who()
    examples = _examples(file.tests, people, names, say)
    if found:
        raise CatalogueMistakes(found)
    return Catalogue(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        serial=file.serial,
        issuers=issuers,
        directories=directories,
        accounts={name: account for name, account in accounts.items() if account},
        roles=roles.lent,
        rules=rules,
        auditors=auditors,
        frozen=file.freeze,
        quotas=Quotas(**file.quotas.model_dump()),
        provider=provider,
        examples=examples,
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        text.encode()
        return tomllib.loads(text)
    except RecursionError:
        mistake = Mistake("the file", "is nested too deeply")
    except ValueError as error:  # TOMLDecodeError is one, and so is what int() says of a number with too many digits
        found = _TOML_MISTAKE.fullmatch(str(error))
        place, message = (found["place"], found["message"]) if found else ("the file", str(error))
        mistake = Mistake(place, f"is not TOML: {message.encode('unicode_escape').decode()}")
    raise CatalogueMistakes([mistake])


def _examples(shapes: Sequence[ExampleShape | None], people: People, names: RoleNames, say: Say) -> tuple[Example, ...]:
    return tuple(
        _example(shape, entry("tests", number), people, names, say) for number, shape in enumerate(shapes) if shape
    )


def _example(shape: ExampleShape, place: str, people: People, names: RoleNames, say: Say) -> Example:
    asks = shape.asks
    if asks.role not in names:
        say(f"{place}.asks.role", f"there is no role {asks.role!r:.80}")
    return Example(
        who=people.signed_in(shape.who, f"{place}.who", say),
        role=asks.role,
        duration=length(
            asks.duration, f"{place}.asks.duration", say, least=timedelta(seconds=1), most=timedelta(days=30)
        ),
        expect=shape.expect,
        ticket=asks.ticket,
    )
