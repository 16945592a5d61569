"""An AWS account in memory, alive: moto in process, a clock of its own, and the two halves that make things happen."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self

import boto3
import time_machine
from moto import mock_aws
from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.moto_api._internal import mock_random

from workbench.sandbox import autoscaling_operations, cloudwatch_operations, ec2_operations
from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.build import build
from workbench.sandbox.build_work import protect
from workbench.sandbox.ec2 import SPOT, Ec2Physics
from workbench.sandbox.happenings import Happenings
from workbench.sandbox.machine import ACCOUNT_ID, REGION, EcsHalf
from workbench.sandbox.scenario import Scenario

STEP = 5
"""Seconds the account's clock moves between two looks at what is due."""

SETTLED_BEFORE = 60
"""Seconds the account lives before the scenario's start, so that the services' tasks run when the story begins."""

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What keeps the clients of this process on the account in memory, whatever the operator's own settings are."""

STRANGERS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL")
"""Settings that would lead clients elsewhere; they are set aside while the account lives."""


class Account:
    """The account of a scenario, as a context manager. Only one can be open in a process: moto's state is the process's."""

    def __init__(self, scenario: Scenario, ecs: EcsHalf | None = None) -> None:
        """``ecs`` replaces the ECS half, for tests of the other one."""
        self.scenario = scenario
        self._ecs = ecs
        self._clients: dict[str, Any] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start moto and the clock, build everything, and let the work start. ScenarioError if ECS refuses a part of it."""
        with ExitStack() as stack:
            stack.callback(_restore, {name: os.environ.get(name) for name in (*ENVIRONMENT, *STRANGERS)})
            for name in STRANGERS:
                os.environ.pop(name, None)
            travel = time_machine.travel(self.scenario.start - timedelta(seconds=SETTLED_BEFORE), tick=False)
            self._clock = stack.enter_context(travel)
            stack.enter_context(mock_aws())
            os.environ.update(ENVIRONMENT)
            self._start_physics()
            mock_random.seed(0)  # after the backends are there: making them takes random numbers, and only the first time
            build(self.scenario, self.client, self.groups, self.ecs)
            self.settle(SETTLED_BEFORE)
            for cluster in self.scenario.clusters:
                protect(cluster, self.client("ecs"))
            for machine in list(self.ec2.machines.values()):
                self.ec2.bring_to(machine.id, machine.ec2, self.now)
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop moto and the clock, and put the environment back."""
        self._clients.clear()
        self._open.close()

    @property
    def now(self) -> datetime:
        """The account's present moment, in UTC. It stands still but for ``settle``."""
        return datetime.now(UTC)

    def client(self, service: str) -> Any:
        """The boto3 client of a service, on this account."""
        if service not in self._clients:
            self._clients[service] = _session().client(service)  # type: ignore[call-overload]
        return self._clients[service]

    def settle(self, seconds: float) -> None:
        """Let the account live for ``seconds`` of its own time: launches come up, the scheduler places and moves tasks."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            now = min(self.now + timedelta(seconds=STEP), end, *self._happenings.due_after(self.now))
            self._clock.move_to(now)
            self._happenings.tick(now)
            self.groups.tick(now)
            self.ecs.tick(now)

    def happen(self, event: Mapping[str, Any]) -> None:
        """Make true what an EventBridge event says has happened, before anybody is woken by it.

        What is only announced (a Spot reclaim) comes about in ``settle``. An event that says nothing of EC2 or Auto Scaling, one
        that is malformed, or one about something the account does not have, changes nothing.
        """
        self._happenings.happen(event, self.now)

    def interrupt(self, instance_id: str) -> bool:
        """Take a Spot instance at once, as EC2 does two minutes after its warning. False if it is unknown or gone already."""
        return self.ec2.terminate(instance_id, self.now, SPOT)

    def vanish(self, instance_id: str) -> bool:
        """EC2 terminates an instance whose agent has lost its connection: ECS keeps it, a ghost with its tasks.

        False if it is unknown or gone already.
        """
        return self.ec2.bring_to(instance_id, "terminated", self.now)

    def terminating(self, group: str, instance_id: str) -> dict[str, str]:
        """Let the group begin to terminate a member, for nobody's request; the tokens of the hooks that hold it, by hook name.

        One that it is terminating already goes on as it was. Raises LookupError if the instance is not the group's.
        """
        found = self.groups.member(instance_id)
        if found is None or found[0].model.name != group:
            raise LookupError(f"{instance_id} is no member of the group {group}")
        life, member = found
        self.groups.retire(life, member, "an instance was taken out of service.", self.now)
        return {action.hook: action.token for action in life.actions.in_progress if action.instance_id == instance_id}

    def _start_physics(self) -> None:
        """Attach the halves to moto's backends, which moto has just reset."""
        ec2_operations.install()
        autoscaling_operations.install()
        cloudwatch_operations.install()
        self.ecs = self._ecs or _ecs_half()
        self.ec2 = Ec2Physics(ec2_backends[ACCOUNT_ID][REGION], self.ecs)
        self.groups = AutoScalingPhysics(autoscaling_backends[ACCOUNT_ID][REGION], self.ec2, self.ecs)
        self._happenings = Happenings(self.ec2, self.groups, self.ecs)


@cache
def _session() -> boto3.Session:
    """The session of every account's clients: it keeps the service models, which take most of a client's making."""
    return boto3.Session("testing", "testing", region_name=REGION)


def _ecs_half() -> EcsHalf:
    """The real ECS half, on moto's own state."""
    from workbench.sandbox.ecs import EcsPhysics

    EcsPhysics.install()
    return EcsPhysics()


def _restore(before: dict[str, str | None]) -> None:
    """Put environment variables back as they were; None: not set."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
