"""The AWS console: where it is, which of its pages a link may lead to, and for how long."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from chalicelib.core.provider import Via
from chalicelib.core.refusals import FieldError, Invalid

LINK = timedelta(minutes=15)
"""How long AWS takes a sign-in token.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html.
"""

SHORTEST, LONGEST = timedelta(seconds=900), timedelta(seconds=43200)
"""What AWS takes as a console session's duration. Source: the same page (SessionDuration)."""

LONGEST_PAGE = 1000
"""Characters of a page's address. Daypass's own limit: a link has to fit into an address bar."""

_HOSTS: Mapping[str, tuple[str, str]] = {
    "aws": ("{region}.signin.aws.amazon.com", "console.aws.amazon.com"),
    "aws-cn": ("signin.amazonaws.cn", "console.amazonaws.cn"),
    "aws-us-gov": ("signin.amazonaws-us-gov.com", "console.amazonaws-us-gov.com"),
}
"""By partition: who signs in, and the console's home. What is not here is not known, and not guessed.

Source: https://docs.aws.amazon.com/general/latest/gr/signin-service.html for the regions' own.
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A partition's console. federation: the address that makes sign-in tokens and takes them. host: its home's."""

    federation: str
    host: str

    def page(self, wanted: str | None) -> str:
        """The address of a page: `wanted`, which may be a path on the home's host; None: the home.

        Raises Invalid for an address outside the console: whoever follows a link to sign in shall not end up there.
        """
        address = wanted or "/"
        if address.startswith("/"):
            address = f"https://{self.host}{address}"
        # No backslash: browsers read it as a slash.
        inside = r"https://(?:[a-z0-9-]{1,63}\.){0,3}" + re.escape(self.host) + r"(?:[/?#][!-\[\]-~]*)?"
        if len(address) > LONGEST_PAGE or not re.fullmatch(inside, address, re.ASCII):
            message = f"a page of https://{self.host} or a host below it, or a path such as /s3/home"
            raise Invalid(f"destination: {message}.", (FieldError("destination", message),))
        return address


def site(partition: str, region: str, federation: str | None = None) -> Site | None:
    """The console as a broker in this region uses it; None where none is known. federation: instead of AWS's own."""
    if partition not in _HOSTS:
        return None
    signin, host = _HOSTS[partition]
    return Site(federation or f"https://{signin.format(region=region)}/federation", host)


def session_duration(via: Via, remaining: timedelta) -> timedelta | None:
    """What sign-in is told of the session's duration: what remains, in whole seconds and within AWS's limits.

    None for a chained session, with which AWS refuses any: it then lasts as long as the keys that it was made with.
    """
    if via is Via.ROLE:
        return None
    return min(max(timedelta(seconds=math.floor(remaining.total_seconds())), SHORTEST), LONGEST)
