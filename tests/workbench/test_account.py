"""The account in memory, whole: what a scenario describes is there, alive, and gone afterwards."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.server import ThreadedMotoServer

from workbench.sandbox import Account, ScenarioError, load_scenario
from workbench.sandbox.scenario import read_scenario

SCENARIOS = Path(__file__).parents[2] / "workbench" / "scenarios"
FIXED, OTHER = "i-0aaa0000000000001", "i-0aaa0000000000002"


def account_of(*clusters: dict[str, Any]) -> Account:
    """The account of these clusters, not yet open."""
    return Account(read_scenario({"clusters": list(clusters)}, "test"))


def instances(account: Account, cluster: str = "orders") -> dict[str, dict[str, Any]]:
    """The cluster's container instances by EC2 id."""
    ecs = account.client("ecs")
    arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"] if arns else []
    return {i["ec2InstanceId"]: i for i in found}


def services(account: Account, cluster: str, *names: str) -> dict[str, tuple[int, int]]:
    """Desired and running counts by service."""
    answer = account.client("ecs").describe_services(cluster=cluster, services=list(names))
    assert answer["failures"] == []
    return {s["serviceName"]: (s["desiredCount"], s["runningCount"]) for s in answer["services"]}


def groups_on(account: Account, instance: dict[str, Any], cluster: str = "orders") -> list[str]:
    """What the tasks on a container instance belong to, such as ``service:web``."""
    ecs = account.client("ecs")
    arns = ecs.list_tasks(cluster=cluster, containerInstance=instance["containerInstanceArn"])["taskArns"]
    return sorted({t["group"] for t in ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]}) if arns else []


def test_the_default_scenario_is_up_and_running() -> None:
    """Everything of the shipped scenario runs at its start: services at strength, each kind of task on the fixed instance."""
    with Account(load_scenario(SCENARIOS / "default.yaml")) as account:
        assert account.now == datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
        assert services(account, "orders", "web", "ledger", "logs") == {"web": (6, 6), "ledger": (1, 1), "logs": (4, 4)}
        assert services(account, "legacy", "batch") == {"batch": (2, 2)}
        found = instances(account)
        assert len(found) == 4
        assert groups_on(account, found[FIXED]) == ["family:nightly", "service:ledger", "service:logs", "service:web"]
        assert {i["agentConnected"] for i in found.values()} == {True}
        assert "i-0fff0000000000001" in instances(account, "legacy")
        assert account.client("dynamodb").describe_table(TableName="bulwark")["Table"]["TableStatus"] == "ACTIVE"


def test_a_drained_and_detached_instance_is_replaced_and_its_work_moves() -> None:
    """DRAINING moves web's tasks elsewhere, detaching brings a new instance; what cannot leave stays until EC2 takes the host."""
    with Account(load_scenario(SCENARIOS / "default.yaml")) as account:
        before = instances(account)
        arn = before[FIXED]["containerInstanceArn"]
        account.client("ecs").update_container_instances_state(cluster="orders", containerInstances=[arn], status="DRAINING")
        account.client("autoscaling").detach_instances(
            AutoScalingGroupName="orders-spot", InstanceIds=[FIXED], ShouldDecrementDesiredCapacity=False
        )
        account.settle(60)
        after = instances(account)
        assert after[FIXED]["status"] == "DRAINING"
        assert len(after) == 5
        assert groups_on(account, after[FIXED]) == ["family:nightly", "service:ledger", "service:logs"]
        assert services(account, "orders", "web") == {"web": (6, 6)}
        group = account.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["orders-spot"])["AutoScalingGroups"][0]
        assert [i["LifecycleState"] for i in group["Instances"]] == ["InService"] * 4
        account.settle(60)
        account.interrupt(FIXED)
        account.settle(30)
        assert FIXED not in instances(account)


@pytest.mark.parametrize(("scenario", "most", "elsewhere"), [("at-max", 4, True), ("full", 6, False)])
def test_the_other_scenarios_are_what_their_names_say(scenario: str, most: int, *, elsewhere: bool) -> None:
    """At-max: the group cannot grow; full: web's task does not leave a draining instance until there is a new one."""
    with Account(load_scenario(SCENARIOS / f"{scenario}.yaml")) as account:
        group = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
        assert group["MaxSize"] == most
        assert (group["DesiredCapacity"] == most) is (scenario == "at-max")
        arn = instances(account)[FIXED]["containerInstanceArn"]
        account.client("ecs").update_container_instances_state(cluster="orders", containerInstances=[arn], status="DRAINING")
        account.settle(60)
        assert ("service:web" not in groups_on(account, instances(account)[FIXED])) is elsewhere


def test_what_is_special_about_an_instance_shows() -> None:
    """Agent, connection, status, resources and custom attributes of a scenario's instances are what ECS describes."""
    special = [
        {"id": FIXED, "agent": "1.14.3", "connected": False, "cpu": 1024, "memory": 2000, "attributes": {"tier": "db"}},
        {"status": "DRAINING"},
    ]
    with account_of({"name": "orders", "groups": [{"desired": 3}], "instances": special}) as account:
        found = instances(account)
        assert len(found) == 3
        assert sorted(i["status"] for i in found.values()) == ["ACTIVE", "ACTIVE", "DRAINING"]
        first = found[FIXED]
        resources = {r["name"]: r.get("integerValue") for r in first["registeredResources"]}
        assert (first["agentConnected"], first["versionInfo"]["agentVersion"]) == (False, "1.14.3")
        assert (resources["CPU"], resources["MEMORY"]) == (1024, 2000)
        assert {"name": "tier", "value": "db"} in [{k: a[k] for k in ("name", "value")} for a in first["attributes"] if "value" in a]


def test_policies_are_put_where_the_function_reads_them() -> None:
    """A cluster's policy is JSON under the parameter prefix; a cluster without one has no parameter."""
    policy = {"draining": {"enabled": False}}
    with account_of({"name": "orders", "groups": [{}], "policy": policy}, {"name": "other", "groups": [{}]}) as account:
        found = account.client("ssm").get_parameters_by_path(Path="/bulwark", Recursive=True)["Parameters"]
        assert {p["Name"]: json.loads(p["Value"]) for p in found} == {"/bulwark/policy/orders": policy}


def test_a_capacity_provider_stands_before_its_group() -> None:
    """The provider names the group and what ECS manages; the instances came up through it."""
    provider = {"name": "spot", "managed_scaling": False}
    with account_of({"name": "orders", "groups": [{"name": "web", "capacity_provider": provider}]}) as account:
        found = account.client("ecs").describe_capacity_providers(capacityProviders=["spot"])["capacityProviders"][0]
        group = found["autoScalingGroupProvider"]
        assert group["autoScalingGroupArn"].endswith("autoScalingGroupName/web")
        assert (group["managedScaling"]["status"], group["managedDraining"]) == ("DISABLED", "ENABLED")
        assert {i["capacityProviderName"] for i in instances(account).values()} == {"spot"}
        tags = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]["Tags"]
        assert "AmazonECSManaged" in {t["Key"] for t in tags}


def test_a_ghost_is_there_from_the_start() -> None:
    """A host that has stopped or terminated is registered still, with its tasks and no connection; its own status is kept."""
    special = [
        {"id": FIXED, "ec2": "terminated"},
        {"id": OTHER, "ec2": "stopped", "status": "DRAINING"},
        {"ec2": "terminated"},
    ]
    tasks = [{"on": FIXED}, {"family": "nightly"}]
    cluster = {
        "name": "orders",
        "groups": [{"desired": 4}],
        "instances": special,
        "services": [{"name": "web", "desired": 3}],
        "tasks": tasks,
    }
    with account_of(cluster) as account:
        found = instances(account)
        assert (found[FIXED]["status"], found[FIXED]["agentConnected"]) == ("ACTIVE", False)
        assert (found[OTHER]["status"], found[OTHER]["agentConnected"]) == ("DRAINING", False)
        assert sorted(i["agentConnected"] for i in found.values()) == [False, False, False, True]
        assert groups_on(account, found[FIXED]) == ["family:task", "service:web"]
        described = account.client("ec2").describe_instances(InstanceIds=sorted(found))["Reservations"]
        states = {i["InstanceId"]: i["State"]["Name"] for r in described for i in r["Instances"]}
        assert (states[FIXED], states[OTHER]) == ("terminated", "stopped")
        assert sorted(states.values()) == ["running", "stopped", "terminated", "terminated"]
        account.settle(180)
        group = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
        assert len(group["Instances"]) == 4
        assert {FIXED, OTHER} & {i["InstanceId"] for i in group["Instances"]} == set()
        assert {FIXED, OTHER} <= set(instances(account))


def test_a_standalone_task_has_the_tags_of_its_scenario() -> None:
    """On a fixed instance and anywhere, shown when they are asked for."""
    tasks = [
        {"family": "a", "on": FIXED, "tags": {"bulwark:restart": "yes", "team": ""}},
        {"family": "b", "tags": {"team": "web"}},
        {"family": "c"},
    ]
    with account_of({"name": "orders", "groups": [{}], "instances": [{"id": FIXED}], "tasks": tasks}) as account:
        ecs = account.client("ecs")
        arns = ecs.list_tasks(cluster="orders")["taskArns"]
        tags = {}
        for task in ecs.describe_tasks(cluster="orders", tasks=arns, include=["TAGS"])["tasks"]:
            tags[task["group"]] = {t["key"]: t["value"] for t in task.get("tags", [])}
        assert tags == {"family:a": {"bulwark:restart": "yes", "team": ""}, "family:b": {"team": "web"}, "family:c": {}}


def test_services_keep_what_their_scenario_says() -> None:
    """Host ports, networks, secrets, constraints, bounds and protection reach ECS."""
    work = [
        {"name": "api", "host_ports": [8080], "secrets": "ssm", "constraints": ["distinctInstance"], "min_healthy": 50, "protected": True},
        {"name": "mesh", "network": "awsvpc", "secrets": "secretsmanager"},
        {"name": "edge", "network": "host"},
    ]
    with account_of({"name": "orders", "groups": [{}], "services": work}) as account:
        assert services(account, "orders", "api", "mesh", "edge") == dict.fromkeys(("api", "mesh", "edge"), (1, 1))
        ecs = account.client("ecs")
        api = ecs.describe_services(cluster="orders", services=["api"])["services"][0]
        assert api["deploymentConfiguration"]["minimumHealthyPercent"] == 50
        definition = ecs.describe_task_definition(taskDefinition=api["taskDefinition"])["taskDefinition"]
        container = definition["containerDefinitions"][0]
        assert container["portMappings"][0]["hostPort"] == 8080
        assert ":parameter/" in container["secrets"][0]["valueFrom"]
        tasks = ecs.list_tasks(cluster="orders", serviceName="api")["taskArns"]
        assert ecs.get_task_protection(cluster="orders", tasks=tasks)["protectedTasks"][0]["protectionEnabled"]


def test_a_standalone_task_that_does_not_fit_is_bad_input() -> None:
    """A scenario asks for more than its instance has: one line that names cluster and task, and nothing stays open."""
    cluster = {"name": "orders", "groups": [{}], "instances": [{"id": FIXED}], "tasks": [{"on": FIXED, "cpu": 9999}]}
    with pytest.raises(ScenarioError, match=r"cluster orders, tasks\[0\].*RESOURCE:CPU"), account_of(cluster):
        pass
    assert abs(datetime.now(UTC) - datetime(2026, 11, 24, 3, tzinfo=UTC)) > timedelta(seconds=1)


def test_the_clock_moves_only_when_the_account_lives() -> None:
    """Time stands still between settles, whatever is called; settling by 7 s is 7 s."""
    with account_of({"groups": [{}]}) as account:
        start = account.now
        account.client("ecs").list_clusters()
        assert account.now == start
        account.settle(7)
        assert account.now - start == timedelta(seconds=7)
        account.settle(0)
        assert account.now - start == timedelta(seconds=7)


def test_the_same_scenario_is_the_same_account() -> None:
    """Two accounts of one scenario have the same instances, in the same zones, with as many tasks on each."""
    seen = []
    for _ in range(2):
        with Account(load_scenario(SCENARIOS / "default.yaml")) as account:
            account.client("autoscaling").set_desired_capacity(AutoScalingGroupName="orders-spot", DesiredCapacity=6)
            account.settle(60)
            zones = {i: h.availability_zone for i in instances(account) if (h := account.ec2.find(i))}
            seen.append({i: (zones[i], c["runningTasksCount"]) for i, c in instances(account).items()})
    assert seen[0] == seen[1]
    assert len(seen[0]) == 6


def test_the_environment_is_put_back() -> None:
    """While the account is open clients can reach nothing else; afterwards the operator's own settings are as before."""
    os.environ["AWS_PROFILE"] = "production"
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    try:
        before = dict(os.environ)
        with account_of({"groups": [{}]}):
            assert "AWS_PROFILE" not in os.environ
            assert len(boto3.client("ecs").list_clusters()["clusterArns"]) == 1
        assert dict(os.environ) == before
    finally:
        del os.environ["AWS_PROFILE"], os.environ["AWS_ENDPOINT_URL"]


def test_an_instance_is_found_by_its_id_alone() -> None:
    """DescribeInstances by filter: an unknown id is an empty answer, other filters still count; by parameter it is an error."""
    with account_of({"groups": [{}], "instances": [{"id": FIXED}]}) as account:
        ec2 = account.client("ec2")

        def found(*filters: tuple[str, str]) -> list[str]:
            """The ids that EC2 finds by these filters."""
            answer = ec2.describe_instances(Filters=[{"Name": name, "Values": [value]} for name, value in filters])
            return [i["InstanceId"] for r in answer["Reservations"] for i in r["Instances"]]

        assert found(("instance-id", FIXED)) == [FIXED]
        assert found(("instance-id", FIXED), ("instance-state-name", "stopped")) == []
        assert found(("instance-id", "i-0bbb0000000000001")) == []
        assert len(found(("instance-id", "i-0*"))) == 2
        for unknown, code in (("i-0bbb0000000000001", "InvalidInstanceID.NotFound"), ("web-1", "InvalidInstanceID.Malformed")):
            with pytest.raises(ClientError) as error:
                ec2.describe_instances(InstanceIds=[unknown])
            assert error.value.response["Error"]["Code"] == code
            with pytest.raises(ClientError) as error:
                ec2.terminate_instances(InstanceIds=[FIXED, unknown])
            assert error.value.response["Error"]["Code"] == code
        assert found(("instance-id", FIXED), ("instance-state-name", "running")) == [FIXED]
        ended = ec2.terminate_instances(InstanceIds=[FIXED])["TerminatingInstances"][0]
        assert (ended["PreviousState"]["Name"], ended["CurrentState"]["Name"]) == ("running", "shutting-down")


def test_the_account_answers_over_http_as_in_process() -> None:
    """A server on the account's state gives the same answers: added operations, AWS's refusals, quick lookups."""
    with account_of({"name": "orders", "groups": [{"name": "web"}], "instances": [{"id": FIXED}]}) as account:
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()

            def remote(service: str) -> Any:
                """A client of the server."""
                return boto3.client(service, endpoint_url=f"http://{host}:{port}")  # type: ignore[call-overload]

            autoscaling = remote("autoscaling")
            assert autoscaling.describe_account_limits()["NumberOfAutoScalingGroups"] == 1
            with pytest.raises(ClientError, match="is above max value 6"):
                autoscaling.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=7)
            answer = remote("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": [FIXED]}])
            assert answer["Reservations"][0]["Instances"][0]["InstanceLifecycle"] == "spot"
            listed = remote("ecs").list_container_instances(cluster="orders", filter=f"ec2InstanceId in ['{FIXED}']")
            assert len(listed["containerInstanceArns"]) == 1
            autoscaling.detach_instances(AutoScalingGroupName="web", InstanceIds=[FIXED], ShouldDecrementDesiredCapacity=False)
        finally:
            server.stop()
        account.settle(60)
        assert len(instances(account)) == 3


def test_moto_outside_an_account_is_as_it_was() -> None:
    """Another use of moto in the same process, after an account: groups launch on the spot, as moto does."""
    with account_of({"groups": [{}]}):
        pass
    with mock_aws():
        ec2, autoscaling = boto3.client("ec2"), boto3.client("autoscaling")
        ec2.create_launch_template(LaunchTemplateName="plain", LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m5.large"})
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName="plain",
            LaunchTemplate={"LaunchTemplateName": "plain"},
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=1,
            AvailabilityZones=["us-east-1a"],
        )
        autoscaling.set_desired_capacity(AutoScalingGroupName="plain", DesiredCapacity=2)
        group = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]
        assert [i["LifecycleState"] for i in group["Instances"]] == ["InService"] * 2
        assert len(ec2.describe_instances()["Reservations"]) >= 1
