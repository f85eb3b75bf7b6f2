"""Write test images into a registry and judge what it holds, by plain requests: nothing of the project under test."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase

from tests.support import images
from tests.support.images import Image, Node

Auth = AuthBase | tuple[str, str] | None
INDEX_TYPES = frozenset({images.OCI_INDEX, images.DOCKER_LIST})
MANIFEST_TYPES = frozenset({images.OCI_MANIFEST, images.DOCKER_MANIFEST})
ACCEPT = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))
TIMEOUT = 60


def upload(
    host: str,
    repository: str,
    node: Node,
    tag: str | None = None,
    *,
    auth: Auth = None,
    verify: str | None = None,
) -> str:
    """Put a node and all that it needs into a repository, blobs first, and return its digest.

    `host` is `address:port`; `verify` is the path of a CA certificate and means HTTPS. The manifest is put by
    digest, and by tag too where one is given. Raises AssertionError with the registry's answer when it refuses.
    """
    with _session(auth, verify) as session:
        base = f"{_scheme(verify)}://{host}/v2/{repository}"
        _put_node(session, base, node)
        if tag is not None:
            _put_manifest(session, base, node, tag)
    return node.digest


class Stored:
    """Read what a registry holds; every read asks anew."""

    def __init__(self, host: str, *, auth: Auth = None, verify: str | None = None) -> None:
        self._base = f"{_scheme(verify)}://{host}/v2"
        self._auth = auth
        self._verify = verify

    def manifest(self, repository: str, reference: str) -> tuple[int, str, bytes]:
        """Return status, media type and bytes of a manifest; `reference` is a tag or a digest."""
        with _session(self._auth, self._verify) as session:
            answer = session.get(
                f"{self._base}/{repository}/manifests/{reference}",
                headers={"Accept": ACCEPT},
                timeout=TIMEOUT,
            )
            return answer.status_code, answer.headers.get("Content-Type", ""), answer.content

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest's own bytes, None where the registry answers 404."""
        status, _, content = self.manifest(repository, reference)
        if status == requests.codes.not_found:
            return None
        assert status == requests.codes.ok, f"{repository}:{reference} answered {status}"
        return images.digest_of(content)

    def blob(self, repository: str, digest: str) -> tuple[int, bytes]:
        """Return status and bytes of a blob."""
        with _session(self._auth, self._verify) as session:
            answer = session.get(f"{self._base}/{repository}/blobs/{digest}", timeout=TIMEOUT)
            return answer.status_code, answer.content

    def tags(self, repository: str) -> list[str]:
        """Return the tags in order, none for a repository that does not exist."""
        with _session(self._auth, self._verify) as session:
            url: str | None = f"{self._base}/{repository}/tags/list"
            found: list[str] = []
            while url is not None:
                answer = session.get(url, timeout=TIMEOUT)
                if answer.status_code == requests.codes.not_found:
                    return []
                assert answer.ok, f"tags of {repository} answered {answer.status_code}"
                found += answer.json()["tags"] or []
                following = answer.links.get("next", {}).get("url")
                url = urljoin(url, following) if following else None
            return sorted(found)

    def holds(self, repository: str, reference: str) -> frozenset[str]:
        """Walk everything that a manifest needs, check each byte, and return the digests that were seen.

        Layers with urls may be absent, as the OCI image specification allows; so may a subject.
        Raises AssertionError that lists all that is missing or differs from its digest or size.
        """
        with _session(self._auth, self._verify) as session:
            walk = _Walk(session, f"{self._base}/{repository}")
            walk.manifest(reference, size=None)
        assert not walk.faults, f"{repository}:{reference} is not whole:\n" + "\n".join(walk.faults)
        return frozenset(walk.seen)


class _Walk:
    def __init__(self, session: requests.Session, base: str) -> None:
        self._session = session
        self._base = base
        self.seen: set[str] = set()
        self.faults: list[str] = []

    def manifest(self, reference: str, size: int | None) -> None:
        answer = self._session.get(f"{self._base}/manifests/{reference}", headers={"Accept": ACCEPT}, timeout=TIMEOUT)
        if not answer.ok:
            self.faults.append(f"manifest {reference}: {answer.status_code}")
            return
        content = answer.content
        digest = images.digest_of(content)
        self.seen.add(digest)
        self._compare(f"manifest {reference}", reference if ":" in reference else digest, digest)
        self._compare(f"size of manifest {reference}", len(content) if size is None else size, len(content))
        document = json.loads(content)
        media_type = document.get("mediaType", answer.headers.get("Content-Type"))
        if media_type in INDEX_TYPES:
            for each in document["manifests"]:
                if each["digest"] not in self.seen:
                    self.manifest(each["digest"], each["size"])
        elif media_type in MANIFEST_TYPES:
            for each in (document["config"], *document["layers"]):
                if each["digest"] not in self.seen and not each.get("urls"):
                    self._blob(each["digest"], each["size"])
        else:
            self.faults.append(f"manifest {reference}: what does {media_type} need?")

    def _blob(self, digest: str, size: int) -> None:
        computed, length = hashlib.sha256(), 0
        with self._session.get(f"{self._base}/blobs/{digest}", stream=True, timeout=TIMEOUT) as answer:
            if not answer.ok:
                self.faults.append(f"blob {digest}: {answer.status_code}")
                return
            for piece in answer.iter_content(1 << 20):
                computed.update(piece)
                length += len(piece)
        self.seen.add(digest)
        self._compare(f"blob {digest}", digest, f"sha256:{computed.hexdigest()}")
        self._compare(f"size of blob {digest}", size, length)

    def _compare(self, what: str, expected: object, found: object) -> None:
        if expected != found:
            self.faults.append(f"{what}: expected {expected}, found {found}")


@contextmanager
def _session(auth: Auth, verify: str | None) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = auth
        session.verify = verify or True
        session.headers["Accept-Encoding"] = "identity"
        yield session


def _scheme(verify: str | None) -> str:
    return "https" if verify else "http"


def _put_node(session: requests.Session, base: str, node: Node) -> None:
    if isinstance(node, Image):
        for digest, content in node.blobs.items():
            _put_blob(session, base, digest, content)
    else:
        for member in node.members:
            _put_node(session, base, member)
    _put_manifest(session, base, node, node.digest)


def _put_blob(session: requests.Session, base: str, digest: str, content: bytes) -> None:
    if session.head(f"{base}/blobs/{digest}", timeout=TIMEOUT).ok:
        return
    opened = _accepted(session.post(f"{base}/blobs/uploads/", timeout=TIMEOUT))
    location = urljoin(f"{base}/", opened.headers["Location"])
    separator = "&" if "?" in location else "?"
    _accepted(
        session.put(
            f"{location}{separator}digest={digest}",
            data=content,
            headers={"Content-Type": "application/octet-stream"},
            timeout=TIMEOUT,
        )
    )


def _put_manifest(session: requests.Session, base: str, node: Node, reference: str) -> None:
    _accepted(
        session.put(
            f"{base}/manifests/{reference}",
            data=node.manifest,
            headers={"Content-Type": node.media_type},
            timeout=TIMEOUT,
        )
    )


def _accepted(answer: requests.Response) -> requests.Response:
    asked = answer.request
    assert answer.ok, f"{asked.method} {asked.path_url} answered {answer.status_code}: {answer.text[:2000]}"
    return answer
