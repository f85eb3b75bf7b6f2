"""The referrers API (distribution-spec 1.1, "Listing referrers")."""

from typing import TYPE_CHECKING, Any

from tests.support import images
from tests.support.profiles.answers import Refused, document, page
from tests.support.profiles.request import Request
from tests.support.profiles.store import Manifest
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry


class Referrers:
    """Answer for `/referrers/DIGEST`, with a page that is not found where the profile has no such API."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry
        self._rules = registry.profile.referrers

    def read(self, request: Request) -> Answer:
        if not self._rules.api:
            raise Refused(page(404, "404 page not found"))
        found = self._descriptors(request)
        wanted, headers = request.first("artifactType"), {"Content-Type": images.OCI_INDEX}
        if wanted is not None and self._rules.filters:
            found = [each for each in found if each.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        start = int(request.first("_page") or 0)
        end = start + self._rules.page_limit
        if end < len(found):
            asked = f"artifactType={wanted}&" if wanted is not None else ""
            headers["Link"] = f'</v2/{request.name}/referrers/{request.reference}?{asked}_page={end}>; rel="next"'
        index = {"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": found[start:end]}
        return document(200, index, headers)

    def _descriptors(self, request: Request) -> list[dict[str, Any]]:
        with self._registry.guard:
            repository = self._registry.store.repositories.get(request.name)
            kept = sorted(repository.manifests.items()) if repository else []
            if self._rules.subject_unknown is not None and request.reference not in dict(kept):
                raise Refused(self._rules.subject_unknown.answer())
            return [
                _descriptor(digest, each)
                for digest, each in kept
                if (each.document.get("subject") or {}).get("digest") == request.reference
            ]


def _descriptor(digest: str, manifest: Manifest) -> dict[str, Any]:
    said = manifest.document
    described = {"mediaType": manifest.media_type, "digest": digest, "size": len(manifest.content)}
    artifact_type = said.get("artifactType") or (said.get("config") or {}).get("mediaType")
    optional = {"artifactType": artifact_type, "annotations": said.get("annotations")}
    return described | {key: value for key, value in optional.items() if value}
