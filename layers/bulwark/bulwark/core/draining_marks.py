"""Why an instance drains: the causes, how long each may last, and which one counts when there are several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from bulwark.core.cluster import BY_INSTANCE, Cluster, ContainerInstance, DrainMark, Hook
from bulwark.core.policies import Policy
from bulwark.core.signals import HOOK_NAME, InstanceState, Notice, RebalanceRecommendation, ScheduledChange, SpotInterruption, TerminateHook

STOPPING_CAUSE = "host-stopping"
SPOT_CAUSE = "spot-interruption"
HOOK_CAUSE = "terminate-hook"
RETIREMENT_CAUSE = "scheduled-retirement"
STOP_CAUSE = "scheduled-stop"
MAINTENANCE_CAUSE = "scheduled-maintenance"
REBALANCE_CAUSE = "rebalance-recommendation"
SCALE_IN_CAUSE = "scale-in"

RANKS: Mapping[str, int] = MappingProxyType(
    {
        STOPPING_CAUSE: 6,
        SPOT_CAUSE: 5,
        RETIREMENT_CAUSE: 4,
        STOP_CAUSE: 4,
        MAINTENANCE_CAUSE: 3,
        HOOK_CAUSE: 2,
        REBALANCE_CAUSE: 1,
        SCALE_IN_CAUSE: 0,
    }
)
"""The more certain and the sooner the end, the higher."""

TAKEN_BY_EC2 = frozenset({STOPPING_CAUSE, SPOT_CAUSE, RETIREMENT_CAUSE, STOP_CAUSE})
"""Causes at whose deadline EC2 itself ends or stops the instance."""

SCHEDULED = frozenset({RETIREMENT_CAUSE, STOP_CAUSE, MAINTENANCE_CAUSE})
"""Causes that AWS announces days ahead, and may postpone."""

VOLUNTARY = frozenset({REBALANCE_CAUSE, SCALE_IN_CAUSE})
"""Causes that are our own choice: within the budget, and given up when they do not work out."""

URGENT = frozenset({STOPPING_CAUSE, SPOT_CAUSE})
"""Causes that leave no time for a call before DRAINING."""

GRACE = timedelta(minutes=10)
"""How long after its deadline an instance that EC2 was to take is waited for before we end what is empty of it."""

SPARED = timedelta(hours=1)
"""How long after its deadline an instance that EC2 has evidently spared may go on holding work before it is given back."""

PAUSE = timedelta(hours=1)
"""How long after a voluntary drain was given up it is tried again, if its instance has left its group and so is not forgotten."""

HOOK_LIMIT, HOOK_BEATS = timedelta(hours=48), 100
"""The longest a hook may hold an instance: https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html"""


def mark_of(notice: Notice, seen_at: datetime, policy: Policy) -> DrainMark | None:
    """The mark that a notice alone would make; None if it does not by itself make an instance drain."""
    match notice:
        case SpotInterruption():
            return DrainMark(SPOT_CAUSE, seen_at, notice.deadline)
        case TerminateHook():
            deadline = seen_at + timedelta(minutes=policy.draining.hook_minutes)
            return DrainMark(HOOK_CAUSE, seen_at, deadline, notice.token or BY_INSTANCE, seen_at)
        case ScheduledChange():
            causes = {"retirement": RETIREMENT_CAUSE, "stop": STOP_CAUSE, "maintenance": MAINTENANCE_CAUSE}
            return DrainMark(causes[notice.kind], seen_at, notice.deadline)
        case InstanceState():
            return DrainMark(STOPPING_CAUSE, seen_at, seen_at) if notice.state in ("stopping", "shutting-down") else None
        case RebalanceRecommendation():
            return None
        case _:
            assert_never(notice)


def strongest(marks: Iterable[DrainMark | None]) -> DrainMark | None:
    """One mark for all: the cause that ranks highest, since the earliest of all, with that cause's deadline.

    The earliest deadline holds, but of what AWS has scheduled the latest: it postpones, and rarely does the opposite. A hook that
    waits goes on waiting whatever the cause; the later token is the one in force.
    """
    known = [m for m in marks if m is not None]
    if not known:
        return None
    first = max(known, key=lambda m: (RANKS.get(m.cause, 0), m.cause))
    deadlines = [m.deadline for m in known if m.cause == first.cause]
    tokens = [m.hook for m in known if m.hook not in (None, BY_INSTANCE)]
    return replace(
        first,
        since=min(m.since for m in known),
        deadline=max(deadlines) if first.cause in SCHEDULED else min(deadlines),
        hook=tokens[-1] if tokens else next((m.hook for m in known if m.hook), None),
        hook_since=min((m.hook_since for m in known if m.hook and m.hook_since), default=None),
        alone=all(m.alone for m in known),
    )


def next_try(mark: DrainMark, seen_at: datetime, policy: Policy) -> DrainMark:
    """The mark of another try of a voluntary drain: it waits for PAUSE, and then as long as the policy allows."""
    since = seen_at + PAUSE
    return replace(mark, since=since, deadline=since + timedelta(minutes=policy.draining.rebalance_minutes))


def mark_on(registrations: Iterable[ContainerInstance]) -> DrainMark | None:
    """The mark that an instance carries, over all its registrations."""
    return strongest(i.drain for i in registrations)


def drains(cluster: Cluster) -> dict[str, tuple[ContainerInstance, ...]]:
    """Every instance that carries a mark, with its registrations that are not gone."""
    marked = {i.ec2_id for i in cluster.instances if i.drain is not None and i.status != "INACTIVE"}
    return {i: tuple(r for r in cluster.registrations(i) if r.status != "INACTIVE") for i in sorted(marked)}


def hook_deadline(mark: DrainMark, hook: Hook | None, policy: Policy) -> datetime:
    """Until when our hook holds the instance: as long as the policy lets it, or Auto Scaling, counted from when the hook began."""
    begun = mark.hook_since or mark.since
    limit = min(HOOK_LIMIT, HOOK_BEATS * timedelta(seconds=hook.heartbeat)) if hook else HOOK_LIMIT
    allowed = mark.deadline if mark.cause == HOOK_CAUSE else begun + timedelta(minutes=policy.draining.hook_minutes)
    return min(allowed, begun + limit)


def deadline_of(cluster: Cluster, ec2_id: str, mark: DrainMark, policy: Policy) -> datetime:
    """Until when work can leave an instance that carries ``mark``: until EC2 takes it, or its hook goes, whichever is first."""
    host = cluster.host(ec2_id)
    if mark.hook is None or host is None or host.group is None:
        return mark.deadline
    group = cluster.group(host.group)
    return min(mark.deadline, hook_deadline(mark, group.hook(HOOK_NAME) if group else None, policy))


def clock(at: datetime, seen_at: datetime) -> str:
    """A moment as a person reads it: the time if it is near, the day with it if it is not."""
    near = abs(at - seen_at) < timedelta(hours=12)
    return f"{at:%H:%M:%S} UTC" if near else f"{at:%Y-%m-%d %H:%M} UTC"


def one_each(notices: Sequence[Notice]) -> dict[str, list[Notice]]:
    """Notices by instance, in order of instance."""
    by_instance: dict[str, list[Notice]] = {}
    for notice in notices:
        by_instance.setdefault(notice.instance_id, []).append(notice)
    return by_instance
