"""Whatever a user writes into the settings: they are read, or SettingsInvalid says why not, never a traceback."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import SettingsInvalid
from workers.settings import load_settings
from workers.settings.document import VARIABLES, Document

ODD_TEXTS = (
    "", " ", "\0", "a\0b", "\n", "~nobody-has-this-name/x", "~", "/", ".", "..", "/dev/null", "/proc/self/mem",
    "a" * 5000, "9" * 5000, "-1", "1e999", "nan", "inf", "true", "%00", "://", "http://[::1", "redis://h/abc", "redis://[",
    "sentinel://,", "amqps://h?ssl_ca_certs=%00", "rediss://h?ssl_certfile=" + "a" * 5000,
    "a_b.c.:99999", "[::1", "user:word@host", "\u2028",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    *ODD_TEXTS,
    0,
    -1,
    10**30,
    1e308,
    float("inf"),
    float("nan"),
    True,
    [],
    [""],
    ["\0"],
    {},
    {"": {}},
    {"\0": "\0"},
)


def loads(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with suppress(SettingsInvalid):
        load_settings({"HOME": "/h"}, str(path))


def keys(kind: type[msgspec.Struct], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in msgspec.structs.fields(kind):
        here = (*place, field.name)
        yield here
        named = get_origin(field.type) is dict
        inner = get_args(field.type)[1] if named else field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from keys(inner, (*here, "host.example") if named else here)


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    return str(value)


@pytest.mark.parametrize("key", list(keys(Document)), ids=".".join)
def test_a_key_may_hold_any_value(tmp_path: Path, key: tuple[str, ...]) -> None:
    for value in ODD_VALUES:
        loads(tmp_path / "x.toml", f"{'.'.join(map(toml, key))} = {toml(value)}".encode())


@pytest.mark.parametrize("variable", [*VARIABLES, "IMAGEPUSHER_CONFIG", "HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"])
def test_a_variable_may_hold_any_text(variable: str) -> None:
    for value in ODD_TEXTS:
        if "\0" in value:
            # No environment holds one.
            continue
        with suppress(SettingsInvalid):
            load_settings({"HOME": "/h", variable: value})


@given(st.binary() | st.text(st.sampled_from('ab.=[]{}"\n\\u1,')).map(str.encode))
def test_a_settings_file_may_hold_anything(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    loads(tmp_path_factory.getbasetemp() / "any.toml", content)


@pytest.mark.parametrize("key", ["state_dir", "worker.heartbeat_file", "broker.url", "events.task"])
def test_a_null_byte_is_refused(tmp_path: Path, key: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'{key} = "a\\u0000b"')
    with pytest.raises(SettingsInvalid, match=f"{key}: holds a null byte"):
        load_settings({"HOME": "/h"}, str(file))


@pytest.mark.parametrize("content", [b"x=" + b"[" * 100_000, b"x=" + b"9" * 100_000, b"x=2024-99-99", b"\xff\xfe"])
def test_a_settings_file_may_be_hostile(tmp_path: Path, content: bytes) -> None:
    loads(tmp_path / "x.toml", content)
