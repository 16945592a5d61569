"""What woke us: one small class per kind of event, holding ids and times and nothing that is trusted beyond them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

SPOT_NOTICE = timedelta(seconds=120)
"""Lead of a Spot interruption warning: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""

HOOK_NAME = "bulwark-drain"
"""The terminate hook that is Bulwark's. Every other hook is somebody else's, and is never completed."""

InterruptionAction = Literal["terminate", "stop", "hibernate"]
ChangeKind = Literal["retirement", "stop", "maintenance"]


@dataclass(frozen=True, slots=True)
class SpotInterruption:
    """EC2 will take a Spot Instance back: ``at`` is when it said so, ``action`` what it will do to the instance.

    ``redelivered``: an earlier delivery of this warning was left unfinished, so what it began may be ours to end.
    """

    instance_id: str
    at: datetime
    action: InterruptionAction = "terminate"
    redelivered: bool = False

    @property
    def deadline(self) -> datetime:
        """When the instance is gone. Hibernation starts with the warning itself: it has no lead."""
        return self.at if self.action == "hibernate" else self.at + SPOT_NOTICE


@dataclass(frozen=True, slots=True)
class RebalanceRecommendation:
    """EC2 sees a Spot Instance at a higher risk of interruption: move when it suits."""

    instance_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TerminateHook:
    """Our terminate hook holds an instance. ``token`` None: found by looking, not told by an event."""

    instance_id: str
    group: str
    at: datetime
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """EC2 will retire, stop or maintain the host of an instance at ``deadline``. One notice can make several of these."""

    instance_id: str
    kind: ChangeKind
    deadline: datetime


@dataclass(frozen=True, slots=True)
class InstanceState:
    """EC2 says that an instance is ``stopping``, ``stopped``, ``shutting-down`` or ``terminated``. Looked at again before it counts."""

    instance_id: str
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """Something changed on a container instance that Bulwark drains: a task stopped there, most of the time."""

    cluster: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """A minute has passed: look after every drain in progress, and for events that were lost."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ReservationAlarm:
    """An alarm on a reservation metric of a cluster changed its state, whichever way: look at what is reserved and what waits there."""

    cluster: str
    alarm: str


@dataclass(frozen=True, slots=True)
class PlacementFailure:
    """ECS could not place a task, or start one. ``subject``: the service's name, or the task's id. Why is looked at, not believed."""

    cluster: str
    subject: str


@dataclass(frozen=True, slots=True)
class LaunchFailure:
    """A group could not launch an instance. Its cluster is not known yet, nor whether it is a group of ours."""

    group: str


@dataclass(frozen=True, slots=True)
class Registration:
    """An instance has just registered with a cluster: what waited for it can be decided."""

    cluster: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """A sound event that asks nothing of us. ``subject`` is what it is about, ``because`` says why nothing follows."""

    subject: str
    because: str


Notice = SpotInterruption | RebalanceRecommendation | TerminateHook | ScheduledChange | InstanceState
"""What is about one EC2 instance, whose cluster is not known yet."""

DrainSignal = Notice | DrainProgress | Sweep | Irrelevant
"""What wakes the function ``draining``: a closed union, matched with ``assert_never``."""

CapacitySignal = ReservationAlarm | PlacementFailure | LaunchFailure | Registration | Sweep | Irrelevant
"""What wakes the function ``capacity``: a closed union, matched with ``assert_never``."""

Signal = DrainSignal | CapacitySignal
"""Every kind of event Bulwark acts on."""
