"""AWS as sizing sees it: task definitions, types, launch templates, activities, alarms, and the cluster as a whole through fakes."""

from datetime import timedelta
from typing import Any

import pytest

from bulwark.core.capacity_rest import Rest
from bulwark.core.cluster import Cluster, Definition, Group, GroupMember, InstanceTypeOption, Shape
from bulwark.core.policies import CapacityPolicy, Policy
from bulwark.shell import translate_capacity as translate
from bulwark.shell.memory import Memory
from bulwark.shell.observe_capacity import Known, observe_capacity, rests_of
from bulwark.shell.observe_types import observe_shapes
from tests.builders import NOW, SPOT, a_group
from tests.fakes import FakeAutoScaling, FakeAws, FakeEcs, FakePages, a_raw_instance, an_error
from tests.sizing_world import a_shape

TEMPLATE = ("lt-1", "$Latest")


def a_definition(mode: str = "bridge", *containers: dict[str, Any], **changes: Any) -> Definition:
    """A task definition of one container, 256 units and 512 MiB, as Bulwark reads it."""
    listed = list(containers) or [{"cpu": 256, "memory": 512}]
    return translate.definition(
        {"taskDefinition": {"taskDefinitionArn": "web", "networkMode": mode, "containerDefinitions": listed} | changes}
    )


@pytest.mark.parametrize(
    ("containers", "changes", "expected"),
    [
        ([{"cpu": 256, "memory": 512}], {}, (256, 512)),
        ([{"cpu": 256, "memory": 512, "memoryReservation": 128}], {}, (256, 128)),
        ([{"cpu": 256, "memory": 512}, {"memory": 64}], {}, (256, 576)),
        ([{"cpu": 256, "memory": 512}], {"cpu": "1024", "memory": "2048"}, (1024, 2048)),
        ([{"cpu": 256, "memory": 512}], {"memory": "2048"}, (256, 2048)),
        ([{}], {}, (0, 0)),
    ],
)
def test_a_task_is_as_large_as_it_says_or_as_its_containers(
    containers: list[dict[str, Any]], changes: dict[str, Any], expected: tuple[int, int]
) -> None:
    """What a container reserves comes before its limit; the task's own figure before all."""
    found = a_definition("bridge", *containers, **changes)

    assert expected == (found.cpu, found.memory)


def test_shared_memory_and_tmpfs_are_reserved_too() -> None:
    """A task's share of memory is what its containers reserve plus shared memory and tmpfs (facts H)."""
    linux = {"sharedMemorySize": 256, "tmpfs": [{"containerPath": "/a", "size": 64}, {"containerPath": "/b", "size": 64}]}

    assert 512 + 256 + 128 == a_definition("bridge", {"cpu": 256, "memory": 512, "linuxParameters": linux}).memory


def ports(mode: str, *mappings: dict[str, Any]) -> tuple[set[int], set[int]]:
    """TCP and UDP ports that a task of one container with these mappings takes."""
    found = a_definition(mode, {"portMappings": list(mappings)})
    return set(found.ports), set(found.ports_udp)


@pytest.mark.parametrize(
    ("mode", "mapping", "expected"),
    [
        ("bridge", {"containerPort": 80, "hostPort": 8080}, ({8080}, set())),
        ("bridge", {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"}, ({8080}, set())),
        ("bridge", {"containerPort": 80, "hostPort": 8080, "protocol": "udp"}, (set(), {8080})),
        ("bridge", {"containerPort": 80, "hostPort": 0}, (set(), set())),
        ("bridge", {"containerPort": 80}, (set(), set())),
        ("host", {"containerPort": 80}, ({80}, set())),
        ("host", {"containerPort": 40000, "protocol": "udp"}, (set(), {40000})),
        ("awsvpc", {"containerPort": 80, "hostPort": 80}, (set(), set())),
        ("none", {"containerPort": 80, "hostPort": 80}, (set(), set())),
    ],
)
def test_fixed_host_ports_are_taken(mode: str, mapping: dict[str, Any], expected: tuple[set[int], set[int]]) -> None:
    """By protocol and network mode; a dynamic one takes no part."""
    assert expected == ports(mode, mapping)


def test_a_fixed_host_port_is_taken_however_high_it_is() -> None:
    """In a definition zero says dynamic, and 40000 says 40000: two such tasks need two instances."""
    assert ({40000}, set()) == ports("bridge", {"containerPort": 80, "hostPort": 40000})


def test_what_else_a_definition_asks() -> None:
    """GPUs, an interface, attributes and memberOf constraints."""
    gpus = [{"type": "GPU", "value": "2"}, {"type": "InferenceAccelerator", "value": "x"}]
    found = a_definition(
        "awsvpc",
        {"resourceRequirements": gpus},
        {"resourceRequirements": gpus[:1]},
        requiresAttributes=[{"name": "b", "value": "1"}, {"name": "a"}],
        placementConstraints=[{"type": "memberOf", "expression": "x exists"}],
        runtimePlatform={"cpuArchitecture": "ARM64"},
    )

    assert (4, 1, ("x exists",)) == (found.gpu, found.enis, found.expressions)
    assert {("a", None), ("b", "1"), ("ecs.cpu-architecture", "arm64")} == set(found.requires)
    assert 0 == a_definition().enis


def a_type(name: str = "m5.large", **changes: Any) -> dict[str, Any]:
    """As DescribeInstanceTypes has it."""
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 8192},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    } | changes


class Ec2(FakePages):
    """EC2 with launch templates and types. ``data``: LaunchTemplateData of the template's version as it is now."""

    def __init__(self, data: dict[str, Any] | None = None, **pages: list[Any]) -> None:
        super().__init__(pages=dict(pages))
        self.data = data or {}

    def describe_launch_template_versions(self, **params: Any) -> dict[str, Any]:
        """The one version."""
        self.calls.append(("describe_launch_template_versions", params))
        return {"LaunchTemplateVersions": [{"LaunchTemplateData": self.data}]}


def shaped(ec2: Ec2, *groups: Group, known: dict[tuple[str, str], Any] | None = None, remembered: tuple[Shape, ...] = ()) -> Cluster:
    """What is known of shapes after a look at a cluster without instances."""
    return observe_shapes(FakeAws(ec2=ec2), Cluster("orders", NOW, groups=groups), remembered, {} if known is None else known)


def test_the_launch_template_tells_type_and_market() -> None:
    """Of an empty group."""
    data = {"InstanceType": "m5.large", "InstanceMarketOptions": {"MarketType": "spot"}}
    ec2 = Ec2(data, describe_instance_types=[{"InstanceTypes": [a_type()]}])
    found = shaped(ec2, a_group(template=TEMPLATE, market="unknown"))

    (group,) = found.groups
    assert ((InstanceTypeOption("m5.large"),), "spot") == (group.types, group.market)
    assert [False] == [s.learned for s in found.shapes]


def test_a_template_that_says_latest_is_read_again() -> None:
    """Its newest version can be another in a minute: the group then launches another type."""
    ec2, known = Ec2({"InstanceType": "m5.large"}), dict[tuple[str, str], Any]()
    group = a_group(template=TEMPLATE)
    shaped(ec2, group, known=known)
    ec2.data = {"InstanceType": "m5.xlarge"}

    assert (InstanceTypeOption("m5.xlarge"),) == shaped(ec2, group, known=known).groups[0].types


def test_a_numbered_version_is_read_once() -> None:
    """It never changes."""
    ec2, known = Ec2({"InstanceType": "m5.large"}), dict[tuple[str, str], Any]()
    for _ in range(2):
        shaped(ec2, a_group(template=("lt-1", "7")), known=known)

    assert 1 == [name for name, _ in ec2.calls].count("describe_launch_template_versions")


def test_what_was_learned_comes_before_an_estimate() -> None:
    """Remembered, or on an instance that is there; then EC2 is not asked."""
    ec2 = Ec2()
    group = a_group(types=(InstanceTypeOption("m5.large"),))

    assert (a_shape(),) == shaped(ec2, group, remembered=(a_shape(),)).shapes
    assert [] == ec2.calls


def test_types_that_could_not_be_read_leave_the_rest() -> None:
    """Said, and no shape."""
    ec2 = Ec2(describe_instance_types=[an_error("InvalidInstanceType", "DescribeInstanceTypes")])
    found = shaped(ec2, a_group(types=(InstanceTypeOption("m5.large"),)))

    assert ((), True) == (found.shapes, "InvalidInstanceType" in found.unread["instance types"])


def test_a_template_that_could_not_be_read_is_said() -> None:
    """Of that group alone."""

    class Broken(Ec2):
        """Refuses."""

        def describe_launch_template_versions(self, **params: Any) -> dict[str, Any]:
            """Always."""
            raise an_error("InvalidLaunchTemplateId.NotFound", "DescribeLaunchTemplateVersions")

    found = shaped(Broken(), a_group(template=TEMPLATE), a_group(name="orders", types=(InstanceTypeOption("m5.large"),)))

    assert ["the launch template of group orders-spot"] == list(found.unread)
    assert ["orders-spot", "orders"] == [g.name for g in found.groups]


class Ecs(FakeEcs):
    """ECS whose services, tasks and definitions are listed as sizing asks for them."""

    def list_services(self, **params: Any) -> dict[str, Any]:
        """All of them."""
        self.calls.append(("list_services", params))
        if self.fail.get("list_services"):
            raise self.fail["list_services"].pop(0)
        return {"serviceArns": [f"arn/{s['serviceName']}" for s in self.services]}

    def list_tasks(self, **params: Any) -> dict[str, Any]:
        """Of an instance, of a service, or all."""
        self._called("list_tasks", params)
        found = [t for t in self.tasks if params.get("containerInstance") in (None, t.get("containerInstanceArn"))]
        found = [t for t in found if params.get("serviceName") is None or t["group"] == f"service:{params['serviceName']}"]
        return {"taskArns": [t["taskArn"] for t in found]}

    def describe_task_definition(self, **params: Any) -> dict[str, Any]:
        """All alike."""
        self._called("describe_task_definition", params)
        return {"taskDefinition": {"taskDefinitionArn": params["taskDefinition"], "containerDefinitions": [{"cpu": 256, "memory": 512}]}}


def a_raw_service(name: str = "web", **changes: Any) -> dict[str, Any]:
    """One of DescribeServices: two wanted, one runs."""
    return {"serviceName": name, "desiredCount": 2, "runningCount": 1, "pendingCount": 0, "taskDefinition": f"arn/{name}:1"} | changes


ONE = GroupMember(SPOT, "InService", "us-east-1a", instance_type="m5.large")


class Scaling(FakeAutoScaling):
    """Auto Scaling with activities."""

    def __init__(self, activities: list[Any] | None = None) -> None:
        super().__init__()
        self.activities = activities

    def describe_scaling_activities(self, **params: Any) -> dict[str, Any]:
        """Or the error that is given in their place."""
        self.calls.append(("describe_scaling_activities", params))
        if self.activities is None:
            raise an_error()
        return {"Activities": self.activities}


def looked(ecs: Ecs, *groups: Group, scaling: Scaling | None = None, **more: Any) -> Cluster:
    """The cluster, as one look sees it."""
    given = groups or (a_group(ONE, desired=1, min=0, types=(InstanceTypeOption("m5.large"),)),)
    aws = FakeAws(ecs=ecs, autoscaling=scaling or Scaling([]), ec2=more.get("ec2", Ec2()))
    policy = Policy(capacity=CapacityPolicy(window_minutes=0))
    return observe_capacity(aws, "orders", given, policy, more.get("memory", Memory()), more.get("known", Known()), NOW)


def test_nothing_is_read_per_task_and_no_definition_twice() -> None:
    """A second look with what is known needs neither definitions nor activities."""
    ecs, known = Ecs(services=[a_raw_service("web"), a_raw_service("api")]), Known()
    looked(ecs, known=known)
    assert 2 == ecs.counted()["describe_task_definition"]
    looked(ecs, known=known)

    assert 2 == ecs.counted()["describe_task_definition"]
    assert 0 == ecs.counted()["describe_tasks"]


@pytest.mark.parametrize("operation", ["list_container_instances", "describe_container_instances", "describe_services", "list_services"])
def test_T7_what_cannot_be_done_without_is_raised(operation: str) -> None:
    """Hazard T7: instances or services that could not be read are not none."""
    ecs = Ecs(services=[a_raw_service()], fail={operation: [an_error()]})

    with pytest.raises(Exception, match="Throttling"):
        looked(ecs)


def test_a_failure_in_an_answer_of_200_is_a_failure() -> None:
    """Rule 8: of services; what is MISSING has gone since it was listed."""
    with pytest.raises(Exception, match="services"):
        looked(Ecs(services=[a_raw_service()], failures={"describe_services": [{"arn": "a", "reason": "ACCESS_DENIED"}]}))
    assert looked(Ecs(services=[a_raw_service()], failures={"describe_services": [{"arn": "a", "reason": "MISSING"}]})).services


def test_a_definition_that_could_not_be_read_is_said() -> None:
    """And the others are not guessed."""
    found = looked(Ecs(services=[a_raw_service()], fail={"describe_task_definition": [an_error(), an_error()]}))

    assert ({}, True) == (dict(found.definitions), "Throttling" in found.unread["task definitions"])


SUBNETS = {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"]}}


def test_zones_are_those_of_the_subnets() -> None:
    """Known from then on."""
    page = {"Subnets": [{"SubnetId": f"subnet-{z}", "AvailabilityZone": f"us-east-1{z}"} for z in "ab"]}
    ecs, ec2, known = Ecs(services=[a_raw_service(networkConfiguration=SUBNETS)]), Ec2(describe_subnets=[page]), Known()

    assert frozenset({"us-east-1a", "us-east-1b"}) == looked(ecs, ec2=ec2, known=known).services[0].zones
    looked(ecs, ec2=ec2, known=known)
    assert 1 == [name for name, _ in ec2.calls].count("describe_subnets")


HALF = {"Subnets": [{"SubnetId": "subnet-a", "AvailabilityZone": "us-east-1a"}]}


@pytest.mark.parametrize("pages", [[an_error()], [{"Subnets": []}], [HALF]])
def test_zones_that_are_not_all_known_are_not_known(pages: list[Any]) -> None:
    """Half of the zones would send its tasks to where the others could be."""
    found = looked(Ecs(services=[a_raw_service(networkConfiguration=SUBNETS)]), ec2=Ec2(describe_subnets=pages))

    assert found.services[0].zones is None


LACKING = a_group(ONE, desired=2, min=0, types=(InstanceTypeOption("m5.large"),))
LAUNCH = "Launching a new EC2 instance"
FAILED = {"StatusCode": "Failed", "Description": LAUNCH, "StartTime": NOW, "StatusMessage": "no Spot capacity available"}


def test_a_group_that_lacks_what_it_was_asked_for_rests_if_there_is_no_capacity() -> None:
    """And what is to be remembered of it."""
    found = looked(Ecs(), LACKING, scaling=Scaling([FAILED]))

    assert {"orders-spot": NOW + timedelta(minutes=5)} == {name: rest.until for name, rest in rests_of(found).items()}


def test_a_group_that_has_what_it_was_asked_for_is_not_asked() -> None:
    """No call."""
    scaling = Scaling([FAILED])

    assert {} == rests_of(looked(Ecs(), scaling=scaling))
    assert "describe_scaling_activities" not in [name for name, _ in scaling.calls]


def test_a_rest_goes_on_if_activities_cannot_be_read() -> None:
    """Not known is not over."""
    rest = Rest(NOW + timedelta(minutes=3), NOW)

    assert {"orders-spot": rest} == rests_of(looked(Ecs(), LACKING, scaling=Scaling(None), memory=Memory(rests={"orders-spot": rest})))


def a_raw_task(name: str, **changes: Any) -> dict[str, Any]:
    """One of DescribeTasks, PROVISIONING."""
    values = {"taskArn": f"arn/task/{name}", "group": "family:nightly", "lastStatus": "PROVISIONING", "desiredStatus": "RUNNING"}
    return values | {"taskDefinitionArn": "arn/nightly:1", "cpu": "256", "memory": "512"} | changes


def test_what_is_provisioning_is_found_behind_a_capacity_provider_alone() -> None:
    """Nothing else can be PROVISIONING; what has an instance, or is to stop, waits for none."""
    tasks = [
        a_raw_task("waits"),
        a_raw_task("placed", containerInstanceArn="arn/i"),
        a_raw_task("stops", desiredStatus="STOPPED"),
        a_raw_task("runs", lastStatus="RUNNING"),
    ]
    behind = a_group(ONE, desired=1, min=0, ecs_managed=True, types=(InstanceTypeOption("m5.large"),))

    assert ["arn/task/waits"] == [t.arn for t in looked(Ecs(tasks=tasks), behind).waiting]
    assert () == looked(Ecs(tasks=tasks)).waiting


def test_tasks_of_what_leaves_are_looked_at() -> None:
    """A DRAINING instance's: they have to go elsewhere."""
    draining = a_raw_instance(status="DRAINING")
    task = a_raw_task("moves", group="service:web", lastStatus="RUNNING", containerInstanceArn=draining["containerInstanceArn"])

    assert ["arn/task/moves"] == [t.arn for t in looked(Ecs(instances=[draining], tasks=[task], services=[a_raw_service()])).tasks]


def test_tasks_of_what_cannot_go_are_not_looked_at() -> None:
    """The group is at its minimum."""
    ecs = Ecs(services=[a_raw_service(runningCount=2)])
    looked(ecs, a_group(ONE, desired=1, min=1, types=(InstanceTypeOption("m5.large"),)))

    assert 0 == ecs.counted()["list_tasks"]


def test_what_is_remembered_is_part_of_what_was_seen() -> None:
    """Demands, and what was taken out and regretted."""
    demand = translate.read_demands("[[0, 1, 2, 3]]")
    found = looked(Ecs(), memory=Memory(demand, removed=demand[0], regret=demand[0]))

    assert (demand, demand[0], demand[0]) == (found.demands, found.removed, found.regret)


def test_a_group_that_rested_is_asked_though_it_has_what_it_was_asked_for() -> None:
    """It has launched: so its rest is over. Nothing new, and it goes on."""
    memory = Memory(rests={"orders-spot": Rest(NOW + timedelta(minutes=3), NOW)})

    assert {} == rests_of(looked(Ecs(), scaling=Scaling([FAILED | {"StatusCode": "Successful"}]), memory=memory))
    assert memory.rests == rests_of(looked(Ecs(), scaling=Scaling([]), memory=memory))
