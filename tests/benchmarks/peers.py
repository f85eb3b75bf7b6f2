"""The programs that are compared, each used as its users do: one command that does a whole workload."""

import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests.benchmarks.workloads import Copy, Workload
from tests.support.workers import command, environment

OURS: Final = "imagepusher"


@dataclass(frozen=True)
class Errand:
    """One workload between two hosts; `folder` takes the files that the command needs."""

    workload: Workload
    a: str
    b: str
    folder: Path


@dataclass(frozen=True)
class Peer:
    """One program: `prepare` returns the command of an errand, None for one that it has no way to do."""

    name: str
    program: str
    prepare: Callable[[Errand], list[str] | None]
    merges: bool = False

    @property
    def present(self) -> bool:
        return self.name == OURS or shutil.which(self.program) is not None

    def note(self, workload: Workload) -> str:
        """Return what the row has to say."""
        return "overwrites instead of merging" if workload.merges and not self.merges else ""


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
    """Return the environment of a client, the same for all of them."""
    return environment({"IMAGEPUSHER_STATE_DIR": str(folder / "state")})


def _push(errand: Errand) -> list[str]:
    path = errand.folder / "request.json"
    path.write_text(json.dumps(request_of(errand)))
    return command("push", str(path), "--quiet")


def _loop(lines_of: Callable[[Errand, Copy], Iterable[list[str]]]) -> Callable[[Errand], list[str]]:
    """Return a command that runs one after the other, in a shell script as people write it."""

    def prepare(errand: Errand) -> list[str]:
        lines = [shlex.join(line) for copy in errand.workload.copies for line in lines_of(errand, copy)]
        path = errand.folder / "loop.sh"
        path.write_text("\n".join(["set -e", *lines, ""]))
        return ["sh", str(path)]

    return prepare


def _skopeo(errand: Errand, copy: Copy) -> Iterable[list[str]]:
    options = ["--quiet", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]
    for name, tag in copy.references():
        yield ["skopeo", "copy", *options, f"docker://{errand.a}/{copy.source}", f"docker://{errand.b}/{name}:{tag}"]


def _skopeo_sync(errand: Errand) -> list[str] | None:
    """Mirror all images, with all of their tags, into each name space."""
    if not errand.workload.syncs:
        return None
    listed: dict[str, list[str]] = {}
    for copy in errand.workload.copies:
        name = copy.source.partition(":")[0]
        listed[name] = sorted({tag for tags in copy.destinations.values() for tag in tags})
    path = errand.folder / "sync.yml"
    path.write_text(yaml.safe_dump({errand.a: {"tls-verify": False, "images": listed}}))
    spaces = sorted({name.partition("/")[0] for copy in errand.workload.copies for name in copy.destinations})
    options = ["--all", "--src", "yaml", "--dest", "docker", "--dest-tls-verify=false"]
    script = errand.folder / "sync.sh"
    lines = [shlex.join(["skopeo", "sync", *options, str(path), f"{errand.b}/{space}"]) for space in spaces]
    script.write_text("\n".join(["set -e", *lines, ""]))
    return ["sh", str(script)]


def _crane(errand: Errand, copy: Copy) -> Iterable[list[str]]:
    for name, (first, *others) in copy.destinations.items():
        copied = f"{errand.b}/{name}:{first}"
        yield ["crane", "copy", "--insecure", f"{errand.a}/{copy.source}", copied]
        for tag in others:
            yield ["crane", "tag", "--insecure", copied, tag]


def _regctl(errand: Errand, copy: Copy) -> Iterable[list[str]]:
    plain = [f"--host=reg={host},tls=disabled" for host in (errand.a, errand.b)]
    for name, tag in copy.references():
        yield ["regctl", *plain, "image", "copy", f"{errand.a}/{copy.source}", f"{errand.b}/{name}:{tag}"]


def _oras(errand: Errand, copy: Copy) -> Iterable[list[str]]:
    for name, tags in copy.destinations.items():
        destination = f"{errand.b}/{name}:{','.join(tags)}"
        yield ["oras", "cp", "--from-plain-http", "--to-plain-http", f"{errand.a}/{copy.source}", destination]


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(OURS, OURS, _push, merges=True),
        Peer("skopeo", "skopeo", _loop(_skopeo)),
        Peer("skopeo sync", "skopeo", _skopeo_sync),
        Peer("crane", "crane", _loop(_crane)),
        Peer("regctl", "regctl", _loop(_regctl)),
        Peer("oras", "oras", _loop(_oras)),
    )
}
