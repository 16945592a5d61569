"""Builds the account a scenario describes: network, clusters, groups with their instances, services, tasks, parameters, table."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workbench.sandbox.autoscaling import AutoScalingPhysics
from workbench.sandbox.autoscaling_launches import Launches, LaunchType
from workbench.sandbox.build_work import run_services, run_standalone
from workbench.sandbox.machine import EcsHalf, Machine
from workbench.sandbox.scenario import ECS_TAG, NAME_TAG, OPT_IN_TAG, ClusterSpec, GroupSpec, InstanceSpec, Scenario

TABLE = "bulwark"
"""The DynamoDB table of the function: leases, demand, journal."""
PARAMETERS = "/bulwark"
"""The Parameter Store prefix of policies and of the kill switch."""
VPC_CIDR = "10.0.0.0/16"
SUBNET_BITS = 19
"""A /19 in each zone: 8,187 addresses, enough for a cluster of ECS's 5,000 instances in one zone; the VPC holds eight."""
AMI_PARAMETERS = {
    "x86_64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
    "arm64": "/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id",
}
"""Where AWS publishes the recommended ECS-optimized AMI of an architecture."""

Client = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Network:
    """The VPC, and the subnet of every zone in use."""

    vpc_id: str
    subnets: dict[str, str]


def build(scenario: Scenario, client: Client, groups: AutoScalingPhysics, ecs: EcsHalf) -> None:
    """Build everything in ``scenario``, through ``client(service)`` wherever AWS has a call for it."""
    network = _build_network(scenario, client("ec2"))
    images = _Images(client)
    for cluster in scenario.clusters:
        client("ecs").create_cluster(clusterName=cluster.name)
        for spec in cluster.groups:
            launches = _launches(cluster, spec, network, images, scenario.start)
            _build_group(cluster, spec, launches, client)
            groups.adopt(spec.name, launches)
            groups.start_full(spec.name, _first_machines(cluster, spec, launches, groups))
            _hold_back(spec, client("autoscaling"))
        _build_capacity_providers(cluster, client)
        arns = _register(cluster, groups, ecs)
        run_standalone(cluster, client("ecs"), arns)
        run_services(cluster, client("ecs"), sorted(network.subnets.values()))
        if cluster.policy:
            name = f"{PARAMETERS}/policy/{cluster.name}"
            client("ssm").put_parameter(Name=name, Value=json.dumps(dict(cluster.policy)), Type="String")
    _build_table(client("dynamodb"))


class _Images:
    """Image and architecture of an instance type: looked up once each."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._images: dict[str, str] = {}

    def image_for(self, instance_type: str) -> str:
        """The recommended ECS-optimized AMI for the architecture of the instance type."""
        from moto.ec2.models.instance_types import INSTANCE_TYPES

        supported = INSTANCE_TYPES[instance_type]["ProcessorInfo"]["SupportedArchitectures"]
        architecture = "arm64" if "arm64" in supported else "x86_64"
        if architecture not in self._images:
            answer = self._client("ssm").get_parameter(Name=AMI_PARAMETERS[architecture])
            self._images[architecture] = answer["Parameter"]["Value"]
        return self._images[architecture]


def _build_network(scenario: Scenario, ec2: Any) -> Network:
    """One VPC with a subnet in every zone that a group names."""
    vpc_id = ec2.create_vpc(CidrBlock=VPC_CIDR)["Vpc"]["VpcId"]
    zones = sorted({zone for cluster in scenario.clusters for group in cluster.groups for zone in group.zones})
    subnets = {}
    for index, zone in enumerate(zones):
        cidr = f"10.0.{index << (24 - SUBNET_BITS)}.0/{SUBNET_BITS}"
        subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=zone)
        subnets[zone] = subnet["Subnet"]["SubnetId"]
    return Network(vpc_id, subnets)


def _launches(cluster: ClusterSpec, spec: GroupSpec, network: Network, images: _Images, start: datetime) -> Launches:
    """What the group launches from now on; ``start`` is when the story begins (UTC)."""
    types = tuple(LaunchType(one.type, images.image_for(one.type), one.weight) for one in spec.launch_types)
    machine = Machine(
        id="",
        cluster=cluster.name,
        group=spec.name,
        zone="",
        instance_type=types[0].instance_type,
        image_id=types[0].image_id,
        agent=spec.agent,
        lacks=spec.lacks,
        vpc_id=network.vpc_id,
        capacity_provider=spec.capacity_provider.name if spec.capacity_provider else None,
        spot_draining=spec.spot_draining,
        trunking=spec.trunking,
        weight=types[0].weight,
    )
    return Launches(
        machine,
        {zone: network.subnets[zone] for zone in spec.zones},
        types,
        in_turn=spec.pick == "in-turn",
        spot=spec.market == "spot",
        outcome=spec.launch,
        recovers_at=None if spec.recovers is None else start + timedelta(seconds=spec.recovers),
        delay=spec.launch_delay,
    )


def _build_group(cluster: ClusterSpec, spec: GroupSpec, launches: Launches, client: Client) -> None:
    """The launch template and the group, with the tags it propagates and those of its own."""
    data: dict[str, Any] = {"ImageId": launches.machine.image_id, "InstanceType": launches.machine.instance_type}
    if launches.spot and not spec.types:
        # Beside a mixed-instances policy, which says it instead, Auto Scaling refuses a template that asks for Spot.
        data["InstanceMarketOptions"] = {"MarketType": "spot"}
    template = f"{spec.name}-template"
    client("ec2").create_launch_template(LaunchTemplateName=template, LaunchTemplateData=data)
    values = {NAME_TAG: spec.name, OPT_IN_TAG: cluster.name, ECS_TAG: ""}
    tags = {key: values[key] for key in spec.own_tags}
    least, desired, most = spec.size
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=spec.name,
        **_what_to_launch(spec, {"LaunchTemplateName": template, "Version": "$Default"}),
        MinSize=least,
        DesiredCapacity=desired,
        MaxSize=most,
        VPCZoneIdentifier=",".join(launches.subnets.values()),
        CapacityRebalance=spec.capacity_rebalance,
        Tags=[
            *({"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()),
            *({"Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in spec.tags.items()),
        ],
    )


def _what_to_launch(spec: GroupSpec, template: dict[str, str]) -> dict[str, Any]:
    """The launch template, or the mixed-instances policy around it, as CreateAutoScalingGroup takes it."""
    if not spec.types:
        return {"LaunchTemplate": template}
    weights = [{} if one.weight is None else {"WeightedCapacity": str(one.weight)} for one in spec.types]
    overrides = [{"InstanceType": one.type, **weight} for one, weight in zip(spec.types, weights, strict=True)]
    distribution = {
        "OnDemandAllocationStrategy": "prioritized",
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 0 if spec.market == "spot" else 100,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": template, "Overrides": overrides}, "InstancesDistribution": distribution}
    return {"MixedInstancesPolicy": policy}


def _first_machines(cluster: ClusterSpec, spec: GroupSpec, launches: Launches, groups: AutoScalingPhysics) -> list[Machine]:
    """The machines the group starts with: those the scenario singles out, then ordinary ones until there are as many as it desires."""
    special = [instance for instance in cluster.instances if instance.group == spec.name]
    machines = [_machine(instance, launches, groups.ec2.next_id(spec.name)) for instance in special]
    while sum(machine.weight or 1 for machine in machines) < spec.size[1]:
        machines.append(_machine(InstanceSpec(group=spec.name), launches, groups.ec2.next_id(spec.name)))
    return machines


def _machine(spec: InstanceSpec, launches: Launches, spare_id: str) -> Machine:
    """The usual machine of a group, with what is special about this one."""
    usual = launches.next_machine(spec.instance_type)
    return Machine(
        id=spec.id or spare_id,
        cluster=usual.cluster,
        group=usual.group,
        zone=spec.zone or "",
        instance_type=usual.instance_type,
        image_id=usual.image_id,
        agent=spec.agent or usual.agent,
        connected=spec.connected,
        status=spec.status,
        cpu=spec.cpu,
        memory=spec.memory,
        gpu=spec.gpu,
        lacks=usual.lacks | spec.lacks,
        attributes=dict(spec.attributes),
        vpc_id=usual.vpc_id,
        capacity_provider=usual.capacity_provider,
        ec2=spec.ec2,
        spot_draining=usual.spot_draining,
        trunking=usual.trunking,
        weight=usual.weight,
        scale_in_protected=spec.scale_in_protected,
    )


def _hold_back(spec: GroupSpec, autoscaling: Any) -> None:
    """The group's lifecycle hooks and suspended processes: they bear on what comes after its first instances."""
    for hook in spec.hooks:
        autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=spec.name,
            LifecycleHookName=hook.name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{hook.transition.upper()}",
            HeartbeatTimeout=hook.heartbeat,
            DefaultResult=hook.default_result,
        )
    if spec.suspended:
        autoscaling.suspend_processes(AutoScalingGroupName=spec.name, ScalingProcesses=sorted(spec.suspended))


def _build_capacity_providers(cluster: ClusterSpec, client: Client) -> None:
    """The capacity providers of the cluster's groups, given to the cluster."""
    names = []
    for spec in cluster.groups:
        if spec.capacity_provider is None:
            continue
        answer = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[spec.name])
        provider = spec.capacity_provider
        client("ecs").create_capacity_provider(
            name=provider.name,
            autoScalingGroupProvider={
                "autoScalingGroupArn": answer["AutoScalingGroups"][0]["AutoScalingGroupARN"],
                "managedScaling": {"status": "ENABLED" if provider.managed_scaling else "DISABLED"},
                "managedDraining": "ENABLED" if provider.managed_draining else "DISABLED",
            },
        )
        names.append(provider.name)
    if names:
        client("ecs").put_cluster_capacity_providers(cluster=cluster.name, capacityProviders=names, defaultCapacityProviderStrategy=[])


def _register(cluster: ClusterSpec, groups: AutoScalingPhysics, ecs: EcsHalf) -> dict[str, str]:
    """Register the cluster's machines with ECS; container instance ARNs by instance id."""
    members = [member for spec in cluster.groups for member in groups.life(spec.name).model.instance_states]
    return {member.instance_id: ecs.register(groups.ec2.machines[member.instance_id]) for member in members}


def _build_table(dynamodb: Any) -> None:
    """The function's table: partition key ``pk``, sort key ``sk``, expiry by ``expires_at``."""
    keys = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"})
