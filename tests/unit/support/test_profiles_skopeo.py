"""A second client: skopeo pushes to a profile and reads from it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import images
from tests.support.processes import find_program
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry

USERS = {"AWS": "secret"}


def skopeo(*arguments: str) -> str:
    done = subprocess.run(
        [find_program("skopeo", "skopeo"), *arguments], capture_output=True, timeout=300, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("profile", profiles.ALL, ids=lambda profile: profile.name)
def test_skopeo_pushes_an_index_and_reads_it(profile: Profile, tmp_path: Path) -> None:
    docker = [images.image(each, docker=True, config={"history": [{}]}) for each in ("linux/amd64", "linux/arm64")]
    index = images.index(docker, docker=True)
    with ProfileRegistry(profile, users=USERS) as registry:
        registry.put("team/source", index, "1")
        registry.store.create("team/app")
        login = [] if profile.access.scheme == "none" else ["AWS:secret"]
        skopeo(
            "copy",
            "--all",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            *(option for each in login for option in ("--src-creds", each, "--dest-creds", each)),
            f"docker://{registry.host}/team/source:1",
            f"docker://{registry.host}/team/app:2",
        )
        assert registry.tags("team/app") == {"2": index.digest}
        assert registry.lacks("team/app", "2") == []
        options = ["--tls-verify=false", *(option for each in login for option in ("--creds", each))]
        found = skopeo("inspect", "--raw", *options, f"docker://{registry.host}/team/app:2")
        assert [each["digest"] for each in json.loads(found)["manifests"]] == [each.digest for each in docker]
        assert registry.open_sessions() == []
