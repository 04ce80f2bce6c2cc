"""Knowing: the groups that no token tells, asked of the directories that the catalogue names.

A directory that does not answer lets nobody in: its groups are then unknown of the principal, and what is unknown is
no way in and no way past a deny. Nothing that an emergency needs asks one.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.broker.ports import About, World
from chalicelib.core.principal import Principal
from chalicelib.core.refusals import Unavailable
from chalicelib.core.request import Request


def known(world: World, principal: Principal, about: About | None = None) -> Principal:
    """The principal with the groups that directories tell of it; unchanged where no rule asks one."""
    catalogue = world.catalogue()
    groups, unknown = principal.groups, principal.unknown
    for name, wanted in catalogue.directory_groups.items():
        try:
            told = world.directories().groups(catalogue.directories[name], wanted, principal, about)
        except Unavailable:
            groups, unknown = groups - wanted, unknown | wanted
        else:
            groups = groups - wanted | told & wanted
            unknown -= wanted
    if (groups, unknown) == (principal.groups, principal.unknown):
        return principal
    return replace(principal, groups=groups, unknown=unknown)


def about(request: Request) -> About:
    """The ask of a request, as directories are told of it."""
    return About(role=request.role, account_id=request.account_id, duration=request.duration, ticket=request.ticket)
