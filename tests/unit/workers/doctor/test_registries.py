"""The registries that doctor examines: the credentials of a command go to one of them (BEHAVIOUR 8.2)."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from tasks.errors import RequestInvalid
from tasks.registry.settings import Credentials, RegistryOverride
from tests.support.scripted import Answer, ImprovisingRegistry, Received, Reply
from workers.client.open import overridden
from workers.doctor import examine
from workers.settings import Settings, load_settings

FOR_SOURCE = RegistryOverride(credentials=Credentials("reader", "of-the-source"))
FOR_DESTINATION = RegistryOverride(credentials=Credentials("writer", "of-the-destination"))
NOTHING = RegistryOverride()


class Greedy(ImprovisingRegistry):
    """A registry that asks for user and password, and keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self._ask
        self.heard: set[str] = set()

    def _ask(self, received: Received) -> Reply:
        said = received.headers.get("Authorization")
        if said is None:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="all"'}, b"{}")
        self.heard.add(base64.b64decode(said.removeprefix("Basic ")).decode())
        return Answer(200, {}, b"{}")


@pytest.fixture
def registries() -> Iterator[tuple[Greedy, Greedy]]:
    with ExitStack() as running:
        yield running.enter_context(Greedy()), running.enter_context(Greedy())


def settings_for(
    folder: Path, registries: tuple[Greedy, ...], source: RegistryOverride, destination: RegistryOverride
) -> Settings:
    """Return settings with a table for each registry, and what a command was given."""
    file = folder / "settings.toml"
    tables = "".join(f'[registries."{registry.host}"]\nplain_http = true\n' for registry in registries)
    file.write_text(f'state_dir = "{folder}"\n{tables}')
    file.chmod(0o600)
    settings = load_settings({"IMAGEPUSHER_CONFIG": str(file), "HOME": str(folder)})
    return replace(settings, registries=overridden(settings.registries, source, destination, ()))


def test_credentials_of_a_command_go_to_the_registry_that_it_names(
    registries: tuple[Greedy, Greedy], tmp_path: Path
) -> None:
    named, other = registries
    examine(settings_for(tmp_path, registries, NOTHING, FOR_DESTINATION), [f"{named.host}/team"], read_only=True)
    assert (named.heard, other.heard) == ({"writer:of-the-destination"}, set())


def test_credentials_for_a_source_are_not_for_a_destination(registries: tuple[Greedy, Greedy], tmp_path: Path) -> None:
    named, _ = registries
    settings = settings_for(tmp_path, (named,), FOR_SOURCE, FOR_DESTINATION)
    examine(settings, [f"{named.host}/team"], read_only=True)
    assert named.heard == {"writer:of-the-destination"}


@pytest.mark.parametrize("role", ["source", "destination"])
@pytest.mark.parametrize("is_named", [False, True])
def test_credentials_of_a_command_are_not_for_several_registries(
    registries: tuple[Greedy, Greedy], tmp_path: Path, role: str, *, is_named: bool
) -> None:
    given = (FOR_SOURCE, NOTHING) if role == "source" else (NOTHING, FOR_DESTINATION)
    places = [f"{registry.host}/team" for registry in registries] if is_named else []
    with pytest.raises(RequestInvalid, match="several registries"):
        examine(settings_for(tmp_path, registries, *given), places, read_only=True)
    assert not any(registry.heard for registry in registries)
