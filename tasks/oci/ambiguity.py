"""The refusal of documents that two clients may read differently.

JSON leaves open which of two equal keys counts (RFC 8259, 4), how exact a number is (6) and what follows the text. Go's
readers match keys without regard to case, and the last one wins: so `"Digest"` beside `"digest"` shows most clients
another image than it shows this program. What the specifications define is checked (image-spec 1.1: descriptor.md,
manifest.md, image-index.md, config.md; Docker's manifests); the values of other keys are not checked.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from tasks.errors import ManifestAmbiguous, ManifestInvalid

# Many readers take JSON numbers as doubles: above this, two whole numbers may become one (RFC 8259, 6).
_LARGEST_EXACT: Final = 2**53

# A level is an object: it maps each key to the level below. Below None nothing is defined that could be ambiguous.
_Level = Mapping[str, Any]

# Keys of annotations are free, and their case counts.
_ANNOTATIONS: Final[_Level] = {}
_PLATFORM: Final[_Level] = dict.fromkeys(
    ("architecture", "os", "os.version", "os.features", "variant", "features"), None
)
_DESCRIPTOR: Final[_Level] = {
    **dict.fromkeys(("mediaType", "digest", "size", "urls", "data", "artifactType"), None),
    "annotations": _ANNOTATIONS,
    "platform": _PLATFORM,
}
_MANIFEST: Final[_Level] = {
    **dict.fromkeys(("schemaVersion", "mediaType", "artifactType"), None),
    # The keys of schema 1 are here because they identify such a document.
    **dict.fromkeys(("fsLayers", "history", "signatures"), None),
    **dict.fromkeys(("config", "layers", "manifests", "subject"), _DESCRIPTOR),
    "annotations": _ANNOTATIONS,
}
_CONFIGURATION: Final[_Level] = dict.fromkeys(
    ("architecture", "os", "os.version", "os.features", "variant", "created", "author", "config", "rootfs", "history"),
    None,
)


def refuse_ambiguous_manifest(content: bytes) -> None:
    """Raise ManifestAmbiguous for an ambiguous manifest or index, ManifestInvalid for text that is no JSON."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ManifestAmbiguous(f"The document is not valid UTF-8 at byte {error.start}.") from None
    _refuse(text, _MANIFEST)


def refuse_ambiguous_configuration(content: bytes) -> None:
    """Raise ManifestAmbiguous for an ambiguous image configuration, ManifestInvalid for text that is no JSON.

    Invalid UTF-8 is not refused: it cannot occur in a platform name that this program reads.
    """
    _refuse(content.decode(errors="replace"), _CONFIGURATION)


class _Members(list[tuple[str, Any]]):
    """The members of an object in their order, equal keys included."""


class _Number(str):
    """A number, as the text that stands in the document."""

    __slots__ = ()


def _refuse(text: str, level: _Level) -> None:
    text = text.lstrip(_WHITE_SPACE)
    try:
        document, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        # Another parser may be less strict, or go deeper: text that cannot be checked is refused.
        raise ManifestInvalid(f"The document is not a JSON object: {error}.") from None
    if text[end:].strip(_WHITE_SPACE):
        raise ManifestAmbiguous("Something follows the end of the document.")
    _check(document, level, "")


def _check(value: Any, level: _Level | None, path: str) -> None:
    """Check the value at `path`, and everything defined below it."""
    if level is None:
        return
    if isinstance(value, _Members):
        _check_keys([key for key, _ in value], level, path)
        for key, below in value:
            _check_number(key, below, level, path)
            _check(below, level.get(key), f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for position, element in enumerate(value):
            _check(element, level, f"{path}[{position}]")


def _check_keys(keys: Iterable[str], level: _Level, path: str) -> None:
    seen = {} if level is _ANNOTATIONS else {_folded(defined): defined for defined in level}
    given: set[str] = set()
    for key in keys:
        if key in given:
            _ambiguous(path, f"has {key[:100]!r} twice")
        other = key if level is _ANNOTATIONS else seen.setdefault(_folded(key), key)
        if other != key:
            _ambiguous(path, f"has {key[:100]!r}, which other clients read as {other[:100]!r}")
        given.add(key)


def _check_number(key: str, value: Any, level: _Level, path: str) -> None:
    if key in {"size", "schemaVersion"} and key in level and isinstance(value, _Number) and not _is_exact(value):
        _ambiguous(path, f"has a {key} that not every client reads as the same number, {value[:40]}")


def _is_exact(number: str) -> bool:
    short = len(number) <= len(f"-{_LARGEST_EXACT}")
    return short and number.lstrip("-").isdigit() and abs(int(number)) <= _LARGEST_EXACT


def _ambiguous(path: str, found: str) -> NoReturn:
    raise ManifestAmbiguous(f"{path or 'The document'} {found}.")


def _folded(key: str) -> str:
    """Return the case-folded key as Go compares it; Go folds the long s and the Kelvin sign too."""
    return key.casefold()


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_WHITE_SPACE: Final = " \t\r\n"
_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_Members, parse_int=_Number, parse_float=_Number, parse_constant=_constant
)
