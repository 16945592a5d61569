"""Event patterns mean here what they mean to EventBridge."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.patterns import PatternError, compile_pattern

EVENT: dict[str, Any] = {
    "source": "aws.ecs",
    "detail-type": "ECS Container Instance State Change",
    "resources": ["arn:aws:ecs:us-east-1:111122223333:container-instance/one", "second"],
    "detail": {
        "status": "ACTIVE",
        "agentConnected": False,
        "version": 7,
        "zero": 0,
        "load": 301.8,
        "account": 111122223333,
        "ip": "10.0.0.33",
        "ip6": "2001:db8::1",
        "file": "dir/a*b.png",
        "reason": None,
        "note": "",
        "zones": [],
        "attributes": [
            {"name": "ecs.os-type", "value": "linux"},
            {"name": "ecs.ami-id", "value": "ami-1"},
            {"name": "ecs.capability.secrets"},
        ],
        "nested": [[{"a": 1, "b": 2}], [{"a": 3, "b": 4}]],
        "state": {"value": "ALARM"},
    },
}
"""An event with every kind of value: scalars of each JSON type, empty things, arrays of scalars, objects and arrays."""


def detail(**fields: Any) -> dict[str, Any]:
    """A pattern on ``detail`` with these fields."""
    return {"detail": fields}


MATCH: list[tuple[str, dict[str, Any]]] = [
    ("exact string", {"source": ["aws.ecs"]}),
    ("any of", {"source": ["aws.ec2", "aws.ecs"]}),
    ("all fields", {"source": ["aws.ecs"], "detail": {"status": ["ACTIVE"]}}),
    ("an array of the event intersects", {"resources": ["second", "third"]}),
    ("boolean", detail(agentConnected=[False])),
    ("number", detail(version=[7])),
    ("the same number written otherwise", detail(version=[7.0])),
    ("a number beyond the numeric bound, exactly", detail(account=[111122223333])),
    ("null", detail(reason=[None])),
    ("a value or no field, and there is none", detail(launchType=["EC2", {"exists": False}])),
    ("a value or no field, and there is the value", detail(status=["ACTIVE", {"exists": False}])),
    ("empty string", detail(note=[""])),
    ("prefix", detail(status=[{"prefix": "ACT"}])),
    ("prefix, ignoring case", detail(status=[{"prefix": {"equals-ignore-case": "act"}}])),
    ("suffix", {"source": [{"suffix": ".ecs"}]}),
    ("suffix, ignoring case", {"source": [{"suffix": {"equals-ignore-case": ".ECS"}}]}),
    ("equals-ignore-case", detail(status=[{"equals-ignore-case": "active"}])),
    ("anything-but a string", detail(status=[{"anything-but": "DRAINING"}])),
    ("anything-but a list", detail(status=[{"anything-but": ["DRAINING", "INACTIVE"]}])),
    ("anything-but numbers", detail(version=[{"anything-but": [1, 2]}])),
    ("anything-but a string, where a number is", detail(version=[{"anything-but": "7"}])),
    ("anything-but prefix", detail(status=[{"anything-but": {"prefix": "DR"}}])),
    ("anything-but prefixes", detail(status=[{"anything-but": {"prefix": ["DR", "IN"]}}])),
    ("anything-but suffix", detail(status=[{"anything-but": {"suffix": "ING"}}])),
    ("anything-but equals-ignore-case", detail(status=[{"anything-but": {"equals-ignore-case": ["draining"]}}])),
    ("anything-but wildcard", detail(status=[{"anything-but": {"wildcard": "D*G"}}])),
    ("anything-but matches another element of an array", {"resources": [{"anything-but": "second"}]}),
    ("numeric equality", detail(load=[{"numeric": ["=", 3.018e2]}])),
    ("numeric range, ends included", detail(version=[{"numeric": [">=", 7, "<=", 7.5]}])),
    ("numeric bound", detail(version=[{"numeric": ["<", 8]}])),
    ("exists", detail(status=[{"exists": True}])),
    ("null exists", detail(reason=[{"exists": True}])),
    ("does not exist", detail(other=[{"exists": False}])),
    ("an object is no leaf, so it does not exist", detail(state=[{"exists": False}])),
    ("an empty array holds no value", detail(zones=[{"exists": False}])),
    ("missing or a value", detail(other=["x", {"exists": False}])),
    ("nothing below a missing object", detail(other={"deep": [{"exists": False}]})),
    ("cidr", detail(ip=[{"cidr": "10.0.0.0/24"}])),
    ("cidr of IPv6", detail(ip6=[{"cidr": "2001:db8::/32"}])),
    ("wildcard", {"detail-type": [{"wildcard": "ECS*State*"}]}),
    ("wildcard that stands for nothing", detail(status=[{"wildcard": "ACTIVE*"}])),
    ("escaped asterisk", detail(file=[{"wildcard": "dir/a\\*b.*"}])),
    ("a field of objects in an array", detail(attributes={"name": ["ecs.ami-id"]})),
    ("two fields in one element", detail(attributes={"name": ["ecs.ami-id"], "value": ["ami-1"]})),
    ("arrays in arrays", detail(nested={"a": [3], "b": [4]})),
    ("an element without the other field", detail(attributes={"name": ["ecs.capability.secrets"], "value": [{"exists": False}]})),
    ("$or, second branch", {"$or": [{"source": ["aws.ec2"]}, {"detail": {"status": ["ACTIVE"]}}]}),
    ("$or below a field", detail(**{"$or": [{"status": ["DRAINING"]}, {"agentConnected": [False]}]})),
    ("$or in a branch of $or", {"$or": [{"source": ["x"]}, {"$or": [{"source": ["y"]}, {"source": ["aws.ecs"]}]}]}),
    ("a dotted key is a step", {"detail.state": {"value": ["ALARM"]}}),
]

NO_MATCH: list[tuple[str, dict[str, Any]]] = [
    ("keys are case-sensitive", {"Source": ["aws.ecs"]}),
    ("values are case-sensitive", {"source": ["AWS.ECS"]}),
    ("one field of two", {"source": ["aws.ecs"], "detail": {"status": ["DRAINING"]}}),
    ("a missing field", detail(other=["x"])),
    ("a number is not its text", detail(version=["7"])),
    ("false is not zero", detail(agentConnected=[0])),
    ("one is not true", {"detail": {"version": [True]}}),
    ("null is not the empty string", detail(reason=[""])),
    ("null is not missing", detail(reason=[{"exists": False}])),
    ("the empty string is not null", detail(note=[None])),
    ("a value or no field, and there is another", detail(status=["DRAINING", {"exists": False}])),
    ("an object is not a value", detail(state=["ALARM"])),
    ("an object is no leaf, so exists is false", detail(state=[{"exists": True}])),
    ("the path goes through a scalar", detail(status={"value": ["ACTIVE"]})),
    ("prefix of no string", detail(version=[{"prefix": "7"}])),
    ("prefix in another case", detail(status=[{"prefix": "act"}])),
    ("anything-but the value", detail(status=[{"anything-but": "ACTIVE"}])),
    ("anything-but, in another case", detail(status=[{"anything-but": {"equals-ignore-case": "active"}}])),
    ("anything-but the number, written otherwise", detail(version=[{"anything-but": 7.0}])),
    ("anything-but of a missing field", detail(other=[{"anything-but": "x"}])),
    ("anything-but one of the suffixes", detail(status=[{"anything-but": {"suffix": ["X", "IVE"]}}])),
    ("anything-but wildcard that fits", detail(file=[{"anything-but": {"wildcard": "dir/*"}}])),
    ("outside the range", detail(version=[{"numeric": [">", 7, "<=", 9]}])),
    ("numeric on a string", detail(ip=[{"numeric": [">", 0]}])),
    ("numeric on a boolean", detail(agentConnected=[{"numeric": ["=", 0]}])),
    ("numeric beyond its bound", detail(account=[{"numeric": [">", 0]}])),
    ("exists on a missing field", detail(other=[{"exists": True}])),
    ("exists false of some element", detail(attributes={"value": [{"exists": False}]})),
    ("outside the network", detail(ip=[{"cidr": "10.0.1.0/24"}])),
    ("cidr on no address", detail(status=[{"cidr": "10.0.0.0/24"}])),
    ("cidr of the other family", detail(ip6=[{"cidr": "0.0.0.0/0"}])),
    ("wildcard needs the whole value", detail(status=[{"wildcard": "CTIV*"}])),
    ("wildcard needs the whole value, to its end", detail(status=[{"wildcard": "*CT"}])),
    ("zero is not false", detail(zero=[False])),
    ("$or of comparisons is a field of that name", {"source": ["aws.ecs"], "$or": [{"prefix": "a"}, {"exists": True}]}),
    ("an escaped asterisk is only itself", detail(status=[{"wildcard": "ACT\\*"}])),
    ("a dot in a wildcard is a dot", detail(ip=[{"wildcard": "1.*"}])),
    ("two fields in different elements", detail(attributes={"name": ["ecs.os-type"], "value": ["ami-1"]})),
    ("fields in different arrays of arrays", detail(nested={"a": [1], "b": [4]})),
    ("different elements, by way of $or", detail(attributes={"name": ["ecs.os-type"], "$or": [{"value": ["ami-1"]}, {"value": ["x"]}]})),
    ("no branch of $or", {"$or": [{"source": ["aws.ec2"]}, {"source": ["aws.s3"]}]}),
    ("$or and a field", {"source": ["aws.ec2"], "$or": [{"detail": {"status": ["ACTIVE"]}}, {"source": ["x"]}]}),
    ("$or of one object is a field of that name", {"source": ["aws.ecs"], "$or": [{"exists": True}]}),
]

INVALID: list[tuple[str, object, str]] = [
    ("no object", ["aws.ecs"], "must be an object"),
    ("empty", {}, "empty object"),
    ("empty object inside", {"detail": {}}, "detail: an empty object"),
    ("empty array", {"source": []}, "source: an empty array"),
    ("a bare value", {"detail": {"status": "ACTIVE"}}, "detail.status: must be an object or an array"),
    ("an array in an array", {"source": [["x"]]}, "source: an array may hold"),
    ("an unknown comparison", {"source": [{"starts-with": "x"}]}, "no comparison"),
    ("$or of one object", {"$or": [{"source": ["x"]}]}, "$or: 'source' is no comparison"),
    ("two keys", {"source": [{"prefix": "x", "suffix": "y"}]}, "exactly one key"),
    ("prefix of a number", {"source": [{"prefix": 1}]}, "prefix takes a string"),
    ("prefix of something else", {"source": [{"prefix": {"suffix": "x"}}]}, "equals-ignore-case"),
    ("exists of a string", {"source": [{"exists": "true"}]}, "true or false"),
    ("numeric of a string", {"v": [{"numeric": [">", "1"]}]}, "numbers from"),
    ("numeric of a boolean", {"v": [{"numeric": [">", True]}]}, "numbers from"),
    ("numeric of too much", {"v": [{"numeric": [">", 6e9]}]}, "numbers from"),
    ("numeric of three", {"v": [{"numeric": [">", 1, "<"]}]}, "numeric takes"),
    ("numeric of no operator", {"v": [{"numeric": ["!=", 1]}]}, "numeric knows"),
    ("a range upside down", {"v": [{"numeric": [">", 5, "<", 1]}]}, "lower bound"),
    ("a range of two lower bounds", {"v": [{"numeric": [">", 1, ">", 5]}]}, "lower bound"),
    ("cidr of no network", {"v": [{"cidr": "10.0.0.0/64"}]}, "cidr takes"),
    ("two asterisks", {"v": [{"wildcard": "a**"}]}, "two *"),
    ("a stray backslash", {"v": [{"wildcard": "a\\b"}]}, "backslash"),
    ("a backslash at the end", {"v": [{"wildcard": "a\\"}]}, "backslash"),
    ("anything-but of a boolean", {"v": [{"anything-but": True}]}, "strings only or numbers only"),
    ("anything-but of a mixture", {"v": [{"anything-but": ["a", 1]}]}, "strings only or numbers only"),
    ("anything-but of nothing", {"v": [{"anything-but": []}]}, "at least one"),
    ("anything-but exists", {"v": [{"anything-but": {"exists": True}}]}, "anything-but takes"),
    ("anything-but an empty prefix", {"v": [{"anything-but": {"prefix": ""}}]}, "not empty"),
]


@pytest.mark.parametrize(("pattern"), [pytest.param(p, id=name) for name, p in MATCH])
def test_matches(pattern: dict[str, Any]) -> None:
    """The pattern is satisfied by the sample event."""
    assert compile_pattern(pattern).matches(EVENT)


@pytest.mark.parametrize(("pattern"), [pytest.param(p, id=name) for name, p in NO_MATCH])
def test_does_not_match(pattern: dict[str, Any]) -> None:
    """The pattern is well-formed, and not satisfied by the sample event."""
    assert not compile_pattern(pattern).matches(EVENT)


@pytest.mark.parametrize(("pattern", "says"), [pytest.param(p, says, id=name) for name, p, says in INVALID])
def test_invalid_pattern_is_refused(pattern: object, says: str) -> None:
    """A pattern that EventBridge refuses is refused here, in one line that says what is wrong."""
    with pytest.raises(PatternError, match=r".+") as caught:
        compile_pattern(pattern)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8)
names = st.sampled_from(["a", "b", "c"])
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12)
events = st.dictionaries(names, documents, min_size=1, max_size=3)


def first_leaf(node: Any, path: tuple[str, ...] = ()) -> tuple[tuple[str, ...], Any] | None:
    """The path (array positions left out) and value of some scalar below ``node``; None if there is none."""
    if isinstance(node, dict):
        return next((found for key, value in node.items() if (found := first_leaf(value, (*path, key)))), None)
    if isinstance(node, list):
        return next((found for value in node if (found := first_leaf(value, path))), None)
    return path, node


def nested(path: tuple[str, ...], tests: list[Any]) -> dict[str, Any]:
    """The pattern that applies ``tests`` to the field at ``path``."""
    pattern: Any = tests
    for key in reversed(path):
        pattern = {key: pattern}
    assert isinstance(pattern, dict)
    return pattern


@given(events)
def test_any_value_that_is_there_is_found(event: dict[str, Any]) -> None:
    """However deep in objects and arrays a value sits, a pattern that names its path and value matches, and `exists: false` does not."""
    found = first_leaf(event)
    if found is None:
        return
    path, value = found
    assert compile_pattern(nested(path, [value])).matches(event)
    assert compile_pattern(nested(path, [{"exists": True}])).matches(event)
    assert not compile_pattern(nested(path, [{"exists": False}])).matches(event)


@given(events, names, scalars)
def test_or_means_either(event: dict[str, Any], name: str, value: Any) -> None:
    """`$or` of two patterns matches exactly when one of the two does."""
    one, other = {name: [value]}, {"a": [{"exists": False}]}
    either = compile_pattern({"$or": [one, other]}).matches(event)
    assert either == (compile_pattern(one).matches(event) or compile_pattern(other).matches(event))


@given(st.text(max_size=12), st.text(max_size=6))
def test_anything_but_is_the_opposite_for_a_single_value(value: str, wanted: str) -> None:
    """For a field with one value, `anything-but X` matches exactly when X does not."""
    event = {"a": value}
    assert compile_pattern({"a": [{"anything-but": wanted}]}).matches(event) != compile_pattern({"a": [wanted]}).matches(event)


@given(st.lists(st.text(st.characters(exclude_characters="*\\"), max_size=4), min_size=1, max_size=4), st.text(max_size=4))
def test_wildcard_matches_whatever_is_put_in_place_of_the_asterisks(parts: list[str], filling: str) -> None:
    """Replacing every asterisk by any text gives a value that the wildcard matches."""
    pattern = "*".join(part or "-" for part in parts)
    value = filling.join(part or "-" for part in parts)
    assert compile_pattern({"a": [{"wildcard": pattern}]}).matches({"a": value})
