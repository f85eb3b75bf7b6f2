"""The tags of one repository."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlencode

from msgspec.structs import replace

from tasks.errors import NamespaceMissing, RegistryReadOnly
from tasks.oci.digest import Digest, digest_of, encoded_of
from tasks.registry.http.exchange import Response
from tasks.registry.http.refusal import refusal
from tasks.registry.listing import list_tags
from tasks.registry.repository.access import DONE, UNANSWERED
from tasks.registry.repository.manifests import Manifests

_REFUSED: Final = frozenset({401, 403})

# What a registry deletes by name; None is nothing.
Deletes = Literal["tags", "manifests", "unknown"] | None


class Tags(Manifests):
    """The tags of one repository: to list them, to write several with one request, to delete them."""

    def tags(self) -> list[str]:
        """Return all tags in the registry's order, none for a repository that does not exist ("Listing Tags")."""
        return list_tags(self._read, self.name, self._transport.limits.manifest_bytes)

    def tag_together(self, tags: Sequence[str], digest: Digest, content: bytes, media_type: str) -> bool:
        """Store a manifest under several tags with one request; return whether the registry says that it did.

        Registries that can name the tags in `OCI-Tag` (distribution-spec, pull request 600); others store the manifest
        and no tag. The request is sent once: after an error, the caller looks at each tag.
        """
        policy = replace(self._transport.policy, tries=1)
        path = f"manifests/{digest}?{urlencode([('tag', tag) for tag in tags])}"
        headers = {"Content-Type": media_type}
        response = policy.run(lambda: self._write("PUT", path, headers=headers, body=content, expect=DONE, retry=False))
        named = {tag.strip() for tag in response.headers.get("OCI-Tag", "").split(",")}
        self._transport.names_tags = names_tags = not named.isdisjoint(tags)
        return names_tags

    @property
    def may_tag_together(self) -> bool | None:
        """Whether the registry stores several tags with one request, None before the first such request."""
        return self._transport.names_tags

    def delete_tag(self, tag: str) -> bool:
        """Delete one tag, not its manifest ("Deleting tags"); return False if the registry cannot."""
        response = self._delete(tag, self._writing, DONE | UNANSWERED | {404})
        if response.status == HTTPStatus.NOT_FOUND:
            # A 404 may mean that the tag is gone (after a lost answer), or that the registry has no such API.
            return self.resolve(tag) is None
        return response.status in DONE

    def deletes(self) -> Deletes:
        """Tell what the registry would delete, by requests for what is absent: tags, or manifests only.

        Distribution answers 400 or 405 if it does not delete ("Deleting tags", "Deleting manifests"). A client that
        only reads asks with `pull` scope, and a refusal of that tells nothing; nor does a repository that is absent.
        """
        absent = digest_of(f"not in {self}".encode())
        ways: tuple[tuple[Literal["tags", "manifests"], str], ...] = (
            ("tags", f"absent-{encoded_of(absent)[:12]}"),
            ("manifests", absent),
        )
        scopes, refused = (self._writing, frozenset[int]()) if self._push else (self._reading, _REFUSED)
        expect = DONE | UNANSWERED | {404} | refused
        for what, reference in ways:
            response = self._delete(reference, scopes, expect)
            if response.status in refused or isinstance(refusal("DELETE", response), NamespaceMissing):
                return "unknown"
            if response.status in DONE | {404}:
                return what
        return None

    def _delete(self, reference: str, scopes: frozenset[str], expect: Iterable[int]) -> Response:
        """Delete a tag or manifest; raises RegistryReadOnly for a registry that deletes nothing for now."""
        response = self._transport.send(self._request("DELETE", f"manifests/{reference}", scopes, expect=expect))
        error = refusal("DELETE", response)
        if isinstance(error, RegistryReadOnly):
            self._transport.policy.blame(error)
            raise error
        return response
