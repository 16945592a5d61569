"""Policies: every field optional, every mistake named; anyone can hold to observe, all must allow to act."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulwark.core.policies import DrainingPolicy, Policy, PolicyError, read_policy, standing

WHERE = "/bulwark/policy/orders"


def test_an_empty_policy_is_the_defaults() -> None:
    """Nothing written, nothing changed."""
    assert Policy() == read_policy("{}", WHERE)


def test_fields_left_out_keep_the_base() -> None:
    """A cluster's policy overrides the default one field by field."""
    base = Policy(mode="observe", draining=DrainingPolicy(enabled=False))

    assert Policy("observe", draining=DrainingPolicy(False, False)) == read_policy('{"draining": {"replace": false}}', WHERE, base)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "the policy: [] is not an object"),
        ('{"drainning": {}}', "drainning: no such field: did you mean draining?"),
        ('{"zzz": 1}', "zzz: no such field: known fields: mode, disruption, draining"),
        ('{"mode": "act"}', 'mode: "act" is not allowed'),
        ('{"mode": ["observe"]}', "mode:"),
        ('{"draining": true}', "draining: true is not an object"),
        ('{"draining": {"enabled": "no"}}', 'draining.enabled: "no" is not allowed: write true or false'),
        ('{"draining": {"replce": true}}', "draining.replce: no such field: did you mean replace?"),
    ],
)
def test_a_mistake_is_one_line_with_parameter_field_and_fix(text: str, says: str) -> None:
    """The operator sees which parameter, which field and what to write."""
    with pytest.raises(PolicyError) as raised:
        read_policy(text, WHERE)

    assert str(raised.value).startswith(f"{WHERE}: ")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_a_policy_or_a_policy_error(value: object) -> None:
    """Nothing an operator can write breaks the reader."""
    try:
        read_policy(json.dumps(value), WHERE)
    except PolicyError:
        return


@pytest.mark.parametrize("switch", ["on", "ON", "true", "yes", "0", "garbage"])
def test_a_kill_switch_with_any_value_but_off_is_on(switch: str) -> None:
    """A switch that nobody can read must not let writes through."""
    held = standing("act", switch, Policy())

    assert "observe" == held.mode
    assert "kill switch" in held.because


@pytest.mark.parametrize(
    ("stack", "switch", "policy", "mode"),
    [
        ("act", "", Policy(), "act"),
        ("act", " Off ", Policy(), "act"),
        ("observe", "off", Policy(), "observe"),
        ("act", "off", Policy(mode="observe"), "observe"),
        ("observe", "on", Policy(mode="observe"), "observe"),
    ],
)
def test_all_must_allow_to_act(stack: object, switch: str, policy: Policy, mode: str) -> None:
    """Stack, kill switch and policy can each hold a cluster to observe."""
    assert mode == standing(stack, switch, policy).mode  # type: ignore[arg-type]
