"""`deploy/constraints.txt`, and what installs by it: every file has a hash, and nothing else is taken."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.local import DEPLOY, ROOT

LINES = (DEPLOY / "constraints.txt").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, tuple[set[str], str, int]]:
    """Return the groups, the version and the number of hashes of each pin."""
    found: dict[str, tuple[set[str], str, int]] = {}
    groups: set[str] = set()
    name = ""
    for line in LINES:
        if line.startswith("# for "):
            groups = set(line.split()[2:])
        elif match := re.match(r"([\w.-]+)==([^\s;\\]+)", line):
            name = canonicalize_name(match[1])
            found[name] = (groups, match[2], 0)
        elif re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line):
            found[name] = (*found[name][:2], found[name][2] + 1)
        else:
            assert line.startswith("#"), line
    return found


PINS = pins()


def test_every_pin_has_hashes_and_no_address() -> None:
    assert len(PINS) > 100
    assert all(count for _, _, count in PINS.values())
    assert "://" not in "\n".join(LINES)


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_what_the_project_requires_is_pinned_for_whoever_needs_it(extra: str) -> None:
    requirements = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    for requirement in map(Requirement, requirements):
        if requirement.name == "imagepusher":
            continue
        groups, version, _ = PINS[canonicalize_name(requirement.name)]
        assert groups & {"all", extra}, requirement
        assert requirement.specifier.contains(version), requirement


def test_this_environment_has_the_pinned_versions() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True, text=True
    )
    for package in json.loads(listed.stdout):
        name = str(canonicalize_name(package["name"]))
        if name not in {"pip", "setuptools", "imagepusher"}:
            assert PINS[name][1] == package["version"], name


def copied(tmp_path: Path, constraints: str) -> Path:
    """Return a project of nothing but the script and these constraints."""
    folder = tmp_path / "project" / "deploy"
    folder.mkdir(parents=True)
    (folder / "install").write_bytes((DEPLOY / "install").read_bytes())
    (folder / "install").chmod(0o755)
    (folder / "constraints.txt").write_text(constraints)
    return folder / "install"


def run(script: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False, timeout=300)


def test_a_file_of_another_hash_is_refused(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    whole = "\n".join(LINES)
    block = re.search(r"^vine==.*(?:\n    .*)*", whole, re.MULTILINE)
    assert block
    wrong = re.sub(r"sha256:\w{8}", "sha256:00000000", block[0])
    for given, code in ((block[0], 0), (wrong, 1), ("vine==5.1.0", 1)):
        script = copied(tmp_path / str(len(given)) / str(code) / given[-4:], f"# for some\n{given}\n")
        ended = run(script, "--only", python, "some")
        assert ended.returncode == code, ended.stderr
        subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "vine"], check=False, capture_output=True)
    assert "hash" in ended.stderr.lower()


def test_an_extra_that_does_not_exist_is_told(tmp_path: Path) -> None:
    ended = run(DEPLOY / "install", sys.executable, "flwoer")
    assert (ended.returncode, ended.stderr) == (2, "There is no extra flwoer.\n")


def test_the_list_of_contents_names_what_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    subprocess.run([DEPLOY / "sbom", sys.executable, file], check=True, timeout=300, capture_output=True)
    listed = json.loads(file.read_text())
    assert listed["bomFormat"] == "CycloneDX"
    versions = {str(canonicalize_name(each["name"])): each["version"] for each in listed["components"]}
    assert {"celery", "requests", "urllib3"} <= versions.keys()
    assert versions["celery"] == PINS["celery"][1]
    assert "cyclonedx-bom" not in versions


_NAMING = ("Dockerfile", "compose.yaml", "kubernetes/overlays/example/redis.yaml")
# A docker that says which image it was asked for, by a digest that is made of its name.
_DOCKER = """#!/bin/sh
[ "$*" = "buildx imagetools inspect --format {{.Manifest.Digest}} $6" ] || exit 1
case "$6" in $UNKNOWN) echo "not found" >&2; exit 1 ;; esac
printf 'sha256:%s\\n' "$(printf %s "$6" | sha256sum | cut -c1-64)"
"""


@pytest.mark.parametrize("unknown", ["nothing", "redis:*"])
def test_one_command_renews_all_digests_or_none(tmp_path: Path, unknown: str) -> None:
    for name in ("renew-images", *_NAMING):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DEPLOY / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(_DOCKER)
    docker.chmod(0o755)
    variables = {"PATH": f"{docker.parent}:{os.environ['PATH']}", "UNKNOWN": unknown}
    ended = subprocess.run([tmp_path / "renew-images"], env=variables, capture_output=True, text=True, check=False)
    before, after = (
        ["".join((folder / name).read_text() for name in _NAMING).replace("ARG PYTHON=", "python:")]
        for folder in (DEPLOY, tmp_path)
    )
    named = re.findall(r"([a-z0-9./-]+:[\w.-]+)@sha256:[0-9a-f]{64}", before[0])
    assert len(named) == 5
    if unknown == "nothing":
        assert ended.returncode == 0, ended.stderr
        wanted = {f"{name}@sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in named}
        assert set(re.findall(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}", after[0])) == wanted
    else:
        assert ended.returncode != 0
        assert after == before


@pytest.mark.parametrize("file", _NAMING)
def test_images_of_others_are_named_by_their_digests(file: str) -> None:
    text = (DEPLOY / file).read_text()
    named = set(re.findall(r"^(?:ARG PYTHON=|FROM (?!python:\$\{PYTHON\})| *image: )(\S+)", text, re.MULTILINE))
    others = named - {"imagepusher"}
    assert others
    assert [name for name in others if not re.fullmatch(r"\S+[:.][\w.-]+@sha256:[0-9a-f]{64}", name)] == []
