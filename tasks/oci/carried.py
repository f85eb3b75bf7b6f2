"""What refers to an image and came along with it."""

from collections.abc import Iterable

import msgspec


class Carried(msgspec.Struct, frozen=True, rename="camel"):
    """One manifest that refers to the image and came along."""

    digest: str
    artifact_type: str = ""


def carried(pairs: Iterable[tuple[str, str]]) -> list[Carried]:
    """Return manifests with their artifact types, each once, in a fixed order."""
    return [Carried(digest, kind) for digest, kind in sorted(dict(pairs).items())]
