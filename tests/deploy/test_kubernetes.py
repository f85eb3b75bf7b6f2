"""`deploy/kubernetes`: objects that Kubernetes takes, that fit each other, and whose containers run."""

import base64
import importlib
import ipaddress
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import requests
import yaml
from celery import Celery

from tests.deploy import monitoring
from tests.deploy.keda import KEDA, KEDA_SCRIPT
from tests.deploy.kustomize import Object, build, containers_of, pod_of
from tests.deploy.local import DEPLOY, Machine, Started, ask_to_end, make_secrets
from tests.support.processes import find_program, free_port, wait_until
from workers.broker.app import make_app
from workers.settings import load_settings
from workers.settings.document import LimitsTable

KUBERNETES = "1.33"


QUEUES = ("push", "copy", "publish")


NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Cluster:
    """The objects of the example, and the folder with its secrets."""

    objects: list[Object]
    folder: Path
    redis_port: int

    def of(self, kind: str) -> list[Object]:
        return [made for made in self.objects if made["kind"] == kind]

    def named(self, kind: str, name: str) -> Object:
        (found,) = [made for made in self.of(kind) if made["metadata"]["name"] == name]
        return found

    @property
    def pods(self) -> dict[str, Object]:
        """Return the templates of pods, by the name of what makes them."""
        return {made["metadata"]["name"]: pod for made in self.objects if (pod := pod_of(made)) is not None}

    def selected(self, selector: Object) -> set[str]:
        """Return the names of what makes the pods that a label selector selects."""
        found = set()
        for name, pod in self.pods.items():
            labels = pod["metadata"]["labels"]
            fits = selector.get("matchLabels", {}).items() <= labels.items()
            for expression in selector.get("matchExpressions", []):
                assert expression["operator"] == "In"
                fits = fits and labels.get(expression["key"]) in expression["values"]
            if fits:
                found.add(name)
        return found

    def files(self, volume: Object) -> dict[str, bytes]:
        """Return what a volume holds."""
        if "secret" in volume:
            data = self.named("Secret", volume["secret"]["secretName"])["data"]
            return {name: base64.b64decode(content) for name, content in data.items()}
        if "configMap" in volume:
            return {
                name: content.encode()
                for name, content in self.named("ConfigMap", volume["configMap"]["name"])["data"].items()
            }
        return {}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Build the example as its head says, with secrets for a Redis on this machine."""
    folder = tmp_path_factory.mktemp("kubernetes")
    shutil.copytree(DEPLOY / "kubernetes", folder / "kubernetes")
    shutil.copytree(DEPLOY / "redis", folder / "redis")
    example = folder / "kubernetes" / "overlays" / "example"
    port = free_port()
    make_secrets(example / "secrets", f"127.0.0.1:{port}")
    return Cluster(build(example), folder, port)


def test_kubernetes_takes_every_object(cluster: Cluster) -> None:
    validate = importlib.import_module("kubernetes_validate").validate
    for made in cluster.objects:
        if made["apiVersion"].startswith("keda.sh/"):
            jsonschema.Draft202012Validator(KEDA[made["kind"]]).validate(made["spec"])
        else:
            validate(made, KUBERNETES, strict=True)


def test_a_misspelt_field_is_refused(cluster: Cluster) -> None:
    """The check can fail."""
    validation = importlib.import_module("kubernetes_validate")
    deployment = cluster.named("Deployment", "imagepusher-worker-copy")
    broken = deployment | {"spec": deployment["spec"] | {"minReadySecs": 1}}
    with pytest.raises(jsonschema.ValidationError, match="minReadySecs"):
        validation.validate(broken, KUBERNETES, strict=True)


def test_pods_are_as_restricted_as_their_namespace_demands(cluster: Cluster) -> None:
    """Kubernetes' pod security standard `restricted`, and root file systems that are read-only."""
    assert (
        cluster.named("Namespace", "imagepusher")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )
    assert set(cluster.pods) == {*(f"imagepusher-worker-{queue}" for queue in QUEUES), "flower", "page", "redis"}
    for pod in cluster.pods.values():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert re.search(r":\d+\.\d+(\.\d+|-\w+@sha256:[0-9a-f]{64})$", container["image"])


def test_each_queue_has_workers_a_budget_and_a_scaler(cluster: Cluster) -> None:
    budgets = [cluster.selected(budget["spec"]["selector"]) for budget in cluster.of("PodDisruptionBudget")]
    scaled = [made["spec"]["scaleTargetRef"]["name"] for made in cluster.of("ScaledObject")]
    workers = [f"imagepusher-worker-{queue}" for queue in QUEUES]
    assert sorted(budgets, key=sorted) == sorted(({worker} for worker in workers), key=sorted)
    assert sorted(scaled) == sorted(workers)
    # A Deployment with a number of its own would be scaled back to it each time that it is applied.
    assert all("replicas" not in cluster.named("Deployment", worker)["spec"] for worker in workers)


def test_a_worker_has_time_to_end(cluster: Cluster) -> None:
    for queue in QUEUES:
        spec = cluster.pods[f"imagepusher-worker-{queue}"]["spec"]
        assert spec["terminationGracePeriodSeconds"] >= LimitsTable().grace_seconds + 15


def test_selectors_of_deployments_and_services_find_their_pods(cluster: Cluster) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for made in cluster.of(kind):
            assert cluster.selected(made["spec"]["selector"]) == {made["metadata"]["name"]}
    for service in cluster.of("Service"):
        name = service["metadata"]["name"]
        assert cluster.selected({"matchLabels": service["spec"]["selector"]}) == {name}
        served = {port["name"] for port in cluster.pods[name]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= served


def test_what_is_not_needed_is_cut_off(cluster: Cluster) -> None:
    """Each pod is under a policy for both directions, and lets in only what asks for its ports."""
    policies = cluster.of("NetworkPolicy")
    for name, pod in cluster.pods.items():
        own = [policy["spec"] for policy in policies if name in cluster.selected(policy["spec"]["podSelector"])]
        assert {kind for spec in own for kind in spec["policyTypes"]} == {"Ingress", "Egress"}
        let_in = {port["port"] for spec in own for rule in spec.get("ingress", []) for port in rule["ports"]}
        assert let_in == {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert all(rule["from"] for spec in own for rule in spec.get("ingress", []))
    (nothing_else,) = [policy for policy in policies if policy["metadata"]["name"] == "imagepusher-nothing-else"]
    assert cluster.selected(nothing_else["spec"]["podSelector"]) == set(cluster.pods) - {"redis"}
    assert not nothing_else["spec"].keys() & {"ingress", "egress"}


def test_secrets_are_files_and_nothing_else(cluster: Cluster) -> None:
    """Rule 6.7."""
    for made in cluster.objects:
        for container in containers_of(made):
            for variable in container.get("env", []):
                assert "secretKeyRef" not in variable.get("valueFrom", {})
    workers = cluster.pods["imagepusher-worker-copy"]["spec"]["volumes"]
    assert {name for volume in workers for name in cluster.files(volume)} == {"imagepusher.toml"}
    for shown in ("flower", "page"):
        volumes = cluster.pods[shown]["spec"]["volumes"]
        assert {name for volume in volumes for name in cluster.files(volume)} == {f"{shown}.toml", f"{shown}_login"}


class Kubelet:
    """Start a pod's container as a process: its command, arguments, variables, volumes and probes."""

    def __init__(self, cluster: Cluster, moved: Mapping[str, str], running: ExitStack) -> None:
        self._cluster = cluster
        self._moved = moved
        self._running = running

    def start(self, name: str, *more: str) -> Started:
        pod = self._cluster.pods[name]
        (container,) = pod["spec"]["containers"]
        machine = Machine(self._cluster.folder, {**self._moved, **self._volumes(name, pod, container)})
        variables = {variable["name"]: self._value(pod, variable) for variable in container.get("env", [])}
        words = [*container.get("command", ["imagepusher"]), *container.get("args", []), *more]
        words = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in words]
        process = self._running.enter_context(machine.running(name, words, variables))
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in container:
                self._probe(name, machine, container[kind], container)
        return process

    def _volumes(self, name: str, pod: Object, container: Object) -> dict[str, str]:
        places = {}
        for mount in container["volumeMounts"]:
            place = self._cluster.folder / f"volume-{name}-{mount['name']}"
            place.mkdir()
            for volume in pod["spec"].get("volumes", []):
                if volume["name"] == mount["name"]:
                    for file, content in self._cluster.files(volume).items():
                        (place / file).write_bytes(content)
            places[mount["mountPath"]] = str(place)
        for folder in places.values():
            for config in Path(folder).glob("*.conf"):
                config.write_text(Machine(self._cluster.folder, places).here(config.read_text()))
        return places

    def _value(self, pod: Object, variable: Object) -> str:
        if "value" in variable:
            return str(variable["value"])
        (label,) = re.findall(r"metadata\.labels\['(.+)'\]", variable["valueFrom"]["fieldRef"]["fieldPath"])
        return str(pod["metadata"]["labels"][label])

    def _probe(self, name: str, machine: Machine, probe: Object, container: Object) -> None:
        if "exec" in probe:
            words = list(probe["exec"]["command"])
            if words[0] == "redis-cli":
                words[1:1] = ["-p", str(self._cluster.redis_port)]
            machine.wait_for(name, words, {})
            return
        (port,) = [port["containerPort"] for port in container["ports"] if port["name"] in str(probe)]
        if "httpGet" in probe:
            url = f"http://127.0.0.1:{machine.here(str(port))}{probe['httpGet']['path']}"
            wait_until(lambda: _answers(url), f"{name} does not answer {url}")


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Run every pod, one of each."""
    moved = {
        "/opt/imagepusher": str(DEPLOY),
        ":9540": "127.0.0.1:0",
        "5555": str(free_port()),
        "5556": str(free_port()),
    }
    with ExitStack() as processes:
        kubelet = Kubelet(cluster, moved, processes)
        kubelet.start("redis", "--port", str(cluster.redis_port), "--bind", "127.0.0.1")
        names = ("flower", "page", *(f"imagepusher-worker-{queue}" for queue in QUEUES))
        processes.callback(ask_to_end, [kubelet.start(name) for name in names])
        yield cluster


def _url(cluster: Cluster, secret: str, file: str) -> str:
    content = base64.b64decode(cluster.named("Secret", secret)["data"][file]).decode()
    return content.split('"')[1]


def test_pods_run_and_pass_their_probes(running: Cluster) -> None:
    app = Celery("operator", broker=_url(running, "imagepusher-settings", "imagepusher.toml"), set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
    served: list[str] = []

    def all_serve() -> bool:
        # Two seconds: workers answer when they come to it.
        answers: Any = app.control.inspect(timeout=2).active_queues() or {}
        served[:] = [queue["name"] for queues in answers.values() for queue in queues]
        return len(answers) == len(QUEUES)

    wait_until(all_serve, "not every worker answers")
    assert set(served) >= {f"imagepusher.{queue}" for queue in QUEUES}


def test_keda_finds_the_lists_in_which_messages_wait(running: Cluster) -> None:
    """Of every priority that copies have; read as KEDA does, by its user."""
    # Another database, which no worker serves, with the same users.
    url = _url(running, "imagepusher-settings", "imagepusher.toml").removesuffix("/0") + "/3"
    app = make_app(load_settings({"IMAGEPUSHER_BROKER_URL": url, "HOME": "/nonexistent"}))
    for priority in range(10):
        app.send_task("imagepusher.copy.v1", args=["p", "d"], priority=priority)
    for queue in ("push", "push.noted", "publish"):
        app.send_task(f"imagepusher.{queue.partition('.')[0]}.v1", args=["p"], queue=f"imagepusher.{queue}")
    scaler = running.named("Secret", "redis-scaler")["data"]
    credentials: dict[str, Any] = {name: base64.b64decode(content).decode() for name, content in scaler.items()}
    lengths = {}
    with redis.Redis(port=running.redis_port, db=3, **credentials) as client:
        for made in running.of("ScaledObject"):
            names = [trigger["metadata"]["listName"] for trigger in made["spec"]["triggers"]]
            read: Any = client.eval
            lengths[made["metadata"]["name"]] = [read(KEDA_SCRIPT, 1, name) for name in names]
    assert lengths["imagepusher-push"] == [1, 1]
    assert lengths["imagepusher-publish"] == [1]
    assert sum(lengths["imagepusher-copy"]) == 10
    assert all(lengths["imagepusher-copy"])


def test_keda_has_the_credentials_that_it_is_told_of(cluster: Cluster) -> None:
    authentication = cluster.named("TriggerAuthentication", "redis")["spec"]["secretTargetRef"]
    for parameter in authentication:
        assert parameter["key"] in cluster.named("Secret", parameter["name"])["data"]
    for made in cluster.of("ScaledObject"):
        for trigger in made["spec"]["triggers"]:
            assert trigger["authenticationRef"] == {"name": "redis"}
            # Its operator looks the name up from a namespace of its own.
            host, _, port = trigger["metadata"]["address"].partition(":")
            service = cluster.named("Service", host.partition(".")[0])
            assert host == "{name}.{namespace}.svc".format(**service["metadata"])
            assert int(port) == service["spec"]["ports"][0]["port"]


def test_redis_refuses_writes_before_it_is_killed(cluster: Cluster) -> None:
    (container,) = cluster.pods["redis"]["spec"]["containers"]
    words = container["command"]
    most = words[words.index("--maxmemory") + 1]
    limit = container["resources"]["limits"]["memory"]
    assert (most[-2:], limit[-2:]) == ("mb", "Gi")
    assert int(most[:-2]) <= int(limit[:-2]) * 1024 * 0.7


def test_workers_reach_what_they_need_and_those_that_show_reach_less(cluster: Cluster) -> None:
    reached = {name: _reached(cluster, name) for name in cluster.pods}
    # Names, Redis, registries here and elsewhere, and a collector of spans.
    assert all(reached[f"imagepusher-worker-{queue}"] == {53, 6379, 443, 5000, 4318} for queue in QUEUES)
    assert reached["flower"] == reached["page"] == {53, 6379}
    assert reached["redis"] == set()


def _reached(cluster: Cluster, name: str) -> set[int]:
    policies = [policy["spec"] for policy in cluster.of("NetworkPolicy")]
    own = [spec for spec in policies if name in cluster.selected(spec["podSelector"])]
    return {port["port"] for spec in own for rule in spec.get("egress", []) for port in rule["ports"]}


def test_producers_with_a_label_reach_redis_from_any_namespace(cluster: Cluster) -> None:
    (rule,) = cluster.named("NetworkPolicy", "redis")["spec"]["ingress"]
    labelled = {"matchLabels": {"imagepusher.redis-client": "true"}}
    assert {"namespaceSelector": {}, "podSelector": labelled} in rule["from"]
    # Whoever comes from anywhere has the label: a selector on its own would let all of a namespace in.
    assert not [peer for peer in rule["from"] if peer == {"namespaceSelector": {}}]


def test_prometheus_scrapes_each_worker_once_as_the_job_that_the_rules_name(cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load((monitoring.FOLDER / "kubernetes.yml").read_text())
    (job,) = config["scrape_configs"]
    (named,) = {
        value
        for query in monitoring.queries()
        for _, label, values in monitoring.selectors_in(query)
        if label == "job"
        for value in values
    }
    assert job["job_name"] == named
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery["namespaces"]["names"] == [cluster.named("Namespace", "imagepusher")["metadata"]["name"]]
    keep = next(rule for rule in job["relabel_configs"] if rule.get("action") == "keep")
    kept = {
        (name, port["name"])
        for name, pod in cluster.pods.items()
        for port in pod["spec"]["containers"][0]["ports"]
        if re.fullmatch(keep["regex"], ";".join(_discovered(pod, port)[label] for label in keep["source_labels"]))
    }
    assert kept == {(f"imagepusher-worker-{queue}", "metrics") for queue in QUEUES}
    assert not [pod for pod in cluster.pods.values() if "prometheus.io/scrape" in str(pod["metadata"])]
    # Debian's promtool knows no discovery by Kubernetes; all the rest it checks.
    del job["kubernetes_sd_configs"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(monitoring.FOLDER / "alerts.yml", tmp_path)
    words = [find_program("promtool", "prometheus"), "check", "config", "prometheus.yml"]
    checked = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert checked.returncode == 0, checked.stderr


def _discovered(pod: Object, port: Object) -> dict[str, str]:
    labels = {re.sub(r"\W", "_", name): value for name, value in pod["metadata"]["labels"].items()}
    found = {f"__meta_kubernetes_pod_label_{name}": value for name, value in labels.items()}
    return found | {"__meta_kubernetes_pod_container_port_name": port["name"]}


@pytest.mark.parametrize("address", ["10.96.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1"])
def test_by_https_workers_reach_neither_the_cluster_nor_its_metadata(cluster: Cluster, address: str) -> None:
    blocks = [
        to["ipBlock"]
        for policy in cluster.of("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for to in rule.get("to", [])
        if "ipBlock" in to
    ]
    assert blocks
    for block in blocks:
        assert any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in block["except"])
