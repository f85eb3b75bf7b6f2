"""Whether what a push did still stands, read from a real registry."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tasks import contract
from tasks.oci.digest import digest_of
from tasks.registry.repository import Registries
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistrySettings
from tasks.transfer.inspection.verify import verify
from tests.conftest import MakeRegistry
from tests.support import images
from tests.support.images import Image, image, index, layer
from tests.support.registries import DistributionRegistry, TokenAuth
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import upload
from tests.support.token_server import TokenServer
from tests.unit.registry.clients import QUICK


@pytest.fixture
def registries() -> Registries:
    return Registries(RegistryConfiguration(limits=QUICK))


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as running:
        yield running


def made(name: str) -> Image:
    return image("linux/amd64", [layer(f"{name} one", 500), layer(f"{name} two", 600)])


def reported(host: str, name: str, digest: str, action: contract.Action = "copied") -> contract.PushReport:
    tag = contract.TagReport(reference=f"{host}/{name}:1", action=action, new_digest=digest)
    item = contract.ItemReport(source="x", tags=[tag])
    return contract.PushReport(push_id="p", state="succeeded", items=[item], totals=contract.Totals())


def verified(found: contract.Verification) -> tuple[Any, ...]:
    (tag,) = found.tags
    return found.state, tag.found_digest, tag.missing, tag.error and tag.error.code


def test_a_tag_with_all_that_it_needs_is_verified(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    """Rule 6.1: the report is true to what B holds, nested and shared parts included."""
    inner = made(name)
    node = index([inner, index([inner])])
    upload(registry_b.host, name, node, "1")
    report = reported(registry_b.host, name, node.digest)
    assert verified(verify(report, registries, executor)) == ("verified", node.digest, [], None)


@pytest.mark.parametrize("action", ["failed", "skipped"])
def test_a_tag_that_the_push_did_not_move_is_not_looked_at(
    registries: Registries, executor: Executor, action: contract.Action
) -> None:
    found = verify(reported("127.0.0.1:1", "app", "x", action), registries, executor)
    assert (found.state, found.tags) == ("verified", [])


def test_a_tag_that_is_gone_or_another_is_broken(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    node = made(name)
    expected = digest_of(b"expected")
    report = reported(registry_b.host, name, expected)
    assert verified(verify(report, registries, executor)) == ("broken", None, [], None)
    upload(registry_b.host, name, node, "1")
    assert verified(verify(report, registries, executor)) == ("broken", node.digest, [], None)


def test_children_and_blobs_that_are_gone_are_named(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    """Rule 5.2."""
    whole, lost = made(name), image("linux/arm", [layer(f"{name} arm", 100)])
    node = index([whole, lost])
    upload(registry_b.host, name, node, "1")
    blob = next(iter(whole.blobs))
    for part in (f"manifests/{lost.digest}", f"blobs/{blob}"):
        requests.delete(f"{registry_b.url}/v2/{name}/{part}", timeout=10).raise_for_status()
    found = verify(reported(registry_b.host, name, node.digest), registries, executor)
    assert verified(found) == ("broken", node.digest, [blob, lost.digest], None)


def test_a_registry_that_refuses_is_an_error_of_the_tag(registries: Registries, executor: Executor) -> None:
    refused = Exchange("HEAD", "/v2/app/manifests/1", Answer(403), times=2)
    with ScriptedRegistry(Exchange("GET", "/v2/"), refused) as closed:
        found = verify(reported(closed.host, "app", digest_of(b"x")), registries, executor)
    assert verified(found) == ("broken", None, [], "authentication_refused")


@pytest.mark.parametrize("pull", [False, True])
def test_push_is_asked_for_only_where_pull_is_not_enough(
    make_registry: MakeRegistry, executor: Executor, name: str, *, pull: bool
) -> None:
    """Rule 3.4: what may be read only with push is not broken."""

    def policy(user: str | None, repository: str, asked: frozenset[str]) -> frozenset[str]:
        del user, repository
        return asked if pull or "push" in asked else frozenset()

    user = Credentials("robot", "password of the robot")
    with TokenServer({user.username: user.password}, policy=policy) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        node = index([made(name)])
        upload(registry.host, name, node, "1", auth=tokens.bearer(user.username, name))
        known = {registry.host: RegistrySettings(credentials=user)}
        registries = Registries(RegistryConfiguration(registries=known, limits=QUICK))
        found = verify(reported(registry.host, name, node.digest), registries, executor)
        assert verified(found) == ("verified", node.digest, [], None)
        actions = ["pull"] if pull else ["pull", "pull,push"]
        # A token that is refused is asked for once more.
        assert list(dict.fromkeys(tokens.scopes)) == [f"repository:{name}:{each}" for each in actions]


def test_a_manifest_of_another_kind_is_an_error_of_the_tag(registries: Registries, executor: Executor) -> None:
    content = images.encode({"mediaType": "application/vnd.example", "odd": True})
    headers = {"Content-Type": images.OCI_MANIFEST, "Docker-Content-Digest": images.digest_of(content)}
    with ScriptedRegistry(
        Exchange("GET", "/v2/"),
        Exchange("HEAD", "/v2/app/manifests/1", Answer(headers=headers | {"Content-Length": str(len(content))})),
        Exchange("GET", f"/v2/app/manifests/{images.digest_of(content)}", Answer(headers=headers, body=content)),
    ) as odd:
        found = verify(reported(odd.host, "app", images.digest_of(content)), registries, executor)
    assert verified(found) == ("broken", None, [], "manifest_invalid")


def test_a_protective_tag_that_is_gone_is_told(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    """Rule 4.8."""
    node = index([made(name)])
    upload(registry_b.host, name, node, "1")
    tag = contract.TagReport(
        reference=f"{registry_b.host}/{name}:1", action="merged", new_digest=node.digest, protective_tag="1-kept"
    )
    item = contract.ItemReport(source="x", tags=[tag])
    report = contract.PushReport(push_id="p", state="succeeded", items=[item], totals=contract.Totals())
    found = verify(report, registries, executor)
    assert found.state == "broken"
    (told,) = found.tags
    assert (told.found_digest, told.error and told.error.code) == (node.digest, "not_found")
    assert f"{name}:1-kept is gone" in str(told.error)
    upload(registry_b.host, name, node, "1-kept")
    assert verify(report, registries, executor).state == "verified"


def test_a_tag_that_was_moved_on_needs_no_protective_tag(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    node, later = index([made(name)]), index([made(f"{name}later")])
    upload(registry_b.host, name, later, "1")
    tag = contract.TagReport(
        reference=f"{registry_b.host}/{name}:1", action="merged", new_digest=node.digest, protective_tag="1-kept"
    )
    item = contract.ItemReport(source="x", tags=[tag])
    report = contract.PushReport(push_id="p", state="succeeded", items=[item], totals=contract.Totals())
    (told,) = verify(report, registries, executor).tags
    assert (told.found_digest, told.error) == (later.digest, None)
