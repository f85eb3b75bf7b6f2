"""Who asks a real registry, and with what: nothing, a password, tokens of a real token server (BEHAVIOUR 8.1)."""

import time
from collections.abc import Iterable
from typing import Final, Literal

import pytest

from tasks.errors import AuthenticationRefused
from tasks.registry.settings import Credentials, RegistrySettings
from tasks.registry.upload_forms import Refused
from tests.conftest import MakeRegistry
from tests.integration.registry.clients import ANONYMOUS, blobs_of, bring, client, registries
from tests.support.images import Image, image, layer
from tests.support.readers import MemoryReader
from tests.support.registries import BasicAuth, DistributionRegistry, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer

USERS: Final = {"owner": "secret-of-owner", "reader": "secret-of-reader", "writer": "secret-of-writer"}
READER: Final = Credentials("reader", USERS["reader"])
WRITER: Final = Credentials("writer", USERS["writer"])


@pytest.fixture
def made(name: str) -> Image:
    return image(layers=[layer(f"{name}-{number}", 200_000) for number in range(2)])


def test_a_registry_for_everyone_needs_no_credentials(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    upload(registry_a.host, name, made, "latest")
    bring(client(registry_a.host, name, role="source"), client(registry_b.host, name), made)
    assert Stored(registry_b.host).holds(name, "latest") == {made.digest, *made.blobs}


def test_a_password_is_shown_to_a_registry_that_wants_it(make_registry: MakeRegistry, name: str, made: Image) -> None:
    registry = make_registry(auth=BasicAuth(USERS))
    owner = ("owner", USERS["owner"])
    upload(registry.host, name, made, "latest", auth=owner)
    settings = RegistrySettings(source_credentials=READER, destination_credentials=WRITER)
    shared = registries({registry.host: settings})
    source = shared.repository(registry.host, name, "source")
    bring(source, shared.repository(registry.host, f"{name}/copy", "destination", push=True), made)
    Stored(registry.host, auth=owner).holds(f"{name}/copy", "latest")


@pytest.mark.parametrize("credentials", [Credentials(), Credentials("reader", "a wrong word")])
@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_whoever_is_refused_is_told_so(
    credentials: Credentials, scheme: str, make_registry: MakeRegistry, name: str
) -> None:
    """3.4: and never that there is nothing; 6.7."""
    with TokenServer(USERS, anonymous_pull=False) as tokens:
        registry = make_registry(auth=BasicAuth(USERS) if scheme == "basic" else TokenAuth(tokens))
        repository = client(registry.host, name, RegistrySettings(credentials=credentials))
        with pytest.raises(AuthenticationRefused) as caught:
            repository.resolve("latest")
        with pytest.raises(AuthenticationRefused):
            repository.push_manifest("latest", b"{}", "application/json")
    assert "wrong word" not in f"{caught.value!r} {caught.value}"


def each_to_its_own(user: str | None, repository: str, actions: frozenset[str]) -> Iterable[str]:
    allowed = {"owner": actions, "reader": actions & {"pull"} if repository.endswith("/from") else frozenset()}
    return allowed.get(user or "", actions if user == "writer" and repository.endswith("/to") else frozenset())


def test_source_and_destination_at_one_registry_have_their_own_credentials(
    make_registry: MakeRegistry, name: str, made: Image
) -> None:
    with TokenServer(USERS, policy=each_to_its_own) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        upload(registry.host, f"{name}/from", made, "latest", auth=tokens.bearer("owner", f"{name}/from"))
        settings = RegistrySettings(source_credentials=READER, destination_credentials=WRITER)
        shared = registries({registry.host: settings})
        source = shared.repository(registry.host, f"{name}/from", "source")
        bring(source, shared.repository(registry.host, f"{name}/to", "destination", push=True), made)
        assert [(each.user, each.scopes) for each in tokens.asked] == [
            ("reader", (f"repository:{name}/from:pull",)),
            ("writer", (f"repository:{name}/to:pull,push",)),
            ("writer", (f"repository:{name}/to:pull",)),
        ]
        with pytest.raises(AuthenticationRefused):
            source.push_manifest("other", made.manifest, made.media_type)


@pytest.mark.parametrize("key", ["token", "access_token"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_token_comes_under_either_name_with_or_without_its_end(
    key: Literal["token", "access_token"], make_registry: MakeRegistry, name: str, made: Image, *, announced: bool
) -> None:
    with TokenServer(USERS, answer_key=key, announce_expiry=announced) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        upload(registry.host, name, made, "latest", auth=tokens.bearer("owner", name))
        bring(
            client(registry.host, name, ANONYMOUS, "source"),
            client(registry.host, f"{name}/copy", RegistrySettings(credentials=WRITER)),
            made,
        )
        assert {(each.user, each.grant) for each in tokens.asked} == {(None, "anonymous"), ("writer", "basic")}


def test_an_identity_token_is_exchanged_and_may_be_revoked(make_registry: MakeRegistry, name: str, made: Image) -> None:
    with TokenServer(USERS) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        upload(registry.host, name, made, "latest", auth=tokens.bearer("owner", name))
        identity = Credentials(identity_token=tokens.identity_token("reader"))
        settings = RegistrySettings(credentials=identity)
        assert client(registry.host, name, settings).resolve("latest") is not None
        assert [(each.user, each.grant) for each in tokens.asked] == [("reader", "refresh_token")]
        tokens.revoke_identities()
        with pytest.raises(AuthenticationRefused) as caught:
            client(registry.host, name, settings).resolve("latest")
    assert identity.identity_token not in f"{caught.value!r} {caught.value}"


LIFE: Final = 2


@pytest.mark.parametrize("announced", [True, False])
def test_tokens_that_end_between_the_requests_of_one_upload_are_renewed(
    make_registry: MakeRegistry, name: str, made: Image, *, announced: bool
) -> None:
    """By their announced end, or by the registry's refusal: of a PUT with all of its body ahead, and of a commit."""
    with TokenServer(USERS, expires_in=LIFE, announce_expiry=announced) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        repository = client(registry.host, name, RegistrySettings(credentials=WRITER))
        config, first, second = blobs_of(made)
        session = repository.mount_blob(first.digest, f"{name}/none")
        assert session is not None
        repository.blob_upload(config, MemoryReader(made.blobs[config.digest]), lambda _: None).run()
        time.sleep(LIFE + 0.1)
        repository.blob_upload(first, MemoryReader(made.blobs[first.digest]), lambda _: None, session).run()
        repository._transport.forms.note(registry.host, Refused(put=0))
        slow = MemoryReader(made.blobs[second.digest], waits=LIFE + 0.1)
        repository.blob_upload(second, slow, lambda _: None).run()
        held = Stored(registry.host, auth=tokens.bearer("reader", name, "pull"))
        assert {blob.digest: held.blob(name, blob.digest)[1] for blob in (config, first, second)} == made.blobs
        refused = [each.method for each in registry.requests() if each.status == 401]
        assert refused == (["GET"] if announced else ["GET", "PUT", "PUT"])
