"""The catalogue's own examples, asked of its rules as a dry run would be."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.catalogue import Catalogue, Example
from chalicelib.core.refusals import Refusal
from chalicelib.core.rules import Terms
from chalicelib.core.ruling import ruling


@dataclass(frozen=True, slots=True)
class Checked:
    """An example and what came of it. would: a word of the dry run, or of the refusal; why: the refusal's sentence."""

    example: Example
    would: str
    why: str

    @property
    def passed(self) -> bool:
        return self.would == self.example.expect


def checked(catalogue: Catalogue) -> tuple[Checked, ...]:
    """Every example of the file, in its order."""
    return tuple(Checked(example, *_asked(catalogue, example)) for example in catalogue.examples)


def _asked(catalogue: Catalogue, example: Example) -> tuple[str, str]:
    """Where break-glass is expected, it is what is asked for: nobody breaks the glass by asking the ordinary way."""
    terms = Terms(example.role, example.duration, example.ticket)
    try:
        found = ruling(catalogue, example.who, terms, break_glass=example.expect == "break-glass")
    except Refusal as refusal:
        return refusal.slug, refusal.detail
    return found.would, f"Rule {found.rule!r} decides."
