"""What carries drains on: what ECS says of an instance that drains, and the sweep, which looks after all of them each minute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bulwark.core.cluster import Cluster
from bulwark.core.draining import OVER, decide_lost_hooks
from bulwark.core.draining_blockers import decide_blockers
from bulwark.core.draining_ends import decide_ends, emptiness
from bulwark.core.draining_ghosts import decide_ghosts
from bulwark.core.draining_hooks import INSTALLING, decide_hooks
from bulwark.core.draining_marks import REBALANCE_CAUSE, deadline_of, drains, mark_on
from bulwark.core.draining_remedies import decide_remedies, decide_restores
from bulwark.core.plan import Finding, Plan, TerminateInstance
from bulwark.core.signals import HOOK_NAME
from bulwark.shell.act import act
from bulwark.shell.aws import error_code, explain
from bulwark.shell.draining_line import LAST_SECONDS, STEM, Line, OfCluster
from bulwark.shell.draining_scale_in import carry_out
from bulwark.shell.draining_voluntary import take_turns
from bulwark.shell.ledger import Notes
from bulwark.shell.observe import (
    READ_ERRORS,
    MissingClusterError,
    observe_cluster,
    observe_hosts,
    observe_marked,
    observe_registrations,
    observe_surroundings,
    with_hosts,
    with_registrations,
)
from bulwark.shell.observe_groups import observe_groups, observe_hooks, observe_opted_in, observe_providers
from bulwark.shell.observe_work import EXAMINED, observe_protection, observe_services
from bulwark.shell.report import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bulwark.core.cluster import Group, RaisedBound
    from bulwark.core.signals import DrainProgress

OFFERS_AT = 0
"""The minute of the hour at which a sweep says which groups lack a hook; said every minute, nobody would read it."""


DENIED = frozenset({"AccessDeniedException", "AccessDenied"})
"""Codes by which IAM refuses: trying again changes nothing."""


def carry_on(line: Line, name: str, progress: Sequence[DrainProgress]) -> Decision:
    """Something changed on instances that drain: end those that are empty. Everything else is the sweep's."""
    ids = sorted({p.instance_id for p in progress})
    of = OfCluster(line, name, ids)
    try:
        hosts = [h for h in observe_hosts(line.aws, ids) if h.cluster == name]
        cluster = Cluster(name=name, seen_at=line.now)
        if hosts:
            cluster = observe_registrations(line.aws, name, hosts, line.now, hasty=False)
        cluster = of.look(cluster, drains(cluster), EXAMINED, thoroughly=False)
        plan = decide_ends(cluster, of.policy, beat=False)
        if groups := {a.group for a in plan.actions if isinstance(a, TerminateInstance) and a.group}:
            # Before anything is ended in its group: is the group at it already?
            cluster = observe_groups(line.aws, cluster, groups)
            plan = decide_ends(cluster, of.policy, beat=False)
        carry_out(of, cluster, plan)
        of.say(_unread(cluster))
        ended = {a.target for a in plan.actions} | {f.subject for f in plan.findings}
        of.say(Plan(findings=tuple(Finding("still-draining", i, _still(cluster, i)) for i in ids if i not in ended)))
    except (*READ_ERRORS, MissingClusterError) as error:
        of.decision.error = f"cluster {name}: {explain(error)}"
    of.count()
    return of.decision


def _still(cluster: Cluster, ec2_id: str) -> str:
    """Why nothing follows for one instance."""
    if ec2_id not in drains(cluster):
        return "not (or no longer) an instance that Bulwark drains: nothing to carry on"
    return "work is still on it: its drain goes on"


def sweep(line: Line, subject: str, remaining: Callable[[], float]) -> list[Decision]:
    """Look after every drain in progress of every opted-in cluster. ``subject`` stands for the sweep itself.

    A cluster that fails takes no other with it; without the list of groups there is nothing to look at, and that is an error.
    """
    about = Decision(STEM, None, subjects=frozenset({subject}))
    try:
        groups = observe_opted_in(line.aws)
    except READ_ERRORS as error:
        about.error = f"the opted-in groups could not be listed: {explain(error)}"
        about.count(line.aws.take_calls())
        return [about]
    notes = _notes(line, about)
    names = clusters_of(groups, notes.raised)
    decisions = []
    # The clusters that the last sweep had no time for come first; otherwise some would never be seen.
    begin = next((n for n, name in enumerate(names) if name >= (notes.begin or "")), 0)
    for number, name in enumerate(names[begin:] + names[:begin]):
        if remaining() < LAST_SECONDS:
            about.plan += _cut_short(line, name, f"{len(names) - number} of {len(names)} clusters wait for the next sweep")
            break
        swept = Swept(line, name, subject, [g for g in groups if g.cluster == name], notes.raised.get(name, ()))
        swept.run()
        decisions.append(swept.decision)
    about.count(line.aws.take_calls())
    _hooks(line, groups, about, remaining)
    return _worth_telling(decisions, about, len(names))


def clusters_of(groups: Iterable[Group], notes: Mapping[str, tuple[RaisedBound, ...]]) -> tuple[str, ...]:
    """The clusters that a sweep looks at: those that opted in, and those where something lent is to be given back, though none did."""
    return tuple(sorted({g.cluster for g in groups if g.cluster} | notes.keys()))


def _cut_short(line: Line, name: str, message: str) -> Plan:
    """The time is up before cluster ``name``: the next sweep begins with it."""
    try:
        line.ledger.note_begin(name)
    except READ_ERRORS as error:
        message = f"{message}; where it is to begin could not be noted ({explain(error)})"
    return Plan(findings=(Finding("sweep-cut-short", "sweep", message),))


def _worth_telling(decisions: Sequence[Decision], about: Decision, clusters: int) -> list[Decision]:
    """The decisions that say something; the calls of those that do not are counted with the first of them.

    Fifty clusters in which nothing drains are one line a minute in the log, not fifty.
    """
    everything = [*decisions, about]
    telling = [d for d in everything if d.error or d.plan.actions or any(f.code != "observing" for f in d.plan.findings)]
    if not telling:
        about.plan += Plan(findings=(Finding("nothing-draining", "sweep", f"no drain is in progress in {clusters} clusters"),))
        telling = [about]
    for quiet in (d for d in everything if d not in telling):
        telling[0].count(quiet.calls)
    return telling


def _notes(line: Line, about: Decision) -> Notes:
    """What the table remembers. If it cannot be read, nothing that was lent is given back this time, and that is said."""
    try:
        return line.ledger.notes()
    except READ_ERRORS as error:
        about.plan += _not_seen("what was lent to services", error)
        return Notes()


def _hooks(line: Line, groups: Sequence[Group], about: Decision, remaining: Callable[[], float]) -> None:
    """Put hooks on groups, or take them off. Their own decision, as a group that opted out belongs to no cluster any more.

    Where the policy could not be read or understood, hooks stay as they are.
    """
    standings = {g.cluster: line.policies.standing(g.cluster) for g in groups if g.cluster}
    policies = {name: standing.policy for name, (standing, faults) in standings.items() if not faults}
    certain = [g for g in groups if g.cluster is None or g.cluster in policies]
    offer = line.now.minute == OFFERS_AT
    asked = {n for n, p in policies.items() if p.draining.hook == "install"}
    lacking = [g for g in certain if g.hook_tag in (None, INSTALLING) and g.cluster and (offer or g.cluster in asked)]
    noted = [g for g in certain if offer and g.hook_tag is not None]
    with_ecs = observe_providers(line.aws, {g.name for g in [*lacking, *noted] if g.ecs_managed})
    seen: dict[str, Group] = {}
    for group in lacking:
        if remaining() < LAST_SECONDS:
            about.plan += Plan(
                findings=(Finding("sweep-cut-short", "sweep", "not every group was asked for its hooks: the next sweep does"),)
            )
            break
        try:
            seen[group.name] = observe_hooks(line.aws, group)
        except READ_ERRORS as error:
            about.plan += _not_seen(f"the hooks of group {group.name}", error)
    plan = decide_hooks([seen.get(g.name, g) for g in certain], policies, with_ecs, offer=offer)
    about.plan += plan
    for action in plan.actions:
        of = next(g.cluster for g in certain if g.name == action.target)
        mode = standings[of][0].mode if of else line.policies.stack_mode()
        about.outcomes += act(line.aws, Plan((action,)), mode, line.ledger, line.now)
    about.count(line.aws.take_calls())


def _not_seen(what: str, error: Exception) -> Plan:
    """Something that the sweep as a whole could not read."""
    return Plan(findings=(Finding("not-observed", "sweep", f"{what} could not be read: {explain(error)}"),))


def _unread(cluster: Cluster) -> Plan:
    """What could not be read."""
    said = (Finding("not-observed", cluster.name, f"{part} could not be read: {error}") for part, error in sorted(cluster.unread.items()))
    return Plan(findings=tuple(said))


class Swept(OfCluster):
    """The sweep of one cluster. ``seen`` is what it came upon, before it changed anything: None until it was looked at."""

    def __init__(self, line: Line, name: str, subject: str, groups: Sequence[Group], notes: tuple[RaisedBound, ...]) -> None:
        super().__init__(line, name, {subject})
        self._groups = groups
        self._notes = notes
        self._explained = False
        self.seen: Cluster | None = None

    def run(self) -> None:
        """Everything that is to be looked after, the urgent first."""
        try:
            cluster = observe_marked(self.line.aws, self.name, self.line.now)
            cluster = self._with_hooks(replace(cluster, groups=tuple(self._groups), raised=self._notes))
            cluster = self._with_held(cluster)
            self.seen = cluster
            cluster = self._lost_hooks(cluster)
            # With draining turned off, what was begun still ends.
            dead = [i.ec2_id for i in cluster.instances if self.policy.draining.enabled or i.ec2_id in drains(cluster)]
            cluster = self.perform(cluster, decide_ghosts(cluster, dead))
            cluster = self._drains(cluster)
            self.seen = replace(cluster, instances=self.seen.instances)
            self._voluntary(cluster)
            if not self._explained:  # what blocks a drain says what could not be read as well
                self.say(_unread(cluster))
        except MissingClusterError as error:
            self.say(Plan(findings=(Finding("cluster-missing", self.name, str(error)),)))
        except READ_ERRORS as error:
            if error_code(error) in DENIED:
                message = f"{explain(error)}: its group is tagged, and the stack's ClusterPattern or the role leaves it out"
                self.say(Plan(findings=(Finding("cluster-denied", self.name, message),)))
            else:
                self.decision.error = f"cluster {self.name}: {explain(error)}"
        self.count()

    def _with_hooks(self, cluster: Cluster) -> Cluster:
        """The snapshot with the hooks of those groups that have something for a hook to do."""
        held = {h.group for h in cluster.hosts if h.id in drains(cluster)}
        waits = {g.name for g in self._groups if any(m.lifecycle == "Terminating:Wait" for m in g.members)}
        groups, unread = [], dict(cluster.unread)
        for group in self._groups:
            try:
                groups.append(observe_hooks(self.line.aws, group) if group.name in held | waits else group)
            except READ_ERRORS as error:
                groups.append(group)
                unread[f"hooks of group {group.name}"] = explain(error)
        return replace(cluster, groups=tuple(groups), unread=unread)

    def _with_held(self, cluster: Cluster) -> Cluster:
        """The snapshot with what our hook holds though nothing was marked yet, and with *every* registration of what it has.

        One instance can be registered twice, with its work in the registration that is neither marked nor away.
        """
        held = {m.id for g in cluster.groups if g.hook(HOOK_NAME) for m in g.members if m.lifecycle == "Terminating:Wait"}
        cluster = with_hosts(self.line.aws, cluster, held)
        ours = {h.id for h in cluster.hosts if h.id in held and h.cluster == self.name}
        return with_registrations(self.line.aws, cluster, ours | {i.ec2_id for i in cluster.instances})

    def _lost_hooks(self, cluster: Cluster) -> Cluster:
        """Hooks that wait although no event came, or nothing came of it."""
        lost = decide_lost_hooks(cluster)
        return self.cordon(cluster, lost, hooked=True) if lost else cluster

    def _drains(self, cluster: Cluster) -> Cluster:
        """Every drain in progress: what is left, what helps, how it ends."""
        going = {i for i in drains(cluster) if (h := cluster.host(i)) is not None and h.state not in OVER}
        if not going and not cluster.raised:
            return cluster
        cluster = self.look(cluster, going, EXAMINED, thoroughly=True)
        cluster = observe_services(self.line.aws, cluster, {n.service for n in cluster.raised})
        cluster = self.perform(cluster, decide_remedies(cluster, self.policy))
        cluster = carry_out(self, cluster, decide_ends(cluster, self.policy))
        cluster = self.perform(cluster, decide_restores(cluster))
        self._explain(cluster, going)
        return cluster

    def _explain(self, cluster: Cluster, going: set[str]) -> None:
        """The blocker report of what still drains. Room elsewhere is judged only if there is a drain to judge it for."""
        draining = [i for i in going if all(r.status == "DRAINING" for r in cluster.registrations(i))]
        busy = [i for i in draining if emptiness(cluster, cluster.registrations(i)) != "empty"]
        if not busy:
            return
        cluster = observe_protection(self.line.aws, cluster)
        cluster = observe_surroundings(self.line.aws, cluster)
        marks = {i: mark for i in busy if (mark := mark_on(cluster.registrations(i)))}
        arns = [r.arn for i in busy for r in cluster.registrations(i)]
        self.say(decide_blockers(cluster, {i: deadline_of(cluster, i, m, self.policy) for i, m in marks.items()}, arns))
        self._explained = True

    def _voluntary(self, cluster: Cluster) -> None:
        """What is to be drained by our own choice takes its turn, on a look at the whole cluster."""
        marked = {i for i, found in drains(cluster).items() if (mark := mark_on(found)) and mark.cause == REBALANCE_CAUSE}
        if not marked:
            return
        whole = observe_cluster(self.line.aws, self.name, self.line.now)
        take_turns(self, with_hosts(self.line.aws, whole, marked | set(drains(whole))))
