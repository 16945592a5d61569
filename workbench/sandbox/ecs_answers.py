"""What every ECS operation of the account in memory does alike: find the cluster, page a list, refuse, name what is missing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse

T = TypeVar("T")
Operation = Callable[[Any], ActionResult]


def put_on_moto(operations: Sequence[Operation]) -> None:
    """Make each function a method of moto's ECS response class, named for the operation in snake case."""
    for operation in operations:
        setattr(EC2ContainerServiceResponse, operation.__name__, operation)


def parameter(response: Any, name: str, default: Any = None) -> Any:
    """A request parameter by its AWS name."""
    value = response._get_param(name)  # noqa: SLF001  how every moto response reads its parameters
    return default if value is None else value


def backend_of(response: Any) -> EC2ContainerServiceBackend:
    """The backend, moto's, for the account and Region of the request."""
    backend: EC2ContainerServiceBackend = response.ecs_backend
    return backend


def cluster_of(response: Any) -> str:
    """The name of the cluster asked for, by name or ARN, ``default`` if none is. Raises ClusterNotFoundException."""
    found = backend_of(response)._get_cluster(parameter(response, "cluster", "default"))  # noqa: SLF001  as in moto's own responses
    if found.status != "ACTIVE":
        raise refusal("ClusterNotFoundException", "Cluster not found.")
    return found.name


def refusal(code: str, message: str) -> ECSException:
    """An error of the ECS API, modelled or not."""
    return ECSException(code, message)


def invalid(message: str) -> InvalidParameterException:
    """InvalidParameterException."""
    return InvalidParameterException(message)


def at_most(items: Sequence[Any], limit: int, name: str) -> None:
    """Refuse a list that is empty or longer than the API takes."""
    if not items:
        raise invalid(f"{name} cannot be empty.")
    if len(items) > limit:
        raise invalid(f"{name} can have at most {limit} items.")


def page(response: Any, key: str, items: Sequence[T], *, most: int = 100, usual: int = 100) -> ActionResult:
    """One page of a list under ``key``, with nextToken if there is more. ``usual`` is the size when maxResults is not given."""
    size = int(parameter(response, "maxResults", usual))
    if not 1 <= size <= most:
        raise invalid(f"maxResults must be between 1 and {most}.")
    begin = _offset(parameter(response, "nextToken"))
    answer: dict[str, Any] = {key: list(items[begin : begin + size])}
    if begin + size < len(items):
        answer["nextToken"] = urlsafe_b64encode(f"at:{begin + size}".encode()).decode()
    return ActionResult(answer)


def _offset(token: str | None) -> int:
    """Where a page begins."""
    if token is None:
        return 0
    try:
        return int(urlsafe_b64decode(token.encode()).decode().removeprefix("at:"))
    except (Base64Error, ValueError) as wrong:
        raise invalid("Invalid token.") from wrong


def missing(response: Any, kind: str, name: str, reason: str = "MISSING") -> dict[str, str]:
    """A failures[] entry for something that is not there. ``name`` is as it was asked for: an id or an ARN."""
    if name.startswith("arn:"):
        return {"arn": name, "reason": reason}
    backend = backend_of(response)
    place = "" if kind == "capacity-provider" else f"{cluster_of(response)}/"
    return {"arn": f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:{kind}/{place}{name}", "reason": reason}
