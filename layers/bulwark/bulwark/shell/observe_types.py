"""What the instances that a group launches register: learned from those that did, remembered, or estimated from EC2's figures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bulwark.core.cluster import InstanceTypeOption
from bulwark.shell import translate_capacity as translate
from bulwark.shell.aws import explain
from bulwark.shell.observe import READ_ERRORS, chunks

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bulwark.core.cluster import Cluster, ContainerInstance, Group, Shape
    from bulwark.shell.aws import Aws

COMPARED = 20
"""Instances of one type in one group whose registrations are compared: enough to tell what they have in common."""

TYPES = 100
"""Types in one DescribeInstanceTypes call (EC2 API reference)."""


def observe_shapes(aws: Aws, cluster: Cluster, remembered: Sequence[Shape], known: MutableMapping[tuple[str, str], Any]) -> Cluster:
    """The snapshot with the types that its groups launch, and what each registers. ``known``: launch templates and types read before."""
    unread = dict(cluster.unread)
    groups: list[Group] = []
    for group in cluster.groups:
        try:
            groups.append(_with_template(aws, group, remembered, known))
        except READ_ERRORS as error:
            groups.append(group)
            unread[f"the launch template of group {group.name}"] = explain(error)
    shapes = {(s.group, s.instance_type): s for s in remembered} | _learned(cluster)
    wanted = [(g.name, t.name) for g in groups for t in g.types if (g.name, t.name) not in shapes]
    try:
        described = _described(aws, sorted({name for _, name in wanted}), known)
    except READ_ERRORS as error:
        described = {}
        unread["instance types"] = explain(error)
    shapes |= {(group, name): translate.estimated(group, described[name]) for group, name in wanted if name in described}
    ours = {g.name for g in groups}
    return replace(cluster, groups=tuple(groups), shapes=tuple(s for s in shapes.values() if s.group in ours), unread=unread)


def _learned(cluster: Cluster) -> dict[tuple[str, str], Shape]:
    """What instances of our groups have registered."""
    groups = {m.id: g.name for g in cluster.groups for m in g.members}
    alike: dict[tuple[str, str], list[ContainerInstance]] = defaultdict(list)
    for one in cluster.instances:
        group = groups.get(one.ec2_id)
        if group is not None and one.instance_type and one.registered.memory and one.status in ("ACTIVE", "DRAINING"):
            found = alike[group, one.instance_type]
            if len(found) < COMPARED:
                found.append(one)
    return {key: translate.learned(*key, found) for key, found in alike.items()}


def _with_template(aws: Aws, group: Group, remembered: Sequence[Shape], known: MutableMapping[tuple[str, str], Any]) -> Group:
    """A group whose market or types its own description leaves open: its launch template tells, or what it launched before."""
    if group.template is not None and (not group.types or group.market == "unknown"):
        which, version = group.template
        # What "$Latest" is can be another version in a minute. While members tell the type, only the market is asked of it.
        if group.template not in known or not (group.types or version.isdigit()):
            key = "LaunchTemplateId" if which.startswith("lt-") else "LaunchTemplateName"
            request: Any = {key: which, "Versions": [version]}
            answer = aws.ec2.describe_launch_template_versions(**request)
            known[group.template] = answer["LaunchTemplateVersions"][0].get("LaunchTemplateData", {})
        found = known[group.template]
        spot = found.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
        if group.market == "unknown":
            group = replace(group, market="spot" if spot else "on-demand")
        if not group.types and found.get("InstanceType"):
            group = replace(group, types=(InstanceTypeOption(found["InstanceType"]),))
    if group.types:
        return group
    names = sorted({s.instance_type for s in remembered if s.group == group.name})
    return replace(group, types=tuple(InstanceTypeOption(n) for n in names[:1]))


def _described(aws: Aws, names: Sequence[str], known: MutableMapping[tuple[str, str], Any]) -> Mapping[str, Any]:
    """EC2's description of these types. Raises what AWS raised."""
    for some in chunks((n for n in names if ("type", n) not in known), TYPES):
        # By filter: of a name that EC2 does not know nothing is answered, where as an id it would spoil all others.
        pages = aws.ec2.get_paginator("describe_instance_types").paginate(Filters=[{"Name": "instance-type", "Values": some}])
        for found in (t for page in pages for t in page["InstanceTypes"]):
            known["type", found["InstanceType"]] = found
    return {n: known["type", n] for n in names if ("type", n) in known}
