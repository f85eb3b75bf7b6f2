"""Workers killed while the signatures of an image come along (BEHAVIOUR 7.4, 9.2)."""

import json
import random
import time

import pytest

from tests.chaos.site import Site, item, small_index
from tests.support.images import OCI_INDEX, Index
from tests.support.signatures import SIGNATURE, Signer, sig_tag, under_tag
from tests.support.stored import Stored

PUSHES, WORKERS = 10, 3


@pytest.mark.parametrize("window", ["manifest is put", "manifest put"])
@pytest.mark.parametrize("suffix", ["", ".sig"], ids=["the list of referrers", "the tag of cosign"])
def test_signatures_are_complete_whatever_kills_the_worker(site: Site, name: str, suffix: str, window: str) -> None:
    site.fleet.replace(2)
    source, signer = small_index(name, "amd64", "arm64"), Signer()
    bundle, signature = signer.bundle(source), under_tag([signer.layer(source.digest)])
    entry = bundle.descriptor() | {"artifactType": bundle.document["artifactType"]}
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    reference = site.put_a(f"{name}/src", source)
    site.put_a(f"{name}/src", Index(content, OCI_INDEX, (bundle,)), sig_tag(source.digest, ""))
    site.put_a(f"{name}/src", signature, sig_tag(source.digest))
    site.arms.arm(window, match=f"('{sig_tag(source.digest, suffix)}'")
    push_id = site.send({"items": [item(reference, {f"{site.b.host}/{name}/dst": ["1"]})]})
    site.wait_for_harm()
    report = site.report(push_id)
    (tag,) = report["items"][0]["tags"]
    assert (tag["action"], tag["new_digest"]) == ("copied", source.digest)
    assert (sum(tag["referrers"].values()), tag["referrers_left"]) == (2, [])
    site.judge(report)
    stored = Stored(site.b.host)
    listed = json.loads(stored.manifest(f"{name}/dst", sig_tag(source.digest, ""))[2])["manifests"]
    assert [each["digest"] for each in listed] == [bundle.digest]
    stored.holds(f"{name}/dst", sig_tag(source.digest, ""))
    assert stored.digest(f"{name}/dst", sig_tag(source.digest)) == signature.digest
    stored.holds(f"{name}/dst", sig_tag(source.digest))
    site.settle()
    site.figures.add(pushes_recovered=1)


@pytest.mark.parametrize("seed", [1])
def test_no_signature_is_lost_of_pushes_whose_workers_are_killed(site: Site, name: str, seed: int) -> None:
    """Each push brings another signer's signatures of the same image, in both schemes, into one repository."""
    drawn = random.Random(seed)
    site.fleet.replace(WORKERS)
    source = small_index(name, "amd64", "arm64")
    signatures, sent = {}, []
    for number in range(PUSHES):
        signer, repository = Signer(), f"{name}/src{number}"
        bundle, layer = signer.bundle(source), signer.layer(source.digest)
        entry = bundle.descriptor() | {"artifactType": bundle.document["artifactType"]}
        content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
        reference = site.put_a(repository, source)
        site.put_a(repository, Index(content, OCI_INDEX, (bundle,)), sig_tag(source.digest, ""))
        site.put_a(repository, under_tag([layer]), sig_tag(source.digest))
        signatures[bundle.digest] = layer.annotations[SIGNATURE]
        sent.append(site.send({"items": [item(reference, {f"{site.b.host}/{name}/dst": [f"t{number}"]})]}))
        time.sleep(drawn.uniform(0, 0.3))
        if drawn.random() < 0.5:
            drawn.choice(site.fleet.alive).kill()
            site.figures.add(workers_killed=1)
            site.fleet.replace(WORKERS)
    for report in [site.report(push_id, 250) for push_id in sent]:
        (tag,) = report["items"][0]["tags"]
        assert (tag["action"], tag["error"], tag["referrers_left"]) == ("copied", None, [])
        assert sum(tag["referrers"].values()) == 2
    stored = Stored(site.b.host)
    listed = json.loads(stored.manifest(f"{name}/dst", sig_tag(source.digest, ""))[2])["manifests"]
    assert sorted(each["digest"] for each in listed) == sorted(signatures)
    layers = json.loads(stored.manifest(f"{name}/dst", sig_tag(source.digest))[2])["layers"]
    assert sorted(each["annotations"][SIGNATURE] for each in layers) == sorted(signatures.values())
    for tag in (sig_tag(source.digest, ""), sig_tag(source.digest)):
        stored.holds(f"{name}/dst", tag)
    site.settle()
    site.figures.add(pushes_recovered=PUSHES)
