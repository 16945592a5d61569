"""AWS becomes a snapshot: every page, every limit, and no failed read taken for an empty answer."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from bulwark.shell.observe import MissingClusterError, PartialAnswerError, observe_hosts, observe_registrations, observe_surroundings
from bulwark.shell.observe_groups import observe_capacity_providers, observe_groups
from bulwark.shell.observe_work import EXAMINED, observe_work
from tests.builders import NOW, OTHER, SPOT, a_cluster, a_host, an_instance, instance_arn
from tests.fakes import FakeAutoScaling, FakeAws, FakeEcs, FakePages, a_raw_instance, an_error


def many(count: int, **changes: Any) -> list[dict[str, Any]]:
    """Container instances as ECS shows them."""
    return [a_raw_instance(f"i-0ddd00000000{n:05d}", **changes) for n in range(count)]


def a_raw_task(n: int, on: str = SPOT, group: str = "service:web") -> dict[str, Any]:
    """A task as DescribeTasks shows it, sizes as text."""
    return {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/orders/{n:05d}",
        "containerInstanceArn": instance_arn(on),
        "group": group,
        "cpu": "256",
        "memory": "512",
        "desiredStatus": "RUNNING",
        "lastStatus": "RUNNING",
        "containers": [{"networkBindings": [{"hostPort": 8080, "protocol": "tcp"}, {"hostPort": 40000, "protocol": "tcp"}]}],
    }


def test_where_an_instance_belongs_is_read_from_its_tags_over_every_page() -> None:
    """More ids than one filter takes are asked for in parts, and every page is read."""
    page = {"Reservations": [{"Instances": [{"InstanceId": SPOT, "Tags": [{"Key": "bulwark:cluster", "Value": "orders"}]}]}]}
    aws = FakeAws(ec2=FakePages(pages={"describe_instances": [page, page]}))

    hosts = observe_hosts(aws, [f"i-{n}" for n in range(201)])

    assert 4 == len(hosts)
    assert [200, 1] == [len(p["Filters"][0]["Values"]) for _, p in aws.ec2.calls]
    assert ("orders", None) == (hosts[0].cluster, hosts[0].group)


def test_one_active_instance_costs_one_call() -> None:
    """The list, filtered by status, is all that draining needs."""
    aws = FakeAws()

    seen = observe_registrations(aws, "orders", [a_host()], NOW)

    assert [(instance_arn(SPOT), "ACTIVE", False)] == [(i.arn, i.status, i.described) for i in seen.instances]
    assert {"list_container_instances": 1} == aws.ecs.counted()


def test_an_instance_that_is_not_active_is_described() -> None:
    """DRAINING with its mark, as it stands on the instance."""
    mark = {"name": "bulwark.drain", "value": "spot-interruption 2026-11-24T03:00:00Z 2026-11-24T03:02:00Z"}
    aws = FakeAws(ecs=FakeEcs(instances=[a_raw_instance(status="DRAINING", attributes=[mark])]))

    (instance,) = observe_registrations(aws, "orders", [a_host()], NOW).instances

    assert "DRAINING" == instance.status
    assert instance.drain is not None
    assert "spot-interruption" == instance.drain.cause


def test_T3_many_instances_are_filtered_paged_and_described_in_parts() -> None:
    """Hazard T3: 250 instances: filters within 2,000 characters, every page, at most 100 to a describe."""
    aws = FakeAws(ecs=FakeEcs(instances=many(250), page=30))
    hosts = [a_host(i["ec2InstanceId"]) for i in aws.ecs.instances]

    seen = observe_registrations(aws, "orders", hosts, NOW)

    assert 250 == len(seen.instances)
    assert 3 == aws.ecs.counted()["describe_container_instances"]


def test_a_cluster_that_is_not_there_is_one_line_with_a_fix() -> None:
    """A half-deleted cluster or a wrong tag: what, where, what to do."""
    with pytest.raises(MissingClusterError, match="cluster gone: named by the tag bulwark:cluster of i-0aaa0000000000001"):
        observe_registrations(FakeAws(), "gone", [a_host()], NOW)


def test_neighbours_cost_two_calls_whatever_the_size_of_the_cluster() -> None:
    """One page and one describe; a larger cluster is not taken for having been seen whole."""
    for size, whole in ((10, True), (5000, False)):
        aws = FakeAws(ecs=FakeEcs(instances=[a_raw_instance(), *many(size)]))
        bare = observe_registrations(aws, "orders", [a_host()], NOW)
        aws.ecs.calls.clear()

        seen = observe_surroundings(aws, bare)

        assert {"list_container_instances": 1, "describe_container_instances": 1} == aws.ecs.counted()
        assert whole is seen.neighbours_whole
        assert SPOT not in {n.ec2_id for n in seen.neighbours}
        assert seen.instances[0].described


def test_the_status_stays_as_first_seen() -> None:
    """That the instance became DRAINING in between is our own doing: act and observe decide on the same facts."""
    aws = FakeAws(ecs=FakeEcs(instances=[a_raw_instance()]))
    bare = observe_registrations(aws, "orders", [a_host()], NOW)
    aws.ecs.instances[0]["status"] = "DRAINING"

    assert "ACTIVE" == observe_surroundings(aws, bare).instances[0].status


@pytest.mark.parametrize(("operation", "part"), [("list_container_instances", "neighbours"), ("describe_container_instances", "instances")])
def test_a_failed_look_around_keeps_what_was_known(operation: str, part: str) -> None:
    """The failure is named; the located instance is still there; no claim is made about the rest."""
    aws = FakeAws(ecs=FakeEcs(fail={operation: [an_error()]}))

    seen = observe_surroundings(aws, a_cluster(an_instance(described=False)))

    assert [part] == list(seen.unread)
    assert (SPOT, False) == (seen.instances[0].ec2_id, seen.neighbours_whole)


def test_work_is_read_over_every_page_and_in_parts() -> None:
    """T3 again: 250 tasks of 25 services on one instance."""
    tasks = [a_raw_task(n, group=f"service:s{n % 25:02d}") for n in range(250)]
    services = [{"serviceName": f"s{n:02d}", "desiredCount": 10, "runningCount": 10, "pendingCount": 0} for n in range(25)]
    aws = FakeAws(ecs=FakeEcs(tasks=tasks, services=services, page=60))

    seen = observe_work(aws, a_cluster(), [instance_arn(SPOT)])

    assert (250, 25, {}) == (len(seen.tasks), len(seen.services), dict(seen.unread))
    assert {"list_tasks": 5, "describe_tasks": 3, "describe_services": 3} == aws.ecs.counted()
    assert (256, 512, frozenset({8080})) == (seen.tasks[0].cpu, seen.tasks[0].memory, seen.tasks[0].ports)


def test_an_idle_instance_is_not_asked_for_tasks() -> None:
    """Counts are known already."""
    aws = FakeAws()
    observe_work(aws, a_cluster(an_instance(running=0, pending=0)), [instance_arn(SPOT)])

    assert {} == aws.ecs.counted()


def test_a_storm_is_examined_up_to_a_bound_and_the_rest_is_named() -> None:
    """Each ListTasks call is one per instance: past EXAMINED, the instances are listed as not looked at."""
    instances = [an_instance(f"i-0ddd00000000{n:05d}") for n in range(EXAMINED + 5)]
    aws = FakeAws()

    seen = observe_work(aws, a_cluster(*instances), [i.arn for i in instances])

    assert EXAMINED == aws.ecs.counted()["list_tasks"]
    assert {i.arn for i in instances[EXAMINED:]} == seen.tasks_unexamined


@pytest.mark.parametrize("operation", ["describe_tasks", "describe_services"])
def test_T4_failures_of_a_read_are_failures_unless_missing(operation: str) -> None:
    """Hazard T4: what has ended meanwhile is MISSING and no failure; any other reason makes the part unread."""
    for reason, unread in (("MISSING", False), ("ACCESS", True)):
        ecs = FakeEcs(tasks=[a_raw_task(1)], failures={operation: [{"arn": "x", "reason": reason}]})

        seen = observe_work(FakeAws(ecs=ecs), a_cluster(), [instance_arn(SPOT)])

        assert unread is bool(seen.unread)


def test_T4_failures_while_locating_are_raised() -> None:
    """An instance in question that ECS fails to describe is not taken for absent."""
    ecs = FakeEcs(
        instances=[a_raw_instance(status="DRAINING")], failures={"describe_container_instances": [{"arn": "x", "reason": "OTHER"}]}
    )

    with pytest.raises(PartialAnswerError, match="x: OTHER"):
        observe_registrations(FakeAws(ecs=ecs), "orders", [a_host()], NOW)


def test_capacity_providers_are_read_only_where_one_is_named() -> None:
    """No name, no call; a failed read is named."""
    provider = {"name": "p", "autoScalingGroupProvider": {"autoScalingGroupArn": "a/b", "managedScaling": {"status": "ENABLED"}}}
    aws = FakeAws(ecs=FakeEcs(providers=[provider]))
    assert () == observe_capacity_providers(aws, a_cluster()).capacity_providers
    assert {} == aws.ecs.counted()

    (seen,) = observe_capacity_providers(aws, a_cluster(an_instance(capacity_provider="p"))).capacity_providers
    assert ("p", "b", True, False) == (seen.name, seen.group, seen.managed_scaling, seen.managed_draining)

    aws.ecs.fail = {"describe_capacity_providers": [an_error()]}
    assert ["capacity providers"] == list(observe_capacity_providers(aws, a_cluster(an_instance(capacity_provider="p"))).unread)


def test_groups_are_read_whole() -> None:
    """Numbers, members by state, suspended processes, market and tags."""
    raw = {
        "AutoScalingGroupName": "orders-spot", "MinSize": 1, "DesiredCapacity": 3, "MaxSize": 9,
        "Instances": [{"InstanceId": SPOT, "LifecycleState": "InService"}, {"InstanceId": OTHER, "LifecycleState": "Pending:Wait"}],
        "SuspendedProcesses": [{"ProcessName": "Launch"}],
        "Tags": [{"Key": "bulwark:cluster", "Value": "orders"}, {"Key": "AmazonECSManaged", "Value": ""}],
        "MixedInstancesPolicy": {"InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0}},
    }  # fmt: skip
    aws = FakeAws(autoscaling=FakeAutoScaling(pages={"describe_auto_scaling_groups": [{"AutoScalingGroups": [raw]}]}))

    (group,) = observe_groups(aws, a_cluster(), ["orders-spot"]).groups

    assert (1, 3, 9, "orders", "spot", True) == (group.min, group.desired, group.max, group.cluster, group.market, group.ecs_managed)
    assert ([SPOT], [OTHER]) == ([m.id for m in group.in_service], [m.id for m in group.launching])
    assert {"Launch"} == group.suspended


def test_groups_that_cannot_be_read_are_named() -> None:
    """The failure is in ``unread``."""
    aws = FakeAws(autoscaling=FakeAutoScaling(pages={"describe_auto_scaling_groups": [an_error()]}))

    seen = observe_groups(aws, a_cluster(), ["g"])

    assert ["groups"] == list(seen.unread)


def test_an_instance_that_cannot_be_located_is_an_error_not_an_absence() -> None:
    """DescribeInstances that fails is raised: nobody is taken for foreign because EC2 was throttling."""
    with pytest.raises(ClientError):
        observe_hosts(FakeAws(ec2=FakePages(pages={"describe_instances": [an_error("RequestLimitExceeded")]})), [SPOT])


def test_T29_user_data_is_never_needed_to_find_a_cluster() -> None:
    """Hazard T29: Bottlerocket's TOML, MIME parts or gzip: the cluster comes from the instance's tags, and nothing else is read."""
    instance = {"InstanceId": SPOT, "State": {"Name": "running"}, "Tags": [{"Key": "bulwark:cluster", "Value": "orders"}]}
    aws = FakeAws(ec2=FakePages(pages={"describe_instances": [{"Reservations": [{"Instances": [instance]}]}]}))

    (host,) = observe_hosts(aws, [SPOT])

    assert "orders" == host.cluster
    assert ["describe_instances"] == [name for name, _ in aws.ec2.calls]
