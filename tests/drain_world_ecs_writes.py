"""What the draining tests' world does as ECS: writes, each told to the watch before it is performed."""

from __future__ import annotations

import re
from typing import Any

from bulwark.core.cluster import DRAIN_ATTRIBUTE
from tests import drain_world_ec2, drain_world_scheduler
from tests.drain_world_ecs import ATTRIBUTES_PER_CALL, Ecs, container_instance, described_service, described_task
from tests.fakes import an_error

DRAINABLE = ("ACTIVE", "DRAINING")
STATE_BATCH = 10
VALUE = re.compile(r"[A-Za-z0-9\-_./\\@:](?:[A-Za-z0-9\-_./\\@: ]{0,126}[A-Za-z0-9\-_./\\@:])?")
"""What an attribute's value may be (ECS API reference, Attribute)."""


class WritingEcs(Ecs):
    """The whole client."""

    def update_container_instances_state(self, **params: Any) -> dict[str, Any]:
        """At most ten. Answers with the instances as they are afterwards; one that is not registered is an exception for all."""

        def call(ids: list[Any]) -> dict[str, Any]:
            found = [self._registration(i) for i in ids]
            if any(r is None or r.status not in DRAINABLE for r in found):
                raise an_error("InvalidParameterException", "UpdateContainerInstancesState", "an instance is not ACTIVE or DRAINING")
            answered = [r for r in found if r is not None]
            for one in answered:
                self._world.watch.touches("ecs:UpdateContainerInstancesState", one.machine)
                if params["status"] == "DRAINING" and one.status != "DRAINING":
                    self._world.watch.drains(one)
                elif params["status"] == "ACTIVE":
                    self._world.watch.reactivates(one)
                one.status = params["status"]
            return {"containerInstances": [container_instance(r) for r in answered], "failures": []}

        return self._call("UpdateContainerInstancesState", params, call, params["containerInstances"], STATE_BATCH)

    def put_attributes(self, **params: Any) -> dict[str, Any]:
        """At most ten, each onto its own target; one that is gone spoils the call."""

        def call(_: list[Any]) -> dict[str, Any]:
            for attribute in params["attributes"]:
                self._target(attribute, "PutAttributes")
                if len(attribute["value"]) > 128 or not VALUE.fullmatch(attribute["value"]):
                    raise an_error("InvalidParameterException", "PutAttributes", f"value {attribute['value']!r}")
            for attribute in params["attributes"]:
                target = self._target(attribute, "PutAttributes")
                self._world.watch.touches("ecs:PutAttributes", target.machine)
                target.custom[attribute["name"]] = attribute["value"]
            return {"attributes": params["attributes"]}

        return self._call("PutAttributes", params, call, params["attributes"], ATTRIBUTES_PER_CALL)

    def delete_attributes(self, **params: Any) -> dict[str, Any]:
        """At most ten. One that is not there is deleted all the same."""

        def call(_: list[Any]) -> dict[str, Any]:
            for attribute in params["attributes"]:
                self._target(attribute, "DeleteAttributes")
            for attribute in params["attributes"]:
                target = self._target(attribute, "DeleteAttributes")
                self._world.watch.touches("ecs:DeleteAttributes", target.machine)
                target.custom.pop(attribute["name"], None)
            return {"attributes": params["attributes"]}

        return self._call("DeleteAttributes", params, call, params["attributes"], ATTRIBUTES_PER_CALL)

    def _target(self, attribute: dict[str, Any], operation: str) -> Any:
        found = self._registration(attribute["targetId"]) if attribute["targetType"] == "container-instance" else None
        if found is None or found.status == "INACTIVE":
            raise an_error("TargetNotFoundException", operation, f"Unable to find the target {attribute['targetId']}")
        return found

    def deregister_container_instance(self, **params: Any) -> dict[str, Any]:
        """By force, whatever runs there; without, only if nothing does."""

        def call(_: list[Any]) -> dict[str, Any]:
            one = self._registration(params["containerInstance"])
            if one is None or one.status == "INACTIVE":
                raise an_error(
                    "InvalidParameterException", "DeregisterContainerInstance", "The referenced container instance was not found."
                )
            if one.alive and not params.get("force"):
                raise an_error("InvalidParameterException", "DeregisterContainerInstance", "Found running tasks on the instance.")
            self._world.watch.touches("ecs:DeregisterContainerInstance", one.machine)
            self._world.watch.forgets(one)
            drain_world_ec2.deregister(self._world, one)
            return {"containerInstance": container_instance(one)}

        return self._call("DeregisterContainerInstance", params, call)

    def stop_task(self, **params: Any) -> dict[str, Any]:
        """Tells a task to stop, which takes it its time. One that has stopped is answered as it is."""

        def call(_: list[Any]) -> dict[str, Any]:
            task = self._world.tasks.get(params["task"])
            if task is None or self._is_forgotten(task):
                raise an_error("InvalidParameterException", "StopTask", "The referenced task was not found.")
            if task.alive and task.desired == "RUNNING":
                self._world.watch.stops(task)
                drain_world_scheduler.stop(self._world, [task])
            return {"task": described_task(task, tags=False)}

        return self._call("StopTask", params, call)

    def run_task(self, **params: Any) -> dict[str, Any]:
        """Starts a standalone task where there is room; the same client token starts it once."""

        def call(_: list[Any]) -> dict[str, Any]:
            tags = {t["key"]: t["value"] for t in params.get("tags", ())}
            if any(key.lower().startswith("aws:") for key in tags) or params.get("group", "").startswith(("family:", "service:")):
                raise an_error("InvalidParameterException", "RunTask", "a tag or group that is reserved")
            before = self._world.runs.get(params["clientToken"])
            if before is not None:
                return {"tasks": [described_task(self._world.tasks[a], tags=False) for a in before], "failures": []}
            family = params["taskDefinition"].rpartition("/")[2].partition(":")[0]
            like = next(t for t in self._world.tasks.values() if t.family == family and t.service is None)
            where = drain_world_scheduler.place(self._world, like.cpu, like.memory)
            if where is None:
                return {"tasks": [], "failures": [{"arn": "any", "reason": "RESOURCE:MEMORY"}]}
            self._world.watch.runs(family)
            shape: Any = {"cpu": like.cpu, "memory": like.memory, "stop_seconds": like.stop_seconds}
            task = drain_world_scheduler.start(self._world, where, family, tags=tags, overrides=params.get("overrides", {}), **shape)
            self._world.runs[params["clientToken"]] = (task.arn,)
            return {"tasks": [described_task(task, tags=False)], "failures": []}

        return self._call("RunTask", params, call)

    def update_service(self, **params: Any) -> dict[str, Any]:
        """Only the deployment configuration, and only the whole of it: nobody says what becomes of a part that is left out."""

        def call(_: list[Any]) -> dict[str, Any]:
            service = self._world.services.get(params["service"])
            if service is None:
                raise an_error("ServiceNotFoundException", "UpdateService", "Service not found.")
            wanted = params["deploymentConfiguration"]
            now = described_service(service)["deploymentConfiguration"]
            if set(params) - {"cluster", "service", "deploymentConfiguration"} or wanted | {"maximumPercent": service.most} != now:
                self._world.watch.broken("remedies", f"UpdateService changes more of {service.name} than its maximumPercent: {params}")
            self._world.watch.widens(service, wanted["maximumPercent"])
            service.most = wanted["maximumPercent"]
            return {"service": described_service(service)}

        return self._call("UpdateService", params, call)


def marked(value: str) -> dict[str, str]:
    """A mark as custom attributes hold it."""
    return {DRAIN_ATTRIBUTE: value}
