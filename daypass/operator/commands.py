"""`daypass check` and `daypass issuer`: for those who keep the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chalicelib.core.catalogue import Catalogue
from chalicelib.core.catalogue_file import CatalogueMistakes, Mistake
from chalicelib.core.catalogue_file.mistakes import entry
from chalicelib.core.provider import Provider
from chalicelib.core.times import spoken, stamp
from daypass.operator.checking import Checked, checked
from daypass.operator.reading import (
    AsJson,
    File,
    HubAccount,
    Local,
    Partition,
    parsed,
    stopped,
    write_json,
    write_lines,
)

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from daypass.operator.publishing import Published

issuer = typer.Typer(
    help='Daypass as an OIDC provider, for roles with via = "oidc".', add_completion=False, rich_markup_mode=None
)


@issuer.callback()
def _issuer() -> None:
    """A group, also while it has one command only."""


def check(
    catalogue: File,
    hub_account: HubAccount,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a catalogue, and ask it its own [[tests]]. Exit code 1 where anything is."""
    try:
        read = parsed(catalogue, hub_account, partition, local)
        mistakes: tuple[Mistake, ...] = ()
    except CatalogueMistakes as wrong:
        read, mistakes = None, wrong.mistakes
    tests = checked(read) if read else ()
    fine = not mistakes and all(test.passed for test in tests)
    if as_json:
        write_json(
            {
                "ok": fine,
                "catalogue_digest": read.digest if read else None,
                "mistakes": [{"place": mistake.place, "message": mistake.message} for mistake in mistakes],
                "tests": [_test(number, test) for number, test in enumerate(tests)],
            }
        )
    else:
        write_lines([*map(str, mistakes), *_failing(tests), _summary(read, mistakes, tests)])
    if not fine:
        raise typer.Exit(1)


@issuer.command()
def publish(
    catalogue: File,
    hub_account: HubAccount,
    to: Annotated[str, typer.Option(metavar="DIR|s3://BUCKET/PREFIX", help="Where the issuer's URL leads.")],
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Publish the provider's keys: each a day before it signs, and for a day after.

    Exit code 1, and nothing is written, where a rotation would leave a gap: it says until when to wait.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    provider, outcome = _published(lambda: parsed(catalogue, hub_account, partition, local), to, now)
    if as_json:
        write_json(
            {
                "issuer": provider.issuer,
                "keys": list(_keys(provider, now)),
                "objections": outcome.objections,
                "documents": [{"at": at, "written": written} for at, written in outcome.written.items()],
            }
        )
    else:
        write_lines(_shown(provider, outcome, now))
    if outcome.objections:
        raise typer.Exit(1)


def _published(read: Callable[[], Catalogue], to: str, now: datetime) -> tuple[Provider, Published]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from daypass.operator import publishing
    from daypass.operator.documents import NotOurs
    from daypass.operator.keys import CannotSign
    from daypass.operator.places import place

    try:
        provider = read().provider
        if provider is None:
            raise stopped("The catalogue has no [provider]: there is nothing to publish.")
        # Any: the stubs of KMS are not installed.
        kms: Any = boto3.client
        return provider, publishing.publish(provider, place(to), lambda region: kms("kms", region), now)
    except CatalogueMistakes as wrong:
        raise stopped(*(str(mistake) for mistake in wrong.mistakes)) from None
    except ClientError as error:
        raise stopped(in_aws_words(error)) from None
    except (NotOurs, CannotSign, BotoCoreError, OSError) as error:
        raise stopped(str(error)) from None


def in_aws_words(error: ClientError) -> str:
    """AWS's sentence. Where it found a signature wrong, that repeats the request, with the session token in it."""
    said = str(error)
    return said.partition(" operation:")[0] if "Signature" in error.response["Error"]["Code"] else said


def _summary(read: Catalogue | None, mistakes: Sequence[Mistake], tests: Sequence[Checked]) -> str:
    if read is None:
        return f"Refused: {_counted(len(mistakes), 'mistake')}."
    failing = sum(not test.passed for test in tests)
    asked = f"{_counted(len(tests), 'test')}, {failing} failing" if failing else _counted(len(tests), "test")
    return f"{_counted(len(read.roles), 'role')}, {_counted(len(read.rules), 'rule')}, {asked}. Digest {read.digest}."


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _failing(tests: Sequence[Checked]) -> Iterator[str]:
    for number, test in enumerate(tests):
        if not test.passed:
            asks = f"{test.example.who.id} asks for {test.example.role}, {spoken(test.example.duration)}"
            yield f"{entry('tests', number)}: {asks}: {test.example.expect} expected, {test.would}: {test.why}"


def _test(number: int, test: Checked) -> dict[str, object]:
    return {
        "place": entry("tests", number),
        "who": test.example.who.id,
        "role": test.example.role,
        "expect": test.example.expect,
        "would": test.would,
        "why": test.why,
        "passed": test.passed,
    }


def _keys(provider: Provider, now: datetime) -> Iterator[dict[str, str]]:
    signing = provider.signing(now)
    for key in sorted(provider.keys, key=lambda key: key.signs_from):
        signs = "now" if key == signing else "later" if key.signs_from > now else "no more"
        yield {"arn": key.arn, "kid": key.kid, "signs_from": stamp(key.signs_from), "signs": signs}


def _shown(provider: Provider, outcome: Published, now: datetime) -> Iterator[str]:
    if outcome.objections:
        yield from outcome.objections
        yield "Nothing was published."
        return
    for key in _keys(provider, now):
        yield f"signs {key['signs']:8} from {key['signs_from']}  {key['arn']}"
    for document, written in outcome.written.items():
        yield f"{'written' if written else 'unchanged':9}  {document}"
