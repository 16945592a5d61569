"""What a scenario's fields must be to each other: sizes in order, names unique, references to something that is there."""

from __future__ import annotations

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
        if machine.instance_type is not None:
            _one_of((machine.instance_type,), [one.type for one in groups[machine.group].launch_types], f"{at}.instance_type")
    for name, group in groups.items():
        weights = [group.weight(m.instance_type) for m in cluster.instances if m.group == name]
        # The last one may count for more than what is left to be desired, as a launch may.
        if weights and sum(weights) - max(weights) >= group.size[1]:
            what = f"{len(weights)} for group {name}, which desires {group.size[1]}"
            raise ScenarioError(f"{where}.instances: {what}; raise desired or drop some")
    _check_work(cluster, where)


def _check_work(cluster: ClusterSpec, where: str) -> None:
    """Check the services and standalone tasks of a cluster."""
    _unique([(s.name, f"{where}.services[{i}].name") for i, s in enumerate(cluster.services)])
    for index, service in enumerate(cluster.services):
        least, most = service.bounds
        if least > most:
            raise ScenarioError(f"{where}.services[{index}].min_healthy: {least} is above max_percent ({most}); lower it")
    providers = {g.capacity_provider.name for g in cluster.groups if g.capacity_provider}
    through = [(f"services[{n}]", s.capacity_provider) for n, s in enumerate(cluster.services)]
    through += [(f"tasks[{n}]", t.capacity_provider) for n, t in enumerate(cluster.tasks)]
    for at, provider in through:
        if provider is not None and provider not in providers:
            fix = nearest(provider, providers) if providers else "give a group one under capacity_provider"
            raise ScenarioError(f"{where}.{at}.capacity_provider: no capacity provider {provider} in this cluster; {fix}")
    ids = {m.id for m in cluster.instances if m.id}
    for index, task in enumerate(cluster.tasks):
        if task.on is not None and task.on not in ids:
            fix = nearest(task.on, ids) if ids else "give an instance that id under instances"
            raise ScenarioError(f"{where}.tasks[{index}].on: no instance {task.on} with a fixed id in this cluster; {fix}")
        if task.on is not None and task.capacity_provider is not None:
            raise ScenarioError(
                f"{where}.tasks[{index}].capacity_provider: the task is started on an instance by name; drop one of the two"
            )
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
    _check_types(group, where)
    _unique([(hook.name, f"{where}.hooks[{i}].name") for i, hook in enumerate(group.hooks)])
    _check_tags(group.tags, f"{where}.tags")
    for key in group.tags:
        if key in group.own_tags:
            raise ScenarioError(f"{where}.tags.{key}: the group has this tag by itself; drop it, or what brings it")


def _check_types(group: GroupSpec, where: str) -> None:
    """Check what a group launches: types that there are, each once, all of them weighted or none."""
    if group.types and group.instance_type is not None:
        raise ScenarioError(f"{where}.instance_type: the group has types as well; drop one of the two")
    _one_of((group.instance_type,) if group.instance_type else (), _instance_types(), f"{where}.instance_type")
    for index, one in enumerate(group.types):
        _one_of((one.type,), _instance_types(), f"{where}.types[{index}].type")
    _unique([(one.type, f"{where}.types[{index}].type") for index, one in enumerate(group.types)])
    if len({one.weight is None for one in group.types}) > 1:
        raise ScenarioError(f"{where}.types: some have a weight and some have none; give each one, or none")


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
