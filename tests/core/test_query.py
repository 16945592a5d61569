"""The cluster query language means what the ECS developer guide says it means."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.packing import Space
from bulwark.core.query import MAX_DEPTH, QueryError, matches, parse

SPACE = Space(
    arn="arn:aws:ecs:us-east-1:123456789012:container-instance/orders/1",
    ec2_id="i-0aaa0000000000001",
    attributes={
        "ecs.instance-type": "t3.large",
        "ecs.availability-zone": "us-east-1a",
        "stack": "prod",
        "weight": "10",
        "ecs.capability.task-eni": None,
    },
    agent_version="1.106.1",
    registered_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
    running=3,
    groups={"service:web": 2, "family:nightly": 1},
)

TRUE = [
    "attribute:stack == prod",
    "attribute:stack equals 'prod'",
    'attribute:stack == "prod"',
    "attribute:stack != test",
    "attribute:stack not_equals test",
    "attribute:ecs.instance-type =~ t3.*",
    "attribute:ecs.instance-type matches t[23].(large|small)",
    "attribute:ecs.instance-type =~ 't3.*'",
    "attribute:ecs.instance-type !~ t2.*",
    "attribute:ecs.instance-type not_matches t3",
    "attribute:ecs.instance-type in [t3.small, t3.large]",
    "attribute:ecs.instance-type in ['t3.small','t3.large']",
    "attribute:ecs.instance-type !in [t2.small]",
    "attribute:ecs.instance-type not_in [t2.small]",
    "attribute:ecs.capability.task-eni exists",
    "attribute:missing !exists",
    "attribute:missing not_exists",
    "attribute:weight > 9",
    "attribute:weight less_than_equal 10",
    "agentVersion > 1.99.0",
    "agentVersion >= 1.106.1",
    "agentVersion greater_than 1.9",
    "agentVersion =~ 1[.]106.*",
    "agentVersion in [1.5.0, 1.106.1]",
    "agentVersion exists",
    "agentConnected == true",
    "agentConnected != false",
    "agentConnected exists",
    "ec2InstanceId in ['i-0aaa0000000000001', 'i-2']",
    "ec2InstanceId == i-0aaa0000000000001",
    "registeredAt >= 2026-11-24T12:00:00Z",
    "registeredAt < 2026-11-25",
    "runningTasksCount < 10",
    "runningTasksCount == 3",
    "task:group == service:web",
    "task:group exists",
    "not (task:group == service:database)",
    "!(task:group == service:database)",
    "attribute:stack == test or runningTasksCount == 3",
    "attribute:stack == test || runningTasksCount == 3",
    "attribute:stack == prod and (attribute:x exists or attribute:weight exists)",
    "attribute:stack == prod && attribute:weight exists",
    "attribute:x exists and attribute:y exists or attribute:stack exists",
    "(attribute:ecs.instance-type =~ t3.*)",
    "attribute:missing != anything",
]


@pytest.mark.parametrize("expression", TRUE)
def test_every_operator_and_spelling_of_the_guide_is_understood(expression: str) -> None:
    """Each expression holds for the instance, and its negation does not."""
    assert matches(expression, SPACE)
    assert not matches(f"not ({expression})", SPACE)


@pytest.mark.parametrize(
    "expression",
    [
        "agentVersion < 1.99.0",
        "runningTasksCount > 10",
        "attribute:missing > 1",
        "attribute:ecs.capability.task-eni == x",
        "attribute:ecs.instance-type =~ t3",
        "attribute:weight > 100",
    ],
)
def test_numbers_are_compared_as_numbers_and_patterns_match_the_whole_value(expression: str) -> None:
    """1.106 is not older than 1.99, 3 is not more than 10, t3 does not match t3.large, an attribute that is not there is not greater."""
    assert not matches(expression, SPACE)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "a subject such as attribute:NAME expected"),
        ("stack == prod", "'stack' is no subject"),
        ("attribute: == prod", "'attribute:' is no subject"),
        ("attribute:stack", "an operator such as =="),
        ("attribute:stack ==", "a value expected"),
        ("attribute:stack == ]", "a value expected, not ']'"),
        ("attribute:stack like prod", "'like' is no operator"),
        ("attribute:stack in prod", "'[' expected"),
        ("attribute:stack in [a b]", "']' expected"),
        ("attribute:stack =~ '('", "is no regular expression"),
        ("attribute:stack =~ ", "a regular expression expected"),
        ("attribute:stack == 'prod", "cannot read"),
        ("(attribute:stack exists", "')' expected"),
        ("attribute:stack exists exists", "unexpected 'exists'"),
        ("agentVersion > new", "'new' is no agent version"),
        ("agentConnected > true", "agentConnected is compared by"),
        ("agentConnected == yes", "agentConnected is compared by"),
        ("runningTasksCount > many", "many"),
        ("registeredAt > yesterday", "yesterday"),
        ("(" * (MAX_DEPTH + 2) + "attribute:x exists" + ")" * (MAX_DEPTH + 2), "levels of nesting"),
    ],
)
def test_what_is_not_in_the_language_is_refused_with_the_reason(expression: str, says: str) -> None:
    """The error names what is wrong and where it stands."""
    with pytest.raises(QueryError) as refused:
        parse(expression)
    assert says in str(refused.value)
    assert "at character" in str(refused.value)


def test_an_unknown_agent_version_satisfies_no_comparison() -> None:
    """A registration in progress has no version: it is neither older nor newer, and does not exist."""
    unknown = Space("arn", "i-1")
    assert not matches("agentVersion > 1.0.0 or agentVersion <= 1.0.0 or agentVersion exists or registeredAt exists", unknown)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    """Whatever is typed, the outcome is a test or a QueryError: no other error and no endless loop."""
    with suppress(QueryError):
        parse(text)(SPACE)


@given(
    st.lists(st.sampled_from(["attribute:stack == prod", "attribute:x exists", "runningTasksCount > 1"]), min_size=1, max_size=6), st.data()
)
def test_and_binds_more_tightly_than_or(terms: list[str], data: st.DataObject) -> None:
    """A chain without parentheses means the same as Python's own."""
    joints = data.draw(st.lists(st.sampled_from(["and", "or"]), min_size=len(terms) - 1, max_size=len(terms) - 1))
    text = terms[0] + "".join(f" {joint} {term}" for joint, term in zip(joints, terms[1:], strict=True))
    alternatives: list[list[bool]] = [[matches(terms[0], SPACE)]]
    for joint, term in zip(joints, terms[1:], strict=True):
        value = matches(term, SPACE)
        if joint == "or":
            alternatives.append([value])
        else:
            alternatives[-1].append(value)
    assert matches(text, SPACE) == any(all(chain) for chain in alternatives)


def test_an_agent_version_that_is_no_number_satisfies_nothing() -> None:
    """An agent built by hand calls itself what it likes; that is no error of the expression."""
    assert not matches("agentVersion >= 1.0.0", Space("a", "i-1", agent_version="dev"))
