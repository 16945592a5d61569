"""A stand-in for the ECS half: it notes what the EC2 half tells it."""

from datetime import datetime
from typing import Any

from workbench.sandbox.machine import Machine
from workbench.sandbox.scenario import Scenario, read_scenario


class RecordingEcs:
    """Notes registrations, lost hosts and connections, agents that drain themselves, and ticks."""

    def __init__(self) -> None:
        self.registered: list[str] = []
        self.gone: list[str] = []
        self.disconnected: list[str] = []
        self.drained: list[str] = []
        self.ticks: list[datetime] = []

    def register(self, machine: Machine) -> str:
        """Note the machine's id."""
        self.registered.append(machine.id)
        return f"arn:aws:ecs:us-east-1:123456789012:container-instance/{machine.cluster}/{machine.id}"

    def host_gone(self, machine_id: str) -> None:
        """Note the id."""
        self.gone.append(machine_id)

    def disconnect(self, machine_id: str) -> None:
        """Note the id."""
        self.disconnected.append(machine_id)

    def drain(self, machine_id: str) -> None:
        """Note the id."""
        self.drained.append(machine_id)

    def tick(self, now: datetime) -> None:
        """Note the time."""
        self.ticks.append(now)


def one_group(**fields: Any) -> Scenario:
    """An account with the group ``web`` of the cluster ``orders``: fields as a scenario writes them, and a quick start."""
    group = {"name": "web", "min": 1, "desired": 3, "max": 5, "launch_delay": 20} | fields
    instances = [{"id": "i-0aaa0000000000001", "group": "web"}] if group["desired"] else []
    return read_scenario({"clusters": [{"name": "orders", "groups": [group], "instances": instances}]}, "test")
