"""Accounts for the state machine on draining: who is in the cluster, what runs there, and which policies hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.drain_world import World
from tests.drain_world_model import a_hook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.drain_world_model import Group

SPOT, STEADY, FOREIGN = "orders-spot", "orders-steady", "legacy"
OTHER_HOOK = "somebody-elses"

DEFAULTS: Mapping[str, Any] = {}
REMEDIES: Mapping[str, Any] = {"stop_locked": True, "raise_max_percent": True, "standalone": True}
"""Every remedy on."""

POLICIES: Sequence[Mapping[str, Any]] = (
    DEFAULTS,
    {"replace": False},
    {"retired": "terminate"},
    {"hook_minutes": 7, "rebalance_minutes": 6},
    {"hook": "install"},
    {"rebalance": "off"},
    {"enabled": False},
)
"""What the drains without remedies are governed by."""

REMEDIAL: Sequence[Mapping[str, Any]] = (
    REMEDIES,
    {**REMEDIES, "stop_locked": False},
    {**REMEDIES, "raise_max_percent": False},
    {**REMEDIES, "hook_minutes": 7, "rebalance_minutes": 6},
    {**REMEDIES, "hook": "install", "retired": "terminate"},
)
"""What those with remedies are governed by."""

VOLUNTARY: Sequence[Mapping[str, Any]] = (
    DEFAULTS,
    {"rebalance_minutes": 6},
    {"rebalance_minutes": 6, "replace": False},
    {"rebalance": "off"},
    {"rebalance_minutes": 20, "standalone": True, "stop_locked": True},
    {"enabled": False},
)
"""What drains by choice are governed by."""


def set_policy(world: World, draining: Mapping[str, Any], *, budget: int = 50) -> None:
    """Write the cluster's policy to Parameter Store. ``budget`` in percent: the world is small."""
    policy = {"draining": dict(draining), "disruption": {"budget_percent": budget, "breaker_percent": 60}}
    world.parameters["/bulwark/policy/default"] = json.dumps(policy)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a world begins with. ``work`` names entries of WORK; ``steady``: the size of the second group that opted in."""

    policy: Mapping[str, Any]
    spot: int = 2
    steady: int = 1
    work: Sequence[str] = ()
    hook: bool = True
    other_hook: bool = False
    abandon: bool = False
    twice: bool = False
    rebalancing: bool = False
    provider: tuple[bool, bool] | None = None

    def build(self) -> World:
        """The world, running and at rest."""
        world = World()
        groups = [world.add_group(SPOT, self.spot, spot=True, hook=self.hook)]
        if self.steady:
            groups.append(world.add_group(STEADY, self.steady, hook=self.hook))
        groups.append(world.add_group(FOREIGN, 1, opted_in=False))
        for group in groups:
            self._dress(group)
        if self.provider is not None and self.steady:
            world.managed["steady-provider"] = self.provider
            world.groups[STEADY].provider = "steady-provider"
            for machine_id in world.groups[STEADY].members:
                world.on(world.machines[machine_id])[0].provider = "steady-provider"
        if self.twice:
            world.register(world.machines[next(iter(world.groups[SPOT].members))], connected=False)
        for name in self.work:
            WORK[name](world)
        set_policy(world, self.policy)
        return world

    def _dress(self, group: Group) -> None:
        for hook in group.hooks.values():
            hook["DefaultResult"] = "ABANDON" if self.abandon else "CONTINUE"
        group.rebalances = self.rebalancing
        if self.other_hook:
            group.hooks[OTHER_HOOK] = a_hook(OTHER_HOOK)


def _standalone(family: str, **changes: Any) -> Callable[[World], None]:
    """A standalone task on the first machine that has room."""

    def add(world: World) -> None:
        where = next((r for r in world.registrations.values() if r.connected and r.left[1] >= 1024), None)
        if where is not None:
            world.add_task(where, family, memory=1024, **changes)

    return add


def _ending(world: World) -> None:
    """A standalone task that is done after ten minutes."""
    _standalone("nightly", ends_at=world.now + timedelta(minutes=10))(world)


WORK: Mapping[str, Callable[[World], Any]] = {
    "web": lambda world: world.add_service("web", 3),
    "one": lambda world: world.add_service("one", 1, least=50),
    "half": lambda world: world.add_service("half", 2, least=50, most=100),
    "locked": lambda world: world.add_service("locked", 2, most=100),
    "rounded": lambda world: world.add_service("rounded", 3, least=90, most=110),
    "big": lambda world: world.add_service("big", 2, memory=4096),
    "slow": lambda world: world.add_service("slow", 2, stop_seconds=400),
    "quiet": lambda world: world.add_service("quiet", 2, least=50, stop_seconds=200, counted=False),
    "guarded": lambda world: world.add_service("guarded", 2, protected=True),
    "logs": lambda world: world.add_daemon(),
    "forever": _standalone("forever"),
    "nightly": _ending,
    "again": _standalone("again", tags={"bulwark:on-drain": "rerun", "aws:ecs:clusterName": "orders"}, stop_seconds=90),
    "stopped": _standalone("stopped", tags={"bulwark:on-drain": "stop"}, overrides={"containerOverrides": []}),
    "misspelt": _standalone("misspelt", tags={"bulwark:on-drain": "rerurn"}),
}
"""What may run in the cluster: services with bounds of every kind, slow and silent stoppers, a daemon, and standalone tasks."""

MIXES: Sequence[Sequence[str]] = (
    ("web", "logs"), ("one", "logs"), ("half", "quiet"), ("big", "logs"), ("slow", "logs"), ("guarded", "web"), ("quiet",), (),
    ("locked",), ("rounded", "locked", "logs"), ("locked", "web", "big"), ("forever",), ("nightly", "one"),
    ("again", "logs"), ("again", "stopped", "locked"), ("stopped", "rounded"), ("misspelt", "slow", "logs"),
)  # fmt: skip
"""What runs together."""
