"""The service scheduler: keeps services at their desired count, moves them off DRAINING instances, and says what it does.

The rules are the ECS developer guide's for container instance draining and rolling updates: at least minimumHealthyPercent
(rounded up) of desired stays healthy, at most maximumPercent (rounded down) is live. A task of an old deployment is treated
like one on a DRAINING instance: it has to go.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Any
from uuid import uuid4

from moto.ecs.models import EC2ContainerServiceBackend

from bulwark.core.packing import DEFAULT_STRATEGY, Misfit, Need, Space, Strategy, misfits, place_many
from workbench.sandbox.ecs_model import Instance, ServiceState, Task, active_spaces, instances_of, state_of
from workbench.sandbox.ecs_tasks import need_of, place, start, stop
from workbench.sandbox.ecs_waiting import place_standalone, wait_for_room

REPEAT_AFTER = timedelta(hours=6)
"""A message just like one before is withheld for so long, unless its cause has cleared in between."""

MAX_EVENTS = 100
"""How many events DescribeServices shows."""


def schedule(backend: EC2ContainerServiceBackend, now: datetime) -> None:
    """One pass over every ACTIVE service (moto's objects) of every cluster."""
    state = state_of(backend)
    for key, service in backend.services.items():
        if service.launch_type == "FARGATE":
            continue
        kept = state.services.setdefault(key, ServiceState())
        if kept.seen == state.changes and kept.at is not None and now - kept.at < REPEAT_AFTER:
            continue
        kept.seen, kept.at = state.changes, now
        if service.status != "ACTIVE":
            _stop(backend, service, kept, [t for t in kept.tasks.values() if t.desired_status == "RUNNING"], now)
        else:
            _Pass(backend, service, kept, now).run()
        _count(service, kept)
    place_standalone(backend, now)


def strategy_of(service: Any) -> tuple[Strategy, ...]:
    """The placement strategy of a service or RunTask call: its own, or ECS's default."""
    asked = getattr(service, "placement_strategy", None)
    return strategies(asked) or DEFAULT_STRATEGY


def strategies(asked: Any) -> tuple[Strategy, ...]:
    """``placementStrategy`` as the packing model takes it."""
    return tuple(Strategy(step["type"], step.get("field", "")) for step in asked or ())


def bounds(service: Any) -> tuple[int, int]:
    """How many tasks must stay healthy and how many may be live, of a moto service: (least, most)."""
    configuration = getattr(service, "deployment_configuration", None) or {}
    least = configuration.get("minimumHealthyPercent", 100)
    most = configuration.get("maximumPercent", 200)
    return ceil(service.desired_count * least / 100), floor(service.desired_count * most / 100)


class _Pass:
    """One look at one service: what it has, what has to go, what may start."""

    def __init__(self, backend: EC2ContainerServiceBackend, service: Any, kept: ServiceState, now: datetime) -> None:
        self.backend, self.service, self.kept, self.now = backend, service, kept, now
        self.instances = instances_of(backend, service.cluster_name)
        self.definition = backend.describe_task_definition(service.task_definition)
        self.deployment = service.deployments[0]["id"] if service.deployments else f"ecs-svc/{service.name}"
        self.live = [task for task in kept.tasks.values() if task.desired_status == "RUNNING"]
        self.leaving = [task for task in self.live if self._has_to_go(task)]
        self.staying = [task for task in self.live if not self._has_to_go(task)]

    def run(self) -> None:
        """Stop what may stop, start what may start, and say if all is well."""
        daemon = self.service.scheduling_strategy == "DAEMON"
        if daemon:
            self._daemon()
        else:
            self._stop_pending_on_draining()
            self._scale_in()
            self._start_missing()
            self._stop_leaving()
        settled = not self.leaving and len(self.staying) == self.service.desired_count
        if settled and all(task.last_status == "RUNNING" for task in self.staying):
            self._steady()
        else:
            self.kept.steady = False

    def _has_to_go(self, task: Task) -> bool:
        """On an instance that is DRAINING, or of an old deployment."""
        drains = task.container_instance_arn is not None and self._instance(task).status != "ACTIVE"
        return drains or task.started_by != self.deployment

    def _instance(self, task: Task) -> Instance:
        """The container instance that a live task has its place on."""
        return self.instances[(task.container_instance_arn or "").rpartition("/")[2]]

    def _need(self) -> Need:
        """What one task of the service asks for."""
        constraints = getattr(self.service, "placement_constraints", None) or ()
        group = f"service:{self.service.name}"
        return need_of(self.definition, self.backend, group=group, constraints=constraints, network=self.service.network_configuration)

    def _spaces(self) -> list[Space]:
        """The instances that tasks could go to: ACTIVE, and of the service's capacity provider if it names one."""
        return active_spaces(self.instances.values(), getattr(self.service, "capacity_provider_strategy", None))

    def _stop_pending_on_draining(self) -> None:
        """A task that has not started on a DRAINING instance is stopped at once."""
        waiting = [task for task in self.leaving if task.last_status != "RUNNING"]
        self._stop(waiting)

    def _scale_in(self) -> None:
        """More stay than desired: stop the newest, those not running first, protected ones never."""
        excess = len(self.staying) - self.service.desired_count
        if excess > 0:
            free = [task for task in self.staying if task.protected_until is None or task.protected_until <= self.now]
            free.sort(key=lambda task: (task.last_status == "RUNNING", -task.created_at.timestamp(), task.id))
            self._stop(free[:excess])
            if len(free) < excess:
                self.kept.seen = -1  # protection runs out by time alone: look again at the next pass

    def _start_missing(self) -> None:
        """Start what is missing as far as maximumPercent and the instances allow; what waits for a place comes first."""
        _, most = bounds(self.service)
        waiting = [task for task in self.staying if task.last_status == "PROVISIONING"]
        wanted = max(0, min(self.service.desired_count - len(self.staying), most - len(self.live)))
        if not waiting and not wanted:
            return
        need = self._need()
        chosen = place_many(need, len(waiting) + wanted, self._spaces(), strategy_of(self.service))
        placed = waiting[: len(chosen)]
        for task, space in zip(placed, chosen, strict=False):
            place(self.backend, task, self.instances[space.arn.rpartition("/")[2]], self.now)
        self._start(need, chosen[len(placed) :], placed)
        short = len(waiting) + wanted - len(chosen)
        if not short:
            self.kept.said.clear()
        elif not getattr(self.service, "capacity_provider_strategy", None):
            self._say(self._why_not(need, self._spaces()))
        else:
            self._wait(need, min(short, wanted))

    def _wait(self, need: Need, count: int) -> None:
        """Let so many more tasks wait in PROVISIONING for the capacity provider to bring room, as far as ECS lets them."""
        name = self.service.capacity_provider_strategy[0]["capacityProvider"]
        cluster = self.service.cluster_name
        tasks = wait_for_room(self.backend, self.definition, cluster, need, self.now, count, name, started_by=self.deployment)
        self.kept.tasks |= {task.task_arn: task for task in tasks}
        self.live += tasks
        self.staying += tasks
        if len(tasks) < count:
            what = f"could not launch {count - len(tasks)} tasks for deployment {self.deployment}"
            self._say(f"{what} because the tasks provisioning capacity limit was exceeded.")

    def _stop_leaving(self) -> None:
        """Stop as many of those that have to go as minimumHealthyPercent allows, the oldest first."""
        least, _ = bounds(self.service)
        healthy = sum(task.last_status == "RUNNING" for task in self.live if task.desired_status == "RUNNING")
        going = sorted((task for task in self.leaving if task.desired_status == "RUNNING"), key=lambda task: (task.created_at, task.id))
        self._stop(going[: max(0, healthy - least)])

    def _daemon(self) -> None:
        """One task on every ACTIVE instance that qualifies. On a DRAINING one the daemon leaves last, and is not replaced elsewhere."""
        need = replace(self._need(), distinct=True)
        self._stop([task for task in self.leaving if self._alone(task)])
        bare = replace(need, cpu=0, memory=0, gpu=0, ports=frozenset(), ports_udp=frozenset(), enis=0, distinct=False)
        spaces = [space for space in self._spaces() if not misfits(bare, replace(space, agent_connected=True))]
        self.service.desired_count = len(spaces)
        covered = {task.container_instance_arn for task in self.live}
        missing = [space for space in spaces if space.arn not in covered]
        refused = [space for space in missing if misfits(need, space)]
        self._start(need, [space for space in missing if space not in refused])
        if refused:
            self._say(self._why_not(need, refused))

    def _alone(self, task: Task) -> bool:
        """Whether only daemons are left on the task's instance, or it is of an old deployment on an ACTIVE one."""
        instance = self._instance(task)
        return instance.status == "ACTIVE" or all(is_daemon(self.backend, other) for other in instance.tasks.values())

    def _start(self, need: Need, spaces: Sequence[Space], placed: Sequence[Task] = ()) -> None:
        """Start one task on each of the spaces, and say so; of those that have just been ``placed`` as well."""
        started = list(placed)
        for space in spaces:
            instance = self.instances[space.arn.rpartition("/")[2]]
            task = start(self.backend, self.definition, instance, need, self.now, started_by=self.deployment)
            self.kept.tasks[task.task_arn] = task
            self.live.append(task)
            self.staying.append(task)
            started.append(task)
        if started:
            self._say(f"has started {len(started)} tasks: {_named(started)}.")

    def _stop(self, tasks: Sequence[Task]) -> None:
        """Stop tasks, and say so."""
        _stop(self.backend, self.service, self.kept, tasks, self.now)
        gone = {task.task_arn for task in tasks}
        self.live = [task for task in self.live if task.task_arn not in gone]
        self.staying = [task for task in self.staying if task.task_arn not in gone]

    def _steady(self) -> None:
        """Say once that the service is steady, and again every six hours."""
        if not self.kept.steady:
            self.kept.said.clear()
        self.kept.steady = True
        self._say("has reached a steady state.")

    def _say(self, message: str) -> None:
        """Put an event on the service."""
        say(self.service, self.kept, message, self.now)

    def _why_not(self, need: Need, spaces: Sequence[Space]) -> str:
        """Why no instance takes a task: ECS's sentence, naming the closest instance."""
        head = "was unable to place a task because no container instance met all of its requirements."
        if not spaces:
            return f"{head} Reason: No Container Instances were found in your cluster."
        reasons, space = closest(need, spaces)
        return f"{head} The closest matching (container-instance {space.arn.rpartition('/')[2]}) {_in_words(reasons[0])}"


def closest(need: Need, spaces: Sequence[Space]) -> tuple[tuple[Misfit, ...], Space]:
    """The instance with the fewest reasons against it, and these reasons."""
    return min(((misfits(need, space), space) for space in spaces), key=lambda one: (len(one[0]), one[1].ec2_id, one[1].arn))


def _in_words(misfit: Misfit) -> str:
    """A reason as a service event words it."""
    words = {
        "RESOURCE:CPU": "has insufficient CPU units available.",
        "RESOURCE:MEMORY": "has insufficient memory available.",
        "RESOURCE:PORTS": "is already using a port required by your task.",
        "ATTRIBUTE": "is missing an attribute required by your task.",
        "LOCATION": "is missing an attribute required by your task.",
    }
    return words.get(misfit.reason, f'encountered error "{misfit.reason.rstrip(".")}".')


def is_daemon(backend: EC2ContainerServiceBackend, task: Task) -> bool:
    """Whether the task belongs to a DAEMON service."""
    service = backend.services.get(f"{task.cluster_name}:{task.service}")
    return service is not None and bool(service.scheduling_strategy == "DAEMON")


def say(service: Any, kept: ServiceState, message: str, now: datetime) -> None:
    """Put ``(service NAME) message`` first among the service's events, unless it was said in the last six hours."""
    said = kept.said.get(message)
    if said is not None and now - said < REPEAT_AFTER:
        return
    kept.said[message] = now
    service.events.insert(0, {"id": str(uuid4()), "createdAt": now, "message": f"(service {service.name}) {message}"})
    del service.events[MAX_EVENTS:]


def _stop(backend: EC2ContainerServiceBackend, service: Any, kept: ServiceState, tasks: Sequence[Task], now: datetime) -> None:
    """Stop tasks in the scheduler's name, and say so."""
    for task in tasks:
        stop(backend, task, now, reason=f"Scaling activity initiated by (deployment {task.started_by})", code="ServiceSchedulerInitiated")
    if tasks:
        say(service, kept, f"has stopped {len(tasks)} running tasks: {_named(tasks)}.", now)


def _named(tasks: Sequence[Task]) -> str:
    """Tasks as events name them."""
    return " ".join(f"(task {task.id})" for task in tasks)


def _count(service: Any, kept: ServiceState) -> None:
    """Bring the service's and its deployment's counts up to date."""
    live = [task for task in kept.tasks.values() if task.desired_status == "RUNNING"]
    service.running_count = sum(task.last_status == "RUNNING" for task in live)
    service.pending_count = len(live) - service.running_count
    for deployment in service.deployments[:1]:
        done = service.running_count >= service.desired_count
        deployment.update(
            desiredCount=service.desired_count,
            runningCount=service.running_count,
            pendingCount=service.pending_count,
            rolloutState="COMPLETED" if done else deployment["rolloutState"],
            taskDefinition=service.task_definition,
        )
