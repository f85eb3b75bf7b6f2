"""The registry: an HTTP server on loopback that behaves as its profile says, and notes all that a client does wrong."""

import fnmatch
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tests.support.images import Image, Node
from tests.support.loopback import LoopbackServer
from tests.support.profiles.access import Access
from tests.support.profiles.answers import Refused, page
from tests.support.profiles.blobs import Blobs
from tests.support.profiles.clock import VirtualClock
from tests.support.profiles.gates import Gates
from tests.support.profiles.handler import RegistryHandler
from tests.support.profiles.harbor_api import HarborApi
from tests.support.profiles.limits import Limiter
from tests.support.profiles.manifests import Manifests
from tests.support.profiles.objects import ObjectStore
from tests.support.profiles.profile import UNSUPPORTED, Profile
from tests.support.profiles.quay_api import QuayApi
from tests.support.profiles.referrers import Referrers
from tests.support.profiles.request import Request
from tests.support.profiles.store import Manifest, Store
from tests.support.profiles.strictness import violations
from tests.support.profiles.tags import Tags
from tests.support.profiles.tokens import Tokens
from tests.support.profiles.uploads import Uploads
from tests.support.registries import Logged
from tests.support.scripted import Answer, NoAnswer
from tests.support.stored import Auth
from tests.support.token_server import BearerAuth, Policy

_LOGIN_PAGE = page(200, "Sign in")


class ProfileRegistry(LoopbackServer):
    """Serve a profile while the context lasts; leaving it raises AssertionError with all that a client did wrong.

    `users` are names and passwords. `policy` says which actions a user gets; without one users get all, and nobody
    gets `pull` where the profile lets anonymous clients pull. `namespaces` are those that exist, None for all.
    Everything public may be changed by a test at any time: `read_only`, `down` (the answer to all requests),
    `quota_bytes` (of one namespace), `immutable`
    (patterns of tags), `disabled_namespaces`, `rate_limit`, `api_tokens` and `api_user` (of Quay's API), `api_admin`
    (whether those who ask the API may see rules for tags).
    Time stands still but for `clock.advance`.
    """

    handler = RegistryHandler

    def __init__(
        self,
        profile: Profile,
        *,
        users: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        namespaces: set[str] | None = None,
    ) -> None:
        super().__init__()
        self.profile = profile
        self.users = dict(users or {})
        self.policy = policy
        self.namespaces = namespaces
        self.disabled_namespaces: set[str] = set()
        self.api_tokens: set[str] = set()
        self.api_user = "somebody"
        self.api_admin = True
        self.immutable: tuple[str, ...] = ()
        self.read_only = False
        self.down: Answer | None = None
        self.quota_bytes: int | None = None
        self.rate_limit = profile.rate_limit
        self.violations: list[str] = []
        self.guard = threading.RLock()
        self.closing = threading.Event()
        self.clock = VirtualClock()
        self.store = Store(profile.manifests, profile.uploads, self.clock.now)
        self.access, self.tokens = Access(self), Tokens(self)
        self.uploads, self.objects = Uploads(self), ObjectStore(self)
        self.gates = Gates()
        self._apis = (QuayApi(self), HarborApi(self))
        self._limiter = Limiter(self.clock.now)
        self._requests: list[Logged] = []
        self._endpoints = _endpoints(self)

    def __enter__(self) -> Self:
        self.objects.__enter__()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.gates.open()
        super().__exit__(kind, error, trace)
        self.objects.__exit__(kind, error, trace)
        found = [*self.violations, *(f"inside the server: {fault!r}" for fault in [*self.faults, *self.objects.faults])]
        if not found:
            return
        message = f"{self.profile.name} was not spoken to as distribution-spec 1.1 wants it:\n" + "\n".join(found)
        if error is None:
            raise AssertionError(message)
        error.add_note(message)

    def requests(self) -> list[Logged]:
        """Return all requests that were answered, oldest first; none of those to the token server or the store."""
        with self.guard:
            return list(self._requests)

    def open_sessions(self) -> list[str]:
        """Return the repositories of the upload sessions that were neither committed nor cancelled."""
        with self.guard:
            return sorted(session.repository.name for session in self.uploads.open.values())

    @contextmanager
    def maintenance(self) -> Iterator[None]:
        """Be read-only while the block lasts."""
        self.read_only = True
        try:
            yield
        finally:
            self.read_only = False

    def auth(self, user: str | None, *repositories: str, actions: str = "delete,pull,push") -> Auth:
        """Return how plain requests of a user log in to repositories; None is nobody, who may at most pull.

        A token with the right to push makes a repository where the profile's token server does.
        """
        if self.profile.access.scheme == "bearer":
            return BearerAuth(self.tokens.issue(user, tuple(f"repository:{each}:{actions}" for each in repositories)))
        return None if user is None or self.profile.access.scheme == "none" else (user, self.users[user])

    def put(self, repository: str, node: Node, tag: str | None = None) -> str:
        """Store a node and all that it needs without a request, and return its digest."""
        with self.guard:
            made = self.store.create(repository)
            if isinstance(node, Image):
                for digest, content in node.blobs.items():
                    self.store.link(made, digest, content)
            else:
                for member in node.members:
                    self.put(repository, member)
            self.store.put(made, Manifest(node.media_type, node.manifest), (tag,) if tag else ())
        return node.digest

    def tags(self, repository: str) -> dict[str, str]:
        """Return the tags of a repository with their digests, none where it does not exist."""
        with self.guard:
            found = self.store.repositories.get(repository)
            return dict(found.tags) if found else {}

    def lacks(self, repository: str, tag: str) -> list[str]:
        """Return the digests that a tag needs and a client could not read, at any depth."""
        with self.guard:
            found = self.store.repositories[repository]
            waiting, missing = [found.tags[tag]], []
            while waiting:
                digest = waiting.pop()
                manifest = self.store.readable(found, digest)
                if manifest is None:
                    missing.append(digest)
                    continue
                waiting += manifest.children()
                missing += [blob for blob in manifest.blobs() if blob not in found.blobs]
            return missing

    def violate(self, request: Request, fault: str) -> None:
        """Note what a client did wrong; never the query or a header, which may hold a credential."""
        self.violations.append(f"{request.method} {request.path}: {fault}")

    def is_immutable(self, tag: str) -> bool:
        """Tell whether a tag, once it is there, may not move."""
        return any(fnmatch.fnmatchcase(tag, pattern) for pattern in self.immutable)

    def refuse_writes(self, request: Request, quota: str) -> None:
        """Raise Refused where the registry is read-only, or its quota is used at this point (`upload`, `manifest`)."""
        rules, namespace = self.profile.state, request.name.partition("/")[0]
        names = {"repository": request.name, "namespace": namespace, "tag": request.reference, "digest": ""}
        if self.read_only:
            raise Refused(rules.read_only.answer(**names))
        if self.quota_bytes is None or quota not in rules.quota_at:
            return
        used = self.store.size(namespace)
        if used > self.quota_bytes or (quota == "upload" and used >= self.quota_bytes):
            raise Refused(rules.quota.answer(**names))

    def answer(self, request: Request) -> Answer | NoAnswer:
        """Answer one request and note it."""
        if self.down is not None:
            return self._noted(request, self.down)
        replaced = self.gates.pass_through(request.method, request.path, "before")
        if replaced is not None:
            return self._noted(request, replaced)
        reply = self._handled(request)
        return self._noted(request, self.gates.pass_through(request.method, request.path, "after") or reply)

    def _handled(self, request: Request) -> Answer | NoAnswer:
        try:
            if self.profile.access.broken == "login_page":
                return _LOGIN_PAGE
            if self.tokens.answers(request.path):
                return self.tokens.answer(request)
            for api in self._apis:
                if api.answers(request.path):
                    return api.answer(request)
            for fault in violations(request):
                self.violate(request, fault)
            if request.route.endpoint == "unknown":
                return page(404, "404 Not Found")
            with self.guard:
                self._limiter.count(self.rate_limit, request)
                self.access.admit(request)
            endpoint = self._endpoints.get((request.method, request.route.endpoint))
            return endpoint(request) if endpoint else UNSUPPORTED.answer()
        except Refused as refused:
            return refused.answer

    def _noted(self, request: Request, reply: Answer | NoAnswer) -> Answer | NoAnswer:
        status = reply.status if isinstance(reply, Answer) else 0
        with self.guard:
            if not self.tokens.answers(request.path):
                self._requests.append(Logged(request.method, request.path, status, request.query_text))
        return self._with_warning(reply) if isinstance(reply, Answer) else reply

    def _with_warning(self, answer: Answer) -> Answer:
        if self.profile.warning is None:
            return answer
        pairs = answer.headers.items() if isinstance(answer.headers, Mapping) else answer.headers
        return Answer(answer.status, [*pairs, ("Warning", f'299 - "{self.profile.warning}"')], answer.body)

    def base(self, _request: Request) -> Answer:
        """Answer for `/v2/`."""
        headers = {"Docker-Distribution-API-Version": "registry/2.0", "Content-Type": "application/json"}
        if self.profile.manifests.sparse_indexes is not None:
            headers["X-Sparse-Manifest-Support"] = str(self.profile.manifests.sparse_indexes).lower()
        return Answer(200, headers, b"{}")


def _endpoints(registry: ProfileRegistry) -> dict[tuple[str, str], Callable[[Request], Answer]]:
    manifests, blobs, uploads = Manifests(registry), Blobs(registry), registry.uploads
    table: dict[tuple[str, str], Callable[[Request], Answer]] = {
        ("GET", "base"): registry.base,
        ("GET", "manifest"): manifests.read,
        ("PUT", "manifest"): manifests.put,
        ("DELETE", "manifest"): manifests.delete,
        ("GET", "blob"): blobs.read,
        ("DELETE", "blob"): blobs.delete,
        ("POST", "uploads"): uploads.start,
        ("GET", "session"): uploads.status,
        ("PATCH", "session"): uploads.patch,
        ("PUT", "session"): uploads.put,
        ("DELETE", "session"): uploads.cancel,
        ("GET", "tags"): Tags(registry).read,
        ("GET", "referrers"): Referrers(registry).read,
    }
    heads = {("HEAD", endpoint): table["GET", endpoint] for endpoint in ("base", "manifest", "blob")}
    return table | heads
