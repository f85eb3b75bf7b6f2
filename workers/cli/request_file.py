"""A request from a file or from stdin, as JSON or YAML."""

import json
import sys
from pathlib import Path
from typing import Any, Final, TextIO

from tasks.celery_glue.admission import MESSAGE_BYTES
from tasks.errors import RequestInvalid
from tasks.transfer.request.pubtools import secrets
from workers.cli.registry_options import STDIN

_LONGEST_REQUEST: Final = 32 << 20


def read_request(name: str) -> dict[str, Any]:
    """Return the request in the file `name` (`-` is stdin); raises RequestInvalid.

    `.json` files are JSON, `.yaml` and `.yml` files are YAML; for all others, the first character decides.
    """
    shown = "stdin" if name == STDIN else name
    try:
        content = _read_stdin() if name == STDIN else _read_file(Path(name))
        if len(content) > MESSAGE_BYTES:
            raise RequestInvalid(f"{shown} has more than {MESSAGE_BYTES >> 20} MiB: split it into several pushes.")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise RequestInvalid(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"{shown} is not UTF-8 at byte {error.start}.") from error
    if not text.strip():
        raise RequestInvalid(f"{shown} is empty: it must hold a request, as JSON or YAML.")
    suffix = Path(name).suffix.lower()
    is_json = suffix == ".json" or (suffix not in {".yaml", ".yml"} and text.lstrip()[:1] in {"{", "["})
    try:
        document = parse_json(text) if is_json else _parse_yaml(text)
        _check_size(document)
    except RecursionError as error:
        raise RequestInvalid(f"{shown} is nested too deeply.") from error
    except (TypeError, ValueError) as error:
        raise RequestInvalid(f"{shown} is not a request: {error}.") from error
    if not isinstance(document, dict):
        raise RequestInvalid(f"{shown} is not a request: it must be an object with `items` or `push_items`.")
    return _without_secrets(document)


def _check_size(document: Any) -> None:
    """Raise ValueError if a document has non-JSON types or is too long: YAML aliases can expand a short file."""
    length = 0
    for piece in json.JSONEncoder(allow_nan=False).iterencode(document):
        length += len(piece)
        if length > _LONGEST_REQUEST:
            raise ValueError(f"it has more than {_LONGEST_REQUEST >> 20} MiB as JSON")


def _without_secrets(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request whose secret values are masked: the validation refuses a secret by its key alone."""
    settings = request.get("target_settings")
    if not isinstance(settings, dict):
        return request
    return request | {"target_settings": settings | dict.fromkeys(secrets(settings), "…")}


def _read_stdin() -> bytes:
    stream: TextIO | None = sys.stdin
    return b"" if stream is None else stream.buffer.read(MESSAGE_BYTES + 1)


def _read_file(path: Path) -> bytes:
    """Return the content of a file; for an endless one, only enough to show that it is too large."""
    with path.open("rb") as file:
        return file.read(MESSAGE_BYTES + 1)


def parse_json(text: str) -> Any:
    """Return the value of a JSON document; raises ValueError with the place of a syntax error or duplicate key."""
    try:
        parsed = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} in line {error.lineno}, column {error.colno}") from error
    return _unique(parsed, "")


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, duplicate keys included."""


def _unique(value: Any, place: str) -> Any:
    if isinstance(value, _Pairs):
        document: dict[str, Any] = {}
        for key, member in value:
            if key in document:
                raise ValueError(f"the key {key!r} is there twice in {place or 'the outermost object'}")
            document[key] = _unique(member, f"{place}.{key}" if place else key)
        return document
    if isinstance(value, list):
        return [_unique(entry, f"{place}[{number}]") for number, entry in enumerate(value)]
    return value


def _parse_yaml(text: str) -> Any:
    from workers.cli.yaml_documents import parse_yaml

    return parse_yaml(text)
