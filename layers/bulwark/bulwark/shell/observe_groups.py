"""What Auto Scaling and ECS manage around the instances: groups, their lifecycle hooks, capacity providers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bulwark.shell import translate
from bulwark.shell.aws import explain
from bulwark.shell.observe import DESCRIBE, READ_ERRORS, chunks, whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulwark.core.cluster import CapacityProvider, Cluster, Group
    from bulwark.shell.aws import Aws

DESCRIBE_GROUPS = 100
"""Names in one DescribeAutoScalingGroups call, and the largest page."""


def observe_capacity_providers(aws: Aws, cluster: Cluster) -> Cluster:
    """What ECS manages itself on the groups of the instances in question. No call where no capacity provider is named."""
    names = sorted({i.capacity_provider for i in cluster.instances if i.capacity_provider})
    if not names:
        return cluster
    providers: list[CapacityProvider] = []
    try:
        for some in chunks(names, DESCRIBE):
            answer = whole(aws.ecs.describe_capacity_providers(capacityProviders=some), "capacity providers")
            providers += [translate.capacity_provider(p) for p in answer["capacityProviders"]]
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "capacity providers": explain(error)})
    return replace(cluster, capacity_providers=tuple(providers))


def observe_groups(aws: Aws, cluster: Cluster, names: Iterable[str]) -> Cluster:
    """The Auto Scaling groups ``names``, to explain why one of them refused something."""
    pages = aws.autoscaling.get_paginator("describe_auto_scaling_groups")
    try:
        groups = tuple(
            translate.group(g)
            for some in chunks(sorted(set(names)), DESCRIBE_GROUPS)
            for page in pages.paginate(AutoScalingGroupNames=some)
            for g in page["AutoScalingGroups"]
        )
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "groups": explain(error)})
    return replace(cluster, groups=groups)


def observe_opted_in(aws: Aws) -> tuple[Group, ...]:
    """Every group of the account that opted in, or on which Bulwark has left a hook. A call for each hundred. Raises what AWS raised."""
    pages = aws.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
        Filters=[{"Name": "tag-key", "Values": [translate.CLUSTER_TAG, translate.HOOK_TAG]}], PaginationConfig={"PageSize": DESCRIBE_GROUPS}
    )
    return tuple(translate.group(g) for page in pages for g in page["AutoScalingGroups"])


def observe_groups_of(aws: Aws, cluster: str) -> tuple[Group, ...]:
    """The groups that opted in for ``cluster``. Raises what AWS raised."""
    pages = aws.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
        Filters=[{"Name": f"tag:{translate.CLUSTER_TAG}", "Values": [cluster]}], PaginationConfig={"PageSize": DESCRIBE_GROUPS}
    )
    return tuple(translate.group(g) for page in pages for g in page["AutoScalingGroups"])


def observe_group(aws: Aws, name: str) -> Group | None:
    """One group; None if there is none of that name. Raises what AWS raised."""
    answer = aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return next((translate.group(g) for g in answer["AutoScalingGroups"]), None)


def observe_hooks(aws: Aws, group: Group) -> Group:
    """The group with its lifecycle hooks. Raises what AWS raised."""
    answer = aws.autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group.name)
    return replace(group, hooks=tuple(translate.hook(h) for h in answer["LifecycleHooks"]))


def observe_providers(aws: Aws, groups: Iterable[str]) -> frozenset[str]:
    """Those of ``groups`` whose capacity provider has managed draining; if that cannot be read, all of them."""
    wanted = frozenset(groups)
    if not wanted:
        return wanted
    try:
        return wanted & {p.group for p in _every_provider(aws) if p.group and p.managed_draining}
    except READ_ERRORS:
        return wanted


def observe_managed(aws: Aws, cluster: Cluster) -> Cluster:
    """The snapshot with the capacity providers of its groups. No call where ECS has none in front of them."""
    names = {g.name for g in cluster.groups if g.ecs_managed}
    if not names:
        return cluster
    try:
        return replace(cluster, capacity_providers=tuple(p for p in _every_provider(aws) if p.group in names))
    except READ_ERRORS as error:
        return replace(cluster, unread={**cluster.unread, "capacity providers": explain(error)})


def _every_provider(aws: Aws) -> list[CapacityProvider]:
    """Capacity providers, listed whole: they cannot be asked for by group. Raises what AWS raised."""
    found: list[CapacityProvider] = []
    token: Any = {}
    while True:
        answer = whole(aws.ecs.describe_capacity_providers(**token), "capacity providers")
        found += [translate.capacity_provider(p) for p in answer["capacityProviders"]]
        if "nextToken" not in answer:
            return found
        token = {"nextToken": answer["nextToken"]}
