"""Who there is in the local example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person, or a workload: `id` as Daypass knows them. issuer: which local issuer signs for them."""

    name: str
    id: str
    subject: str
    issuer: str
    groups: tuple[str, ...] = ()


def _person(name: str, *groups: str) -> Somebody:
    return Somebody(name, f"{name}@example.com", name, "people", groups)


_DEPLOYER = "system:serviceaccount:ci:deployer"

EVERYBODY: Mapping[str, Somebody] = {
    somebody.name: somebody
    for somebody in (
        _person("alice", "engineering"),
        _person("bob", "sre", "sre-leads"),
        _person("carol", "sre", "oncall"),
        _person("dave", "security"),
        _person("eve", "engineering", "contractors"),
        _person("frank", "sre-leads"),
        Somebody("robot", f"local-cluster/{_DEPLOYER}", _DEPLOYER, "cluster"),
    )
}
