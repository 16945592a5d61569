"""The ECS half of the account in memory over HTTP, as a function in its own process sees it, and its speed with 5,000 instances."""

from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests.ecs_world import ecs_world


def test_the_same_answers_come_over_http() -> None:
    """A filter, a drain, attributes, an operation moto lacks, and a modelled error, on the very state that the physics has."""
    with ecs_world() as world:
        first, second = world.machine(), world.machine()
        world.define()
        world.service(desired=2)
        world.settle()
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        try:
            _, port = server.get_host_and_port()
            ecs: Any = boto3.client("ecs", endpoint_url=f"http://127.0.0.1:{port}")
            found = ecs.list_container_instances(cluster="orders", filter="ec2InstanceId in ['i-00000000000000000']")
            assert found["containerInstanceArns"] == [first]
            ecs.update_container_instances_state(cluster="orders", containerInstances=[first], status="DRAINING")
            world.settle()
            seen = ecs.describe_container_instances(cluster="orders", containerInstances=[first, second])["containerInstances"]
            counts = {i["containerInstanceArn"]: (i["status"], i["runningTasksCount"]) for i in seen}
            assert counts == {first: ("DRAINING", 0), second: ("ACTIVE", 2)}
            assert ecs.get_task_protection(cluster="orders", tasks=["gone"])["failures"][0]["reason"] == "MISSING"
            refused = None
            try:
                ecs.update_container_agent(cluster="orders", containerInstance=second)
            except ecs.exceptions.NoUpdateAvailableException as wrong:
                refused = wrong
            assert refused is not None
        finally:
            server.stop()
