"""EC2 as the account needs it: quick launches, Spot lifecycles that show, and what becomes of an instance that ends.

moto launches one instance in about 7 ms, nearly all of it spent looking the image up among 1,300 of them, and describes one
among thousands by walking all of them. Here a launch remembers the image and a lookup by id goes straight to the instance.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from moto.ec2.models.instances import Instance, Reservation, StateReason

from workbench.sandbox.machine import ACCOUNT_ID, REGION, EcsHalf, Machine

ASG_NAME_TAG = "aws:autoscaling:groupName"
"""The tag Auto Scaling puts on its instances, and takes off when one is detached."""

USER = StateReason("Client.UserInitiatedShutdown: User initiated shutdown", "Client.UserInitiatedShutdown")
SPOT = StateReason("Server.SpotInstanceTermination: Spot instance termination", "Server.SpotInstanceTermination")

STATES = {"pending": 0, "running": 16, "stopping": 64, "stopped": 80, "shutting-down": 32, "terminated": 48}
"""EC2's instance states and their codes, in the order of an instance's life; only a stopped one may also start again."""


class _ImagesRemembered:
    """An EC2 backend whose image lookup by id is answered from memory; everything else is the backend's own."""

    def __init__(self, backend: Any) -> None:
        """``backend``: moto's EC2 backend."""
        self._backend = backend
        self._images: dict[str, list[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        """The backend's own attribute ``name``."""
        return getattr(self._backend, name)

    def describe_images(self, filters: Mapping[str, str]) -> list[Any]:
        """The images with the id in ``filters["image-id"]``: none or one."""
        image_id = filters["image-id"]
        if image_id not in self._images:
            self._images[image_id] = self._backend.describe_images(filters=filters)
        return self._images[image_id]


class Ec2Physics:
    """The instances of the account: launches them, ends them, finds them by id, and tells ECS when a host is gone.

    ``ended`` is when each stopped or terminated; ``condemned`` when each had its Spot warning, and of what.
    """

    def __init__(self, backend: Any, ecs: EcsHalf) -> None:
        """``backend``: moto's EC2 backend, which this object attaches itself to until the backend is reset."""
        self.backend = backend
        self.ecs = ecs
        self.machines: dict[str, Machine] = {}
        self.ended: dict[str, datetime] = {}
        self.condemned: dict[str, tuple[datetime, str]] = {}
        self._instances: dict[str, Instance] = {}
        self._launched: dict[str, int] = {}
        self._images = _ImagesRemembered(backend)
        backend.physics = self

    def next_id(self, seed: str) -> str:
        """An unused instance id, the same for the same ``seed`` (a group's name) and number of launches before it."""
        while True:
            count = self._launched.get(seed, 0) + 1
            self._launched[seed] = count
            instance_id = "i-0" + hashlib.sha256(f"{seed}/{count}".encode()).hexdigest()[:16]
            if instance_id not in self._instances:
                return instance_id

    def launch(self, machine: Machine, tags: Mapping[str, str], *, spot: bool) -> Instance:
        """Run the machine as an EC2 instance with its own id, zone and tags; ``spot`` shows in ``InstanceLifecycle``."""
        instance = Instance(  # type: ignore[abstract]
            self._images,
            machine.image_id,
            None,
            [],
            instance_type=machine.instance_type,
            subnet_id=machine.subnet_id,
            region_name=REGION,
            lifecycle="spot" if spot else None,
        )
        instance.ec2_backend = self.backend
        instance.id = machine.id
        instance.add_tags(dict(tags))
        reservation = Reservation("r-0" + machine.id[3:], ACCOUNT_ID)
        reservation.instances.append(instance)
        self.backend.reservations[reservation.id] = reservation
        self._instances[machine.id] = instance
        self.machines[machine.id] = machine
        return instance

    @property
    def ids(self) -> list[str]:
        """The id of every instance, in any state."""
        return [i.id for r in self.backend.reservations.values() for i in r.instances]

    def find(self, instance_id: str) -> Instance | None:
        """The instance of that id, in any state; None if there is none. One launched through RunInstances counts."""
        if instance_id not in self._instances and len(self._instances) < len(self.ids):
            self._instances |= {i.id: i for r in self.backend.reservations.values() for i in r.instances}
        return self._instances.get(instance_id)

    def reservations_of(self, instance_ids: Iterable[str]) -> list[Reservation]:
        """One reservation for each id that exists, without walking the account; unknown ids are left out."""
        found = (self.find(i) for i in dict.fromkeys(instance_ids))
        return [_reservation_of(instance) for instance in found if instance is not None]

    def terminate(self, instance_id: str, now: datetime, reason: StateReason = USER) -> bool:
        """End the instance at ``now`` (UTC), and tell ECS its host is gone. False if it is unknown or ended already."""
        instance = self.find(instance_id)
        if instance is None or instance.state == "terminated":
            return False
        instance.terminate()
        instance.state_reason = reason
        instance._reason = f"{reason.code.rpartition('.')[2]} ({now:%Y-%m-%d %H:%M:%S} GMT)"  # noqa: SLF001 (moto has no other way)
        self.ended.setdefault(instance_id, now)
        if instance_id in self.machines:
            self.ecs.host_gone(instance_id)
        return True

    def bring_to(self, instance_id: str, state: str, now: datetime) -> bool:
        """Bring the instance on to a later state of its life (``STATES``) at ``now``. False if it is unknown, or as far already.

        A host that has stopped or terminated took its agent's connection along: ECS, which nobody told, keeps it as it last
        knew it. One that is only stopping or shutting down is connected still.
        """
        instance, order = self.find(instance_id), list(STATES)
        if instance is None or order.index(instance.state) >= order.index(state):
            return False
        if state in ("stopped", "terminated"):
            self.ecs.disconnect(instance_id)
        if state == "terminated":
            return self.terminate(instance_id, now)
        if state == "stopped":
            instance.stop()
            self.ended.setdefault(instance_id, now)
        instance.instance_state.name, instance.instance_state.code = state, STATES[state]
        return True


def _reservation_of(instance: Instance) -> Reservation:
    """A reservation that holds this instance alone: EC2 answers in reservations."""
    reservation = Reservation("r-0" + instance.id[3:], ACCOUNT_ID)
    reservation.instances.append(instance)
    return reservation
