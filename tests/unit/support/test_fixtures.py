import json
import re

import pytest

from tests.support import fixtures
from tests.support.images import digest_of


def test_every_fixture_is_described_and_has_the_bytes_that_its_source_had() -> None:
    readme = (fixtures.FOLDER / "README.md").read_text()
    described = dict(re.findall(r"^\| (\S+\.json) \|.* (sha256:[0-9a-f]{64}) \|$", readme, re.MULTILINE))
    assert described == {name: digest_of(fixtures.load(name)) for name in fixtures.ALL}
    assert len(described) > 30


def test_a_prefix_must_name_one_fixture() -> None:
    assert json.loads(fixtures.load("19-"))["manifests"]
    for prefix in ("1", "no such"):
        with pytest.raises(LookupError):
            fixtures.load(prefix)
