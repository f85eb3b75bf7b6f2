"""One push between two registries that fail, and what must be true of B afterwards."""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tasks.contract import PushReport, TagReport
from tests.chaos.registries.embedded_pusher import EmbeddedPusher
from tests.support import images
from tests.support.faults import Injected
from tests.support.faulty_proxy import FaultyProxy
from tests.support.figures import Figures
from tests.support.images import Index
from tests.support.registries import DistributionRegistry
from tests.support.stored import Auth, Stored, upload

_MEBIBYTE = 1 << 20
_TAGS = (("one", "new"), ("one", "old"), ("one", "merged"), ("two", "new"))


def count(figures: Figures, injected: Iterable[Injected], report: PushReport) -> None:
    """Count one push and the faults that it met."""
    figures.add("faults of registries", Counter(each.fault.kind.name for each in injected))
    figures.add("pushes through faults", {report.state: 1})
    errors = (tag.error for item in report.items for tag in item.tags if tag.error)
    figures.add("tags that failed through faults", Counter(error.code for error in errors))


@dataclass
class Scene:
    """An image of two platforms at A on its way to four tags in two repositories of B, through proxies.

    `new` tags are absent, `old` ones hold another image of the same platforms, and `merged` one of a platform that A
    lacks.
    """

    pusher: EmbeddedPusher
    figures: Figures
    a: DistributionRegistry
    b: DistributionRegistry
    proxy_a: FaultyProxy
    proxy_b: FaultyProxy
    name: str
    known_blobs: set[Path]
    auth: Auth = None

    def prepare(self) -> None:
        """Fill A and B; the tags' old digests are remembered."""
        base = images.layer(f"{self.name}-base", _MEBIBYTE + 1)
        self.source = images.index(
            images.image(
                f"linux/{architecture}",
                [base, images.layer(f"{self.name}-{architecture}", size), images.layer(f"{self.name}-x{size}", 5000)],
            )
            for architecture, size in (("amd64", 300_000), ("arm64", _MEBIBYTE))
        )
        self.former = _small(self.name, "amd64", "arm64")
        self.kept = _small(self.name, "s390x")
        upload(self.a.host, f"{self.name}/src", self.source, "1", auth=self.auth)
        for repository, tag in _TAGS:
            if tag != "new":
                upload(
                    self.b.host,
                    self._at_b(repository),
                    {"old": self.former, "merged": self.kept}[tag],
                    tag,
                    auth=self.auth,
                )
        self.before = self._digests()

    def push(self, atomic: str | None = None) -> PushReport:
        """Push through both proxies, check what is true of every push, and return its report."""
        destinations: dict[str, list[str]] = {}
        for repository, tag in _TAGS:
            destinations.setdefault(f"{self.proxy_b.host}/{self._at_b(repository)}", []).append(tag)
        item = {"source": f"{self.proxy_a.host}/{self.name}/src:1", "destinations": destinations}
        options = {} if atomic is None else {"atomic": atomic}
        report = self.pusher.push({"items": [item], "push_id": str(uuid.uuid4())} | options)
        count(self.figures, [*self.proxy_a.injected, *self.proxy_b.injected], report)
        try:
            self._judge(report, atomic)
        except AssertionError as fault:
            raise AssertionError(f"{fault}\n{self.story()}\n{msgspec.json.encode(report).decode()}") from None
        return report

    def story(self) -> str:
        """Return the faults, for the message of a test that fails."""
        return f"at A: {self.proxy_a.story()}\nat B: {self.proxy_b.story()}"

    def codes(self, report: PushReport) -> set[str]:
        """Return the codes of all that failed."""
        errors = [error for item in report.items for error in (item.error, *(tag.error for tag in item.tags)) if error]
        return {error.code for error in errors}

    def _judge(self, report: PushReport, atomic: str | None) -> None:
        tags = {tag.reference.partition("/")[2].removeprefix(f"{self.name}/"): tag for tag in report.items[0].tags}
        assert set(tags) == {f"{repository}:{tag}" for repository, tag in _TAGS}, "a tag is not in the report"
        after = self._digests()
        for (repository, tag), digest in after.items():
            self._judge_tag(repository, tag, digest, tags[f"{repository}:{tag}"])
        if atomic is not None and any(tag.action == "skipped" for tag in tags.values()):
            assert after == self.before, "a withheld push moved a tag"
        self._judge_repositories()
        self._judge_blobs()
        for proxy in (self.proxy_a, self.proxy_b):
            assert not proxy.faults, f"the proxy broke: {proxy.faults}"
            # Rule 8.2.
            assert set(proxy.elsewhere.authorizations) <= {None}, "another host was sent credentials"

    def _judge_tag(self, repository: str, tag: str, digest: str | None, said: TagReport) -> None:
        where = f"{repository}:{tag}"
        if said.action in {"failed", "skipped"}:
            assert said.error is not None, f"{where} failed without an error"
            assert digest == self.before[repository, tag], f"{where} is said to be {said.action}, and moved"
            return
        assert digest == said.new_digest, f"{where} is not what the report says"
        if tag == "merged":
            _, _, content = self._stored().manifest(self._at_b(repository), tag)
            found = [entry["digest"] for entry in json.loads(content)["manifests"]]
            assert found == [member.digest for member in (*self.source.members, *self.kept.members)], (
                f"{where} lost an entry"
            )
        else:
            assert digest == self.source.digest, f"{where} is not the source's image"

    def _judge_repositories(self) -> None:
        """Check that every manifest that a repository holds, tagged or not, is whole."""
        for repository in ("one", "two"):
            revisions = (
                self.b.storage / f"docker/registry/v2/repositories/{self._at_b(repository)}/_manifests/revisions"
            )
            for revision in (revisions / "sha256").glob("*"):
                self._stored().holds(self._at_b(repository), f"sha256:{revision.name}")

    def _judge_blobs(self) -> None:
        """Check that every blob of B has the content that its digest says; each file is read once in a run."""
        for path in set((self.b.storage / "docker/registry/v2/blobs/sha256").glob("*/*/data")) - self.known_blobs:
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            assert found == path.parent.name, f"B holds other bytes than those of {path.parent.name}"
            self.known_blobs.add(path)

    def _digests(self) -> dict[tuple[str, str], str | None]:
        return {(repository, tag): self._stored().digest(self._at_b(repository), tag) for repository, tag in _TAGS}

    def _at_b(self, repository: str) -> str:
        return f"{self.name}/{repository}"

    def _stored(self) -> Stored:
        return Stored(self.b.host, auth=self.auth)


def push_all(scenes: Iterable[Scene], atomic: str | None = None) -> list[PushReport]:
    """Push all scenes at the same time, since most of a push through faults is waiting; return their reports."""
    waiting = list(scenes)
    with ThreadPoolExecutor(len(waiting)) as pool:
        return list(pool.map(lambda scene: scene.push(atomic), waiting))


def assert_all_complete(scenes: Iterable[Scene]) -> None:
    """Push all scenes at the same time, and see that everything has moved."""
    waiting = list(scenes)
    for scene, report in zip(waiting, push_all(waiting), strict=True):
        assert report.state == "succeeded", f"{scene.codes(report)}\n{scene.story()}"


def _small(name: str, *architectures: str) -> Index:
    return images.index(
        images.image(f"linux/{architecture}", [images.layer(f"{name}-{architecture}-former", 1000)])
        for architecture in architectures
    )
