"""Reading and deleting blobs, whole or from a position on, here or by a signed URL of another host."""

import re
from typing import TYPE_CHECKING

from tests.support.images import digest_of
from tests.support.profiles.answers import Refused, error
from tests.support.profiles.request import Request
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

_UNKNOWN = error(404, "BLOB_UNKNOWN", "blob unknown to registry", {})
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)", re.ASCII)
BYTES = "application/octet-stream"


class Blobs:
    """Answer for `/blobs/DIGEST`."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry

    def read(self, request: Request) -> Answer:
        with self._registry.guard:
            repository = self._registry.access.repository(request)
            if request.reference not in repository.blobs:
                raise Refused(_UNKNOWN)
            content = self._registry.store.blobs[request.reference]
        if self._registry.objects.takes("blobs", request):
            return Answer(307, {"Location": self._registry.objects.sign(content, BYTES)})
        return part_of(content, BYTES, request.headers.get("Range"), {"Docker-Content-Digest": digest_of(content)})

    def delete(self, request: Request) -> Answer:
        with self._registry.guard:
            self._registry.refuse_writes(request, "")
            repository = self._registry.access.repository(request)
            if self._registry.profile.tags.delete == "none":
                raise Refused(self._registry.profile.tags.delete_refusal.answer())
            if repository.blobs.pop(request.reference, None) is None:
                raise Refused(_UNKNOWN)
        return Answer(202)


def part_of(content: bytes, media_type: str, wanted: str | None, headers: dict[str, str]) -> Answer:
    """Answer with content, or with the part that a Range header names (RFC 9110, 14.2)."""
    described = {"Content-Type": media_type, "Accept-Ranges": "bytes"} | headers
    match = _RANGE.fullmatch(wanted or "")
    if match is None:
        return Answer(200, described, content)
    start, end = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
    if start >= len(content):
        return Answer(416, {"Content-Range": f"bytes */{len(content)}"})
    return Answer(206, described | {"Content-Range": f"bytes {start}-{end}/{len(content)}"}, content[start : end + 1])
