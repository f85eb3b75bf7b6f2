"""Run commands as a user would, on two real registries, with a state folder of their own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support import commands
from tests.support.commands import Ended
from tests.support.images import Image, Index, Node, image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload

_VALIDATOR = Draft202012Validator(json.loads(files("tasks").joinpath("schema.v1.json").read_text()))


@dataclass(frozen=True)
class Shell:
    """A user with a state folder, two registries, and names that no other test uses."""

    folder: Path
    a: DistributionRegistry
    b: DistributionRegistry
    name: str

    def __call__(self, *arguments: str, stdin: str = "", settings: Mapping[str, str] | None = None) -> Ended:
        return commands.run(*arguments, settings=self.settings | dict(settings or {}), stdin=stdin)

    @property
    def settings(self) -> dict[str, str]:
        return {"IMAGEPUSHER_STATE_DIR": str(self.folder / "state")}

    @property
    def stored(self) -> Stored:
        return Stored(self.b.host)

    @property
    def repository(self) -> str:
        """Name the destination repository of this test, without its host."""
        return f"{self.name}/dst"

    def destination(self, tag: str = "1", repository: str = "dst") -> str:
        return f"{self.b.host}/{self.name}/{repository}:{tag}"

    def put_a(self, node: Node, tag: str = "1") -> str:
        """Put a node into A and return its full reference."""
        upload(self.a.host, f"{self.name}/src", node, tag)
        return f"{self.a.host}/{self.name}/src:{tag}"

    def put_b(self, node: Node, tag: str = "1") -> str:
        """Put a node into B and return its digest."""
        return upload(self.b.host, self.repository, node, tag)

    def request(self, *sources: str, **options: Any) -> dict[str, Any]:
        """Return a request that copies each source to a tag of its own: 1, 2, …"""
        items = [
            {"source": source, "destinations": {f"{self.b.host}/{self.repository}": [str(number)]}}
            for number, source in enumerate(sources, 1)
        ]
        return {"items": items} | options

    def write(self, name: str, content: str | dict[str, Any]) -> str:
        """Write a file and return its path; a dict becomes JSON."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def digests(self) -> dict[str, str | None]:
        """Return what each tag of the destination repository holds."""
        return {tag: self.stored.digest(self.repository, tag) for tag in self.stored.tags(self.repository)}


@pytest.fixture
def shell(tmp_path: Path, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str) -> Shell:
    return Shell(tmp_path, registry_a, registry_b, name)


@pytest.fixture
def multi_arch(name: str) -> Index:
    """Return an index for two platforms, with layers that no other test has."""
    return index([image(platform, [layer(f"{name}{platform}", 800)]) for platform in ("linux/amd64", "linux/arm64")])


@pytest.fixture
def single_arch(name: str) -> Image:
    return image("linux/s390x", [layer(f"{name}single", 800)])


def report_of(ended: Ended) -> dict[str, Any]:
    """Return the report that a command printed, after its JSON schema has seen it."""
    report: dict[str, Any] = ended.document
    assert "error" not in report, report
    _VALIDATOR.validate(report)
    return report


def error_of(ended: Ended) -> dict[str, Any]:
    """Return the error that a command printed instead of a result."""
    error: dict[str, Any] = ended.document["error"]
    return error


def actions(report: Mapping[str, Any]) -> list[str]:
    """Return the actions of all tags, in order."""
    return [tag["action"] for item in report["items"] for tag in item["tags"]]


def faults(report: Mapping[str, Any]) -> list[str | None]:
    """Return the error codes of all tags, in order."""
    return [tag["error"] and tag["error"]["code"] for item in report["items"] for tag in item["tags"]]
