"""One repository of a registry: its manifests, tags and blobs (distribution-spec 1.1, "Endpoints")."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import urlencode

from tasks.errors import (
    AuthenticationRefused,
    ContentMismatch,
    DestinationError,
    ImagePusherError,
    NotFound,
    ResponseInvalid,
    SourceError,
)
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, Verifier, digest_of, encoded_of
from tasks.oci.document import parse_document
from tasks.oci.graph import successors
from tasks.oci.referrers import Referrer
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.blob.reader import BlobReader
from tasks.registry.blob.sample import read_sample
from tasks.registry.blob.session import UploadSession, session_of
from tasks.registry.blob.upload import BlobUpload, cancel
from tasks.registry.blob.verified import Reader
from tasks.registry.budget import Budgets, UnboundedBudgets
from tasks.registry.creating.create import Visibility, create
from tasks.registry.foresight.asking import Wish
from tasks.registry.foresight.foresight import Foresight
from tasks.registry.http.exchange import Request, Response
from tasks.registry.http.length import declared_length
from tasks.registry.listing import list_tags
from tasks.registry.manifest_answer import FetchedManifest, check_entries, described, fetched
from tasks.registry.manifest_upload import ManifestUpload
from tasks.registry.referrers import list_referrers
from tasks.registry.settings import RegistryConfiguration, Role
from tasks.registry.transport import Transport
from tasks.registry.upload_forms import LocalUploadForms, UploadForms

_ACCEPT: Final = {"Accept": ", ".join(media_types.ACCEPT)}
_DONE: Final = frozenset({200, 201, 202, 204})
_REFUSED: Final = frozenset({401, 403})
# Answers of registries, or of servers before them, to a HEAD that they do not support.
_UNANSWERED: Final = frozenset({400, 405, 415, 501})


class Registries:
    """The registry clients of a process. Thread-safe."""

    def __init__(
        self, configuration: RegistryConfiguration, budgets: Budgets | None = None, forms: UploadForms | None = None
    ) -> None:
        self._configuration = configuration
        self._budgets = budgets or UnboundedBudgets()
        self._forms = forms or LocalUploadForms()
        self._store = CredentialStore(configuration)
        self._guard = threading.Lock()
        self._transports: dict[tuple[str, Role], Transport] = {}

    def repository(self, registry: str, name: str, role: Role, *, push: bool = False) -> "Repository":
        """Return the client of one repository; with `push`, reads may use a scope beyond `pull` (BEHAVIOUR 3.4)."""
        with self._guard:
            transport = self._transports.get((registry, role))
            if transport is None:
                transport = Transport(registry, role, self._configuration, self._store, self._budgets, self._forms)
                self._transports[registry, role] = transport
        return Repository(transport, registry, name, push=push)

    def check_hosts(self, role: Role, registries: Iterable[str]) -> None:
        """Raise RequestInvalid if credentials for one registry would go to several."""
        self._configuration.check_hosts(role, registries)

    def close(self) -> None:
        """Close the idle connections of all threads to all registries; later requests open new ones."""
        with self._guard:
            transports = list(self._transports.values())
        for transport in transports:
            transport.close()


class Repository:
    """One repository in one role. All methods raise RegistryError."""

    def __init__(self, transport: Transport, registry: str, name: str, *, push: bool = False) -> None:
        self.registry = registry
        self.name = name
        self._transport = transport
        self._push = push
        self._reading = _scopes(name, "pull")
        self._writing = _scopes(name, "pull,push")

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"

    def beside(self, name: str) -> "Repository":
        """Return the client of another repository of this registry, in the same role."""
        return Repository(self._transport, self.registry, name, push=self._push)

    def resolve(self, reference: str) -> Descriptor | None:
        """Return the descriptor of a tag or digest, None if absent ("Checking if content exists in the registry").

        If a registry does not answer HEAD, or says too little, the whole manifest is fetched. The digest of a tag is
        its sha256, whatever algorithm the registry announces: two registries can then be compared.
        """
        return self._resolve(reference, retry=True)

    def fetch_manifest(self, reference: str) -> FetchedManifest:
        """Return the manifest of a tag or digest, for a tag with its sha256 ("Pulling manifests").

        Raises NotFound, ContentMismatch, ResponseInvalid for a manifest that is too large, ManifestInvalid.
        """
        try:
            return self._fetch_manifest(reference, retry=True)
        except ImagePusherError as error:
            self._transport.policy.blame(error)
            raise

    def push_manifest(self, reference: str, content: bytes, media_type: str, *, over: Digest | None = None) -> bool:
        """Store a manifest under a tag or its digest ("Pushing manifests").

        `over` is the digest that the caller read at the tag, None for an absent tag. Raises TagConflict, and leaves
        the tag alone, if after a try of unknown outcome it holds neither `over` nor this manifest. Raises
        CopyIncomplete if the registry misses a part of the manifest, whatever its answer (BEHAVIOUR 5.5),
        ContentMismatch if it stored another manifest, and DestinationError for a manifest above the size limit of
        reads: it could be written once, but never merged again. Returns whether the registry said that it lists the
        manifest among the referrers of its subject (`OCI-Subject`).
        """
        listed = False
        if len(content) > self._transport.limits.manifest_bytes:
            raise DestinationError(
                f"The manifest for {self}:{reference} has {len(content)} bytes, and at most"
                f" {self._transport.limits.manifest_bytes} are read (http.manifest_bytes). It was not written."
            )

        def put() -> Response:
            nonlocal listed
            response = self._write(
                "PUT",
                f"manifests/{reference}",
                headers={"Content-Type": media_type},
                body=content,
                expect={200, 201, 202, 400, 404},
                retry=False,
            )
            listed = bool(response.headers.get("OCI-Subject"))
            return response

        upload = ManifestUpload(
            str(self),
            reference,
            content,
            over,
            put,
            lambda: self._resolve(reference, retry=False),
            lambda: self.missing_parts(content, media_type),
        )
        self._transport.policy.run(upload.attempt)
        return listed

    def tag_together(self, tags: Sequence[str], digest: Digest, content: bytes, media_type: str) -> bool:
        """Store a manifest under several tags with one request; return whether the registry says that it did.

        Registries that can name the tags in `OCI-Tag` (distribution-spec, pull request 600); others store the manifest
        and no tag. The request is sent once: after an error, the caller looks at each tag.
        """
        policy = replace(self._transport.policy, tries=1)
        path = f"manifests/{digest}?{urlencode([('tag', tag) for tag in tags])}"
        headers = {"Content-Type": media_type}
        response = policy.run(
            lambda: self._write("PUT", path, headers=headers, body=content, expect=_DONE, retry=False)
        )
        named = {tag.strip() for tag in response.headers.get("OCI-Tag", "").split(",")}
        self._transport.names_tags = names_tags = not named.isdisjoint(tags)
        return names_tags

    @property
    def may_tag_together(self) -> bool | None:
        """Whether the registry stores several tags with one request, None before the first such request."""
        return self._transport.names_tags

    def missing_parts(self, content: bytes, media_type: str) -> list[Digest]:
        """Return the parts of a manifest that this repository lacks, none for content that is no manifest."""
        try:
            needs = successors(parse_document(content, media_type))
        except SourceError:
            return []
        wanted = {each.digest: f"manifests/{each.digest}" for each in needs.manifests}
        wanted |= {each.digest: f"blobs/{each.digest}" for each in needs.blobs}
        return [digest for digest, path in wanted.items() if self._is_missing(path)]

    def _is_missing(self, path: str) -> bool:
        """Tell whether the registry reports a path as absent; an unclear answer counts as present."""
        return self._read("HEAD", path, headers=_ACCEPT, expect={200, 404, *_UNANSWERED}).status == HTTPStatus.NOT_FOUND

    def delete_manifest(self, digest: Digest) -> None:
        """Delete a manifest and with it all of its tags ("Deleting manifests"); an absent manifest is no error."""
        self._write("DELETE", f"manifests/{digest}", expect=_DONE | {404})

    def delete_tag(self, tag: str) -> bool:
        """Delete one tag, not its manifest ("Deleting tags"); return False if the registry cannot."""
        response = self._write("DELETE", f"manifests/{tag}", expect=_DONE | {400, 404, 405})
        if response.status == HTTPStatus.NOT_FOUND:
            # A 404 may mean that the tag is gone (after a lost answer), or that the registry has no such API.
            return self.resolve(tag) is None
        return response.status in _DONE

    def deletes(self) -> Literal["tags", "manifests", "unknown"] | None:
        """Tell what the registry would delete, by requests for what is absent: tags, or manifests only.

        Distribution answers 400 or 405 if it does not delete ("Deleting tags", "Deleting manifests"). A client that
        only reads asks with `pull` scope, and a refusal of that tells nothing.
        """
        absent = digest_of(f"not in {self}".encode())
        ways: tuple[tuple[Literal["tags", "manifests"], str], ...] = (
            ("tags", f"absent-{encoded_of(absent)[:12]}"),
            ("manifests", absent),
        )
        scopes, refused = (self._writing, frozenset[int]()) if self._push else (self._reading, _REFUSED)
        expect = _DONE | {400, 404, 405} | refused
        for what, reference in ways:
            request = self._request("DELETE", f"manifests/{reference}", scopes, expect=expect)
            status = self._transport.send(request).status
            if status in refused:
                return "unknown"
            if status in _DONE | {404}:
                return what
        return None

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

    def create(self, visibility: Visibility) -> None:
        """Make the repository by the API of its registry; an existing one is no error.

        Raises RepositoryMissing if no API is known, RegistryError, SettingsInvalid.
        """
        create(self._transport, self.name, visibility)

    def tags(self) -> list[str]:
        """Return all tags in the registry's order, none for a repository that does not exist ("Listing Tags")."""
        return list_tags(self._read, self.name, self._transport.limits.manifest_bytes)

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

    def blob_size(self, digest: str) -> int | None:
        """Return the size of a blob, 0 if the registry does not say, None if the blob is not known to exist."""
        path = f"blobs/{digest}"
        response = self._read("HEAD", path, expect={200, 404, *_UNANSWERED})
        if response.status in _UNANSWERED:
            return self._glance(path)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        return declared_length(response.headers) or 0

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Tell whether a blob exists, and has the descriptor's size if the registry names a size."""
        return self.blob_size(descriptor.digest) in {descriptor.size, 0}

    def _glance(self, path: str) -> int | None:
        """Return 0 for a present blob, None for an absent one, by a GET: for a registry that does not answer HEAD."""
        expect = {200, 206, 404, 416, *_UNANSWERED}
        response = self._read("GET", path, headers={"Range": "bytes=0-0"}, expect=expect, stream=True)
        if response.incoming is not None:
            response.incoming.close()
        return 0 if response.status in {200, 206, 416} else None

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Return an open reader of a blob, its bytes not verified; raises NotFound ("Pulling blobs")."""
        path, policy = f"blobs/{descriptor.digest}", self._transport.policy
        fetch = partial(self._read, "GET", path, expect={200, 206, 416}, stream=True, retry=False)
        reader = BlobReader(f"{self}@{descriptor.digest}", descriptor.size, fetch, policy, self._transport.limits)
        for attempt in policy.attempts():
            with attempt:
                reader.connect()
        return reader

    def sample_blob(self, descriptor: Descriptor, offset: int, length: int) -> bytes | None:
        """Return a part of a blob, not verified; None if the blob is absent, or the registry gives no part of it."""
        expect = {200, 206, 404, 416, *_UNANSWERED}
        fetch = partial(self._read, "GET", f"blobs/{descriptor.digest}", expect=expect, stream=True, retry=False)
        seconds = self._transport.limits.answer_timeout
        return self._transport.policy.run(lambda: read_sample(fetch, descriptor.size, offset, length, seconds))

    def read_blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """Return a small blob, verified; raises ResponseInvalid above `limit` bytes, ContentMismatch."""
        side = self._transport.policy.side
        if descriptor.size > limit:
            raise ResponseInvalid(f"{self}@{descriptor.digest} has more than {limit} bytes.", side=side)
        verifier = Verifier(descriptor.digest, descriptor.size)
        content = bytearray()
        with self.open_blob(descriptor) as reader:
            while piece := reader.read_piece():
                verifier.update(piece)
                content += piece
        if not verifier.verified:
            raise ContentMismatch(f"{self} served other bytes than those of the blob {descriptor.digest}.", side=side)
        return bytes(content)

    def mount_blob(self, digest: str, from_repository: str) -> UploadSession | None:
        """Mount a blob of another repository into this one ("Mounting a blob from another repository").

        Returns None on success; otherwise the registry wants the bytes, in the returned session.
        """
        query = urlencode({"mount": digest, "from": from_repository}, safe=":/")
        response = self._transport.send(
            Request(
                method="POST",
                target=f"/v2/{self.name}/blobs/uploads/?{query}",
                repository=self.name,
                scopes=self._writing | (_scopes(from_repository, "pull") - _scopes(self.name, "pull")),
                body=b"",
                expect={201, 202},
            )
        )
        return session_of(response) if response.status == HTTPStatus.ACCEPTED else None

    def push_blob(
        self,
        descriptor: Descriptor,
        reader: Reader,
        progress: Callable[[int], None],
        session: UploadSession | None = None,
    ) -> None:
        """Store the bytes of `reader` as a blob, in the session of a failed mount or a new one ("Pushing blobs").

        `progress` gets the number of bytes done, and may raise to end the upload. Raises ContentMismatch before a
        commit of other content than the descriptor's.
        """
        BlobUpload(self._transport, self.name, self._writing, descriptor, reader, progress, session).run()

    def cancel_upload(self, session: UploadSession) -> None:
        """Cancel the session of a failed mount; the registry's answer is ignored."""
        cancel(self._transport, self.name, self._writing, session)

    def require_push(self) -> None:
        """Raise RightMissing or NamespaceMissing if it is known without a write that a push would be refused.

        Fetches a token that the push needs anyway; at some registries that creates the repository (BEHAVIOUR 3.4).
        """
        self._transport.require_push(self.name, self._writing)

    def foresee(self, foresight: Foresight, wish: Wish, *, tag: str | None) -> None:
        """Raise TagImmutable or QuotaExceeded if the API of the registry says that a manifest will not be stored.

        `tag` is the tag that would move, None if it does not exist yet. An unknown or failing API raises nothing.
        """
        foresight.check(self._transport, self.name, tag=tag, wish=wish)

    def _resolve(self, reference: str, *, retry: bool) -> Descriptor | None:
        expect = {200, 404, *_UNANSWERED}
        response = self._read("HEAD", f"manifests/{reference}", headers=_ACCEPT, expect=expect, retry=retry)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        found = described(reference, response)
        if found is not None:
            return found
        try:
            whole = self._fetch_manifest(reference, retry=retry)
        except NotFound:
            return None
        return Descriptor(whole.media_type, whole.digest, len(whole.content))

    def _fetch_manifest(self, reference: str, *, retry: bool) -> FetchedManifest:
        limit = self._transport.limits.manifest_bytes
        response = self._read("GET", f"manifests/{reference}", headers=_ACCEPT, limit=limit, retry=retry)
        found = fetched(str(self), reference, response)
        check_entries(f"{self}:{reference}", found, self._transport.limits.index_entries)
        return found

    def _read(self, method: str, path: str, *, retry: bool = True, **more: Any) -> Response:
        """Read with a token for `pull`; after a refusal, if pushing is allowed, with one for `pull,push`.

        Some registries answer 401 for an absent repository unless the user may create it: after such an answer, reads
        at this registry try `pull,push` first.
        """
        first, second = self._reading, self._writing
        if self._push and self._transport.read_by_push:
            first, second = second, first
        request = self._request(method, path, first, **more)
        try:
            return self._transport.send(request, retry=retry)
        except AuthenticationRefused:
            if not self._push:
                raise
        response = self._transport.send(replace(request, scopes=second), retry=retry)
        self._transport.read_by_push = second is self._writing
        return response

    def _write(self, method: str, path: str, *, retry: bool = True, **more: Any) -> Response:
        return self._transport.send(self._request(method, path, self._writing, **more), retry=retry)

    def _request(
        self, method: str, path: str, scopes: frozenset[str], *, expect: Iterable[int] = (200,), **more: Any
    ) -> Request:
        target = path if "://" in path else f"/v2/{self.name}/{path}"
        return Request(
            method=method, target=target, repository=self.name, scopes=scopes, expect=frozenset(expect), **more
        )


def _scopes(name: str, actions: str) -> frozenset[str]:
    return frozenset({f"repository:{name}:{actions}"})
