"""One cluster's sweep, looked at without doing any of it: what drains, what holds it, and what the next sweep would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulwark.core.cluster import Cluster
from bulwark.core.plan import Finding, Plan
from bulwark.shell.draining_sweep import Swept, clusters_of
from bulwark.shell.observe_groups import observe_opted_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulwark.core.cluster import RaisedBound
    from bulwark.shell.draining_line import Line
    from bulwark.shell.report import Decision


class UnknownClusterError(LookupError):
    """A sweep does not look at a cluster of that name. ``there_are``: those that it looks at, sorted."""

    def __init__(self, name: str, there_are: tuple[str, ...]) -> None:
        super().__init__(name)
        self.there_are = there_are


def plan_cluster(line: Line, name: str, notes: Mapping[str, tuple[RaisedBound, ...]]) -> tuple[Decision, Cluster]:
    """What a sweep would decide about cluster ``name`` now, and the cluster as it was seen. Nothing is written, whatever the mode.

    ``notes``: what was lent to services, by cluster. The findings still say whether the stack would act on it. Raises
    UnknownClusterError, or what AWS raised if the groups could not be listed; whatever else cannot be read is in the decision.
    """
    groups = observe_opted_in(line.aws)
    there_are = clusters_of(groups, notes)
    if name not in there_are:
        raise UnknownClusterError(name, there_are)
    swept = Swept(line, name, name, [g for g in groups if g.cluster == name], notes.get(name, ()))
    swept.mode = "observe"
    swept.run()
    if swept.decision.error is not None:
        swept.say(Plan(findings=(Finding("not-observed", name, swept.decision.error),)))
    return swept.decision, swept.seen or Cluster(name=name, seen_at=line.now)
