"""Plain requests to a profile, as the tests of the profiles send them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import requests

from tests.support import images
from tests.support.images import Node, digest_of
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry

USERS = {"writer": "secret"}
NAME = "team/app"
CONTENT = b"0123456789" * 300
BYTES = {"Content-Type": "application/octet-stream"}


class PlainClient:
    """Send requests to one repository, with the rights of a user."""

    def __init__(self, registry: ProfileRegistry, name: str = NAME, user: str | None = "writer") -> None:
        self.registry = registry
        self.base = f"{registry.url}/v2/{name}"
        self._repositories = (name, "team/other")
        self._user = user

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to a path under the repository, or to a Location."""
        url = f"{self.base}{path}"
        if path.startswith(("http", "/v2/")):
            url = urljoin(self.base, path)
        reads = method in {"GET", "HEAD"} and "/uploads/" not in url
        actions = "pull" if reads else "delete,pull,push"
        options.setdefault("auth", self.registry.auth(self._user, *self._repositories, actions=actions))
        return requests.request(method, url, timeout=30, allow_redirects=False, **options)

    def start(self) -> requests.Response:
        return self.send("POST", "/blobs/uploads/")

    def patch(self, location: str, content: bytes, start: int | None = None) -> requests.Response:
        headers = dict(BYTES)
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(content) - 1}"
        return self.send("PATCH", location, data=content, headers=headers)

    def commit(self, location: str, digest: str, content: bytes = b"") -> requests.Response:
        mark = "&" if "?" in location else "?"
        return self.send("PUT", f"{location}{mark}digest={digest}", data=content, headers=BYTES)

    def put_blob(self, content: bytes = CONTENT) -> requests.Response:
        return self.commit(self.start().headers["Location"], digest_of(content), content)

    def in_parts(self, *parts: bytes) -> requests.Response:
        """Send parts in PATCHes and commit them; return the answer that ends it."""
        answer, position = self.start(), 0
        for part in parts:
            answer = self.patch(answer.headers["Location"], part, position)
            position += len(part)
            if not answer.ok:
                return answer
        return self.commit(answer.headers["Location"], digest_of(b"".join(parts)))

    def put_manifest(self, node: Node, reference: str, **headers: str) -> requests.Response:
        fields = {"Content-Type": node.media_type} | headers
        return self.send("PUT", f"/manifests/{reference}", data=node.manifest, headers=fields)

    def get(self, reference: str, accept: str = f"{images.OCI_INDEX}, {images.OCI_MANIFEST}") -> requests.Response:
        return self.send("GET", f"/manifests/{reference}", headers={"Accept": accept})


@contextmanager
def serving(profile: Profile, **options: Any) -> Iterator[PlainClient]:
    """Serve a profile with one empty repository, and speak to it."""
    with ProfileRegistry(profile, users=USERS, **options) as registry:
        registry.store.create(NAME)
        yield PlainClient(registry)


def code(answer: requests.Response) -> tuple[int, str]:
    """Return status and code of an answer that is an error."""
    return answer.status_code, answer.json()["errors"][0]["code"]
