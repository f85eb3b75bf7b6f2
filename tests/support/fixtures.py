"""Real manifests and indexes from public projects; tests/data/fixtures/README.md says where each comes from."""

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data" / "fixtures"
ALL: tuple[str, ...] = tuple(sorted(path.name for path in FOLDER.glob("*.json")))

# How the names begin.
DOCKER_LISTS = ("19-", "22-", "43-", "45-", "46-", "51-")
OCI_INDEXES = (
    "01-", "02-", "03-", "04-", "05-", "16-", "17-", "18-", "20-", "21-", "26-", "27-", "39-", "48-", "50-", "53-",
)  # fmt: skip
INDEXES = tuple(sorted(DOCKER_LISTS + OCI_INDEXES))
IMAGES = ("09-", "10-", "11-", "15-", "30-", "32-", "33-", "34-", "35-", "38-", "40-")
SCHEMA1 = ("28-",)


def load(name_prefix: str) -> bytes:
    """Return the bytes of the one file whose name begins so, say `"19-"`; raise LookupError for none or several."""
    found = [name for name in ALL if name.startswith(name_prefix)]
    if len(found) != 1:
        raise LookupError(f"{name_prefix!r} begins the names of {found or 'no file'}")
    return (FOLDER / found[0]).read_bytes()
