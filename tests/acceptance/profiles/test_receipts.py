"""Each tag that a push moved gets a signed receipt, where the settings have a key (BEHAVIOUR 9.7)."""

import json
import uuid
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tasks.contract import PushReport, Receipts
from tasks.oci.digest import parse_digest
from tasks.oci.signatures import bundle_signs
from tasks.oci.signing import SigningKey
from tasks.transfer.inspection.receipts import check_receipts
from tasks.transfer.ports import Ledger
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.acceptance.profiles.referrers import listed, offer, put, sign
from tests.support import commands
from tests.support.scripted import Answer, NoAnswer
from tests.support.signatures import BUNDLE, Signer
from workers.client.embedded import EmbeddedClient

KIND = "dev.sigstore.bundle.predicateType"
PREDICATE = "urn:imagepusher:receipt:v1"


def named(*names: str) -> pytest.MarkDecorator:
    return over(tuple(profile for profile in PRODUCTS if profile.name in names))


@dataclass(frozen=True)
class Office:
    """A scene whose worker has a key for receipts."""

    scene: Scene
    signer: Signer

    def push(self, request: dict[str, Any], push_id: str = "") -> PushReport:
        name = push_id or str(uuid.uuid4())
        self.scene.client.send(request, name)
        return self.scene.client.wait(name)

    def kept(self, report: PushReport, *keys: str) -> Receipts:
        """Return what the ledger keeps, verified by these keys, or by that of the office."""
        kept = ledger_of(self.scene).receipts(report.push_id)
        return check_receipts(report, kept, keys or [self.signer.public])

    def found(self, subject: str) -> list[dict[str, Any]]:
        """Return what the receipts say that a client finds at the destination; the key signed each of them."""
        scene, found = self.scene, []
        repository = scene.registry.store.repositories[scene.repository]
        for digest, kind in listed(scene.registry, scene.repository, subject).items():
            readable = scene.registry.store.readable(repository, digest)
            manifest = readable.document if readable is not None else {}
            if manifest.get("annotations", {}).get(KIND) == PREDICATE:
                (layer,) = manifest["layers"]
                assert (kind, layer["mediaType"]) == (BUNDLE, BUNDLE)
                assert {manifest["config"]["digest"], layer["digest"]} <= repository.blobs.keys()
                bundle = scene.registry.store.blobs[layer["digest"]]
                assert bundle_signs(bundle, parse_digest(subject), [self.signer.public])
                found.append(json.loads(b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])))
        return found


def ledger_of(scene: Scene) -> Ledger:
    assert isinstance(scene.client, EmbeddedClient)
    return scene.client._here.ledger


@pytest.fixture
def office(scene: Scene) -> Iterator[Office]:
    """All tests share one client: it gets the key that its settings would have given it."""
    assert isinstance(scene.client, EmbeddedClient)
    parts, signer = scene.client._here.publish.parts, Signer()
    structs.force_setattr(parts, "receipt_key", SigningKey.parse(signer.private))
    yield Office(scene, signer)
    structs.force_setattr(parts, "receipt_key", None)


@named("strict", "zot", "quay", "distribution-2.8", "gitlab")
def test_a_tag_that_moved_has_a_receipt_that_a_client_finds(office: Office) -> None:
    """Rule 9.7: what came from where to where, with what; the receipt stands beside the signatures."""
    scene = office.scene
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    reference = offer(scene.source, f"{scene.name}/src", signed)
    report = office.push(scene.request(reference, "1"))
    (tag,) = report.items[0].tags
    assert (tag.action, tag.warnings) == ("copied", [])
    (statement,) = office.found(signed.index.digest)
    destination = f"{scene.registry.host}/{scene.repository}:1"
    hexadecimal = signed.index.digest.removeprefix("sha256:")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": destination, "digest": {"sha256": hexadecimal}}]
    said = statement["predicate"]
    assert said.pop("time").endswith("Z")
    came = {each["digest"] for each in said.pop("referrers")}
    assert came == {node.digest for node in (*signed.oci.values(), *signed.tags.values())}
    assert said == {
        "pushId": report.push_id,
        "source": reference,
        "sourceDigest": signed.index.digest,
        "destination": destination,
        "action": "copied",
        "oldDigest": None,
        "newDigest": signed.index.digest,
        "keptPlatforms": [],
        "producer": None,
    }
    assert signed.bundle.digest in listed(scene.registry, scene.repository, signed.index.digest)
    assert scene.client.verify(report.push_id).state == "verified"
    remove_receipt(scene, signed.index.digest)
    (verified,) = scene.client.verify(report.push_id).tags
    assert len(verified.missing) == 1


@named("strict")
def test_a_receipt_names_the_producer_who_signed_the_request(office: Office) -> None:
    """Rule 9.7, T14: in the ledger, in the report, and in what a client finds."""
    scene, push_id = office.scene, str(uuid.uuid4())
    ledger_of(scene).note_producer(push_id, "ci")
    made = scene.index("linux/amd64")
    report = office.push(scene.request(scene.offer(made), "1"), push_id)
    assert report.producer == "ci"
    (statement,) = office.found(made.digest)
    assert statement["predicate"]["producer"] == "ci"


@named("strict", "distribution-2.8")
def test_a_receipt_comes_after_its_tag_and_tells_of_a_merge(office: Office) -> None:
    """Rule 9.7: its subject is the merged index, which nobody else has signed."""
    scene = office.scene
    scene.registry.put(scene.repository, scene.index("linux/s390x"), "1")
    old = scene.registry.tags(scene.repository)["1"]
    (tag,) = office.push(scene.request(scene.offer(scene.index("linux/amd64", "linux/arm64")), "1")).items[0].tags
    (statement,) = office.found(str(tag.new_digest))
    said = statement["predicate"]
    assert (said["action"], said["oldDigest"], said["newDigest"]) == ("merged", old, tag.new_digest)
    assert said["keptPlatforms"] == ["linux/s390x"]
    puts = [each for each in scene.writes() if each.startswith("PUT")]
    moved = next(number for number, each in enumerate(puts) if each.endswith("/manifests/1"))
    assert any("/blobs/uploads/" in each for each in puts[moved:])


@named("strict", "gitlab")
def test_a_push_that_changes_nothing_writes_no_receipt(office: Office) -> None:
    """Rule 9.7: neither the same push again nor another one."""
    scene = office.scene
    node = scene.index("linux/amd64")
    request = scene.request(scene.offer(node), "1")
    first = office.push(request)
    before = len(scene.registry.requests())
    assert office.push(request).items[0].tags[0].action == "unchanged"
    assert office.push(request, first.push_id) == first
    assert scene.writes(before) == []
    assert len(office.found(node.digest)) == 1
    assert office.kept(first).state == "verified"


@named("strict", "distribution-2.8")
def test_without_a_key_there_is_no_receipt(scene: Scene) -> None:
    """Rule 9.7: a tag that moved without one is named."""
    node = scene.index("linux/amd64")
    report = scene.push(scene.request(scene.offer(node), "1"))
    assert listed(scene.registry, scene.repository, node.digest) == {}
    (said,) = check_receipts(report, ledger_of(scene).receipts(report.push_id), [Signer().public]).receipts
    assert said.error is not None
    assert said.error.code == "receipt_missing"


@named("strict", "ecr", "distribution-2.8")
def test_a_registry_that_refuses_a_receipt_is_warned_of(office: Office) -> None:
    """Rule 9.7: the tag has moved, the push succeeds, and the ledger keeps the receipt."""
    scene = office.scene
    node = scene.index("linux/amd64")
    if scene.profile.name != "ecr":
        images = "|".join(each.digest for each in (node, *node.members))
        scene.registry.gates.inject("PUT", f"/manifests/(?!{images}|1$)", *[Answer(403)] * 99)
    report = office.push(scene.request(scene.offer(node), "1"))
    (tag,) = report.items[0].tags
    assert (report.state, tag.action, tag.new_digest) == ("succeeded", "copied", node.digest)
    assert [each.code for each in tag.warnings] == ["receipt_missing"]
    assert office.found(node.digest) == []
    (kept,) = office.kept(report).receipts
    assert (kept.attached, kept.error) == (False, None)


@named("strict", "distribution-2.8")
@pytest.mark.parametrize("path", ["/blobs/uploads/", "/manifests/1$", "/manifests/sha256-"])
def test_a_push_that_ends_in_between_has_one_receipt(office: Office, path: str) -> None:
    """Rules 7.3 and 9.7: a lost connection makes the push be published again; the receipt is the first one."""
    scene = office.scene
    node = scene.index("linux/amd64")
    scene.registry.gates.inject("PUT", path, NoAnswer.DROP, NoAnswer.DROP, NoAnswer.DROP, when="after")
    report = office.push(scene.request(scene.offer(node), "1"))
    assert report.state == "succeeded"
    (kept,) = office.kept(report).receipts
    assert office.found(node.digest) == [kept.statement]
    assert kept.attached


@named("strict")
def test_the_command_verifies_receipts_by_the_keys_that_are_given(office: Office, tmp_path: Path) -> None:
    """Rule 9.7: with the key of the settings, or with a public key alone."""
    scene = office.scene
    report = office.push(scene.request(scene.offer(scene.index("linux/amd64")), "1", "2"))
    settings = {"IMAGEPUSHER_STATE_DIR": str(scene.settings.state_dir)}
    right, wrong = tmp_path / "right.pub", tmp_path / "wrong.pub"
    right.write_text(office.signer.public)
    wrong.write_text(Signer().public)
    ended = commands.run("receipt", report.push_id, "--key", str(right), "-o", "json", settings=settings)
    assert (ended.code, ended.document["state"]) == (0, "verified")
    assert {each["reference"].rpartition(":")[2] for each in ended.document["receipts"]} == {"1", "2"}
    ended = commands.run("receipt", report.push_id, "--key", str(wrong), settings=settings)
    assert ended.code == 1
    assert "[receipt_invalid]" in ended.stdout
    assert commands.run("receipt", report.push_id, settings=settings).code == 2
    key, file = tmp_path / "receipts.pem", tmp_path / "settings.toml"
    key.write_text(office.signer.private)
    key.chmod(0o600)
    file.write_text('[receipts]\nkey_file = "receipts.pem"\n')
    shown = commands.run("receipt", report.push_id, settings=settings | {"IMAGEPUSHER_CONFIG": str(file)})
    assert (shown.code, shown.stderr) == (0, "")
    assert "verified: 2 tags" in shown.stdout


@named("strict", "zot", "gitlab", "quay", "distribution-2.8")
def test_undo_takes_its_receipts_along(office: Office) -> None:
    """Rules 6.6, 9.3 and 9.7: with the lists that only this push has added to."""
    scene = office.scene
    signed = sign(scene.index("linux/amd64", "linux/arm64"), Signer())
    report = office.push(scene.request(offer(scene.source, f"{scene.name}/src", signed), "1", "2"))
    assert len(office.found(signed.index.digest)) == 2
    assert scene.client.undo(report.push_id).state == "succeeded"
    assert scene.registry.tags(scene.repository) == {}
    assert office.found(signed.index.digest) == []


@named("strict", "zot", "gitlab")
def test_undo_leaves_a_receipt_where_others_refer_to_its_image(office: Office) -> None:
    """Rules 9.3 and 9.7: nor does it go where another tag has the image."""
    scene = office.scene
    node = scene.index("linux/amd64", "linux/arm64")
    reference = scene.offer(node)
    first = office.push(scene.request(reference, "1"))
    office.push(scene.request(reference, "2"))
    assert scene.client.undo(first.push_id).state == "succeeded"
    assert len(office.found(node.digest)) == 2
    with scene.registry.guard:
        scene.registry.store.untag(scene.registry.store.repositories[scene.repository], "2")
    again = office.push(scene.request(reference, "1"))
    theirs = Signer().bundle(node)
    put(scene.registry, scene.repository, theirs, node.digest)
    assert scene.client.undo(again.push_id).state == "succeeded"
    assert theirs.digest in listed(scene.registry, scene.repository, node.digest)
    assert len(office.found(node.digest)) == 3


@named("strict", "distribution-2.8")
def test_a_release_has_its_receipts_once_all_of_it_has_moved(office: Office) -> None:
    """Rules 9.7 and 10.1."""
    scene = office.scene
    node = scene.index("linux/amd64")
    report = office.push(scene.request(scene.offer(node), "1", "2") | {"atomic": "push"})
    assert [tag.action for tag in report.items[0].tags] == ["copied", "copied"]
    assert {each["subject"][0]["name"].rpartition(":")[2] for each in office.found(node.digest)} == {"1", "2"}
    puts = [each for each in scene.writes() if each.startswith("PUT")]
    moved = [number for number, each in enumerate(puts) if each.endswith(("/manifests/1", "/manifests/2"))]
    assert len([each for each in puts[max(moved) :] if "/manifests/sha256:" in each]) == 2


def remove_receipt(scene: Scene, subject: str) -> None:
    repository = scene.registry.store.repositories[scene.repository]
    with scene.registry.guard:
        for digest in listed(scene.registry, scene.repository, subject):
            if repository.manifests[digest].document["annotations"].get(KIND) == PREDICATE:
                scene.registry.store.delete(repository, digest)
                return
