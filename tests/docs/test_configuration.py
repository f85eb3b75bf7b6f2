"""The guides name every setting and variable with its default, and no other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import msgspec
import pytest

from tests.docs.readme import Block, everything, guides, using
from workers.settings import load_settings
from workers.settings.document import PREFIX, VARIABLES, CredentialsTable, Document
from workers.settings.document.variables import _OTHERS

SECTION: Final = "Configuration"
NONE: Final = "\N{EN DASH}"
_NAMES: Final = {"targets": "NAME", "registries": "HOST", "producers": "NAME", "policy": "NAME"}


def settings_of(kind: type[msgspec.Struct], place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key that a table may hold, with its default as the guide writes it."""
    for field in msgspec.structs.fields(kind):
        key = f"{place}{field.name}"
        inner = get_args(field.type)[1] if get_origin(field.type) is dict else field.type
        if get_origin(field.type) is dict:
            yield from settings_of(inner, f"{key}.{_NAMES[field.name]}.")
        elif inner is CredentialsTable:
            yield f"{key}.KEY", NONE
        elif isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from settings_of(inner, f"{key}.")
        else:
            yield key, written(field.default if field.default is not msgspec.NODEFAULT else field.default_factory())


def written(default: Any) -> str:
    return NONE if default is None or default == "" else f"`{json.dumps(default)}`"


def described() -> dict[str, list[str]]:
    """Return the other cells of each row of the table of settings, by key."""
    rows = [row for row in using().rows(SECTION) if len(row) == 4]
    assert len({row[0] for row in rows}) == len(rows), "a key is there twice"
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_key_is_in_the_table_with_its_default_and_no_other_is() -> None:
    found = {key: default for key, (_, default, _) in described().items()}
    assert found == dict(settings_of(Document))


def test_every_variable_stands_beside_its_key() -> None:
    expected = {f"{table}.{key}" if table else key: f"`{variable}`" for variable, (table, key) in VARIABLES.items()}
    found = {key: variable for key, (variable, _, _) in described().items() if variable != NONE}
    assert found == expected


def test_every_variable_is_named_and_every_one_that_is_named_exists() -> None:
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", everything())) == VARIABLES.keys() | _OTHERS


@pytest.mark.parametrize("block", [block for guide in guides() for block in guide.of("toml")], ids=str)
def test_every_settings_file_is_read_without_a_fault(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(block.text)
    file.chmod(0o600)
    for name in re.findall(r'(?:_file|_certificate|_key) = "([^"]+)"', block.text):
        (tmp_path / name).write_text("made up, and long enough\n")
        (tmp_path / name).chmod(0o600)
    variables = dict.fromkeys(re.findall(r'_env = "([^"]+)"', block.text), "made up")
    load_settings({"HOME": str(tmp_path)} | variables, str(file))
