"""A program that embeds the class of pubtools-quay, on two real registries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import embedding
from tests.support.embedding import Called
from tests.support.images import Node
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload

USER, PASSWORD = "me", "geheim"


@dataclass(frozen=True)
class Program:
    """A program that embeds the pusher: its state folder, two registries, and names that no other test uses."""

    state: Path
    a: DistributionRegistry
    b: DistributionRegistry
    name: str

    def __call__(self, method: str, *arguments: Any, **options: Any) -> Called:
        settings = {"IMAGEPUSHER_STATE_DIR": str(self.state)} | options.pop("settings", {})
        return embedding.call(method, *arguments, settings=settings, **options)

    @property
    def target_settings(self) -> dict[str, Any]:
        return {"quay_host": self.b.host, "quay_namespace": self.name}

    @property
    def stored(self) -> Stored:
        return Stored(self.b.host)

    def put_a(self, node: Node, tag: str = "1") -> str:
        upload(self.a.host, f"{self.name}/src", node, tag)
        return f"{self.a.host}/{self.name}/src:{tag}"

    def item(self, source: str, tags: dict[str, list[str]] | None = None, mark: Any = None) -> dict[str, Any]:
        """Return a push item as Pub has it, with much that a push does not need."""
        build = {"nvr": "app-1-1", "extra": {"image": {"index": {"tags": ["1"]}}}}
        if mark is not None:
            build["extra"]["image"]["sources_for_nvr"] = mark  # type: ignore[index]
        metadata = {"pull_url": source, "tags": tags or {"ns/app": ["1"]}, "build": build, "repos": {}, "arch": None}
        return {"metadata": metadata, "name": "app", "state": "PENDING"}


def actions(called: Called) -> list[str]:
    assert called.report is not None, called.message
    return [tag["action"] for item in called.report["items"] for tag in item["tags"]]
