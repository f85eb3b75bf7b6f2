"""Settings of registries in a role."""

import pytest

from tasks.errors import RequestInvalid
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistryOverride, Role

GIVEN = RegistryOverride(credentials=Credentials("user", "made-up"))


@pytest.mark.parametrize(
    ("role", "configuration"),
    [
        ("source", RegistryConfiguration(source_override=GIVEN)),
        ("destination", RegistryConfiguration(destination_override=GIVEN)),
    ],
)
def test_credentials_of_a_command_go_to_one_registry(role: Role, configuration: RegistryConfiguration) -> None:
    """Rule 8.2: whoever answers with a challenge would be told the password."""
    configuration.check_hosts(role, ["a.example", "a.example"])
    with pytest.raises(RequestInvalid, match=r"a\.example, b\.example") as refused:
        configuration.check_hosts(role, ["a.example", "b.example"])
    assert "[registries.HOST]" in str(refused.value)
    assert "made-up" not in str(refused.value)
    configuration.check_hosts("destination" if role == "source" else "source", ["a.example", "b.example"])


def test_without_such_credentials_any_number_of_registries_is_fine() -> None:
    RegistryConfiguration().check_hosts("source", ["a.example", "b.example"])
