"""Which instances are not needed: those whose work provably fits elsewhere, with everything that is to be held still held.

They are not ended but drained, and go back to ACTIVE when they are needed after all.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from operator import itemgetter

from bulwark.core.capacity_out import rank
from bulwark.core.capacity_targets import Totals, shortfalls
from bulwark.core.cluster import Cluster, ContainerInstance, Demand, Group, GroupMember, Service, Task
from bulwark.core.demand import highest, need_of
from bulwark.core.draining_ends import emptiness, is_daemon
from bulwark.core.draining_marks import SCALE_IN_CAUSE
from bulwark.core.draining_voluntary import breaker, held
from bulwark.core.packing import Need, place_all
from bulwark.core.policies import Policy
from bulwark.core.room import Board, managed, units_of

LOOKED_AT, LOOKED_AT_IDLE = 20, 100
"""Instances that one decision considers of those with work on them, and of those with no more tasks than there are daemon services.

Each takes a call to see its tasks.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that its group could do without."""

    instance: ContainerInstance
    group: Group
    member: GroupMember


GAP = timedelta(minutes=6)
"""Between two looks no more may pass for the demand to count as known all the while: a few sweeps may fail."""

NOT_SEEN = "the tasks on it were not looked at"
"""Why nothing is known of an instance: it does not count among those that could go, or nothing goes at all just now."""

EMPTY, IDLE, BUSY = range(3)
"""What an instance holds by its counts: nothing, no more tasks than there are daemons, or more."""

_Ranked = tuple[tuple[int, int, int], tuple[tuple[int, ...], str], Candidate]


@dataclass(slots=True)
class Shrinking:
    """What can go. ``removable``: all that provably can, in order; ``kept``: why others cannot, by EC2 id; ``hold``: why none goes now."""

    removable: list[Candidate] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    hold: str | None = None


def candidates(cluster: Cluster, policy: Policy) -> tuple[Candidate, ...]:
    """The instances that may go at all: of dear groups before cheap ones, and of those whose going disturbs least first.

    Dear before cheap: when Spot is back, On-Demand goes home. In a group empty ones come first, then what may hold nothing but daemons,
    then those with the fewest tasks; of crowded zones, turn by turn, so that the zones stay balanced; then old agents.
    """
    members = {m.id: (g, m) for g in cluster.groups if may_shrink(g, cluster) for m in g.members}
    zones = Counter(m.zone for g in cluster.groups for m in g.members if m.lifecycle == "InService")
    daemons = sum(s.daemon for s in cluster.services)
    # One that is registered twice may hold work in the registration that is not looked at.
    times = Counter(i.ec2_id for i in cluster.instances if i.status != "INACTIVE")
    found: list[_Ranked] = []
    for one in cluster.instances:
        group, member = members.get(one.ec2_id, (None, None))
        if group is None or member is None or times[one.ec2_id] > 1 or not _eligible(one, member):
            continue
        version = tuple(int(p) for p in (one.agent_version or "0").split(".") if p.isdigit())
        count = one.running + one.pending
        kind = EMPTY if emptiness(cluster, [one]) == "empty" else IDLE if count <= daemons else BUSY
        found.append(((-rank(group, policy.capacity), kind, count), (version, one.ec2_id), Candidate(one, group, member)))
    found.sort(key=itemgetter(0, 1))
    turns: Counter[tuple[tuple[int, int, int], str]] = Counter()
    balanced: list[tuple[tuple[int, int, int, int], int, Candidate]] = []
    for number, (order, _, one_of) in enumerate(found):
        zone = one_of.member.zone
        balanced.append(((*order, turns[order, zone] - zones[zone]), number, one_of))
        turns[order, zone] += 1
    balanced.sort(key=itemgetter(0, 1))
    left = {EMPTY: len(found), IDLE: LOOKED_AT_IDLE, BUSY: LOOKED_AT}
    chosen: list[Candidate] = []
    for (_, kind, _, _), _, one_of in balanced:
        if left[kind] > 0:
            left[kind] -= 1
            chosen.append(one_of)
    return tuple(chosen)


def _eligible(one: ContainerInstance, member: GroupMember) -> bool:
    """Whether an instance serves, and nobody has said that it is to stay or to go for another reason."""
    serves = one.status == "ACTIVE" and one.agent_connected and one.described and member.lifecycle == "InService" and member.healthy
    return serves and not member.protected and (one.drain is None or one.drain.cause == SCALE_IN_CAUSE)


def may_shrink(group: Group, cluster: Cluster) -> bool:
    """Whether anything may be taken out of the group: it is ours, nobody else's to size, and above its minimum."""
    ours = group.cluster == cluster.name and not managed(group, cluster) and not group.in_units
    return ours and "Terminate" not in group.suspended and min(group.desired, units_of(group)) > group.min


def shrink(
    cluster: Cluster, policy: Policy, board: Board, demand: Demand, held_free: Sequence[Need], doubt: str | None = None
) -> Shrinking:
    """What of ``board``, which holds all that waits already, nobody needs. ``demand``: what is asked for now.

    ``held_free``: headroom for which there is room now, and has to stay. Each that goes is taken off the board, and its tasks are put
    elsewhere on it, so that the next is judged on what is left. ``doubt``: why not all that is needed may have been seen.
    """
    found = Shrinking(hold=doubt or _hold(cluster, policy, board))
    if not policy.capacity.scale_in:
        return found
    judge = _Judge(cluster, policy, board, demand, held_free)
    dearest = -1
    for one in candidates(cluster, policy):
        dear = rank(one.group, policy.capacity)
        busy = emptiness(cluster, [one.instance]) != "empty"
        # Work of a dearer group is on its way to the cheaper ones: what is idle there now is where it goes, and the next may follow.
        why = "work of a dearer group moves here" if dear < dearest and not busy else judge.needed(one)
        if why is None:
            found.removable.append(one)
            dearest = max(dearest, dear if busy else -1)
        else:
            found.kept[one.instance.ec2_id] = found.hold if found.hold is not None and why == NOT_SEEN else why
    return found


def _hold(cluster: Cluster, policy: Policy, board: Board) -> str | None:
    """Why nothing goes just now, whatever could."""
    if any(s.origin == "coming" for s in board.slots.values()):
        return "instances are on their way"
    window = timedelta(minutes=policy.capacity.window_minutes)
    if window and not _whole(cluster, window):
        return f"what was needed over the last {policy.capacity.window_minutes} min is not known"
    return breaker(cluster, policy)


def _whole(cluster: Cluster, window: timedelta) -> bool:
    """Whether the demand was looked at all through the window, from its beginning on and without a gap."""
    begin = cluster.seen_at - window
    looks = sorted(d.at for d in cluster.demands if d.at <= cluster.seen_at)
    inside = [max((at for at in looks if at <= begin), default=None), *(at for at in looks if at > begin), cluster.seen_at]
    return all(a is not None and b is not None and b - a <= GAP for a, b in pairwise(inside)) and inside[0] is not None


class _Judge:
    """Judges one instance after the other, each on what those before it have left."""

    def __init__(self, cluster: Cluster, policy: Policy, board: Board, demand: Demand, held_free: Sequence[Need] = ()) -> None:
        """``demand``: what is asked for now; the window's highest counts."""
        self.cluster = cluster
        self.policy = policy
        self.board = board
        self.held_free = held_free
        self.held_on: frozenset[str] | None = None
        window = timedelta(minutes=policy.capacity.window_minutes)
        self.demand = highest([demand, *(d for d in cluster.demands if d.at >= cluster.seen_at - window)])
        self.totals = Totals.of(board.slots.values())
        self.spare = {g.name: min(g.desired, units_of(g)) - g.min for g in cluster.groups}
        for group, units in _going(cluster).items():
            self.spare[group] -= units
        self.work: dict[str, list[Task]] = defaultdict(list)
        for task in cluster.tasks:
            if task.alive and task.desired_status != "STOPPED":
                self.work[task.instance_arn].append(task)

    def needed(self, one: Candidate) -> str | None:
        """Why the instance cannot go. None: it can, and from here on it is gone from the board."""
        arn, group = one.instance.arn, one.group
        if self.spare[group.name] < one.member.weight:
            return f"group {group.name} would have less than its minimum of {group.min}"
        slot = self.board.slots[arn]
        self.totals.add(slot, -1)
        why = self._missed(one)
        if why is not None:
            self.totals.add(slot)
            return why
        self.spare[group.name] -= one.member.weight
        return None

    def could_do_without(self, one: Candidate) -> bool:
        """Whether the totals alone would still do. Says nothing of whether its tasks fit elsewhere."""
        slot = self.board.slots[one.instance.arn]
        self.totals.add(slot, -1)
        enough = not shortfalls(self.totals, self.demand, self.policy.capacity)
        self.totals.add(slot)
        return enough and self.spare[one.group.name] >= one.member.weight

    def _missed(self, one: Candidate) -> str | None:
        """What would be missing without it, now that ``totals`` are without it. Nothing: it is taken off the board."""
        short = shortfalls(self.totals, self.demand, self.policy.capacity)
        if short:
            return f"without it: {short[0].message}"
        needs = self._needs(one.instance)
        return needs if isinstance(needs, str) else self._moved(one.instance.arn, needs)

    def _needs(self, instance: ContainerInstance) -> list[Need] | str:
        """What the work on an instance asks of others; or why it cannot be moved."""
        if emptiness(self.cluster, [instance]) == "empty":
            return []
        if instance.arn not in self.cluster.tasks_examined:
            return NOT_SEEN
        found = [movable(self.cluster, task, instance) for task in self.work[instance.arn]]
        why = next((f for f in found if isinstance(f, str)), None)
        return why or [f for f in found if isinstance(f, Need)]

    def _moved(self, arn: str, needs: list[Need]) -> str | None:
        """Why the board cannot do without the instance; None: it is off the board, and ``needs`` are on others."""
        if not needs and not self.board.assigned.get(arn):
            if not self._still_free(self.board, arn):
                return "what is to be held free would have no room"
            self.board.slots.pop(arn)
            return None
        moved = self.board.without(arn, needs)
        if moved is None:
            return "its work does not fit elsewhere" if needs else "what waits has no other place"
        before, self.held_on = self.held_on, None
        if not self._still_free(moved):
            self.held_on = before
            return "what is to be held free would have no room"
        self.board.slots, self.board.assigned = moved.slots, moved.assigned
        return None

    def _still_free(self, board: Board, but: str = "") -> bool:
        """Whether ``board`` has room for what is to be held free, ``but`` for one instance; where that is is remembered."""
        if self.held_on is not None and but not in self.held_on:
            return True
        placed, unplaced = place_all(self.held_free, [s.space for arn, s in board.slots.items() if arn != but])
        if unplaced:
            return False
        self.held_on = frozenset(space.arn for _, space in placed)
        return True


def could_go(cluster: Cluster, policy: Policy, board: Board, demand: Demand, doubt: str | None = None) -> tuple[str, ...]:
    """Of the instances with work on them, those that could go for all that the totals say: by ARN. ``doubt``: as for ``shrink``."""
    if doubt is not None or _hold(cluster, policy, board) is not None or not policy.capacity.scale_in:
        return ()
    judge = _Judge(cluster, policy, board, demand)
    busy = [c for c in candidates(cluster, policy) if emptiness(cluster, [c.instance]) != "empty"]
    return tuple(c.instance.arn for c in busy if judge.could_do_without(c))


def _going(cluster: Cluster) -> Counter[str]:
    """Capacity units of members that are being drained for good already, by group."""
    marked = {i.ec2_id for i in cluster.instances if i.status == "DRAINING" and i.drain and i.drain.cause == SCALE_IN_CAUSE}
    return Counter({g.name: sum(m.weight for m in g.members if m.id in marked) for g in cluster.groups})


def movable(cluster: Cluster, task: Task, instance: ContainerInstance) -> Need | str | None:
    """What a task asks of another instance; why it cannot be moved; or None for a daemon's, which needs no other place.

    A service that spreads over zones keeps a task in the zone where it is.
    """
    if is_daemon(cluster, task):
        return None
    why = held(cluster, task)
    service, definition = cluster.service(task.service or ""), cluster.definitions.get(task.definition)
    need = need_of(service, definition, task.arn) if service and definition else None
    if why is not None:
        return why
    if need is None or service is None:
        return f"what task {task.id} of {task.service} needs was not read in full"
    if unseen := _unseen(cluster, service, need):
        return unseen
    if service.spreads and service.desired > 1:
        return replace(need, zones=frozenset({instance.zone}))
    return need


def _unseen(cluster: Cluster, service: Service, need: Need) -> str | None:
    """Why it is not known where a service's task could go: that hangs on what else runs there, which was not looked at."""
    if service.distinct and sum(t.service == service.name and t.alive for t in cluster.tasks) < service.running + service.pending:
        return f"where the other tasks of {service.name} are was not looked at, and it allows one to an instance"
    if any("task:group" in e for e in need.expressions):
        return f"service {service.name} is placed by what else runs on an instance, which was not looked at"
    return None
