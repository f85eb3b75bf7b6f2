"""Uploads into registries of every product: forms are found, remembered, and leave nothing behind (BEHAVIOUR 5.6)."""

import random
from dataclasses import replace

import pytest

from tasks.errors import (
    AuthenticationRefused,
    NamespaceMissing,
    QuotaExceeded,
    RegistryError,
    RegistryReadOnly,
    RightMissing,
)
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import RegistryConfiguration, RegistrySettings, UploadChoice
from tests.support.images import digest_of
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.readers import MemoryReader
from tests.unit.registry.clients import NAME, QUICK, USER, blob_of

SMALL, *BIG = (random.Random(name).randbytes(size) for name, size in (("s", 1_000), ("a", 300_000), ("b", 300_000)))
USERS = {"user": "password"}


def destination(registry: ProfileRegistry, uploads: UploadChoice = "auto", part_bytes: int | None = None) -> Repository:
    settings = RegistrySettings(credentials=USER, uploads=uploads, part_bytes=part_bytes)
    registries = Registries(RegistryConfiguration(registries={registry.host: settings}, limits=QUICK))
    return registries.repository(registry.host, NAME, "destination", push=True)


def push(repository: Repository, *contents: bytes) -> None:
    for content in contents:
        repository.blob_upload(blob_of(content), MemoryReader(content, 7_000), lambda _: None).run()


def sessions(registry: ProfileRegistry) -> int:
    return sum(each.method == "POST" and each.path.endswith("/uploads/") for each in registry.requests())


@pytest.mark.parametrize("profile", [profiles.small(each) for each in profiles.ALL], ids=lambda profile: profile.name)
def test_every_product_takes_blobs_and_the_second_big_one_at_once(profile: Profile) -> None:
    with ProfileRegistry(profile, users=USERS) as registry:
        registry.store.create(NAME)
        repository = destination(registry)
        push(repository, SMALL, BIG[0])
        before = sessions(registry)
        push(repository, BIG[1])
        assert sessions(registry) - before == 1
        assert {digest_of(each) for each in (SMALL, *BIG)} <= registry.store.blobs.keys()
        assert before <= 5


@pytest.mark.parametrize(
    "profile", [profiles.QUAY, profiles.DISTRIBUTION_2_8, profiles.STRICT], ids=lambda each: each.name
)
@pytest.mark.parametrize("uploads", ["put", "patch", "parts"])
def test_the_settings_choose_a_form(profile: Profile, uploads: UploadChoice) -> None:
    with ProfileRegistry(profile, users=USERS) as registry:
        push(destination(registry, uploads, 100_000), BIG[0])
        sent = [each.method for each in registry.requests() if each.method in {"PUT", "PATCH"}]
        assert sent == {"put": ["PUT"], "patch": ["PATCH", "PUT"], "parts": ["PATCH"] * 3 + ["PUT"]}[uploads]


def test_a_limit_of_a_body_costs_few_sessions() -> None:
    """Whatever it is; two blobs of one registry."""
    for limit in (65_000, 100_000, 299_999):
        rules = replace(profiles.STRICT.uploads, put_limit=limit, patch_limit=limit)
        with ProfileRegistry(replace(profiles.STRICT, uploads=rules), users=USERS) as registry:
            repository = destination(registry)
            try:
                push(repository, *BIG)
            except RegistryError:
                assert limit < 65_536
            else:
                assert sessions(registry) == 2
            assert registry.open_sessions() == []


def test_a_failed_upload_leaves_no_session() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        registry.quota_bytes = 0
        with pytest.raises(QuotaExceeded, match="Quota has been exceeded on namespace"):
            push(destination(registry), BIG[0])
        assert registry.open_sessions() == []


@pytest.mark.parametrize("profile", [profiles.QUAY, profiles.HARBOR], ids=lambda each: each.name)
def test_a_registry_under_maintenance_is_said_to_be_that(profile: Profile) -> None:
    """6.8, 8.6: whatever status it has for it."""
    with ProfileRegistry(profile, users=USERS) as registry, registry.maintenance():
        registry.store.create(NAME)
        with pytest.raises(RegistryReadOnly, match=r"(?i)read.only") as caught:
            push(destination(registry), SMALL)
        assert caught.value.retry_after == 60


def test_a_right_that_is_missing_is_known_before_a_write() -> None:
    """6.8: by what the token is good for."""

    def read_only(user: str | None, repository: str, actions: frozenset[str]) -> frozenset[str]:
        return actions & {"pull"}

    with ProfileRegistry(profiles.QUAY, users=USERS, policy=read_only) as registry:
        registry.store.create(NAME)
        with pytest.raises(RightMissing, match=f"lets the user user do only pull in {NAME}"):
            destination(registry).require_push()
        assert [each.method for each in registry.requests()] == ["GET"]


def test_a_namespace_that_is_missing_is_known_before_a_write() -> None:
    """6.8."""
    with ProfileRegistry(profiles.QUAY, users=USERS, namespaces={"other"}) as registry:
        with pytest.raises(NamespaceMissing, match="there is no such namespace, or no right in it"):
            destination(registry).require_push()
        assert [each.method for each in registry.requests()] == ["GET"]


@pytest.mark.parametrize("profile", profiles.ALL, ids=lambda profile: profile.name)
def test_who_may_push_is_not_kept_from_it(profile: Profile) -> None:
    with ProfileRegistry(profile, users=USERS) as registry:
        destination(registry).require_push()


def test_a_wrong_password_is_a_refusal_in_the_words_of_the_registry() -> None:
    """6.8."""
    with ProfileRegistry(profiles.QUAY, users={"user": "another"}) as registry:
        with pytest.raises(AuthenticationRefused, match="Invalid Username or Password") as caught:
            destination(registry).require_push()
        assert caught.value.code == "authentication_refused"
