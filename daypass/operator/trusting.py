"""`daypass trust`: the policies around a role, each statement explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated

import typer

from chalicelib.core.catalogue import Catalogue, Role
from chalicelib.core.provider import Via
from daypass.operator.reading import AsJson, File, HubAccount, Local, Partition, good, stopped, write_json, write_lines
from daypass.operator.trust_documents import (
    Document,
    Hub,
    broker_permissions,
    broker_trust,
    chained_trust,
    cutting,
    provider_trust,
    role_permissions,
    service_account_trust,
)

_ORGANIZATION = re.compile(r"o-[a-z0-9]{10,32}")
_SERVICE_ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CLUSTER = re.compile(r"https://[a-z0-9.-]+(/[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_REQUEST = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
NOT_TOLD = (
    "What the role may do, its own permission policy says, and the catalogue does not: a session gets all of it, until "
    "its wall. Scopes would narrow it."
)
_HEADINGS = {
    "trust": "Who may assume",
    "permissions": "What may be done",
    "scp": "What cuts sessions that went on",
}


def trust(
    catalogue: File,
    role: Annotated[str, typer.Argument(help="As the catalogue names it.")],
    hub_account: HubAccount,
    broker_role: Annotated[
        str | None, typer.Option(metavar="ARN", envvar="DAYPASS_BROKER_ROLE", help="The role that the broker runs as.")
    ] = None,
    organization: Annotated[str | None, typer.Option(metavar="O-ID", help="That the broker has to be of.")] = None,
    service_account: Annotated[
        str | None, typer.Option(metavar="NS:NAME", help="A trust for it instead, without a broker; with --cluster.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(metavar="URL", help="The cluster's OIDC issuer.")] = None,
    request: Annotated[list[str] | None, typer.Option(metavar="ID", help="What the SCP shall cut.")] = None,
    partition: Partition = "aws",
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Print the policies around a role: who may assume it, apart from that what may be done, and why each says so."""
    known = good(catalogue, hub_account, partition, local)
    if role not in known.roles:
        raise stopped(f"There is no role {role!r} in the catalogue.")
    chosen = known.roles[role]
    if service_account is not None or cluster is not None:
        found = [_without_a_broker(chosen, service_account, cluster)]
    else:
        found = list(_documents(known, chosen, hub_account, broker_role, organization, request or []))
    if as_json:
        write_json({"role": role, "role_arn": chosen.arn, "documents": [_told(document) for document in found]})
    else:
        write_lines(line for document in found for line in _shown(document))
        if service_account is None and role_permissions(chosen) is None:
            write_lines([NOT_TOLD])


def _documents(
    catalogue: Catalogue,
    role: Role,
    hub_account: str,
    broker_role: str | None,
    organization: str | None,
    requests: list[str],
) -> Iterator[Document]:
    if role.via is Via.OIDC:
        assert catalogue.provider is not None, "a catalogue with such a role has one"
        yield provider_trust(role, catalogue.provider)
    else:
        hub = _hub(role, hub_account, broker_role, organization)
        yield broker_trust(role, hub)
        yield broker_permissions(role, hub)
    if allowed := role_permissions(role):
        yield allowed
    if role.chaining:
        yield chained_trust(role)
        yield cutting(_ids(requests))


def _hub(role: Role, account: str, broker: str | None, organization: str | None) -> Hub:
    if broker is None:
        raise stopped("--broker-role (or DAYPASS_BROKER_ROLE) is missing: the ARN of the role that the broker runs as.")
    if not re.fullmatch(rf"arn:{role.partition}:iam::{account}:role/[\w+=,.@/-]+", broker, re.ASCII):
        raise stopped(f"--broker-role {broker} is no role of the hub account {account}.")
    if organization is not None and not _ORGANIZATION.fullmatch(organization):
        raise stopped(f"--organization {organization} is no organization's id, such as o-a1b2c3d4e5.")
    return Hub(account=account, broker=broker, organization=organization)


def _ids(requests: list[str]) -> list[str]:
    if wrong := next((id for id in requests if not _REQUEST.fullmatch(id)), None):
        raise stopped(f"--request {wrong} is no request's id: an ending of it is not enough here.")
    return requests or ["THE REQUEST'S ID"]


def _without_a_broker(role: Role, service_account: str | None, cluster: str | None) -> Document:
    if service_account is None or cluster is None:
        raise stopped("--service-account and --cluster belong together: write both, or neither.")
    if not _SERVICE_ACCOUNT.fullmatch(service_account):
        raise stopped(f"--service-account {service_account} is none: write namespace:name, without a wildcard.")
    if not _CLUSTER.fullmatch(cluster):
        raise stopped(f"--cluster {cluster} is no issuer: write its https URL.")
    return service_account_trust(role, cluster, f"system:serviceaccount:{service_account}")


def _told(document: Document) -> dict[str, object]:
    return {
        "kind": document.kind,
        "of": document.title,
        "policy": document.policy,
        "explained": {str(each.statement["Sid"]): each.why for each in document.statements},
    }


def _shown(document: Document) -> Iterator[str]:
    yield f"{_HEADINGS[document.kind]}: {document.title}"
    for each in document.statements:
        yield f"  {each.statement['Sid']}: {each.why}"
    yield from json.dumps(document.policy, indent=2).split("\n")
    yield ""
