"""What an instance type offers ECS: CPU units, MiB, GPUs and network interfaces for awsvpc tasks."""

from dataclasses import dataclass
from functools import cache
from math import floor

from moto.ec2.models.instance_types import INSTANCE_TYPES

from bulwark.core.enis import task_enis

OBSERVED_MEMORY = {
    "t2.micro": 993, "t3.small": 1901, "t3.medium": 3828, "c4.large": 3767, "m4.large": 7985, "m5.large": 7680, "c4.4xlarge": 30158,
    "g4dn.xlarge": 15731, "inf1.xlarge": 7667,
}  # fmt: skip
"""MiB that instances of the type were seen to register; it depends a little on AMI and kernel."""

MEMORY_SHARE = 0.96
"""Share of the nominal memory that the kernel shows, for a type never seen: those seen lie between 0.93 and 0.98."""

RESERVED_PORTS = frozenset({22, 2375, 2376, 51678, 51679})
"""Host ports taken on every Linux container instance (ECS developer guide, agent configuration)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """``enis``: how many awsvpc tasks the type can carry without trunking; ``enis_trunked``: with it, None if it cannot have it."""

    cpu: int
    memory: int
    gpu: int
    enis: int
    enis_trunked: int | None
    architecture: str


@cache
def shape(instance_type: str) -> Shape:
    """The shape of an EC2 instance type. Raises ValueError for one that EC2 does not know."""
    if instance_type not in INSTANCE_TYPES:
        raise ValueError(f"{instance_type} is no EC2 instance type")
    data = INSTANCE_TYPES[instance_type]
    memory = OBSERVED_MEMORY.get(instance_type, floor(data["MemoryInfo"]["SizeInMiB"] * MEMORY_SHARE))
    gpus = sum(gpu["Count"] for gpu in data.get("GpuInfo", {}).get("Gpus", ()) if gpu.get("Manufacturer") == "NVIDIA")
    architecture = "arm64" if "arm64" in data["ProcessorInfo"]["SupportedArchitectures"] else "x86_64"
    interfaces = data["NetworkInfo"]["MaximumNetworkInterfaces"] - 1
    enis, trunked = task_enis(instance_type, trunked=False), task_enis(instance_type, trunked=True)
    # One model for the sandbox and the functions; of a type that it does not know, EC2 knows the interfaces, less the primary one.
    enis = interfaces if enis is None else enis
    trunked = trunked if trunked is not None and trunked > enis else None
    return Shape(data["VCpuInfo"]["DefaultVCpus"] * 1024, memory, gpus, enis, trunked, architecture)
