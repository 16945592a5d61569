"""ECS's operations on clusters, container instances and their attributes, as AWS answers them."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse

from bulwark.core import query
from workbench.sandbox.ecs_answers import at_most, backend_of, cluster_of, invalid, missing, page, parameter, put_on_moto, refusal
from workbench.sandbox.ecs_model import Instance, ServiceState, instances_of, state_of
from workbench.sandbox.ecs_tasks import unplaced
from workbench.sandbox.machine import Machine

RECOMMENDED_AGENT = "1.107.0"
"""What UpdateContainerAgent brings: the agent of the recommended AMI in November 2026."""

UPDATE_SECONDS = 60
"""From the request to the new agent: download, restart, registration."""

MAX_CUSTOM = 10
"""Custom attributes a container instance can have, and PutAttributes takes in one call."""

ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9\-_./\\]{1,128}")
ATTRIBUTE_VALUE = re.compile(r"[A-Za-z0-9\-_./\\@: ]{1,128}")
STATUSES = ("ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED")

_moto_describe_clusters = EC2ContainerServiceResponse.describe_clusters


def describe_clusters(self: Any) -> ActionResult:
    """DescribeClusters, with counts that are true."""
    backend = backend_of(self)
    at_most(parameter(self, "clusters", ["default"]), 100, "clusters")
    for name, cluster in backend.clusters.items():
        instances = [i for i in instances_of(backend, name).values() if i.status != "INACTIVE"]
        cluster.registered_container_instances_count = len(instances)
        cluster.running_tasks_count = sum(i.running_tasks_count for i in instances)
        cluster.pending_tasks_count = sum(i.pending_tasks_count for i in instances) + len(unplaced(backend, name))
        cluster.active_services_count = sum(s.cluster_name == name and s.status == "ACTIVE" for s in backend.services.values())
    return _moto_describe_clusters(self)


def list_clusters(self: Any) -> ActionResult:
    """ListClusters, in pages."""
    return page(self, "clusterArns", [c.arn for c in backend_of(self).clusters.values() if c.status == "ACTIVE"])


def register_container_instance(self: Any) -> ActionResult:
    """RegisterContainerInstance, as the agent calls it: for an EC2 instance of the account, with its type's true resources."""
    backend, cluster = backend_of(self), cluster_of(self)
    document = json.loads(parameter(self, "instanceIdentityDocument", "{}"))
    ec2 = ec2_backends[backend.account_id][backend.region_name].get_instance(document.get("instanceId"))
    machine = Machine(
        id=ec2.id,
        cluster=cluster,
        group=None,
        zone=ec2.placement.zone or "",
        instance_type=ec2.instance_type,
        image_id=ec2.image_id,
        agent=(parameter(self, "versionInfo") or {}).get("agentVersion", RECOMMENDED_AGENT),
        attributes={a["name"]: a.get("value") for a in parameter(self, "attributes", [])},
        subnet_id=ec2.subnet_id or "",
        vpc_id=ec2.vpc_id or "",
    )
    instance = Instance(machine, backend, datetime.now(UTC))
    instances_of(backend, cluster)[instance.id] = instance
    state_of(backend).changes += 1
    return ActionResult({"containerInstance": instance})


def list_container_instances(self: Any) -> ActionResult:
    """ListContainerInstances with ``status`` (all but INACTIVE if not given), ``filter`` in the cluster query language, and pages."""
    instances = instances_of(backend_of(self), cluster_of(self)).values()
    status = parameter(self, "status")
    if status is not None and status not in STATUSES:
        raise invalid(f"status should be one of [{', '.join(STATUSES)}]")
    chosen = [i for i in instances if (i.status == status if status else i.status != "INACTIVE")]
    expression = parameter(self, "filter")
    if expression:
        try:
            test = query.parse(expression)
        except query.QueryError as wrong:
            raise invalid(f"Invalid filter: {wrong}") from wrong
        chosen = [i for i in chosen if test(i.space)]
    return page(self, "containerInstanceArns", sorted(i.container_instance_arn for i in chosen))


def describe_container_instances(self: Any) -> ActionResult:
    """DescribeContainerInstances: at most 100, those unknown under failures."""
    asked = parameter(self, "containerInstances", [])
    if not asked:
        raise refusal("ClientException", "Container Instances cannot be empty.")
    at_most(asked, 100, "containerInstances")
    found, failures = _find(self, asked)
    return ActionResult({"containerInstances": found, "failures": failures})


def update_container_instances_state(self: Any) -> ActionResult:
    """UpdateContainerInstancesState: ACTIVE or DRAINING, at most ten; those that are unknown or INACTIVE under failures."""
    asked, status = parameter(self, "containerInstances", []), parameter(self, "status")
    at_most(asked, 10, "containerInstances")
    if status not in ("ACTIVE", "DRAINING"):
        raise invalid("Container instance status should be one of [ACTIVE, DRAINING]")
    found, failures = _find(self, asked)
    for instance in list(found):
        if instance.status == "INACTIVE":
            failures.append({"arn": instance.container_instance_arn, "reason": "INACTIVE"})
            found.remove(instance)
        elif instance.status not in ("ACTIVE", "DRAINING"):
            raise invalid(f"The container instance is {instance.status} and cannot be set to {status}.")
        elif instance.status != status:
            instance.status = status
            _changed(self, instance)
    return ActionResult({"containerInstances": found, "failures": failures})


def deregister_container_instance(self: Any) -> ActionResult:
    """DeregisterContainerInstance: refused while tasks run, unless forced; what runs is then ECS's no more."""
    instance = _one(self, parameter(self, "containerInstance", ""))
    backend = backend_of(self)
    if instance.tasks and not parameter(self, "force", default=False):
        raise invalid("Found running tasks on the instance.")
    state = state_of(backend)
    for arn, task in list(instance.tasks.items()):
        # The containers go on without ECS: it forgets the tasks, and the scheduler starts others.
        state.moving.pop(arn, None)
        state.services.get(f"{task.cluster_name}:{task.service}", ServiceState()).tasks.pop(arn, None)
        backend.tasks[instance.cluster_name].pop(arn, None)
    instance.tasks.clear()
    instance.status, instance.agent_connected = "INACTIVE", False
    _changed(self, instance)
    return ActionResult({"containerInstance": instance})


def put_attributes(self: Any) -> ActionResult:
    """PutAttributes: at most ten a call, and ten custom ones on an instance; all of them or none."""
    attributes = parameter(self, "attributes", [])
    at_most(attributes, MAX_CUSTOM, "attributes")
    cluster_of(self)
    after: dict[str, tuple[Instance, dict[str, str | None]]] = {}
    for attribute in attributes:
        instance = _target(self, attribute)
        name, value = attribute.get("name", ""), attribute.get("value")
        _check_attribute(name, value)
        _, custom = after.setdefault(instance.id, (instance, dict(instance.custom)))
        custom[name] = value
        if len(custom) > MAX_CUSTOM:
            raise refusal("AttributeLimitExceededException", f"A container instance can have at most {MAX_CUSTOM} custom attributes.")
    for instance, custom in after.values():
        instance.custom = custom
        _changed(self, instance)
    return ActionResult({"attributes": attributes})


def list_attributes(self: Any) -> ActionResult:
    """ListAttributes by name and, if given, value, in pages. Only container instances have attributes."""
    if parameter(self, "targetType") != "container-instance":
        raise invalid("targetType must be container-instance")
    name, value = parameter(self, "attributeName"), parameter(self, "attributeValue")
    found = [
        {"name": key, "targetId": instance.container_instance_arn, **({} if held is None else {"value": held})}
        for instance in instances_of(backend_of(self), cluster_of(self)).values()
        if instance.status != "INACTIVE"
        for key, held in instance.attributes.items()
        if name in (None, key) and value in (None, held)
    ]
    return page(self, "attributes", found)


def delete_attributes(self: Any) -> ActionResult:
    """DeleteAttributes: custom ones, whatever their value unless one is given."""
    attributes = parameter(self, "attributes", [])
    at_most(attributes, MAX_CUSTOM, "attributes")
    cluster_of(self)
    for attribute in attributes:
        instance, name = _target(self, attribute), attribute.get("name", "")
        if name in instance.custom and attribute.get("value") in (None, instance.custom[name]):
            del instance.custom[name]
            _changed(self, instance)
    return ActionResult({"attributes": attributes})


def update_container_agent(self: Any) -> ActionResult:
    """UpdateContainerAgent: begins an update, or says why there is none. A disconnected agent leaves it PENDING."""
    instance = _one(self, parameter(self, "containerInstance", ""))
    backend = backend_of(self)
    if instance.id in state_of(backend).updating:
        raise refusal("UpdateInProgressException", "An update is already in progress on this container instance.")
    version = instance.version_info.get("agentVersion")
    if not version:
        raise refusal("MissingVersionException", "Amazon ECS is unable to determine the current version of the agent.")
    arm = instance.own_attributes["ecs.cpu-architecture"] == "arm64"
    if arm or query.version_key(version) >= query.version_key(RECOMMENDED_AGENT):
        raise refusal("NoUpdateAvailableException", "There is no update available for this container agent.")
    instance.agent_update_status = "PENDING"
    state_of(backend).updating[instance.id] = datetime.now(UTC)
    _changed(self, instance)
    return ActionResult({"containerInstance": instance})


def finish_updates(backend: EC2ContainerServiceBackend, now: datetime) -> None:
    """Bring agent updates to where they are at ``now``: STAGING, and after UPDATE_SECONDS the new agent."""
    state = state_of(backend)
    for instances in backend.container_instances.values():
        for key in list(state.updating.keys() & instances.keys()):
            instance: Any = instances[key]
            if not instance.agent_connected:
                continue
            done = now >= state.updating[key] + timedelta(seconds=UPDATE_SECONDS)
            instance.agent_update_status = "UPDATED" if done else "STAGING"
            if done:
                instance.set_agent(RECOMMENDED_AGENT)
                instance.changed()
                state.changes += 1
                del state.updating[key]


def describe_capacity_providers(self: Any) -> ActionResult:
    """DescribeCapacityProviders: those named, or all; those unknown under failures. Managed draining shows its default."""
    backend = backend_of(self)
    asked = parameter(self, "capacityProviders") or list(backend.capacity_providers)
    if not asked:
        return ActionResult({"capacityProviders": [], "failures": []})
    at_most(asked, 100, "capacityProviders")
    by_name = [(name, backend.capacity_providers.get(name.rpartition("/")[2])) for name in asked]
    for _, provider in by_name:
        if provider is not None:
            provider.auto_scaling_group_provider.setdefault("managedDraining", "ENABLED")
    found = [provider for _, provider in by_name if provider is not None]
    return ActionResult({"capacityProviders": found, "failures": [missing(self, "capacity-provider", n) for n, p in by_name if p is None]})


def _find(response: Any, asked: list[str]) -> tuple[list[Instance], list[dict[str, str]]]:
    """Container instances by id or ARN, each once, and failures for the rest."""
    instances = instances_of(backend_of(response), cluster_of(response))
    found: dict[str, Instance] = {}
    failures = []
    for name in asked:
        instance = instances.get(name.rpartition("/")[2])
        if instance is None:
            failures.append(missing(response, "container-instance", name))
        else:
            found[instance.id] = instance
    return list(found.values()), failures


def _one(response: Any, name: str) -> Instance:
    """A registered container instance by id or ARN. Raises InvalidParameterException."""
    found, _ = _find(response, [name])
    if not found or found[0].status == "INACTIVE":
        raise invalid(f"The referenced container instance was not found: {name}")
    return found[0]


def _target(response: Any, attribute: dict[str, Any]) -> Instance:
    """The instance an attribute is for: an ARN, or an id with targetType. Raises TargetNotFoundException."""
    target, kind = attribute.get("targetId") or "", attribute.get("targetType")
    if kind not in (None, "container-instance"):
        raise invalid("targetType must be container-instance")
    instance = instances_of(backend_of(response), cluster_of(response)).get(target.rpartition("/")[2])
    if instance is None or instance.status == "INACTIVE":
        raise refusal("TargetNotFoundException", f"The specified target wasn't found: {target}")
    return instance


def _check_attribute(name: str, value: str | None) -> None:
    """Refuse names and values with characters or lengths that ECS does not take (API reference, Attribute)."""
    if not ATTRIBUTE_NAME.fullmatch(name):
        raise invalid(f"Attribute name {name!r} must have 1 to 128 letters, digits, or one of - _ . / \\.")
    if value is not None and not (ATTRIBUTE_VALUE.fullmatch(value) and value == value.strip()):
        raise invalid(f"Attribute value {value!r} must have 1 to 128 letters, digits, or one of - _ . / \\ @ : and inner spaces.")


def _changed(response: Any, instance: Instance) -> None:
    """The instance is different from before."""
    instance.changed()
    state_of(backend_of(response)).changes += 1


def install() -> None:
    """Put these operations onto moto's response class."""
    put_on_moto([
        describe_clusters, list_clusters, register_container_instance, list_container_instances, describe_container_instances,
        update_container_instances_state, deregister_container_instance, put_attributes, list_attributes, delete_attributes,
        update_container_agent, describe_capacity_providers,
    ])  # fmt: skip
    # moto writes attributes out as AWS does for the operations it knows to answer with instances; others do, too.
    transformers = EC2ContainerServiceResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER
    as_listed = transformers["DescribeContainerInstancesResponse.containerInstances.ContainerInstance.attributes"]
    transformers["UpdateContainerInstancesStateResponse.containerInstances.ContainerInstance.attributes"] = as_listed
    for operation in ("DeregisterContainerInstance", "UpdateContainerAgent"):
        transformers[f"{operation}Response.containerInstance.attributes"] = as_listed
