"""What the account says about instance types, subnets and alarms: the reads and writes beside ECS and Auto Scaling."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.workbench.ecs_halves import RecordingEcs, one_group
from workbench.sandbox import Account
from workbench.sandbox.ecs_shapes import OBSERVED_MEMORY, shape
from workbench.sandbox.scenario import read_scenario

PREFIX = "bulwark-orders-"


@pytest.fixture
def account() -> Iterator[Account]:
    """An account with one group."""
    with Account(one_group(), RecordingEcs()) as one:
        yield one


def put(cloudwatch: Any, name: str, threshold: float = 80, **more: Any) -> None:
    """Put a metric alarm on the cluster's memory reservation."""
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/ECS",
        MetricName="MemoryReservation",
        Dimensions=[{"Name": "ClusterName", "Value": "orders"}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
        **more,
    )


def names(cloudwatch: Any, **request: Any) -> list[str]:
    """The names of the metric alarms of one DescribeAlarms call."""
    return [alarm["AlarmName"] for alarm in cloudwatch.describe_alarms(**request)["MetricAlarms"]]


@pytest.mark.parametrize("name", [*sorted(OBSERVED_MEMORY), "m6g.large", "m5.xlarge"])
def test_ec2_describes_an_instance_type_as_the_sandbox_launches_it(account: Account, name: str) -> None:
    """vCPUs, GPUs, architecture and interfaces are those of what registers; of the nominal memory an instance registers a little less."""
    told = account.client("ec2").describe_instance_types(InstanceTypes=[name])["InstanceTypes"][0]
    registered = shape(name)
    assert told["VCpuInfo"]["DefaultVCpus"] * 1024 == registered.cpu
    assert 0.9 <= registered.memory / told["MemoryInfo"]["SizeInMiB"] < 1
    assert sum(gpu["Count"] for gpu in told.get("GpuInfo", {}).get("Gpus", ())) == registered.gpu
    assert registered.architecture in told["ProcessorInfo"]["SupportedArchitectures"]
    assert told["NetworkInfo"]["MaximumNetworkInterfaces"] - 1 >= registered.enis > 0


def test_the_types_the_stories_need_are_what_they_are() -> None:
    """A GPU type has its GPU, an ARM type its architecture, and an m5.large what m5.larges were seen to register."""
    assert (shape("g4dn.xlarge").cpu, shape("g4dn.xlarge").memory, shape("g4dn.xlarge").gpu) == (4096, 15731, 1)
    assert (shape("m6g.large").architecture, shape("m5.large").architecture) == ("arm64", "x86_64")
    assert shape("m5.large").memory == 7680


def test_an_unknown_type_is_an_error_and_several_are_one_call(account: Account) -> None:
    """As EC2 has it."""
    ec2 = account.client("ec2")
    assert len(ec2.describe_instance_types(InstanceTypes=["m5.large", "t3.medium"])["InstanceTypes"]) == 2
    with pytest.raises(ClientError, match="InvalidInstanceType"):
        ec2.describe_instance_types(InstanceTypes=["m5.large", "m5.huge"])


def test_gpu_and_arm_instances_register_with_what_tells_them_apart() -> None:
    """ecs.cpu-architecture and ecs.instance-type are attributes; a GPU is a resource, and a GPU task finds it."""
    groups = [{"name": "gpu", "instance_type": "g4dn.xlarge", "desired": 1}, {"name": "arm", "instance_type": "m6g.large", "desired": 1}]
    services = [{"name": "train", "gpu": 1}, {"name": "arm", "constraints": ["attribute:ecs.cpu-architecture == arm64"]}]
    with Account(read_scenario({"clusters": [{"name": "orders", "groups": groups, "services": services}]}, "test")) as account:
        ecs = account.client("ecs")
        arns = ecs.list_container_instances(cluster="orders")["containerInstanceArns"]
        found = ecs.describe_container_instances(cluster="orders", containerInstances=arns)["containerInstances"]
        told = [{a["name"]: a.get("value") for a in one["attributes"]} for one in found]
        kinds = {(t["ecs.instance-type"], t["ecs.cpu-architecture"]) for t in told}
        assert kinds == {("g4dn.xlarge", "x86_64"), ("m6g.large", "arm64")}
        gpus = {
            t["ecs.instance-type"] for t, one in zip(told, found, strict=True) if "GPU" in {r["name"] for r in one["registeredResources"]}
        }
        assert gpus == {"g4dn.xlarge"}
        counts = ecs.describe_services(cluster="orders", services=["train", "arm"])["services"]
        assert [service["runningCount"] for service in counts] == [1, 1]


def test_the_zones_of_an_awsvpc_services_subnets_are_known() -> None:
    """The subnets that the service names are those of the scenario's zones, one each; by id and by filter, in pages."""
    zones = ["us-east-1a", "us-east-1c"]
    services = [{"name": "web", "network": "awsvpc"}]
    with Account(read_scenario({"clusters": [{"groups": [{"zones": zones}], "services": services}]}, "test")) as account:
        service = account.client("ecs").describe_services(cluster="default", services=["web"])["services"][0]
        subnets = service["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
        ec2 = account.client("ec2")
        told = ec2.describe_subnets(SubnetIds=subnets)["Subnets"]
        assert sorted(subnet["AvailabilityZone"] for subnet in told) == zones
        pages = ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "subnet-id", "Values": subnets}])
        assert sorted(subnet["AvailabilityZone"] for page in pages for subnet in page["Subnets"]) == zones
        with pytest.raises(ClientError, match=r"InvalidSubnetID\.NotFound"):
            ec2.describe_subnets(SubnetIds=["subnet-00000000000000000"])


def test_alarms_are_listed_by_prefix_in_pages(account: Account) -> None:
    """50 to a page unless asked for up to 100, in the order of their names; others' alarms are not among them."""
    cloudwatch = account.client("cloudwatch")
    for number in range(120):
        put(cloudwatch, f"{PREFIX}{number:03}")
    put(cloudwatch, "theirs")
    first = cloudwatch.describe_alarms(AlarmNamePrefix=PREFIX)
    assert len(first["MetricAlarms"]) == 50
    assert "NextToken" in first
    assert len(names(cloudwatch, AlarmNamePrefix=PREFIX, MaxRecords=100)) == 100
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=PREFIX)
    assert [a["AlarmName"] for page in pages for a in page["MetricAlarms"]] == [f"{PREFIX}{number:03}" for number in range(120)]
    for request in ({"MaxRecords": 101}, {"NextToken": "nonsense"}, {"AlarmNamePrefix": PREFIX, "AlarmNames": ["theirs"]}):
        with pytest.raises(ClientError):
            cloudwatch.describe_alarms(**request)


def test_a_new_alarm_knows_nothing_and_one_put_again_keeps_state_and_tags(account: Account) -> None:
    """INSUFFICIENT_DATA at first. Put again, the threshold is new; the state, and the tags of the first call, are as they were."""
    cloudwatch = account.client("cloudwatch")
    put(cloudwatch, "one", Tags=[{"Key": "bulwark:cluster", "Value": "orders"}])
    alarm = cloudwatch.describe_alarms(AlarmNames=["one"])["MetricAlarms"][0]
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"
    cloudwatch.set_alarm_state(AlarmName="one", StateValue="ALARM", StateReason="it is high")
    put(cloudwatch, "one", threshold=70, Tags=[{"Key": "team", "Value": "other"}])
    alarm = cloudwatch.describe_alarms(AlarmNames=["one"])["MetricAlarms"][0]
    assert (alarm["StateValue"], alarm["StateReason"], alarm["Threshold"]) == ("ALARM", "it is high", 70)
    assert cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == [{"Key": "bulwark:cluster", "Value": "orders"}]


def test_alarms_are_deleted_by_name(account: Account) -> None:
    """Names that there are not are no error, more than 100 are one."""
    cloudwatch = account.client("cloudwatch")
    for name in ("one", "two"):
        put(cloudwatch, name)
    cloudwatch.delete_alarms(AlarmNames=["one", "three"])
    assert names(cloudwatch) == ["two"]
    with pytest.raises(ClientError):
        cloudwatch.delete_alarms(AlarmNames=[str(number) for number in range(101)])


def test_the_next_account_has_no_alarms() -> None:
    """What one account had is gone with it."""
    with Account(one_group(), RecordingEcs()) as before:
        put(before.client("cloudwatch"), "one")
    with Account(one_group(), RecordingEcs()) as after:
        assert names(after.client("cloudwatch")) == []
