"""A small AWS in plain Python for the state machine on draining: one ECS cluster, its groups, and time that only steps move.

Nothing here knows Bulwark's code beyond its words (tags, the hook's name, the signals). What AWS does is in ``drain_world_ec2``,
``drain_world_groups`` and ``drain_world_scheduler``; what a client may ask of it, in ``drain_world_ecs`` and ``drain_world_clients``;
what may never happen to it, in ``drain_watch``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from bulwark.core.signals import HOOK_NAME
from tests import drain_world_ec2, drain_world_groups, drain_world_scheduler
from tests.builders import NOW
from tests.drain_watch import Watch
from tests.drain_world_model import CLUSTER, Group, Machine, Registration, Service, Task, a_hook, registration_arn, task_arn

if TYPE_CHECKING:
    from bulwark.core.signals import DrainSignal

TICK = 15
"""Seconds between two looks of AWS at itself, or more in a long step."""

TICKS = 6
"""The most looks in one step."""


class World:
    """The account. ``mail`` are the events that it has sent, as the signals they become; nobody has to deliver them.

    ``table`` is the DynamoDB table by (pk, sk), ``parameters`` Parameter Store by name.
    """

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.machines: dict[str, Machine] = {}
        self.registrations: dict[str, Registration] = {}
        self.tasks: dict[str, Task] = {}
        self.services: dict[str, Service] = {}
        self.groups: dict[str, Group] = {}
        self.runs: dict[str, tuple[str, ...]] = {}
        self.table: dict[tuple[str, str], dict[str, Any]] = {}
        self.parameters: dict[str, str] = {}
        self.mail: list[DrainSignal] = []
        self.watch = Watch(self)
        self.managed: dict[str, tuple[bool, bool]] = {}
        self._count = 0

    def number(self) -> int:
        """The next number, for names and tokens."""
        self._count += 1
        return self._count

    def step(self, seconds: float) -> None:
        """Let time pass, and AWS do what is due."""
        end, tick = self.now + timedelta(seconds=seconds), timedelta(seconds=max(TICK, seconds / TICKS))
        while self.now < end:
            self.now = min(end, self.now + tick)
            self.live()

    def live(self) -> None:
        """One look of AWS at itself."""
        drain_world_ec2.live(self)
        drain_world_groups.live(self)
        drain_world_scheduler.live(self)

    def send(self, signal: DrainSignal) -> None:
        """Put an event where it may be delivered from, once."""
        if signal not in self.mail:
            self.mail.append(signal)

    def machine(self, instance_id: str) -> Machine | None:
        """The machine as EC2 knows it; None once EC2 has forgotten it."""
        found = self.machines.get(instance_id)
        return None if found is None or drain_world_ec2.is_forgotten(self, found) else found

    def on(self, machine: Machine) -> list[Registration]:
        """The registrations of a machine that ECS lists."""
        return [r for r in self.registrations.values() if r.machine is machine and r.status != "INACTIVE"]

    def group_of(self, machine: Machine) -> Group | None:
        """The group that a machine is a member of."""
        return next((g for g in self.groups.values() if machine.id in g.members), None)

    # What a test puts into the world.

    def add_group(self, name: str, size: int, *, opted_in: bool = True, spot: bool = False, hook: bool = True) -> Group:
        """An Auto Scaling group with ``size`` machines, registered and ACTIVE."""
        group = self.groups[name] = Group(name, size, spot=spot)
        if opted_in:
            group.tags["bulwark:cluster"] = CLUSTER
        if hook:
            group.hooks[HOOK_NAME] = a_hook(HOOK_NAME)
        for _ in range(size):
            machine = drain_world_groups.launch(self, group)
            machine.state, machine.changes_at, machine.boots_at = "running", None, None
            group.members[machine.id].lifecycle = "InService"
            self.register(machine)
        return group

    def register(self, machine: Machine, *, connected: bool = True) -> Registration:
        """One more registration of a machine."""
        count = sum(r.machine is machine for r in self.registrations.values())
        arn = registration_arn(machine.id + (f"-{count}" if count else ""))
        group = self.groups.get(machine.group or "")
        registration = Registration(arn, machine, connected=connected, provider=group.provider if group else None)
        self.registrations[arn] = registration
        return registration

    def add_service(self, name: str, desired: int = 2, *, least: int = 100, most: int = 200, **changes: Any) -> Service:
        """A replica service, its tasks placed and running."""
        service = self.services[name] = Service(name, desired, least=least, most=most, usual=most, **changes)
        drain_world_scheduler.live(self)
        for task in service.tasks:
            task.last, task.changes_at = "RUNNING", None
        return service

    def add_daemon(self, name: str = "logs") -> Service:
        """A daemon service, with its task on every machine."""
        return self.add_service(name, 0, daemon=True, least=0, most=100, cpu=64, memory=128)

    def add_task(self, registration: Registration, family: str, **changes: Any) -> Task:
        """A standalone task, running on a registration."""
        task = Task(task_arn(f"{family}-{self.number()}"), registration, family, **changes)
        self.tasks[task.arn] = task
        registration.tasks.append(task)
        return task

    # What is seen of a drain.

    def draining(self) -> list[Registration]:
        """What is DRAINING or marked, of machines that ECS still lists."""
        return [
            r for r in self.registrations.values() if r.status != "INACTIVE" and (r.status == "DRAINING" or DRAIN_ATTRIBUTE in r.custom)
        ]
