"""`deploy/systemd`: units that systemd takes, locked in, and what they start run for real."""

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
import requests
import yaml

from tests.deploy.local import DEPLOY, ROOT, Machine, Started, ask_to_end, make_secrets
from tests.docs.readme import operating
from tests.support.processes import Process, find_program, free_port, start, wait_until
from workers.settings.document import LimitsTable

UNITS = DEPLOY / "systemd"
WORKER = UNITS / "imagepusher-worker@.service"
FLOWER = UNITS / "imagepusher-flower.service"
PAGE = UNITS / "imagepusher-page.service"
QUEUES = ("push", "copy", "publish")


def directives(unit: Path) -> dict[str, list[str]]:
    """Return what a unit says, by key; a key may come more than once."""
    said: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            said.setdefault(key, []).append(value)
    return said


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the units as they would be installed, with a program that this machine has."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS.iterdir():
        text = re.sub(r"(?<=ExecStart=)/opt/imagepusher/venv/bin/\w+", "/usr/bin/env", unit.read_text())
        (folder / unit.name.replace("@.", "@copy.")).write_text(text)
    return folder


def _analyze(*arguments: str, units: Path) -> subprocess.CompletedProcess[str]:
    program = find_program("systemd-analyze", "systemd")
    return subprocess.run(
        [program, *arguments],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_systemd_takes_the_units(installed: Path) -> None:
    units = [str(unit) for unit in installed.iterdir() if unit.suffix in {".service", ".target"}]
    told = _analyze("verify", "--man=no", *units, units=installed)
    assert (told.returncode, told.stderr) == (0, "")


def test_systemd_refuses_a_unit_with_a_fault(installed: Path, tmp_path: Path) -> None:
    """The check can fail."""
    broken = tmp_path / "imagepusher-worker@copy.service"
    broken.write_text((installed / broken.name).read_text().replace("ProtectSystem=strict", "ProtectSistem=strict"))
    assert "ProtectSistem" in _analyze("verify", "--man=no", str(broken), units=tmp_path).stderr


@pytest.mark.parametrize(
    "name", ["imagepusher-worker@copy.service", "imagepusher-flower.service", "imagepusher-page.service"]
)
def test_a_service_is_locked_in(installed: Path, name: str) -> None:
    """By systemd's own measure, from 0 (locked in) to 10; it calls up to 2 "OK"."""
    told = _analyze("security", "--offline=true", "--threshold=15", str(installed / name), units=installed)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("unit", [WORKER, FLOWER, PAGE])
def test_secrets_are_credentials_that_only_root_reads(unit: Path) -> None:
    """Rule 6.7."""
    said = directives(unit)
    loaded = {value.partition(":")[0] for value in said["LoadCredential"]}
    used = set(re.findall(r"%d/(\S+)", " ".join(said["Environment"])))
    assert used == loaded
    assert all(path.startswith("-") for path in said["EnvironmentFile"])


def test_a_worker_has_time_to_end() -> None:
    (seconds,) = directives(WORKER)["TimeoutStopSec"]
    assert int(seconds) >= LimitsTable().grace_seconds + 15


def redis_recipe() -> list[str]:
    """Return the commands of deploy/README.md that configure Redis on a host."""
    (block,) = [block for block in operating().of("bash", "Deployment") if "/etc/redis/" in block.text]
    return [line for line in block.text.splitlines() if "/etc/redis/" in line]


def test_only_redis_reads_its_users() -> None:
    (line,) = [line for line in redis_recipe() if line.endswith(" /etc/redis/users.acl")]
    assert line.startswith("install --owner=redis --group=redis --mode=400 /etc/imagepusher/users.acl ")


def _lives(process: Process) -> bool:
    try:
        with redis.Redis(port=process.port, username="health", password="none") as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


class Host:
    """Start units as systemd would: their commands, environment, credentials and folders, without its walls."""

    def __init__(self, folder: Path, redis_port: int, running: ExitStack) -> None:
        self.folder = folder
        self.processes: list[Started] = []
        self._running = running
        self._etc = make_secrets(folder / "etc", f"127.0.0.1:{redis_port}")
        (self._etc / "imagepusher.env").write_bytes((UNITS / "imagepusher.env").read_bytes())
        running.callback(self._start_redis(redis_port).stop)

    def _start_redis(self, port: int) -> Process:
        """Configure and start Redis as deploy/README.md says; only root can give files away, so that they stay ours."""
        data, etc = self.folder / "data", self.folder / "etc-redis"
        data.mkdir()
        etc.mkdir()
        # What matters here of the file that Debian's package brings.
        debian = f"bind 127.0.0.1 -::1\nprotected-mode yes\nport {port}\ndir {data}\n"
        (etc / "redis.conf").write_text(debian)
        machine = Machine(self.folder, {"/etc/imagepusher": str(self._etc), "/etc/redis": str(etc)})
        for line in redis_recipe():
            here = machine.here(line.replace("--owner=redis --group=redis ", ""))
            subprocess.run(["bash", "-euc", here], cwd=ROOT, check=True, timeout=300)
        program = find_program("redis-server", "redis-server")
        return start(lambda _: [program, str(etc / "redis.conf")], _lives, self.folder / "redis.log", port=port)

    def operator(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run the command line with the settings of /etc/imagepusher, as root."""
        machine = Machine(self.folder)
        variables = {"IMAGEPUSHER_CONFIG": str(self._etc / "imagepusher.toml")}
        return subprocess.run(
            machine.command(["imagepusher", *arguments]),
            env=machine.environment(variables),
            capture_output=True,
            timeout=300,
            check=False,
        )

    def start(self, unit: Path, instance: str = "", **more: str) -> tuple[Machine, dict[str, str]]:
        said = directives(unit)
        name = f"{unit.name.partition('@')[0].removesuffix('.service')}-{instance}"
        credentials, runtime = self.folder / f"credentials-{name}", self.folder / "run"
        credentials.mkdir()
        moved = {"%d": str(credentials), "%t": str(runtime), "%i": instance, "/etc/imagepusher": str(self._etc)}
        machine = Machine(self.folder, moved | {"/opt/imagepusher/flower": str(DEPLOY / "flower")})
        for folder in said.get("RuntimeDirectory", []):
            (runtime / machine.here(folder)).mkdir(parents=True)
        for credential in said["LoadCredential"]:
            known, _, source = credential.partition(":")
            (credentials / known).write_bytes(Path(machine.here(source)).read_bytes())
        variables = dict(pair.split("=", 1) for line in said["Environment"] for pair in line.split())
        for optional in said["EnvironmentFile"]:
            path = Path(machine.here(optional.removeprefix("-")))
            lines = path.read_text().splitlines() if path.exists() else []
            variables |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        variables |= more
        command = said["ExecStart"][0].replace("/opt/imagepusher/venv/bin/", "").split()
        self.processes.append(self._running.enter_context(machine.running(name, command, variables)))
        return machine, variables


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with ExitStack() as running:
        host = Host(tmp_path_factory.mktemp("host"), free_port(), running)
        yield host
        ask_to_end(host.processes)


def test_workers_flower_and_the_page_start_as_their_units_say(host: Host) -> None:
    assert yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].keys() >= set(QUEUES)
    for queue in QUEUES:
        machine, variables = host.start(WORKER, queue)
        machine.wait_for(f"imagepusher-worker-{queue}", ["test", "-f", "%t/imagepusher-%i/heartbeat"], variables)
        assert (host.folder / "run" / f"imagepusher-{queue}" / "heartbeat").exists()
    doctor = host.operator("doctor")
    assert doctor.returncode == 0, doctor.stdout.decode()
    flower, page = free_port(), free_port()
    host.start(FLOWER, FLOWER_PORT=str(flower))
    host.start(PAGE, IMAGEPUSHER_PAGE_ADDRESS=f"127.0.0.1:{page}")
    for url, login in (
        (f"http://127.0.0.1:{flower}/workers", "flower_login"),
        (f"http://127.0.0.1:{page}/pushes", "page_login"),
    ):
        wait_until(lambda url=url: _status(url) is not None, f"nothing serves {url}")  # type: ignore[misc]
        user, _, password = (host.folder / "etc" / login).read_text().strip().partition(":")
        assert _status(url) == requests.codes.unauthorized
        assert _status(url, (user, password)) == requests.codes.ok
    # Not what its package would do, which is to lose the last writes.
    assert (host.folder / "data" / "appendonlydir").is_dir()


def _status(url: str, login: tuple[str, str] | None = None) -> int | None:
    try:
        return requests.get(url, auth=login, timeout=10).status_code
    except requests.ConnectionError:
        return None


@pytest.mark.parametrize("unit", [WORKER, FLOWER, PAGE], ids=lambda unit: unit.name)
@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1", "100.100.100.200", "192.0.0.192"])
def test_no_service_reaches_what_clouds_tell_of_themselves(unit: Path, address: str) -> None:
    denied = [ipaddress.ip_network(text) for value in directives(unit)["IPAddressDeny"] for text in value.split()]
    assert any(ipaddress.ip_address(address) in network for network in denied)
