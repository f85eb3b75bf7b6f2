"""Requests, CI jobs and the plug-in of deploy/examples: each is read by what it is for, and run."""

import json
import os
import re
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator

from tasks.transfer.request.target import Target
from tasks.transfer.request.validation import validate
from tests.docs.readme import ROOT, examples
from tests.support.images import image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import environment
from workers.cli.request_file import read_request

EXAMPLES: Final = ROOT / "deploy" / "examples"
REQUESTS: Final = sorted((EXAMPLES / "requests").iterdir())
_DEADLINE: Final = 300


def jobs(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / "ci" / name).read_text())


def schema(name: str) -> Draft202012Validator:
    """Return a schema that check-jsonschema brings."""
    vendored = files("check_jsonschema").joinpath(f"builtin_schemas/vendor/{name}.json")
    return Draft202012Validator(json.loads(vendored.read_text()))


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name)
def test_a_request_is_valid(path: Path) -> None:
    request = read_request(str(path))
    own = files("tasks").joinpath("schema.v1.json").read_text()
    Draft202012Validator(json.loads(own)).validate(request)
    valid = validate(request, {"prod": Target(host="registry-b.example.com", namespace="example")})
    assert valid.items


@pytest.mark.parametrize(("section", "folder"), [("Requests", "requests"), ("CI jobs", "ci")])
def test_every_file_is_in_its_table_and_no_other_is(section: str, folder: str) -> None:
    named = [row[0].strip("`") for row in examples().rows(section)]
    assert sorted(named) == [f"deploy/examples/{folder}/{path.name}" for path in sorted((EXAMPLES / folder).iterdir())]


@dataclass(frozen=True)
class Job:
    """A checkout with the request `release.yaml`, whose images are in A."""

    folder: Path
    b: DistributionRegistry
    repository: str

    def run(self, shell: list[str], script: str, variables: Mapping[str, str], *, code: int = 0) -> str:
        """Run a script as a step of a job does, and return what it wrote; `PROGRAMS` is where `python` is."""
        programs = variables.get("PROGRAMS", str(Path(sys.executable).parent))
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(self.folder), "IMAGEPUSHER_STATE_DIR": str(self.folder / "state")}
        done = subprocess.run(
            [*shell, script],
            cwd=self.folder,
            env=environment(own | dict(variables)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def break_it(self) -> None:
        """Have the request ask for an image that is not there."""
        path = self.folder / "release.yaml"
        path.write_text(path.read_text().replace("app-docs:1.2", "app-gone:1.2"))

    def tags(self) -> set[str]:
        return set(Stored(self.b.host).tags(f"{self.repository}/app"))


@pytest.fixture
def job(tmp_path: Path, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str) -> Job:
    for each in ("app", "app-docs"):
        parts = [image(f"linux/{kind}", [layer(f"{name}-{each}-{kind}", 1000)]) for kind in ("amd64", "arm64")]
        upload(registry_a.host, f"{name}/{each}", index(parts), "1.2")
    text = (EXAMPLES / "requests" / "release.yaml").read_text()
    text = text.replace("registry-a.example.com/build", f"{registry_a.host}/{name}")
    (tmp_path / "release.yaml").write_text(text.replace("registry-b.example.com/prod", f"{registry_b.host}/{name}"))
    return Job(tmp_path, registry_b, name)


def test_the_job_of_github_installs_pushes_and_writes_its_summary(job: Job) -> None:
    document = jobs("github-actions.yml")
    # YAML 1.1 reads the key `on` as a boolean.
    schema("github-workflows").validate({("on" if key is True else key): value for key, value in document.items()})
    install, push = (step for step in document["jobs"]["push"]["steps"] if "run" in step)
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    venv.create(job.folder / "venv", with_pip=True)
    programs = {"PROGRAMS": str(job.folder / "venv" / "bin")}
    (job.folder / "imagepusher").symlink_to(ROOT)
    job.run(shell, install["run"], programs)
    variables = {
        key: re.sub(r"\$\{\{ secrets\.\w+ \}\}", "user:made-up", value.replace("${{ github.run_id }}", "42"))
        for key, value in push["env"].items()
    } | programs
    assert "${{" not in str(variables)
    # A job that is run again is on another machine, which remembers no push.
    for state in ("first", "second"):
        there = variables | {"GITHUB_STEP_SUMMARY": "summary.md", "IMAGEPUSHER_STATE_DIR": str(job.folder / state)}
        job.run(shell, push["run"], there)
        assert job.tags() == {"1.2", "latest"}
    assert "github-42" in (job.folder / "summary.md").read_text()


def test_the_job_of_gitlab_pushes_and_keeps_its_summary(job: Job) -> None:
    document = jobs("gitlab-ci.yml")
    schema("gitlab-ci").validate(document)
    job.run(["sh", "-ec"], "\n".join(document["push"]["script"]), {"CI_PIPELINE_ID": "42"})
    assert job.tags() == {"1.2", "latest"}
    (kept,) = document["push"]["artifacts"]["paths"]
    assert "gitlab-42" in (job.folder / kept).read_text()


def test_a_job_of_gitlab_whose_push_fails_fails_and_its_summary_says_why(job: Job) -> None:
    job.break_it()
    job.run(["sh", "-ec"], "\n".join(jobs("gitlab-ci.yml")["push"]["script"]), {"CI_PIPELINE_ID": "42"}, code=3)
    summary = (job.folder / "summary.md").read_text()
    assert "source_missing" in summary
    assert "app-gone:1.2" in summary
    assert job.tags() == set()


def test_the_task_of_tekton_uses_what_it_declares() -> None:
    document = jobs("tekton.yaml")
    assert (document["apiVersion"], document["kind"]) == ("tekton.dev/v1", "Task")
    spec = document["spec"]
    declared = {
        f"{kind}.{entry['name']}": entry for kind in ("params", "workspaces", "results") for entry in spec[kind]
    }
    (step,) = spec["steps"]
    # A script with references would run what a parameter says.
    assert "$(" not in step["script"].replace("$((", "")
    used = set(re.findall(r"\$\((\w+\.[\w-]+)(?:\.path)?\)", yaml.safe_dump(step)))
    assert used == set(declared)
    assert {mount["name"] for mount in step["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 3)])
def test_the_task_of_tekton_pushes_and_tells_the_state(job: Job, state: str, code: int) -> None:
    if state == "failed":
        job.break_it()
    (step,) = jobs("tekton.yaml")["spec"]["steps"]
    known = {
        "$(params.request)": "release.yaml",
        "$(params.push-id)": "tekton-42",
        "$(results.state.path)": str(job.folder / "state.txt"),
        "/var/run/registries/config.json": str(job.folder / "config.json"),
        "/tmp": str(job.folder),
    }
    (job.folder / "config.json").write_text('{"auths": {}}')
    variables = {each["name"]: known.get(each["value"], each["value"]) for each in step["env"]}
    job.run(["sh", "-c"], step["script"].replace("/tmp/", f"{job.folder}/"), variables, code=code)
    assert job.tags() == ({"1.2", "latest"} if state == "succeeded" else set())
    assert (job.folder / "state.txt").read_text() == state


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve the address of a webhook, and keep what it is told."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", told
        finally:
            server.shutdown()
            thread.join()


def test_the_plug_in_is_installed_and_tells_its_webhook(
    job: Job, tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    installed = tmp_path / "installed"
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "built")]
    subprocess.run(build, cwd=EXAMPLES / "plugin", check=True, capture_output=True, timeout=_DEADLINE)
    (wheel,) = (tmp_path / "built").iterdir()
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(installed),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=_DEADLINE)
    address, told = webhook
    variables = {"PYTHONPATH": str(installed), "WEBHOOK_URL": address}
    job.run(["sh", "-ec"], "imagepusher push release.yaml", variables)
    assert {event["tag"] for event in told} == {"1.2", "latest"}
    assert len(told) == 3
