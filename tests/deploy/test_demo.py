"""deploy/demo, run as a newcomer runs it: it shows what it says, checks it, and leaves nothing behind."""

import os
import re
import signal
import subprocess

import pytest

from tests.deploy.conftest import Machine, write_program
from tests.support.processes import wait_until

CHECKS = 9


def test_the_demonstration_holds_its_checks_and_leaves_nothing(machine: Machine) -> None:
    """A caller's own settings must not lead it elsewhere: to his broker, his registries, his credentials."""
    ended = machine.run(
        "deploy/demo",
        IMAGEPUSHER_BROKER_URL="redis://127.0.0.1:1/0",
        IMAGEPUSHER_CONFIG="/none.toml",
        REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="/proc/none",
        http_proxy="http://127.0.0.1:1",
    )
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.count("\nChecked: ") == CHECKS
    for command in (
        "push request.json --dry-run",
        "push request.json --push-id demo-1",
        "verify demo-1",
        "undo demo-1 --yes",
    ):
        assert f"\n$ imagepusher {command}\n" in ended.stdout
    assert re.search(r"shop/app:latest +merged +\w{12} → \w{12} +linux/s390x", ended.stdout)
    assert f"{machine.venv}/bin/imagepusher copy SOURCE DESTINATION" in ended.stdout, "what to try next is said"
    assert "\x1b" not in ended.stdout
    assert machine.left_behind() == []
    assert list((machine.folder / "home").iterdir()) == []
    assert machine.pip_calls() == [], "a second run sets up nothing"


def test_a_push_that_does_nothing_is_found_out(machine: Machine) -> None:
    """The checks look at the registries themselves: a command that only claims success fails the demonstration."""
    write_program(machine.venv / "bin" / "imagepusher", "echo 'Push demo-1 succeeded'")
    ended = machine.run("deploy/demo")
    assert ended.returncode == 1
    assert "The demonstration failed: not so: " in ended.stdout
    assert "The demonstration ended early, with exit code 1." in ended.stdout
    assert machine.left_behind() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demonstration_that_is_stopped_takes_its_registries_along(
    machine: Machine, number: signal.Signals, code: int
) -> None:
    log = machine.folder / "log"
    write_program(machine.venv / "bin" / "imagepusher", "sleep 60")
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["deploy/demo"],
            cwd=machine.project,
            env=machine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "--dry-run" in log.read_text(), "the demonstration never got to its first command")
        os.killpg(running.pid, number)
        assert running.wait(300) == code
    finally:
        running.kill()
        running.wait()
    wait_until(lambda: machine.left_behind() == [], "something was left behind")


DOCKER = """
case $1 in
info) ;;
run)
  folder=$(mktemp -d "{folder}/container.XXXXXX")
  echo "docker $*" >>"{folder}/docker.log"
  cat >"$folder/config.yml" <<YAML
version: 0.1
storage: {{filesystem: {{rootdirectory: "$folder"}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
log: {{level: info}}
YAML
  {registry} serve "$folder/config.yml" >"$folder/log" 2>&1 &
  echo "$!" >"$folder/pid"
  until grep -q 'listening on' "$folder/log"; do sleep 0.1; done
  basename "$folder"
  ;;
port) sed -n 's/.*listening on \\(127[^"]*\\)".*/\\1/p' "{folder}/$2/log"; echo '[::1]:1' ;;
stop) kill "$(cat "{folder}/$2/pid")"; rm -r "{folder}/$2" ;;
esac
"""


def test_without_the_package_the_registries_run_in_docker(machine: Machine) -> None:
    """Docker's part is played by a script: it shows what is asked of Docker, on a machine that has none."""
    real = "/usr/bin/docker-registry"
    script = DOCKER.format(folder=machine.folder / "containers", registry=real)
    (machine.folder / "containers").mkdir()
    path = machine.path_without("apt-get", "docker-registry", "dpkg-query", docker=script, **{"dpkg-query": "exit 1"})
    ended = machine.run("deploy/demo", PATH=path)
    assert ended.returncode == 0, ended.stdout
    assert "Missing: docker-registry. There is no apt-get here" in ended.stdout
    assert "Docker works here: the registries run in containers of registry:2." in ended.stdout
    assert ended.stdout.count("\nChecked: ") == CHECKS
    asked = (machine.folder / "containers" / "docker.log").read_text().splitlines()
    published = "--publish 127.0.0.1::5000 --env REGISTRY_STORAGE_DELETE_ENABLED=true registry:2"
    assert asked == [f"docker run --detach --rm {published}"] * 2
    assert [path.name for path in (machine.folder / "containers").iterdir()] == ["docker.log"]
    assert machine.left_behind() == []


def test_without_package_and_docker_it_says_what_is_missing(machine: Machine) -> None:
    path = machine.path_without("apt-get", "docker-registry", "docker", **{"dpkg-query": "exit 1"})
    ended = machine.run("deploy/demo", PATH=path)
    assert ended.returncode == 1
    assert "Missing: docker-registry. There is no apt-get here to install them with" in ended.stdout
    assert machine.left_behind() == []
