"""Real manifests and indexes from public projects; tests/data/fixtures/README.md says where each comes from."""

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data" / "fixtures"
ALL: tuple[str, ...] = tuple(sorted(path.name for path in FOLDER.glob("*.json")))


def load(name_prefix: str) -> bytes:
    """Return the bytes of the one file whose name begins so, say `"19-"`; raise LookupError for none or several."""
    found = [name for name in ALL if name.startswith(name_prefix)]
    if len(found) != 1:
        raise LookupError(f"{name_prefix!r} begins the names of {found or 'no file'}")
    return (FOLDER / found[0]).read_bytes()
