"""Used versus granted: the actions of CloudTrail's as a session policy that would have been enough.

CloudTrail's names are IAM's for most actions, and for the others as far as AWS documents it. What is in neither list is
said. Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
and https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from daypass.client import Client

LONGEST: Final = 2048
"""Characters of a session policy. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html."""

OWN: Final = 289
"""Of these, what Daypass adds to a scope's policy, where its role goes on to no other."""

_MOST_REQUESTS: Final = 100_000
_LONGEST_AHEAD: Final = timedelta(days=45)  # asked 30 days ahead, and lent for days
_SERVICES: Final[Mapping[str, str]] = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "tagging": "tag",
}
_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "s3:ListBuckets": ("s3:ListAllMyBuckets",),
    "s3:ListObjects": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListParts": ("s3:ListMultipartUploadParts",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:CopyObject": ("s3:GetObject", "s3:PutObject"),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:UploadPart": ("s3:PutObject",),
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "s3:PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:GetBucketLifecycle": ("s3:GetLifecycleConfiguration",),
    "s3:PutBucketLifecycle": ("s3:PutLifecycleConfiguration",),
    "s3:GetBucketReplication": ("s3:GetReplicationConfiguration",),
    "lambda:Invoke": ("lambda:InvokeFunction",),
}
# Whoever has a session may, and no policy can allow it.
_FREE: Final = frozenset({"sts:GetCallerIdentity"})
# Lambda's event names end with the version of its API: ListFunctions20150331, GetFunction20150331v2.
_VERSION: Final = re.compile(r"(?<=[a-z])20[0-9]{6}(v[0-9]+)?$")
_NAME: Final = re.compile(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]*", re.ASCII)


@dataclass(frozen=True)
class Narrowed:
    """policy: minified JSON, None where nothing was used. taken: IAM's names that are CloudTrail's own.

    mapped: CloudTrail's name and IAM's, where they differ. left_out: what could not be made an action of IAM's.
    """

    policy: str | None
    taken: tuple[str, ...]
    mapped: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.policy is None or len(self.policy) + OWN <= LONGEST


@dataclass
class Used:
    """What the sessions of some requests did: how often each action was called, and how often that was denied."""

    requests: int = 0
    sessions: int = 0
    unused: int = 0
    partial: int = 0
    actions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    denied: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, sessions: Iterable[Mapping[str, object]]) -> None:
        """A request's accounts, as `GET …/activity` tells them. What they went on to was another role's to allow."""
        self.requests += 1
        for session in sessions:
            self.sessions += 1
            self.unused += not session.get("used")
            self.partial += bool(session.get("partial"))
            for told, total in ((session.get("actions"), self.actions), (session.get("denied"), self.denied)):
                for name, times in told.items() if isinstance(told, dict) else ():
                    total[str(name)] += times if isinstance(times, int) else 0

    @property
    def succeeded(self) -> list[str]:
        """The actions that were called at least once without being denied."""
        return sorted(name for name, times in self.actions.items() if times > self.denied.get(name, 0))


def used_by(client: Client, role: str, scope: str | None, first: date, last: date) -> Used:
    """What the sessions that began on these days used, of all requests for the role that may be seen.

    Each request is looked at, which auditors hear of. Raises DaypassError.
    """
    found = Used()
    days = (first.isoformat(), last.isoformat())
    for item in client.requests(role=role, limit=_MOST_REQUESTS):
        if str(item.get("created_at", "")) < (first - _LONGEST_AHEAD).isoformat():
            break  # the list is newest first
        begins, ends = str(item.get("starts_at") or "")[:10], str(item.get("ends_at") or "")[:10]
        named = (item.get("scope") or {}).get("name")
        if not begins or begins > days[1] or ends < days[0] or (scope is not None and named != scope):
            continue
        sessions = client.accounts(str(item.get("id")))["sessions"]
        found.add(each for each in sessions if days[0] <= str(each.get("issued_at", ""))[:10] <= days[1])
    return found


def narrowed(actions: Iterable[str]) -> Narrowed:
    """A policy that allows what was used and nothing more, as far as CloudTrail's names tell."""
    taken, mapped, left_out = set[str](), dict[str, tuple[str, ...]](), set[str]()
    for action in sorted(set(actions) - _FREE):
        iam = _in_iam(action)
        if iam is None:
            left_out.add(action)
        elif iam == (action,):
            taken.add(action)
        else:
            mapped[action] = iam
    allowed = sorted(taken | {name for names in mapped.values() for name in names})
    return Narrowed(_policy(allowed), tuple(sorted(taken)), mapped, tuple(sorted(left_out)))


def _in_iam(action: str) -> tuple[str, ...] | None:
    if not _NAME.fullmatch(action):
        return None
    service, _, name = action.partition(":")
    if service == "lambda":
        name = _VERSION.sub("", name)
    told = f"{_SERVICES.get(service, service)}:{name}"
    return _ACTIONS.get(told, (told,))


def _policy(allowed: list[str]) -> str | None:
    if not allowed:
        return None
    statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
