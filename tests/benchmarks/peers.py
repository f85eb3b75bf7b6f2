"""The programs that are compared, each as its best user runs it: one command that does a whole workload."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests.benchmarks.workloads import Workload
from tests.support.workers import command, environment

OURS: Final = "imagepusher"

# Images at once, by `xargs -P` or a setting, and transfers at once within an image.
_IMAGES: Final = 4
_TRANSFERS: Final = 8
_FAR_TRANSFERS: Final = 32
# An installed program has its bytecode; a test's environment may forbid to write it.
_OF_TESTS: Final = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})


@dataclass(frozen=True)
class Errand:
    """One workload between two hosts; `folder` takes the files that the command needs."""

    workload: Workload
    a: str
    b: str
    folder: Path

    @property
    def transfers(self) -> int:
        """The transfers at once that suit the distance."""
        return _FAR_TRANSFERS if self.workload.delay else _TRANSFERS

    def write(self, name: str, text: str) -> str:
        """Write a file for the command, and return its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Peer:
    """One program: `prepare` returns the command of an errand, None for one that it has no way to do."""

    name: str
    program: str
    prepare: Callable[[Errand], list[str] | None]
    merges: bool = False
    asks_version: tuple[str, ...] = ("version",)

    @property
    def present(self) -> bool:
        return self.name == OURS or shutil.which(self.program) is not None

    def note(self, workload: Workload) -> str:
        """Return what the row has to say."""
        return "overwrites instead of merging" if workload.merges and not self.merges else ""

    def version(self) -> str:
        """Return what the program says of its version, in one line."""
        line = command(*self.asks_version) if self.name == OURS else [self.program, *self.asks_version]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        return " ".join(done.stdout.split())[:200]


def request_of(errand: Errand) -> dict[str, object]:
    """Return an errand as the request of a push."""
    items = [
        {
            "source": f"{errand.a}/{copy.source}",
            "destinations": {f"{errand.b}/{name}": list(tags) for name, tags in copy.destinations.items()},
        }
        for copy in errand.workload.copies
    ]
    return {"items": items}


def environment_of(folder: Path) -> Mapping[str, str]:
    """Return the environment of a client, the same for all of them; what skopeo learns of blobs is kept in `folder`."""
    made = environment({"IMAGEPUSHER_STATE_DIR": str(folder / "state"), "XDG_DATA_HOME": str(folder / "data")})
    return {name: value for name, value in made.items() if name not in _OF_TESTS}


def _push(errand: Errand) -> list[str]:
    return command("push", errand.write("request.json", json.dumps(request_of(errand))), "--quiet")


# The commands that bring one image from a source into one repository under its tags.
_Lines = Callable[[Errand, str, str, Sequence[str]], Iterable[list[str]]]


def _images_at_once(lines_of: _Lines, before: str = "true") -> Callable[[Errand], list[str]]:
    """Return a shell script that runs several images at once, and each from A only once.

    `lines_of` returns the commands for a source, a repository at B and its tags.
    """

    def prepare(errand: Errand) -> list[str]:
        first, then = [], []
        for copy in errand.workload.copies:
            (name, tags), *others = copy.destinations.items()
            first.append(_script(lines_of(errand, f"{errand.a}/{copy.source}", f"{errand.b}/{name}", tags)))
            there = f"{errand.b}/{name}:{tags[0]}"
            then += [_script(lines_of(errand, there, f"{errand.b}/{other}", more)) for other, more in others]
        script = ["set -e", before]
        for name, lines in (("first", first), ("then", then)):
            if lines:
                path = errand.write(f"{name}.txt", "".join(f"{line}\n" for line in lines))
                script.append(f"xargs -P {_IMAGES} -d '\\n' -n 1 sh -c < {shlex.quote(path)}")
        return ["sh", errand.write("all.sh", "\n".join([*script, ""]))]

    return prepare


def _script(lines: Iterable[list[str]]) -> str:
    return " && ".join(map(shlex.join, lines))


def _skopeo(_: Errand, source: str, repository: str, tags: Sequence[str]) -> Iterable[list[str]]:
    options = ["--quiet", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]
    for tag in tags:
        yield ["skopeo", "copy", *options, f"docker://{source}", f"docker://{repository}:{tag}"]


def _skopeo_sync(errand: Errand) -> list[str] | None:
    """Mirror all images, with all of their tags, into each name space."""
    if not errand.workload.syncs:
        return None
    listed: dict[str, list[str]] = {}
    for copy in errand.workload.copies:
        name = copy.source.partition(":")[0]
        listed[name] = sorted({tag for tags in copy.destinations.values() for tag in tags})
    path = errand.write("sync.yml", yaml.safe_dump({errand.a: {"tls-verify": False, "images": listed}}))
    spaces = sorted({name.partition("/")[0] for copy in errand.workload.copies for name in copy.destinations})
    options = ["--all", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false"]
    lines = [shlex.join(["skopeo", "sync", *options, path, f"{errand.b}/{space}"]) for space in spaces]
    return ["sh", errand.write("sync.sh", "\n".join(["set -e", *lines, ""]))]


def _crane(errand: Errand, source: str, repository: str, tags: Sequence[str]) -> Iterable[list[str]]:
    first, *others = tags
    yield ["crane", "copy", "--insecure", f"--jobs={errand.transfers}", source, f"{repository}:{first}"]
    for tag in others:
        yield ["crane", "tag", "--insecure", f"{repository}:{first}", tag]


def _oras(errand: Errand, source: str, repository: str, tags: Sequence[str]) -> Iterable[list[str]]:
    plain = ["--from-plain-http", "--to-plain-http", f"--concurrency={errand.transfers}"]
    yield ["oras", "cp", *plain, source, f"{repository}:{','.join(tags)}"]


def _regctl(_: Errand, source: str, repository: str, tags: Sequence[str]) -> Iterable[list[str]]:
    first, *others = tags
    yield ["regctl", "image", "copy", source, f"{repository}:{first}"]
    for tag in others:
        yield ["regctl", "image", "copy", f"{repository}:{first}", f"{repository}:{tag}"]


def _regctl_script(errand: Errand) -> list[str]:
    hosts = {host: {"tls": "disabled", "reqConcurrent": errand.transfers} for host in (errand.a, errand.b)}
    path = errand.write("regctl.json", json.dumps({"hosts": hosts}))
    return _images_at_once(_regctl, f"export REGCTL_CONFIG={shlex.quote(path)}")(errand)


def _regsync(errand: Errand) -> list[str] | None:
    """Mirror all images: from A into the first repository of each, then within B."""
    if not errand.workload.syncs:
        return None
    first, then = [], []
    for copy in errand.workload.copies:
        (name, tag), *others = copy.references()
        first.append(_synced(f"{errand.a}/{copy.source}", f"{errand.b}/{name}:{tag}"))
        then += [_synced(f"{errand.b}/{name}:{tag}", f"{errand.b}/{other}:{more}") for other, more in others]
    lines = ["set -e"]
    for number, entries in enumerate(filter(None, (first, then))):
        lines.append(shlex.join(["regsync", "once", "-c", _regsync_file(errand, f"regsync-{number}.yml", entries)]))
    return ["sh", errand.write("regsync.sh", "\n".join([*lines, ""]))]


def _synced(source: str, target: str) -> dict[str, str]:
    return {"source": source, "target": target, "type": "image"}


def _regsync_file(errand: Errand, name: str, entries: list[dict[str, str]]) -> str:
    hosts = [{"registry": host, "tls": "disabled", "reqConcurrent": errand.transfers} for host in (errand.a, errand.b)]
    document = {"version": 1, "creds": hosts, "defaults": {"parallel": _TRANSFERS}, "sync": entries}
    return errand.write(name, yaml.safe_dump(document))


def commit() -> str:
    """Return the commit of this project, empty outside of a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(OURS, OURS, _push, merges=True, asks_version=("--version",)),
        Peer("skopeo", "skopeo", _images_at_once(_skopeo), asks_version=("--version",)),
        Peer("skopeo sync", "skopeo", _skopeo_sync, asks_version=("--version",)),
        Peer("crane", "crane", _images_at_once(_crane)),
        Peer("regctl", "regctl", _regctl_script),
        Peer("regsync", "regsync", _regsync),
        Peer("oras", "oras", _images_at_once(_oras)),
    )
}
