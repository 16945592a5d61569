"""What a scenario's fields must be to each other: sizes in order, names unique, references to something that is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.sandbox.scenario_reader import ScenarioError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from workbench.sandbox.scenario import ClusterSpec, GroupSpec, Scenario

PROCESSES = frozenset(
    {
        "Launch",
        "Terminate",
        "AddToLoadBalancer",
        "AlarmNotification",
        "AZRebalance",
        "HealthCheck",
        "InstanceRefresh",
        "ReplaceUnhealthy",
        "ScheduledActions",
    }
)
"""The processes of an Auto Scaling group that can be suspended, as SuspendProcesses names them."""


def complete(scenario: Scenario) -> Scenario:
    """The scenario with the names that were left out filled in; ScenarioError if its parts contradict each other."""
    if not scenario.clusters:
        raise ScenarioError("clusters: is an empty list; give it at least one cluster with its groups")
    clusters = tuple(_named(cluster) for cluster in scenario.clusters)
    _unique([(c.name, f"clusters[{i}].name") for i, c in enumerate(clusters)])
    _unique([(g.name, f"clusters[{i}].groups[{j}].name") for i, c in enumerate(clusters) for j, g in enumerate(c.groups)])
    _unique([(m.id, f"clusters[{i}].instances[{j}].id") for i, c in enumerate(clusters) for j, m in enumerate(c.instances) if m.id])
    for index, cluster in enumerate(clusters):
        _check_cluster(cluster, f"clusters[{index}]")
    return replace(scenario, clusters=clusters)


def _named(cluster: ClusterSpec) -> ClusterSpec:
    """The cluster with everything in it named, and every instance given to a group (the first, if it names none)."""
    groups = tuple(_named_group(g, f"{cluster.name}-{n}") for n, g in enumerate(cluster.groups, start=1))
    first = groups[0].name if groups else ""
    return replace(
        cluster,
        groups=groups,
        instances=tuple(replace(m, group=m.group or first) for m in cluster.instances),
        services=tuple(replace(s, name=s.name or f"service-{n}") for n, s in enumerate(cluster.services, start=1)),
    )


def _named_group(group: GroupSpec, name: str) -> GroupSpec:
    """The group, called ``name`` if it has none, with its hooks and its capacity provider named."""
    group = replace(group, name=group.name or name)
    provider = group.capacity_provider
    return replace(
        group,
        hooks=tuple(replace(h, name=h.name or f"hook-{n}") for n, h in enumerate(group.hooks, start=1)),
        capacity_provider=provider and replace(provider, name=provider.name or f"{group.name}-provider"),
    )


def _unique(named: list[tuple[str | None, str]]) -> None:
    """Raise if a name appears at two paths."""
    seen: dict[str | None, str] = {}
    for name, where in named:
        if name in seen:
            raise ScenarioError(f"{where}: {name} is taken by {seen[name]}; choose another")
        seen[name] = where


def _check_cluster(cluster: ClusterSpec, where: str) -> None:
    """Check one cluster: its groups, then what names them."""
    for index, group in enumerate(cluster.groups):
        _check_group(group, f"{where}.groups[{index}]")
    groups = {g.name: g for g in cluster.groups}
    for index, machine in enumerate(cluster.instances):
        at = f"{where}.instances[{index}]"
        if machine.group not in groups:
            raise ScenarioError(f"{at}.group: no group {machine.group} in this cluster; {nearest(machine.group, groups)}")
        zones = groups[machine.group].zones
        if machine.zone is not None and machine.zone not in zones:
            raise ScenarioError(f"{at}.zone: {machine.zone} is not among the group's zones; {nearest(machine.zone, zones)}")
    for name, count in Counter(m.group for m in cluster.instances).items():
        if count > groups[name].size[1]:
            raise ScenarioError(
                f"{where}.instances: {count} for group {name}, which desires {groups[name].size[1]}; raise desired or drop some"
            )
    _check_work(cluster, where)


def _check_work(cluster: ClusterSpec, where: str) -> None:
    """Check the services and standalone tasks of a cluster."""
    _unique([(s.name, f"{where}.services[{i}].name") for i, s in enumerate(cluster.services)])
    for index, service in enumerate(cluster.services):
        least, most = service.bounds
        if least > most:
            raise ScenarioError(f"{where}.services[{index}].min_healthy: {least} is above max_percent ({most}); lower it")
    ids = {m.id for m in cluster.instances if m.id}
    for index, task in enumerate(cluster.tasks):
        if task.on is not None and task.on not in ids:
            fix = nearest(task.on, ids) if ids else "give an instance that id under instances"
            raise ScenarioError(f"{where}.tasks[{index}].on: no instance {task.on} with a fixed id in this cluster; {fix}")
        _check_tags(task.tags, f"{where}.tasks[{index}].tags")


def _check_group(group: GroupSpec, where: str) -> None:
    """Check one group: its sizes, zones, instance type and suspended processes."""
    least, desired, most = group.size
    if least > most:
        raise ScenarioError(f"{where}.max: {most} is below min ({least}); raise it")
    if not least <= desired <= most:
        raise ScenarioError(f"{where}.desired: {desired} is not within min and max ({least} to {most}); choose one that is")
    if not group.zones:
        raise ScenarioError(f"{where}.zones: is an empty list; name at least one, such as us-east-1a")
    _one_of(group.zones, ZONES, f"{where}.zones")
    _one_of(sorted(group.suspended), PROCESSES, f"{where}.suspended")
    _one_of((group.instance_type,), _instance_types(), f"{where}.instance_type")
    _unique([(hook.name, f"{where}.hooks[{i}].name") for i, hook in enumerate(group.hooks)])
    _check_tags(group.tags, f"{where}.tags")
    for key in group.tags:
        if key in group.own_tags:
            raise ScenarioError(f"{where}.tags.{key}: the group has this tag by itself; drop it, or what brings it")


def _check_tags(tags: Mapping[str, str], where: str) -> None:
    """Check tags: keys and values of a length that AWS takes, and none of AWS's own; at most as many as a resource can have."""
    if len(tags) > MOST_TAGS:
        raise ScenarioError(f"{where}: {len(tags)} tags; give at most {MOST_TAGS}: drop some")
    for key, value in tags.items():
        if not 1 <= len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise ScenarioError(f"{where}.{key[:40]}: a key has 1 to {LONGEST_KEY} characters, a value at most {LONGEST_VALUE}; shorten it")
        if key.lower().startswith("aws:"):
            raise ScenarioError(f"{where}.{key}: keys that begin with aws: are AWS's own; choose another")


MOST_TAGS = 40
"""Tags that a scenario may give: AWS takes 50, and some are the sandbox's and Bulwark's."""
LONGEST_KEY, LONGEST_VALUE = 128, 256
"""Characters of a tag's key and value, as AWS takes them."""
ZONES = tuple(f"us-east-1{letter}" for letter in "abcdef")
"""The zones of the account's Region."""


def _one_of(names: Iterable[str], valid: Collection[str], where: str) -> None:
    """Raise if a name is not valid, and say which one was probably meant."""
    for name in names:
        if name not in valid:
            raise ScenarioError(f"{where}: no {name}; {nearest(name, valid)}")


def _instance_types() -> frozenset[str]:
    """Every instance type EC2 has, from moto's copy of DescribeInstanceTypes. Imported late: it takes seconds."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return frozenset(INSTANCE_TYPES)
