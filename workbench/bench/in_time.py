"""A Spot warning's two minutes, handled in different ways: when the instance drains, when its work runs elsewhere, what is lost.

Seconds are the account's own, so the figures are the same on every machine. What an account in memory cannot know is assumed,
and stands beside the figures: how long delivery takes, a launch, the group's noticing, a task's start and its stop.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from workbench.bench.accounts import Function, awake
from workbench.bench.drain_accounts import WARNED, Cost, cost_of, spot_account, spot_warning
from workbench.bench.recorder import Recorder
from workbench.sandbox.scenario import LAUNCH_DELAY

if TYPE_CHECKING:
    from workbench.sandbox import Account

TAKEN_S = 120
"""From the warning to the instance's end: EC2's two minutes."""

DELIVERY_S, WINDOW_S = 1, 1
"""From the warning to the function, assumed: EventBridge and SQS, and the batching window of template.yaml."""

POLL_S = 10
"""Seconds between two looks of a drainer that polls."""

HORIZON_S = 300
"""Seconds for which the account is watched at most: the group has noticed, launched and placed everything long before."""

LOOK_S = 10
"""Seconds between two looks whether all is well again, once the instance is gone: then there is nothing left to watch."""

CLUSTER, SERVICE = "spot", "web"

Handler = Literal["nothing", "poller", "bulwark"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to handle a warning. ``at_s``: when ``handler`` learns of it, in seconds. ``bounded``: whether it must hold a bound."""

    name: str
    handler: Handler = "nothing"
    at_s: int | None = None
    spot_draining: bool = False
    bounded: bool = False


WAYS = (
    Way("nobody but EC2, Auto Scaling and ECS"),
    Way("the agents' own Spot draining", spot_draining=True),
    # Whoever polls sees the warning between at once and one interval late: both ends are measured.
    Way(f"a poll each {POLL_S} s, at its luckiest", "poller", 0),
    Way(f"a poll each {POLL_S} s, at its unluckiest", "poller", POLL_S),
    Way("Bulwark", "bulwark", DELIVERY_S + WINDOW_S, bounded=True),
    Way("Bulwark and the agents' own", "bulwark", DELIVERY_S + WINDOW_S, spot_draining=True),
)
"""Who sees to the warning. Only Bulwark brings a replacement."""


@dataclass(frozen=True, slots=True)
class InTime:
    """What became of one warning, in seconds after it.

    ``draining_s`` None: the instance never drained. ``elsewhere_s``: from when on every task that the service desires runs on other
    instances; None: not within HORIZON_S. ``tasks``: of the service, on the instance when it was warned; ``lost``: of those, the ones
    that ended with the power. ``at_most_s``: the bound of ``elsewhere_s`` for one that may lose nothing; None: no bound.
    """

    way: str
    room: bool
    draining_s: int | None
    elsewhere_s: int | None
    tasks: int
    lost: int
    at_most_s: int | None
    undone: int

    @property
    def holds(self) -> bool:
        """Whether the work was away in time and nothing was lost, if that is promised."""
        if self.at_most_s is None:
            return not self.undone
        return not self.undone and self.elsewhere_s is not None and self.elsewhere_s <= self.at_most_s and not self.lost


def assumptions() -> dict[str, str]:
    """What the figures rest on, by what it is about: none of it was measured."""
    from workbench.sandbox.autoscaling import HEALTH_CHECK
    from workbench.sandbox.ecs_tasks import START_SECONDS, STOP_SECONDS
    from workbench.sandbox.happenings import AGENT_HEARS_AFTER

    return {
        "EventBridge and SQS, batching window": f"{DELIVERY_S} s, {WINDOW_S} s",
        "a function's run, its start included": "0 s",
        "an agent hears of the warning": f"{AGENT_HEARS_AFTER.total_seconds():.0f} s",
        "EC2 takes the instance": f"{TAKEN_S} s",
        "its group notices, after its end": f"{HEALTH_CHECK.total_seconds():.0f} s",
        "from launch to registration with ECS": f"{LAUNCH_DELAY} s",
        "a task starts, a task stops": f"{START_SECONDS} s, {STOP_SECONDS} s",
    }


def measure_in_time(
    ways: Sequence[Way] = WAYS, bound: int = TAKEN_S, progress: Callable[[str], None] = lambda _: None
) -> tuple[InTime, ...]:
    """Warn an instance where its tasks have room elsewhere, and where they have none, once for each way. ``bound``: seconds at most."""
    return tuple(_measure(way, bound, progress, room=room) for room in (True, False) for way in ways)


def _measure(way: Way, bound: int, progress: Callable[[str], None], *, room: bool) -> InTime:
    """One account, one warning."""
    from workbench.sandbox import Account

    progress(f"in time: {'room' if room else 'no room'} elsewhere: {way.name}")
    with ExitStack() as stack:
        account = stack.enter_context(Account(spot_account(room=room, spot_draining=way.spot_draining)))
        recorder = Recorder()
        stack.enter_context(recorder.installed())
        function = stack.enter_context(awake()) if way.handler == "bulwark" else None
        watch = _Watch(account)
        warning = spot_warning(WARNED, account.now)
        account.happen(warning)
        draining: int | None = None
        cost: Cost | None = None
        for second in range(HORIZON_S):
            if second == way.at_s:
                cost = _handle(account, function, recorder, warning, watch.arn)
            if second == TAKEN_S:
                account.interrupt(WARNED)
            if draining is None and second <= TAKEN_S and watch.drains():
                draining = second
            if second > TAKEN_S and second % LOOK_S == 0 and watch.outcome()[0] is not None:
                break
            account.settle(1)
        elsewhere, lost = watch.outcome()
    at_most = bound if way.bounded else None
    return InTime(way.name, room, draining, elsewhere, watch.tasks, lost, at_most, cost.undone if cost else 0)


def _handle(account: "Account", function: Function | None, recorder: Recorder, warning: dict[str, Any], arn: str) -> Cost | None:
    """What is done about the warning now: by Bulwark if there is its ``function``, else by a drainer that has just polled.

    The drainer is as good as its idea allows: it knows the registration already, and its first call sets it DRAINING.
    """
    if function is not None:
        return cost_of(recorder, function, [warning], account.now)
    account.client("ecs").update_container_instances_state(cluster=CLUSTER, containerInstances=[arn], status="DRAINING")
    return None


class _Watch:
    """Looks at the warned instance and at its service, through the account's own calls."""

    def __init__(self, account: "Account") -> None:
        """Look at the account as it is before the warning."""
        self._ecs = account.client("ecs")
        self._began = account.now
        (self.arn,) = self._ecs.list_container_instances(cluster=CLUSTER, filter=f"ec2InstanceId in ['{WARNED}']")["containerInstanceArns"]
        running = self._tasks("RUNNING")
        self._desired = len(running)
        self.tasks = sum(task["containerInstanceArn"] == self.arn for task in running)

    def drains(self) -> bool:
        """Whether the instance is DRAINING now."""
        return self.arn in self._ecs.list_container_instances(cluster=CLUSTER, status="DRAINING")["containerInstanceArns"]

    def outcome(self) -> tuple[int | None, int]:
        """From which second on the service ran elsewhere in full, None if it does not now; how many tasks ended with the power."""
        lost = sum(task.get("stopCode") == "TerminationNotice" for task in self._tasks("STOPPED"))
        since = [task["startedAt"] - self._began for task in self._tasks("RUNNING") if self._runs_elsewhere(task)]
        if len(since) < self._desired:
            return None, lost
        return max(0, int(max(since) / timedelta(seconds=1))), lost

    def _runs_elsewhere(self, task: dict[str, Any]) -> bool:
        """Whether a task serves on another instance than the warned one."""
        return bool(task["lastStatus"] == "RUNNING" and task["containerInstanceArn"] != self.arn)

    def _tasks(self, status: str) -> list[dict[str, Any]]:
        """The service's tasks that are wanted to be in that status."""
        arns = self._ecs.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus=status)["taskArns"]
        tasks: list[dict[str, Any]] = self._ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        return tasks
