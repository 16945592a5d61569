"""How many instances a cluster needs: all that runs and waits, with what is to be held free, on as few instances as can be proven.

One decision sees the whole cluster and settles it at once: what is missing is asked for exactly, what nobody needs is drained.
It knows nothing of the event that woke it, so the order of events does not matter.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bulwark.core.capacity_figures import Figures, figures
from bulwark.core.capacity_in import Candidate, Shrinking, could_go, shrink
from bulwark.core.capacity_out import Growth
from bulwark.core.cluster import Cluster, ContainerInstance, Demand, DrainMark
from bulwark.core.demand import MOVING, Waiting, headroom, largest_need, leaving, unknown_headroom, waiting, work
from bulwark.core.draining_ends import emptiness
from bulwark.core.draining_marks import SCALE_IN_CAUSE
from bulwark.core.draining_voluntary import budget, out_of_service
from bulwark.core.packing import Need, place_all
from bulwark.core.plan import DrainInstance, Finding, Plan, ReactivateInstance, SetDesiredCapacity, UnmarkInstance
from bulwark.core.policies import Policy
from bulwark.core.room import Board, Coming, Slot, closed, coming, managed, ready, units_of

KEPT = timedelta(minutes=65)
"""How long a demand is remembered: the longest window, and a few minutes more."""


LAUNCHES = ("instance types", "the launch template")
"""How the parts of a snapshot begin that say what groups launch, and nothing of what is needed."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """A decision about a cluster's size. ``figures`` are what it came from.

    To be remembered: ``demand`` for the window; ``removed``, what was asked for when instances were last taken out, and ``regret``, when
    they were last missed again. ``kept``: why instances that were considered stay, by EC2 id; ``removable``: those that provably could
    go, in order, whether or not they go now.
    """

    plan: Plan
    demand: Demand
    figures: Figures
    removed: Demand | None = None
    regret: Demand | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    removable: tuple[str, ...] = ()


def decide_capacity(cluster: Cluster, policy: Policy) -> Sizing:
    """Size the groups of ``cluster``, of which everything was seen. Raises QueryError for a placement expression that ECS would refuse."""
    out = _Out.of(cluster, policy)
    if out.missing:
        shrinking = Shrinking(hold="instances are missing")
    else:
        shrinking = shrink(cluster, policy, out.base.copy(), out.demand, out.held_free, out.doubt)
    plan = _said(cluster, policy, out.wants) + Plan(findings=out.arriving.findings) + Plan(out.back, tuple(out.growth.findings))
    regret = _regret(cluster, out)
    drained = _drained(cluster, policy, shrinking, regret)
    removed = out.wanted if any(isinstance(a, DrainInstance) for a in drained.actions) else None if out.missing else cluster.removed
    plan += _asked(out.growth) + drained
    seen = figures(cluster, out.wants, tuple(out.base.slots.values()), out.growth, shrinking, largest_need(cluster))
    removable = tuple(one.instance.ec2_id for one in shrinking.removable)
    return Sizing(plan, out.demand, seen, removed, regret, shrinking.kept, removable)


@dataclass(frozen=True, slots=True)
class _Out:
    """All but the way in: what waits, where it goes, what is launched or kept for it.

    ``base`` holds what waits and nothing of the headroom; ``held_free`` is the headroom for which there is room. ``demand`` is what has a
    place or gets one, ``wanted`` all that is asked for; ``doubt``: why it is not known whether all of that was seen.
    """

    wants: Waiting
    arriving: Coming
    base: Board
    held_free: tuple[Need, ...]
    back: tuple[ReactivateInstance, ...]
    growth: Growth
    demand: Demand
    wanted: Demand
    doubt: str | None

    @classmethod
    def of(cls, cluster: Cluster, policy: Policy) -> "_Out":
        """Pack what waits, and launch what is missing."""
        wants, free = waiting(cluster), headroom(cluster, policy.capacity)
        arriving = coming(cluster, policy.capacity)
        board = Board()
        board.add([*ready(cluster), *arriving.slots])
        going = tuple(f"{MOVING}:{i.ec2_id}" for i in _scaled_in(cluster))
        # What an instance that was to go gives up comes last: if it finds no place, the instance stays and needs none.
        left = board.place([n for n in wants.needs if n.key not in going])
        left += board.place([n for n in wants.needs if n.key in going])
        base = board.copy()
        crowded = board.place(free)
        back, left = _taken_back(cluster, (*left, *crowded))
        board.add(_kept(cluster, back))
        growth = Growth.on(cluster, policy.capacity, board, arriving.barren)
        growth.place(left)
        demand = work(cluster, _without(wants.needs, Counter(growth.unplaced)))
        growth.fill_up(demand)
        held_free = tuple(_without(free, Counter(crowded)))
        return cls(wants, arriving, base, held_free, back, growth, demand, work(cluster, wants.needs), _doubt(cluster, policy, wants))

    @property
    def missing(self) -> bool:
        """Whether there are too few instances."""
        return bool(self.growth.units or self.back)


def _doubt(cluster: Cluster, policy: Policy, wants: Waiting) -> str | None:
    """Why less may be needed than it seems: something that asks for room was not seen. None: all was.

    What only concerns launches, or single tasks (their protection), is judged where it matters.
    """
    unread = [part for part in sorted(cluster.unread) if part != "task protection" and not part.startswith(LAUNCHES)]
    if unread:
        return f"{', '.join(unread)} could not be read"
    if not {i.arn for i in leaving(cluster) if i.running + i.pending} <= cluster.tasks_examined:
        return "the tasks of instances that leave were not all looked at"
    unknown = sorted(wants.unknown) or unknown_headroom(cluster, policy.capacity)
    return f"what {', '.join(unknown[:3])} needs is not known" if unknown else None


def _regret(cluster: Cluster, out: _Out) -> Demand | None:
    """The demand at which instances were taken out and missed again, though nothing more was asked for: they were not too many after all.

    ECS has placed tasks otherwise than was foreseen. Until less is asked for, nothing with work on it is taken out again: so what was
    wrong once is not tried for ever.
    """
    if out.missing and cluster.removed is not None and not _more(out.wanted, cluster.removed):
        return out.wanted
    return cluster.regret if cluster.regret is not None and not _less(out.wanted, cluster.regret) else None


def _more(one: Demand, other: Demand) -> bool:
    """Whether ``one`` is more than ``other`` of anything."""
    return one.cpu > other.cpu or one.memory > other.memory or one.gpu > other.gpu


def _less(one: Demand, other: Demand) -> bool:
    """Whether ``one`` is less than ``other`` of anything."""
    return _more(other, one)


def worth_a_look(cluster: Cluster, policy: Policy) -> tuple[str, ...]:
    """The instances, by ARN, whose tasks have to be seen to tell if they could go: none unless one could, for all that is known.

    Nothing is looked at while instances are missing or coming, while the window is not full, or where the total leaves no room.
    """
    out = _Out.of(cluster, policy)
    if not policy.capacity.enabled or out.missing:
        return ()
    return could_go(cluster, policy, out.base, out.demand, out.doubt)


def remembered(cluster: Cluster, demand: Demand) -> tuple[Demand, ...]:
    """The demands to be kept: those of the last hour, and this one."""
    return (*(d for d in cluster.demands if cluster.seen_at - KEPT <= d.at < demand.at), demand)


def _without(needs: Sequence[Need], unplaced: Counter[Need]) -> list[Need]:
    """``needs`` less those that stay without a place."""
    left = Counter(unplaced)
    kept: list[Need] = []
    for need in needs:
        if left[need]:
            left[need] -= 1
        else:
            kept.append(need)
    return kept


def _said(cluster: Cluster, policy: Policy, wants: Waiting) -> Plan:
    """What could not be judged, and what is left to others."""
    unknown = [
        Finding("need-unknown", name, f"a task of it waits, and {why}: not sized for") for name, why in sorted(wants.unknown.items())
    ]
    message = "an ECS capacity provider scales it (managed scaling): observed and reported, not sized"
    left_to_ecs = [Finding("ecs-scales", g.name, message) for g in cluster.groups if managed(g, cluster)]
    nobody = "the policy's capacity.order names it, and no group of that name has opted in"
    missing = [Finding("no-such-group", name, nobody) for name in policy.capacity.order if cluster.group(name) is None]
    resting = [Finding("group-rests", g.name, why) for g in cluster.groups if g.rest is not None and (why := closed(g, cluster))]
    failing = [
        Finding("launches-fail", g.name, f"its launches fail, and not for want of capacity: {g.trouble}")
        for g in cluster.groups
        if g.trouble
    ]
    return Plan(findings=(*unknown, *left_to_ecs, *missing, *resting, *failing))


def _taken_back(cluster: Cluster, left: Sequence[Need]) -> tuple[tuple[ReactivateInstance, ...], tuple[Need, ...]]:
    """Instances that were to go and are needed after all, and what still has no place once they stay.

    One that stays needs no other place for its own tasks, and takes others'. Those with most on them come first.
    """
    members = {m.id for g in cluster.groups for m in g.members if m.lifecycle == "InService"}
    actions: list[ReactivateInstance] = []
    rest = list(left)
    for one in sorted(_scaled_in(cluster), key=lambda i: (-i.running, i.ec2_id)):
        if not rest:
            break
        if one.ec2_id not in members:
            continue
        others = [n for n in rest if n.key != f"{MOVING}:{one.ec2_id}"]
        placed, unplaced = place_all(others, [s.space for s in _again(cluster, [one])])
        if len(others) < len(rest) or placed:
            reason = f"{len(rest) - len(unplaced)} tasks need it after all: back to ACTIVE"
            actions.append(ReactivateInstance(one.ec2_id, cluster.name, (one.arn,), reason))
            rest = list(unplaced)
    return tuple(actions), tuple(rest)


def _scaled_in(cluster: Cluster) -> list[ContainerInstance]:
    """The instances that are being drained because nobody needed them."""
    return [i for i in cluster.instances if i.status == "DRAINING" and i.drain and i.drain.cause == SCALE_IN_CAUSE]


def _again(cluster: Cluster, instances: Sequence[ContainerInstance]) -> list[Slot]:
    """These instances as they are once they take tasks again; one whose agent is away is none."""
    return ready(replace(cluster, instances=tuple(replace(i, status="ACTIVE") for i in instances)))


def _kept(cluster: Cluster, back: Sequence[ReactivateInstance]) -> list[Slot]:
    """The instances that are to be ACTIVE again, full: what they have left is given out already, and in sum they count with the others."""
    arns = {arn for action in back for arn in action.arns}
    again = [i for i in cluster.instances if i.arn in arns]
    return [replace(s, space=replace(s.space, cpu=0, memory=0, gpu=0)) for s in _again(cluster, again)]


def _asked(growth: Growth) -> Plan:
    """The desired capacity of each group that is to grow, in one step."""
    actions = tuple(
        SetDesiredCapacity(
            group.name,
            max(group.desired, units_of(group)) + growth.units[group.name],
            group.desired,
            f"from {group.desired}: {growth.instances[group.name]} more for {'; '.join(growth.because[group.name])}",
        )
        for group in growth.groups
        if growth.units[group.name]
    )
    return Plan(actions)


def _drained(cluster: Cluster, policy: Policy, shrinking: Shrinking, regret: Demand | None) -> Plan:
    """The drains that begin now: what is empty at once, what holds work within the budget."""
    plan = Plan()
    begun: set[str] = set()
    out, most = out_of_service(cluster), budget(cluster, policy)
    waits = 0
    for one in shrinking.removable if shrinking.hold is None else ():
        empty = emptiness(cluster, [one.instance]) == "empty"
        if not empty and regret is not None:
            continue
        if not empty and len(out) >= most:
            waits += 1
            continue
        if not empty:
            out.add(one.instance.ec2_id)
        begun.add(one.instance.ec2_id)
        plan += Plan((_drain(cluster, policy, one, empty=empty),))
    if waits:
        message = f"{waits} more could go; {len(out)} instances are out of service, and the budget is {most}"
        plan += Plan(findings=(Finding("scale-in-waits", cluster.name, message),))
    if regret is not None and shrinking.removable:
        message = "what was taken out at this demand was missed again: nothing with work on it goes until less is asked for"
        plan += Plan(findings=(Finding("scale-in-regretted", cluster.name, message),))
    if shrinking.hold is not None and shrinking.removable:
        message = f"{len(shrinking.removable)} instances are not needed now, and stay: {shrinking.hold}"
        plan += Plan(findings=(Finding("scale-in-held", cluster.name, message),))
    stale = [i for i in cluster.instances if i.status == "ACTIVE" and i.drain and i.drain.cause == SCALE_IN_CAUSE and i.ec2_id not in begun]
    return plan + Plan(tuple(UnmarkInstance(i.ec2_id, cluster.name, (i.arn,), "it is needed after all") for i in stale))


def _drain(cluster: Cluster, policy: Policy, one: Candidate, *, empty: bool) -> DrainInstance:
    mark = DrainMark(SCALE_IN_CAUSE, cluster.seen_at, cluster.seen_at + timedelta(minutes=policy.capacity.scale_in_minutes))
    why = "nothing but daemons is on it" if empty else "its work fits elsewhere"
    arns = (one.instance.arn,)
    return DrainInstance(one.instance.ec2_id, cluster.name, arns, mark, f"group {one.group.name} can do without it: {why}", mark_first=True)
