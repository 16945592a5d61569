"""The scenarios about capacity are what their first lines say, and live on as they should with nobody to act."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.sandbox import Account, load_scenario
from workbench.sandbox.scenario import read_scenario
from workbench.view import view_clusters

SCENARIOS = Path(__file__).parents[2] / "workbench" / "scenarios"


class Story:
    """An open account, as an operator sees its cluster ``orders``."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.autoscaling = account.client("autoscaling")

    def view(self) -> Any:
        """The cluster now."""
        return view_clusters(self.account)["clusters"]["orders"]

    def service(self, name: str) -> tuple[int, int, int]:
        """Desired, running and pending tasks."""
        found = next(s for s in self.view()["services"] if s["name"] == name)
        return found["desired"], found["running"], found["pending"]

    def load(self) -> list[int]:
        """Running tasks of each instance, fewest first."""
        return sorted(i["running"] for i in self.view()["instances"])

    def events(self, name: str) -> list[str]:
        """What the service says, newest first."""
        answer = self.account.client("ecs").describe_services(cluster="orders", services=[name])
        return [event["message"] for event in answer["services"][0]["events"]]

    def desire(self, group: str, units: int, seconds: float = 90) -> None:
        """Set the desired capacity, and live through the seconds."""
        self.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=units)
        self.account.settle(seconds)


@contextmanager
def story(name: str) -> Iterator[Story]:
    """The account of a shipped scenario."""
    with Account(load_scenario(SCENARIOS / f"{name}.yaml")) as account:
        yield Story(account)


def test_reserved_needs_exactly_one_more_instance() -> None:
    """Three tasks have no room, for memory; with one instance more they all run."""
    with story("reserved") as told:
        assert (told.service("web"), told.load()) == ((9, 6, 0), [4, 4])
        assert told.events("web")[0].endswith("has insufficient memory available.")
        told.desire("orders", 3)
        assert told.service("web") == (9, 9, 0)


def test_waiting_has_one_service_that_another_instance_helps_and_one_that_none_does() -> None:
    """With a third instance web is complete; the whale never, and not with eight more."""
    with story("waiting") as told:
        assert (told.service("web"), told.service("whale")) == ((5, 4, 0), (1, 0, 0))
        told.desire("orders", 3)
        assert (told.service("web"), told.service("whale")) == ((5, 5, 0), (1, 0, 0))
        told.desire("orders", 10)
        assert told.service("whale") == (1, 0, 0)
        assert told.events("whale")[0].endswith("has insufficient memory available.")


def test_idle_holds_daemons_and_nothing_else() -> None:
    """Four instances with one task each, and a group that may go to zero."""
    with story("idle") as told:
        assert (told.load(), told.service("logs"), told.service("web")) == ([1, 1, 1, 1], (4, 4, 0), (0, 0, 0))
        assert told.view()["groups"] == [{"name": "orders", "min": 0, "desired": 4, "max": 10}]
        told.desire("orders", 0)
        assert (told.load(), told.service("logs")) == ([], (0, 0, 0))


def test_spot_dry_launches_no_spot_for_half_an_hour_and_on_demand_at_once() -> None:
    """Two more instances hold what waits. Asked of Spot they fail until the half hour is over."""
    with story("spot-dry") as told:
        assert told.service("web") == (8, 4, 0)
        told.desire("orders-spot", 4)
        assert told.service("web") == (8, 4, 0)
        failed = told.autoscaling.describe_scaling_activities(AutoScalingGroupName="orders-spot")["Activities"][0]
        assert (failed["StatusCode"], "no Spot capacity" in failed["StatusMessage"]) == ("Failed", True)
        told.desire("orders", 2)
        assert told.service("web") == (8, 8, 0)
        told.account.settle(1800)
        assert len(told.view()["instances"]) == 6


def test_fragmented_fits_on_two_instances() -> None:
    """Three tasks on each of four; with two of them drained, everything that is no daemon's runs on the other two."""
    with story("fragmented") as told:
        assert told.load() == [3, 3, 3, 3]
        ecs = told.account.client("ecs")
        arns = ecs.list_container_instances(cluster="orders")["containerInstanceArns"]
        ecs.update_container_instances_state(cluster="orders", containerInstances=arns[:2], status="DRAINING")
        told.account.settle(120)
        assert told.load() == [0, 0, 5, 5]
        assert (told.service("web"), told.service("api")) == ((4, 4, 0), (4, 4, 0))


def test_mixed_counts_units() -> None:
    """Two instances are three units; one unit more is an m5.large, and holds what waits."""
    with story("mixed") as told:
        shown = told.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]
        assert [(i["InstanceType"], i["WeightedCapacity"], i["ProtectedFromScaleIn"]) for i in shown] == [
            ("m5.large", "1", True),
            ("m5.xlarge", "2", False),
        ]
        assert told.service("web") == (13, 10, 0)
        told.desire("orders", 4)
        assert (told.service("web"), len(told.view()["instances"])) == ((13, 13, 0), 3)


def test_from_zero_has_nothing_at_all() -> None:
    """No instance, no task, and the service says so; two instances hold the five tasks."""
    with story("from-zero") as told:
        assert (told.load(), told.service("web")) == ([], (5, 0, 0))
        assert told.events("web")[0].endswith("Reason: No Container Instances were found in your cluster.")
        told.desire("orders", 2)
        assert told.service("web") == (5, 5, 0)


def test_tasks_of_a_capacity_provider_wait_from_the_start() -> None:
    """A scenario's service and standalone task that name a provider: what has no room is PROVISIONING, and counted as pending."""
    group = {"name": "orders", "desired": 1, "max": 3, "capacity_provider": {"name": "spot", "managed_scaling": False}}
    services = [{"name": "web", "desired": 4, "memory": 3000, "capacity_provider": "spot"}]
    tasks = [
        {"family": "night", "memory": 5000, "capacity_provider": "spot"},
        {"family": "late", "memory": 5000, "capacity_provider": "spot"},
    ]
    cluster = {"name": "orders", "groups": [group], "services": services, "tasks": tasks}
    with Account(read_scenario({"clusters": [cluster]}, "test")) as account:
        told = Story(account)
        ecs = account.client("ecs")
        assert (told.load(), told.service("web")) == ([1], (4, 0, 4))
        assert ecs.describe_clusters(clusters=["orders"])["clusters"][0]["pendingTasksCount"] == 5
        told.desire("orders", 3)
        assert (told.service("web"), told.load()) == ((4, 4, 0), [1, 2, 2])
        assert ecs.describe_clusters(clusters=["orders"])["clusters"][0]["pendingTasksCount"] == 1
