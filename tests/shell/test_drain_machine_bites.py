"""The state machine on draining can fail: with a client that makes the code see or do the wrong thing, it finds a rule broken.

Each client stands for a mistake in the code: counting only what runs, forgetting to mark, not asking whose instance it is.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from tests.drain_layouts import MIXES, POLICIES, REMEDIAL
from tests.drain_machine import DrainMachine, explore
from tests.drain_world_autoscaling import AutoScaling, refusal
from tests.drain_world_clients import Ec2, WorldAws
from tests.drain_world_ecs_writes import WritingEcs
from tests.fakes import an_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drain_faults import Faults
    from tests.drain_world import World

EXAMPLES = 1_500
"""Sequences within which the machine has to find it; it mostly takes some dozens."""


class CountsWhatRuns(WritingEcs):
    """As if only counts mattered (hazard T14b): a task that is stopping holds nothing, and is not listed."""

    def describe_container_instances(self, **params: Any) -> dict[str, Any]:
        """Shows nothing of what is stopping."""
        answer = super().describe_container_instances(**params)
        for one in answer["containerInstances"]:
            registration = self._world.registrations[one["containerInstanceArn"]]
            going = [t for t in registration.alive if t.desired == "STOPPED"]
            one["runningTasksCount"] -= sum(t.counted and t.last == "RUNNING" for t in going)
            if len(going) == len(registration.alive):
                one["remainingResources"] = one["registeredResources"]
        return answer


class MarksNothing(WritingEcs):
    """As if the mark were forgotten."""

    def put_attributes(self, **params: Any) -> dict[str, Any]:
        """Answers as if it had."""
        return {"attributes": params["attributes"]}


class SeesNoMark(WritingEcs):
    """As if marks could not be read again."""

    def describe_container_instances(self, **params: Any) -> dict[str, Any]:
        """Shows every attribute but the mark."""
        answer = super().describe_container_instances(**params)
        for one in answer["containerInstances"]:
            one["attributes"] = [a for a in one["attributes"] if a["name"] != DRAIN_ATTRIBUTE]
        return answer


class StartsAnew(WritingEcs):
    """As if tasks were started again without a token that tells a second time from the first; and ECS is slow to stop the old ones."""

    def run_task(self, **params: Any) -> dict[str, Any]:
        """Makes each call a new one."""
        return super().run_task(**{**params, "clientToken": f"{params['clientToken']}-{self._world.number()}"})

    def stop_task(self, **params: Any) -> dict[str, Any]:
        """Throttles every other call."""
        if self._world.number() % 2:
            raise an_error("ThrottlingException", "StopTask")
        return super().stop_task(**params)


class Impatient(AutoScaling):
    """As if hooks were never asked to wait."""

    def record_lifecycle_action_heartbeat(self, **params: Any) -> dict[str, Any]:
        """Says that there is nothing to wait for."""
        raise refusal("RecordLifecycleActionHeartbeat", "No active Lifecycle Action found")


class NeverLetsGo(AutoScaling):
    """As if what does not belong to the group were ended by way of it, and so never."""

    def terminate_instance_in_auto_scaling_group(self, **params: Any) -> dict[str, Any]:
        """Says that it is gone."""
        return {}


class ForgetsWhoseHook(AutoScaling):
    """As if it were not noted that the group's hook has been dealt with."""

    def get_paginator(self, operation: str) -> Any:
        """Shows groups without the note."""

        def paginate(**params: Any) -> Iterator[dict[str, Any]]:
            for page in pages.paginate(**params):
                for group in page["AutoScalingGroups"]:
                    group["Tags"] = [t for t in group["Tags"] if t["Key"] != "bulwark:hook"]
                yield page

        pages = super().get_paginator(operation)
        return SimpleNamespace(paginate=paginate)


class EverythingIsOurs(Ec2):
    """As if nobody looked whether an instance's group opted in."""

    def _describe(self, ids: list[str]) -> dict[str, Any]:
        """Shows every instance with the tag."""
        answer = super()._describe(ids)
        for reservation in answer["Reservations"]:
            for one in reservation["Instances"]:
                one["Tags"] = [t for t in one["Tags"] if t["Key"] != "bulwark:cluster"]
                one["Tags"].append({"Key": "bulwark:cluster", "Value": "orders"})
        return answer


INSTALLED = ({"hook": "install"},)
"""A policy by which Bulwark puts its hook on the groups."""

RERUN = (("again",), ("again", "logs"))
"""Mixes of work with a task that is to be started again."""

CASES = [
    ("Rule 2", CountsWhatRuns, POLICIES, MIXES),
    ("Rule 3", MarksNothing, POLICIES, MIXES),
    ("Rule 3", SeesNoMark, POLICIES, MIXES),
    ("Rule 3", Impatient, POLICIES, MIXES),
    ("Rule 3", NeverLetsGo, POLICIES, MIXES),
    ("Rule 4", EverythingIsOurs, POLICIES, MIXES),
    ("Rule 7", ForgetsWhoseHook, INSTALLED, MIXES),
    ("Rule remedies", StartsAnew, REMEDIAL, RERUN),
]


def clients_with(part: type[Any]) -> type[WorldAws]:
    """The world's clients, one of them exchanged."""

    class Sabotaged(WorldAws):
        def __init__(self, world: World, faults: Faults | None = None) -> None:
            super().__init__(world, faults)
            if issubclass(part, WritingEcs):
                self.ecs = part(world, self.faults)
            elif issubclass(part, AutoScaling):
                self.autoscaling = part(world, self.faults)
            else:
                self.ec2 = part(world, self.faults)

    return Sabotaged


@pytest.mark.parametrize(("rule", "part", "governed", "working"), CASES, ids=[case[1].__name__ for case in CASES])
def test_the_machine_finds_the_mistake(rule: str, part: type[Any], governed: Any, working: Any) -> None:
    """A mistake that breaks a rule is found, long before as many sequences are tried as the machine's own tests try."""

    class Broken(DrainMachine):
        policies = governed
        mixes = working
        clients = clients_with(part)

    with pytest.raises(AssertionError, match=re.escape(rule)):
        explore(Broken, EXAMPLES, phases=(Phase.generate,))
