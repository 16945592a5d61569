"""The environment is read once and fails loudly."""

import pytest

from bulwark.shell.settings import Settings, SettingsError

GOOD = {"BULWARK_MODE": "act", "BULWARK_TABLE": "bulwark", "BULWARK_PARAMETERS": "/bulwark"}


def test_a_whole_environment_is_read() -> None:
    """All three variables."""
    assert Settings("act", "bulwark", "/bulwark") == Settings.from_env(GOOD | {"OTHER": "x"})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"BULWARK_MODE": ""}, "BULWARK_MODE is not set"),
        ({"BULWARK_MODE": "on"}, "write observe or act"),
        ({"BULWARK_TABLE": ""}, "BULWARK_TABLE is not set"),
        ({"BULWARK_PARAMETERS": "bulwark"}, "write a path such as /bulwark"),
        ({"BULWARK_PARAMETERS": "/bulwark/"}, "without a slash at its end"),
    ],
)
def test_a_wrong_environment_names_the_variable(changes: dict[str, str], says: str) -> None:
    """A missing or wrong value is an error with a fix, never a default that acts."""
    with pytest.raises(SettingsError, match=says):
        Settings.from_env(GOOD | changes)
