"""Every document of the project names files that exist, and links to places that exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.readme import GUIDES, ROOT, document

_FOLDERS: Final = ("deploy", "tasks", "tests", "workers")
DOCUMENTS: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.md"))]
)
# Blocks of these languages are commands and pictures; others are data.
_LANGUAGES: Final = {"bash", "text"}
# Of the README.
_LINES: Final = 200
_WORD: Final = re.compile(r"[\w.@*/-]*[\w@*/]")
_SOURCES: Final = (".md", ".py")
# Commands of deploy/README.md make them.
_MADE: Final = {"deploy/secrets", "deploy/kubernetes/overlays/example/secrets"}


def paths_in(text: str, places: tuple[Path, ...]) -> Iterator[str]:
    """Yield each word that names a source file, or begins with a folder of the places."""
    for word in _WORD.findall(text):
        first, slash, _ = word.partition("/")
        is_below = bool(slash) and first not in {"", "."} and any((place / first).is_dir() for place in places)
        if (is_below or word.endswith(_SOURCES)) and not word.startswith("/") and word not in _MADE:
            yield word


def lacking(name: str) -> list[str]:
    """Return each path that a document names and that is neither below the root nor beside the document."""
    found = document(name)
    places = (ROOT, found.path.parent)
    texts = [(span, line.line) for span, line in found.spans()]
    texts += [(block.text, block.line) for block in found.blocks if block.language in _LANGUAGES]
    return [
        f"{name}:{line}: {word}"
        for text, line in texts
        for word in paths_in(text, places)
        if not any(list(place.glob(word.rstrip("/"))) for place in places)
    ]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("tasks/telemetry.py", ["tasks/telemetry.py"]),
        ("python -m pytest tests/unit/oci -k windows", ["tests/unit/oci"]),
        ("tests/unit/oci/test_*.py, deploy/.", ["tests/unit/oci/test_*.py", "deploy/"]),
        ("gone.md and gone.py", ["gone.md", "gone.py"]),
        ("deploy/systemd/imagepusher-worker@.service", ["deploy/systemd/imagepusher-worker@.service"]),
        ("cp -r deploy/flower /opt/imagepusher/", ["deploy/flower"]),
        ("registry.example.com/prod/app:1.2, ns/repo, /v2/, ./*.log, deploy/secrets", []),
    ],
)
def test_paths_are_told_from_other_words(text: str, paths: list[str]) -> None:
    assert list(paths_in(text, (ROOT,))) == paths


def test_the_documents_are_all_there() -> None:
    expected = {"CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "tasks/BEHAVIOUR.md", "tasks/README.md"}
    assert expected | set(GUIDES) <= set(DOCUMENTS)


def test_the_first_page_is_short_and_leads_to_every_guide() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= _LINES
    linked = {link.partition("#")[0] for link, _ in document("README.md").links()}
    # Guides of the examples are linked by theirs.
    linked |= {f"deploy/examples/{link}" for link, _ in document("deploy/examples/README.md").links()}
    assert {*GUIDES, "tasks/BEHAVIOUR.md", "tasks/README.md"} - {"README.md"} <= linked


def test_the_first_page_shows_the_program() -> None:
    pictures = [link for link, _ in document("README.md").links() if link.endswith(".png")]
    assert len(pictures) > 1
    assert [block.language for block in document("README.md").blocks].count("mermaid") == 1


def test_nothing_else_lies_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    files = listed.stdout.decode().split("\0")
    top = {name.partition("/")[0] for name in files if name}
    assert {name for name in top if not name.startswith(".")} == {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
        *_FOLDERS,
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_exists(name: str) -> None:
    assert lacking(name) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    found = document(name)
    for link, line in found.links():
        path, _, anchor = link.partition("#")
        target = (found.path.parent / path).resolve() if path else found.path
        assert target.is_file(), f"{name}:{line.line}: there is no {link}"
        if anchor:
            assert anchor in document(target.relative_to(ROOT).as_posix()).anchors(), f"{name}:{line.line}: {link}"
