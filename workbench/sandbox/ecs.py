"""The ECS half of the account in memory: instances register, tasks start and stop, services are kept at strength.

``EcsPhysics`` is what the EC2 half talks to. What clients call is in ``ecs_operations`` and ``ecs_task_operations``, which put
themselves onto moto's response class, so that the same answers come in process and over HTTP.
"""

from datetime import UTC, datetime, timedelta

from moto.ecs.models import EC2ContainerServiceBackend, ecs_backends

from workbench.sandbox import ecs_operations, ecs_scheduler, ecs_task_operations, ecs_tasks
from workbench.sandbox.ecs_model import Instance, instances_of, state_of
from workbench.sandbox.ecs_operations import finish_updates
from workbench.sandbox.machine import ACCOUNT_ID, REGION, Machine

STEP = timedelta(seconds=5)
"""A longer tick is lived in steps of so long, because what one step starts the next one builds on."""


class EcsPhysics:
    """ECS of one account and Region. All its state hangs on moto's backend, and goes when moto is reset."""

    def __init__(self, account_id: str = ACCOUNT_ID, region: str = REGION) -> None:
        self._account_id = account_id
        self._region = region

    @property
    def backend(self) -> EC2ContainerServiceBackend:
        """The backend, moto's, of the account and Region."""
        return ecs_backends[self._account_id][self._region]

    @staticmethod
    def install() -> None:
        """Put the operations that moto lacks or gets wrong onto its response class. Doing it again changes nothing."""
        ecs_operations.install()
        ecs_task_operations.install()

    def register(self, machine: Machine) -> str:
        """Register the machine with its cluster, which must exist; returns the ARN. Registering again makes another registration.

        Raises ClusterNotFoundException (moto's) for an unknown cluster and ValueError for an instance type EC2 does not know.
        """
        backend = self.backend
        cluster = backend._get_cluster(machine.cluster)  # noqa: SLF001  moto has no public way to say ClusterNotFoundException
        instance = Instance(machine, backend, datetime.now(UTC))
        instances_of(backend, cluster.name)[instance.id] = instance
        state_of(backend).changes += 1
        return instance.container_instance_arn

    def host_gone(self, machine_id: str) -> None:
        """EC2 terminated the instance.

        With its agent connected it is deregistered and its tasks end; otherwise ECS knows of nothing: it stays registered,
        with the tasks last seen on it.
        """
        for instance in self._registrations(machine_id):
            if instance.agent_connected and instance.status != "INACTIVE":
                ecs_tasks.host_terminated(self.backend, instance, datetime.now(UTC))
                instance.status = "INACTIVE"
            self._lose(instance)

    def disconnect(self, machine_id: str) -> None:
        """The agent's connection is lost: every registration of the instance stays as it is, with the tasks last seen on it."""
        for instance in self._registrations(machine_id):
            if instance.agent_connected:
                self._lose(instance)

    def drain(self, machine_id: str) -> None:
        """The agent sets its own container instance DRAINING: one that is ACTIVE, and whose agent can say so."""
        for instance in self._registrations(machine_id):
            if instance.agent_connected and instance.status == "ACTIVE":
                instance.status = "DRAINING"
                self._changed(instance)

    def _registrations(self, machine_id: str) -> list[Instance]:
        """Every container instance of one EC2 instance, those INACTIVE included."""
        backend = self.backend
        return [i for c in list(backend.container_instances) for i in instances_of(backend, c).values() if i.ec2_instance_id == machine_id]

    def _lose(self, instance: Instance) -> None:
        """ECS has no connection to the agent any more."""
        instance.agent_connected = False
        self._changed(instance)

    def _changed(self, instance: Instance) -> None:
        """The instance is different from before."""
        instance.changed()
        state_of(self.backend).changes += 1

    def tick(self, now: datetime) -> None:
        """Let ECS live until ``now`` (aware, UTC): tasks start and stop, the scheduler places and moves them."""
        state = state_of(self.backend)
        at = state.now
        while True:
            at = min(now, at + STEP)
            ecs_tasks.move(self.backend, at)
            finish_updates(self.backend, at)
            ecs_scheduler.schedule(self.backend, at)
            if at >= now:
                break
        ecs_tasks.forget(self.backend, now)
        state.now = now
