"""What the embedded AWS is taught of IAM that ministack 1.5.33 leaves out: paths of roles, who asks, and for whom.

    aws:PrincipalArn         the role of a session, not the session; ministack tells the session
    iam:PermissionsBoundary  the boundary of the role that is written to
    sts:SourceIdentity       as AssumeRole was given it, with sts:SetSourceIdentity asked of the trust policy

All by private names of ministack, before it answers anybody. What AWS itself does is in docs/unproven.md.
"""

from __future__ import annotations

import dataclasses
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs


def teach() -> None:
    _roles_have_paths()
    _roles_are_principals()
    _source_identities_count()


def _roles_have_paths() -> None:
    """Have `role/daypass/*` match in what allows an IAM action: ministack asks for the role without its path."""
    from ministack.core import iam_actions

    without_path = iam_actions.extract_resource_arn

    def with_path(service: str, *call: Any) -> str:
        arn: str = without_path(service, *call)
        role = _role(arn) if service == "iam" else None
        return role["Arn"] if role else arn

    iam_actions.extract_resource_arn = with_path


def _roles_are_principals() -> None:
    from ministack.core import iam_evaluator

    known = iam_evaluator._resolve_condition_key

    def told(key: str, asked: Any) -> Any:
        match key.lower():
            case "aws:principalarn" if role := _role(asked.principal_arn):
                return role["Arn"]
            case "iam:permissionsboundary" if role := _role(asked.resource_arn):
                return role.get("PermissionsBoundary")
        return known(key, asked)

    iam_evaluator._resolve_condition_key = told


def _source_identities_count() -> None:
    from ministack.core import iam_evaluator
    from ministack.services import sts

    answer, trusts = sts.handle_request, iam_evaluator.evaluate_trust_policy
    given: ContextVar[str | None] = ContextVar("source identity", default=None)

    async def answered(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        given.set(parse_qs(body.decode(errors="replace")).get("SourceIdentity", [None])[0])
        return await answer(method, path, headers, body, query)

    def trusted(policy: Any, caller: str, asked: Any = None) -> bool:
        identity = given.get()
        if asked is None or identity is None:
            return bool(trusts(policy, caller, asked))
        context = {**asked.service_context, "sts:sourceidentity": identity}
        told = dataclasses.replace(asked, service_context=context)
        setting = dataclasses.replace(told, action="sts:SetSourceIdentity")
        return all(trusts(policy, caller, each) for each in (told, setting))

    sts.handle_request, iam_evaluator.evaluate_trust_policy = answered, trusted


def _role(arn: str) -> Any:
    """The role of an ARN, be it its own or a session's; None where it is no role's, or there is no such role."""
    from ministack.services import iam

    if ":assumed-role/" in arn:
        name = arn.split("/")[1]
    elif ":iam:" in arn and ":role/" in arn:
        name = arn.rpartition("/")[2]
    else:
        return None
    return iam._roles.get_scoped(arn.split(":")[4], None, name)
