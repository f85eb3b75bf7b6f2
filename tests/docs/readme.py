"""The project's Markdown as data: fenced blocks, tables, code spans and links, each with its section."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# The documents of whoever uses or runs the program, whose commands and tables are compared with it.
GUIDES: Final = (
    "README.md",
    "workers/README.md",
    "deploy/README.md",
    "deploy/examples/README.md",
    "deploy/examples/migrate-from-pubtools-quay.md",
    "deploy/examples/migrate-from-regsync.md",
    "deploy/examples/migrate-from-skopeo.md",
    "tests/README.md",
)
_FENCE: Final = re.compile(r"^```(\w*)$")
_HEADING: Final = re.compile(r"^(#+) (.+)$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    section: str
    line: int
    file: str = "README.md"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Prose:
    """One line outside of fenced blocks."""

    text: str
    section: str
    line: int
    file: str = "README.md"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Document:
    path: Path
    blocks: tuple[Block, ...]
    prose: tuple[Prose, ...]
    headings: tuple[str, ...]

    def of(self, language: str, section: str | None = None) -> list[Block]:
        """Return the blocks in a language, of one section or of all."""
        return [block for block in self.blocks if block.language == language and section in {None, block.section}]

    def rows(self, section: str) -> list[list[str]]:
        """Return the cells of all tables of a section, without their heads."""
        lines = [line.text for line in self.prose if line.section == section]
        ruled = [number for number, text in enumerate(lines) if re.fullmatch(r"\|(-+\|)+", text)]
        rows = []
        for number in ruled:
            for text in lines[number + 1 :]:
                if not text.startswith("|"):
                    break
                rows.append([cell.strip() for cell in text.strip("|").split(" | ")])
        return rows

    def spans(self) -> Iterator[tuple[str, Prose]]:
        """Yield every code span with the line that it stands in."""
        for line in self.prose:
            for span in re.findall(r"`([^`]+)`", line.text):
                yield span, line

    def links(self) -> Iterator[tuple[str, Prose]]:
        """Yield every link with the line that it stands in."""
        for line in self.prose:
            for link in re.findall(r"\]\(([^)]+)\)", line.text):
                yield link, line

    def anchors(self) -> set[str]:
        """Return what links may name, as GitHub derives it from headings."""
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in self.headings}


def readme() -> Document:
    """Return the README of this checkout."""
    return document("README.md")


def using() -> Document:
    """Return the guide of commands, requests, errors and settings."""
    return document("workers/README.md")


def operating() -> Document:
    """Return the guide of deployments."""
    return document("deploy/README.md")


def examples() -> Document:
    """Return the guide of the examples."""
    return document("deploy/examples/README.md")


def guides() -> list[Document]:
    """Return all guides."""
    return [document(name) for name in GUIDES]


def everything() -> str:
    """Return the whole text of all guides."""
    return "\n".join(guide.path.read_text() for guide in guides())


@cache
def document(name: str) -> Document:
    """Return a Markdown file of this checkout by its path below the root."""
    blocks, prose, headings = [], [], []
    section, language, begun, content = "", "", 0, list[str]()
    for number, text in enumerate((ROOT / name).read_text().splitlines(), 1):
        fence = _FENCE.match(text)
        if begun:
            if fence:
                blocks.append(Block(language, "\n".join(content), section, begun, name))
                begun = 0
            else:
                content.append(text)
        elif fence:
            language, begun, content = fence[1], number, []
        else:
            if heading := _HEADING.match(text):
                section = heading[2]
                headings.append(section)
            prose.append(Prose(text, section, number, name))
    assert not begun, f"the block in line {begun} of {name} does not end"
    return Document(ROOT / name, tuple(blocks), tuple(prose), tuple(headings))
