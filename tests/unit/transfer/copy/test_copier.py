"""Which source is asked for a digest, and which is not (BEHAVIOUR 6.4, 6.8)."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.coordination.local.in_process import KeyLocks, LocalBlobLocations, LocalSingleFlight
from tasks.errors import Retry, Side
from tasks.registry.registry_share import Visits
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.copy.copier import Copied, Copier
from tasks.transfer.copy.limits import CopyLimits
from tasks.transfer.ports import BlobSharing
from tests.conftest import MakeRegistry
from tests.support.images import OCI_MANIFEST, Image, image, layer
from tests.support.plans import planned_copy
from tests.support.registries import DistributionRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import upload
from tests.unit.registry.clients import PING, QUICK

IMAGE = image("linux/amd64")
MANIFEST = f"manifests/{IMAGE.digest}"


@pytest.fixture
def copier() -> Iterator[Copier]:
    with ThreadPoolExecutor(2) as threads:
        flights = LocalSingleFlight(KeyLocks(), 1)
        registries = Registries(RegistryConfiguration(limits=QUICK))
        shared, limits = BlobSharing(LocalBlobLocations(), flights), CopyLimits(2, 2, 60, Visits())
        yield Copier(registries, shared, threads, limits, threading.Event())


def copied(copier: Copier, node: Image, destination: str, *sources: str) -> Copied:
    """Copy an image that was found in all of the sources."""
    first, *more = (planned_copy("", f"{host}/src/app").source for host in sources)
    planned = planned_copy(
        node.digest,
        f"{first.registry}/{first.name}",
        (f"{destination}/dst",),
        media_type=node.media_type,
        size=len(node.manifest),
        spare_sources=more,
    )
    return copier.copy(planned)


def test_a_destination_that_refuses_is_no_reason_to_ask_another_source(copier: Copier) -> None:
    """Rule 6.8: the side of an error counts; the spare sources get no request at all."""
    refuses = Exchange("HEAD", f"/v2/dst/{MANIFEST}", Answer(403), times=None)
    with ScriptedRegistry(PING, refuses) as b, ScriptedRegistry() as one, ScriptedRegistry() as two:
        outcome = copied(copier, IMAGE, b.host, one.host, two.host).outcome
    (error,) = outcome.errors.values()
    assert (error.side, error.retry) == (Side.DESTINATION, Retry.NEVER)


def test_a_source_that_lacks_the_image_is_followed_by_the_next(copier: Copier) -> None:
    """Rule 6.2."""
    absent = Exchange("HEAD", f"/v2/dst/{MANIFEST}", Answer(404), times=None)
    gone = Exchange("GET", f"/v2/src/app/{MANIFEST}", Answer(404))
    with (
        ScriptedRegistry(PING, absent) as b,
        ScriptedRegistry(PING, gone) as one,
        ScriptedRegistry(PING, gone) as two,
    ):
        outcome = copied(copier, IMAGE, b.host, one.host, two.host).outcome
    (error,) = outcome.errors.values()
    assert (error.code, error.side) == ("source_child_missing", Side.SOURCE)


@pytest.mark.parametrize("config", [b"null", b"{}", b'{"digest": null}', b""])
def test_a_manifest_without_configuration_is_left_to_the_destination(copier: Copier, config: bytes) -> None:
    """Rule 2.4: there is nothing to copy but the manifest, whether a registry takes it or not."""
    field = b'"config": ' + config + b", " if config else b""
    content = b'{"schemaVersion": 2, ' + field + b'"layers": []}'
    node = Image(content, OCI_MANIFEST, {})
    path = f"manifests/{node.digest}"
    served = Answer(headers={"Content-Type": OCI_MANIFEST}, body=content)
    for status in (201, 400):
        with (
            ScriptedRegistry(PING, Exchange("GET", f"/v2/src/app/{path}", served)) as a,
            ScriptedRegistry(
                PING,
                Exchange("HEAD", f"/v2/dst/{path}", Answer(404)),
                Exchange("PUT", f"/v2/dst/{path}", Answer(status), request_body=content),
            ) as b,
        ):
            outcome = copied(copier, node, b.host, a.host).outcome
        assert [error.code for error in outcome.errors.values()] == ([] if status == 201 else ["request_refused"])


def test_a_source_that_may_serve_later_is_not_forgotten_for_one_that_lacks_the_image(copier: Copier) -> None:
    """Rule 8.3: the copy is tried again, and after as long as was asked for."""
    absent = Exchange("HEAD", f"/v2/dst/{MANIFEST}", Answer(404), times=None)
    limited = Exchange("GET", f"/v2/src/app/{MANIFEST}", Answer(429, {"Retry-After": "60"}), times=None)
    gone = Exchange("GET", f"/v2/src/app/{MANIFEST}", Answer(404))
    with (
        ScriptedRegistry(PING, absent) as b,
        ScriptedRegistry(PING, limited) as one,
        ScriptedRegistry(PING, gone) as two,
    ):
        transient = copied(copier, IMAGE, b.host, one.host, two.host).transient
    assert transient is not None
    assert (transient.code, transient.retry_after) == ("rate_limited", 60)


@pytest.mark.parametrize("is_big", [True, False])
def test_the_smallest_blob_of_a_big_image_shows_how_the_others_are_looked_for(
    copier: Copier,
    registry_a: DistributionRegistry,
    make_registry: MakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    is_big: bool,
) -> None:
    """A mount from the repository itself is both the look and the beginning of an upload."""
    monkeypatch.setattr("tasks.transfer.copy.rounds._WORTH_A_WAIT", 5000 if is_big else 1 << 30)
    node = image(layers=[layer(f"{name}{number}", 1000) for number in range(8)])
    upload(registry_a.host, "src/app", node, name)
    registry = make_registry()
    assert not copied(copier, node, registry.host, registry_a.host).outcome.errors
    looked = [each for each in registry.requests() if each.method == "HEAD" and "/blobs/" in each.path]
    # Two threads may look for a blob each before the first has arrived.
    assert len(looked) == 1 if is_big else len(looked) >= 2
