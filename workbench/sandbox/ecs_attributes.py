"""Which attributes a container instance has, by the version of its agent, and which ones a task definition asks for.

The versions are the first release tags of aws/amazon-ecs-agent whose capability code contains the name. Left out is what an
ordinary ECS-optimized Amazon Linux host does not report whatever its version: plugins, gMSA, FSx, external instances,
SELinux and AppArmor, and what is off by default.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bulwark.core.query import version_key

DOCKER = "com.amazonaws.ecs.capability."
ECS = "ecs.capability."

DOCKER_APIS = ("1.17", "1.18", "1.19", "1.20", "1.21", "1.22", "1.23", "1.24", "1.25", "1.28", "1.29", "1.30", "1.32")
"""Docker remote API versions the agent reports: notably not 1.26, 1.27, 1.31, nor 1.33 and later."""

SINCE: Mapping[str, tuple[str, ...]] = {
    "1.5.0": (
        f"{DOCKER}privileged-container", f"{DOCKER}logging-driver.json-file", f"{DOCKER}logging-driver.syslog",
        f"{DOCKER}logging-driver.fluentd", *(f"{DOCKER}docker-remote-api.{version}" for version in DOCKER_APIS),
    ),
    "1.7.0": (f"{DOCKER}ecr-auth",),
    "1.9.0": (f"{DOCKER}logging-driver.awslogs",),
    "1.11.0": (f"{DOCKER}task-iam-role",),
    "1.12.0": (f"{DOCKER}task-iam-role-network-host",),
    "1.14.5": (f"{ECS}task-eni", f"{ECS}task-eni-block-instance-metadata"),
    "1.15.0": (f"{DOCKER}logging-driver.none",),
    "1.16.0": (f"{ECS}execution-role-ecr-pull", f"{ECS}execution-role-awslogs", f"{ECS}task-cpu-mem-limit"),
    "1.17.0": (f"{ECS}container-health-check",),
    "1.19.0": (f"{ECS}private-registry-authentication.secretsmanager",),
    "1.22.0": (f"{ECS}secrets.ssm.environment-variables", f"{ECS}pid-ipc-namespace-sharing"),
    "1.23.0": (f"{ECS}secrets.asm.environment-variables", f"{ECS}ecr-endpoint"),
    "1.25.0": (f"{ECS}task-eia",),
    "1.26.0": (f"{ECS}aws-appmesh", f"{ECS}container-ordering"),
    "1.27.0": (f"{ECS}secrets.ssm.bootstrap.log-driver", f"{ECS}secrets.asm.bootstrap.log-driver"),
    "1.28.0": (f"{ECS}task-eni-trunking",),
    "1.30.0": (f"{DOCKER}logging-driver.awsfirelens", f"{ECS}firelens.fluentd", f"{ECS}firelens.fluentbit", f"{ECS}task-eia.optimized-cpu"),
    "1.31.0": (f"{ECS}firelens.options.config.file", f"{ECS}firelens.options.config.s3"),
    "1.33.0": (f"{ECS}full-sync",),
    "1.35.0": (f"{ECS}efs",),
    "1.38.0": (f"{ECS}efsAuth",),
    "1.39.0": (f"{ECS}env-files.s3",),
    "1.45.0": (f"{ECS}task-eni.ipv6",),
    "1.50.0": (f"{ECS}execute-command",),
    "1.55.0": (f"{DOCKER}logging-driver.awsfirelens.log-driver-buffer-limit",),
    "1.61.1": (f"{ECS}increased-task-cpu-limit",),
    "1.64.0": (f"{ECS}service-connect-v1",),
    "1.67.0": (f"{ECS}network.container-port-range",),
    "1.78.0": (f"{ECS}storage.ebs-task-volume-attach",),
    "1.86.0": (f"{ECS}container-restart-policy",),
    "1.87.0": (f"{ECS}fault-injection",),
    "1.96.0": (f"{ECS}firelens.non-root-user",),
    "1.98.0": (f"{ECS}ipv6-only",),
    "1.99.0": (f"{ECS}storage.ebsta-non-root-user",),
    "1.104.0": (f"{ECS}storage.s3-files",),
}  # fmt: skip
"""First agent version by which each attribute is reported."""

VALUED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "1.14.5": ((f"{ECS}cni-plugin-version", "2024.09.0-0"),),
    "1.28.0": ((f"{ECS}branch-cni-plugin-version", "ebd61f75-"),),
}
"""The same for attributes that carry a value. The values are ones seen in the wild; nothing here depends on them."""


def agent_attributes(agent: str, *, gpu: bool = False) -> dict[str, str | None]:
    """What an agent of that version reports on an ECS-optimized Linux host: name to value, None where there is no value."""
    version = version_key(agent)
    attributes: dict[str, str | None] = {}
    for since, names in SINCE.items():
        if version_key(since) <= version:
            attributes.update(dict.fromkeys(names))
    for since, pairs in VALUED.items():
        if version_key(since) <= version:
            attributes.update(pairs)
    if gpu and version >= (1, 75, 0):
        attributes[f"{ECS}gpu-driver-version"] = "550.163.01"
    return attributes


def built_in(*, image_id: str, zone: str, instance_type: str, architecture: str, vpc_id: str, subnet_id: str) -> dict[str, str | None]:
    """The attributes ECS itself gives a Linux instance. ``architecture`` is x86_64 or arm64."""
    return {
        "ecs.ami-id": image_id,
        "ecs.availability-zone": zone,
        "ecs.instance-type": instance_type,
        "ecs.os-type": "linux",
        "ecs.os-family": "LINUX",
        "ecs.cpu-architecture": architecture,
        "ecs.vpc-id": vpc_id,
        "ecs.subnet-id": subnet_id,
    }


def required_attributes(definition: Any) -> list[dict[str, str]]:
    """``requiresAttributes`` of a task definition (moto's object), as DescribeTaskDefinition lists them."""
    names = set(_of_task(definition))
    for container in definition.container_definitions:
        names.update(_of_container(container, execution_role=bool(getattr(definition, "execution_role_arn", None))))
    return [{"name": name} for name in sorted(names)]


def _of_task(definition: Any) -> Iterator[str]:
    """What the task as a whole asks for."""
    if definition.network_mode == "awsvpc":
        yield from (f"{ECS}task-eni", f"{DOCKER}docker-remote-api.1.18")
    if getattr(definition, "task_role_arn", None):
        yield f"{DOCKER}task-iam-role{'-network-host' if definition.network_mode == 'host' else ''}"
        yield f"{DOCKER}docker-remote-api.1.17"
    if definition.cpu or definition.memory:
        yield f"{ECS}task-cpu-mem-limit"
    if definition.pid_mode or definition.ipc_mode:
        yield f"{ECS}pid-ipc-namespace-sharing"
    if (definition.proxy_configuration or {}).get("type") == "APPMESH":
        yield f"{ECS}aws-appmesh"
    if definition.inference_accelerators:
        yield f"{ECS}task-eia"
    for volume in definition.volumes:
        efs = volume.get("efsVolumeConfiguration")
        if efs:
            yield f"{ECS}efs"
        if efs and (efs.get("transitEncryption") == "ENABLED" or efs.get("authorizationConfig")):
            yield f"{ECS}efsAuth"


def _of_container(container: Mapping[str, Any], *, execution_role: bool) -> Iterator[str]:
    """What one container asks for."""
    for key, names in _BY_FIELD.items():
        if container.get(key):
            yield from names
    if ".dkr.ecr." in container.get("image", ""):
        yield from (f"{DOCKER}ecr-auth", f"{DOCKER}docker-remote-api.1.19")
        if execution_role:
            yield f"{ECS}execution-role-ecr-pull"
    for secret in container.get("secrets", ()):
        kind = "asm" if ":secretsmanager:" in secret.get("valueFrom", "") else "ssm"
        yield f"{ECS}secrets.{kind}.environment-variables"
    yield from _of_logging(container, execution_role=execution_role)


def _of_logging(container: Mapping[str, Any], *, execution_role: bool) -> Iterator[str]:
    """What a container's log driver and log router ask for."""
    driver = (container.get("logConfiguration") or {}).get("logDriver")
    if driver:
        yield f"{DOCKER}logging-driver.{driver}"
        yield f"{DOCKER}docker-remote-api.{'1.19' if driver == 'awslogs' else '1.18'}"
    if driver == "awslogs" and execution_role:
        yield f"{ECS}execution-role-awslogs"
    router = (container.get("firelensConfiguration") or {}).get("type")
    if router:
        yield f"{ECS}firelens.{router}"


_BY_FIELD: Mapping[str, tuple[str, ...]] = {
    "memoryReservation": (f"{DOCKER}docker-remote-api.1.21",),
    "privileged": (f"{DOCKER}privileged-container",),
    "healthCheck": (f"{ECS}container-health-check", f"{DOCKER}docker-remote-api.1.24"),
    "dependsOn": (f"{ECS}container-ordering",),
    "environmentFiles": (f"{ECS}env-files.s3",),
    "repositoryCredentials": (f"{ECS}private-registry-authentication.secretsmanager",),
    "restartPolicy": (f"{ECS}container-restart-policy",),
}
"""Fields of a container definition whose presence alone asks for attributes."""
