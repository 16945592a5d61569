"""What is remembered between two looks, in the table: written whole, never over a later look, and never read in half."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bulwark.core.capacity_rest import Rest
from bulwark.core.cluster import Demand, Resources
from bulwark.shell import translate_capacity as translate
from bulwark.shell.memory import Memory, MemoryBook
from tests.builders import NOW, OTHER, an_instance
from tests.fakes import FakeAws, FakeCalls, an_error
from tests.sizing_world import a_shape

DEMAND = Demand(NOW, 1024, 2048, 1)
SHAPE = a_shape(gpu=1, ports=frozenset({22, 51678}), ports_udp=frozenset({53}), attributes={"a": None, "b": "c"}, enis=10)
FULL = Memory((DEMAND,), {"spot": Rest(NOW + timedelta(minutes=5), NOW, 2, "no capacity")}, (SHAPE,), True, DEMAND, DEMAND)

MEMORIES = [FULL, Memory(), Memory(waits=True), Memory(removed=DEMAND), Memory(regret=DEMAND), Memory((DEMAND,) * 60)]


class Table(FakeCalls):
    """The table: what is put is what a query gives."""

    def __init__(self, **answers: list[Any]) -> None:
        super().__init__(**answers)
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def put_item(self, **params: Any) -> None:
        """By key; refused if something that was seen later is there and the condition asks for that."""
        self.calls.append(("put_item", params))
        if self.answers.get("put_item"):
            raise self.answers["put_item"].pop(0)
        item = params["Item"]
        key = (item["pk"]["S"], item["sk"]["S"])
        before = self.items.get(key)
        if "ConditionExpression" in params and before and int(before["seen"]["N"]) > int(params["ExpressionAttributeValues"][":seen"]["N"]):
            raise an_error("ConditionalCheckFailedException", "PutItem", "later")
        self.items[key] = item

    def query(self, **params: Any) -> dict[str, Any]:
        """One partition."""
        self.calls.append(("query", params))
        wanted = params["ExpressionAttributeValues"][":pk"]["S"]
        return {"Items": [item for (pk, _), item in self.items.items() if pk == wanted]}


def a_book(table: Table | None = None) -> tuple[MemoryBook, Table]:
    """A memory on a table."""
    table = table or Table()
    return MemoryBook(FakeAws(dynamodb=table), "bulwark"), table


def test_of_a_cluster_that_was_never_looked_at_nothing_is_known() -> None:
    """Not an error."""
    assert Memory() == a_book()[0].recall("orders")


@pytest.mark.parametrize(
    "memory", [FULL, Memory(), Memory(waits=True), Memory(removed=DEMAND), Memory(regret=DEMAND), Memory((DEMAND,) * 60)]
)
def test_what_is_remembered_comes_back(memory: Memory) -> None:
    """All of it, and nothing else."""
    book, _ = a_book()

    assert book.remember("orders", memory, Memory(), NOW)
    assert memory == book.recall("orders")
    assert Memory() == book.recall("billing")


@pytest.mark.parametrize(("later", "taken"), [(-60, False), (-0.001, False), (0, True), (0.001, True)])
def test_a_later_look_is_never_overwritten(later: float, taken: bool) -> None:
    """To the millisecond; the same look may be written again."""
    book, _ = a_book()
    book.remember("orders", FULL, Memory(), NOW)

    assert taken is book.remember("orders", Memory(), FULL, NOW + timedelta(seconds=later))
    assert taken is (Memory().demands == book.recall("orders").demands)


def test_a_stale_look_does_not_change_what_was_learned_about_instances() -> None:
    """Its shapes are as old as the rest of it."""
    book, _ = a_book()
    book.remember("orders", FULL, Memory(), NOW)
    book.remember("orders", Memory(), FULL, NOW - timedelta(seconds=1))

    assert (SHAPE,) == book.recall("orders").shapes


def test_shapes_are_written_only_when_they_change() -> None:
    """They hardly ever do."""
    book, table = a_book()
    book.remember("orders", FULL, Memory(), NOW)
    book.remember("orders", FULL, FULL, NOW)

    assert 3 == table.names().count("put_item")


def test_an_estimate_is_not_remembered() -> None:
    """It is made again, and must not pass for learned."""
    book, _ = a_book()
    book.remember("orders", Memory(shapes=(a_shape(learned=False),)), Memory(), NOW)

    assert () == book.recall("orders").shapes


def test_what_aws_says_else_is_raised() -> None:
    """Only the refused condition is an answer."""
    book, _ = a_book(Table(put_item=[an_error("ProvisionedThroughputExceededException", "PutItem")]))

    with pytest.raises(ClientError, match="ProvisionedThroughput"):
        book.remember("orders", FULL, Memory(), NOW)


def test_it_is_forgotten_when_nobody_looks_for_three_months() -> None:
    """The table's TTL."""
    book, table = a_book()
    book.remember("orders", FULL, Memory(), NOW)

    times = {int(item["expires_at"]["N"]) for item in table.items.values()}
    assert {int((NOW + timedelta(days=90)).timestamp())} == times


def test_it_is_read_as_it_was_last_written() -> None:
    """A read that may be older would bring back a window that is over."""
    book, table = a_book()
    book.recall("orders")

    ((_, params),) = table.calls
    assert params["ConsistentRead"]


def test_a_field_that_was_not_written_yet_is_nothing() -> None:
    """An entry of an earlier version lives for three months: without what came later, it is still a memory."""
    book, table = a_book()
    book.remember("orders", FULL, Memory(), NOW)
    for item in table.items.values():
        item.pop("regret", None)
        item.pop("removed", None)

    found = book.recall("orders")
    assert (FULL.demands, None, None) == (found.demands, found.removed, found.regret)


def test_times_are_kept_to_the_second() -> None:
    """A demand within a second comes back at its beginning."""
    book, _ = a_book()
    at: datetime = NOW + timedelta(milliseconds=400)
    book.remember("orders", Memory((Demand(at, 1, 1),)), Memory(), at)

    assert (Demand(NOW, 1, 1),) == book.recall("orders").demands


def a_type(name: str = "m5.large", **changes: Any) -> dict[str, Any]:
    """As DescribeInstanceTypes has it."""
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 8192},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    } | changes


def test_an_estimate_promises_no_more_than_an_instance_registers() -> None:
    """92.5 % of the memory (m5.large was seen to register 7,680 or so), the agent's own ports taken, no trunking."""
    shape = translate.estimated("spot", a_type())

    assert (2048, 7577, 0, 2, False) == (shape.cpu, shape.memory, shape.gpu, shape.enis, shape.learned)
    assert frozenset({22, 2375, 2376, 51678, 51679}) == shape.ports
    assert ("m5.large", "x86_64") == (shape.attributes["ecs.instance-type"], shape.attributes["ecs.cpu-architecture"])


def test_an_estimate_of_a_gpu_type_on_arm() -> None:
    """And of one whose interfaces only EC2 knows: one is the instance's own."""
    described = a_type("g9g.huge", GpuInfo={"Gpus": [{"Count": 4}]}, ProcessorInfo={"SupportedArchitectures": ["arm64"]})
    shape = translate.estimated("spot", described | {"NetworkInfo": {"MaximumNetworkInterfaces": 4}})

    assert (4, "arm64", 3) == (shape.gpu, shape.attributes["ecs.cpu-architecture"], shape.enis)


def test_what_is_learned_is_what_all_have_in_common() -> None:
    """The least of each figure; not what tells one from the other; a trunk is a trunk whatever its id."""
    own: dict[str, str | None] = {"ecs.availability-zone": "a", "ecs.subnet-id": "s", "ecs.instance-id": "i", "bulwark.drain": "x"}
    more = Resources(4096, 9000, ports=frozenset({22}))
    one = an_instance(registered=more, attributes={**own, "stack": "a", "side": "l", "ecs.awsvpc-trunk-id": "t1"})
    two = an_instance(OTHER, attributes={**own, "stack": "a", "side": "r", "ecs.awsvpc-trunk-id": "t2"})
    shape = translate.learned("spot", "m5.large", [one, two])

    assert (2048, 7680, frozenset({22})) == (shape.cpu, shape.memory, shape.ports)
    assert ({"stack", "ecs.awsvpc-trunk-id"}, 10, True) == (set(shape.attributes), shape.enis, shape.learned)
