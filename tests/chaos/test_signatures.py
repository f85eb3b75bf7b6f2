"""Workers killed while the signatures of an image come along (BEHAVIOUR 7.4, 9.2)."""

import json

import pytest

from tests.chaos.site import Site, item, small_index
from tests.support.images import OCI_INDEX, Index
from tests.support.signatures import Signer, sig_tag, under_tag
from tests.support.stored import Stored


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
