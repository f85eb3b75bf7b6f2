"""One repository of a registry (distribution-spec 1.1, "Endpoints")."""

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from tasks.errors import AuthenticationRefused
from tasks.oci.digest import Digest
from tasks.oci.referrers import Referrer
from tasks.registry.preflight.preflight import Preflight
from tasks.registry.preflight.questions import Wish
from tasks.registry.referrers import list_referrers
from tasks.registry.repository.blobs import Blobs
from tasks.registry.repository.tags import Tags

if TYPE_CHECKING:
    from tasks.registry.create_repository.create import Visibility


class Repository(Tags, Blobs):
    """One repository in one role: its manifests, tags, blobs and referrers. All methods raise RegistryError."""

    def beside(self, name: str) -> "Repository":
        """Return the client of another repository of this registry, in the same role."""
        return Repository(self._transport, self.registry, name, push=self._push)

    def exists(self) -> bool:
        """Tell whether the repository exists and is readable, with `pull` scope only ("Listing Tags")."""
        limit = self._transport.limits.manifest_bytes
        try:
            response = self._read("GET", "tags/list?n=1", expect={200, 404}, limit=limit)
        except AuthenticationRefused as error:
            if not error.may_be_absent:
                raise
            return False
        return response.status == HTTPStatus.OK

    def create(self, visibility: "Visibility") -> None:
        """Make the repository by the API of its registry; an existing one is no error.

        Raises RepositoryMissing if no API is known, RegistryError, SettingsInvalid.
        """
        # Few pushes make a repository.
        from tasks.registry.create_repository.create import create  # noqa: PLC0415

        create(self._transport, self.name, visibility)

    def referrers(self, digest: Digest, artifact_type: str | None = None) -> list[Referrer] | None:
        """Return the referrers of a digest, of one type or all, None if the repository has no API for them.

        The absence of the API is remembered for some minutes ("Listing Referrers").
        """
        known = self._transport.referrers
        if known.of(self.name) is False:
            return None
        limit, note = self._transport.limits.manifest_bytes, partial(known.note, self.name)
        return list_referrers(self._read, str(self), digest, limit, artifact_type, note)

    @property
    def may_list_referrers(self) -> bool | None:
        """Whether the repository has an API that lists referrers, None before the first request."""
        return self._transport.referrers.of(self.name)

    def require_push(self) -> None:
        """Raise RightMissing or NamespaceMissing if it is known without a write that a push would be refused.

        Fetches a token that the push needs anyway; at some registries that creates the repository (BEHAVIOUR 3.4).
        """
        self._transport.require_push(self.name, self._writing)

    def require_writable(self, preflight: Preflight, wish: Wish, *, tag: str | None) -> None:
        """Raise TagImmutable or QuotaExceeded if the API of the registry says that a manifest will not be stored.

        `tag` is the tag that would move, None if it does not exist yet. An unknown or failing API raises nothing.
        """
        preflight.check(self._transport, self.name, tag=tag, wish=wish)

    def why_fixed(self, preflight: Preflight, tag: str) -> str | None:
        """Return the reason why a new tag could not be deleted again, if the API of the registry tells one."""
        return preflight.why_fixed(self._transport, self.name, tag)
