"""Build a kustomization: the part of kustomize that `deploy/kubernetes` uses, so that the suite needs no kubectl.

What it does not know is an error. Names of generated objects get no hash.
"""

import base64
import re
from pathlib import Path
from typing import Any, Final

import yaml

Object = dict[str, Any]

_KNOWN: Final = {
    "apiVersion",
    "kind",
    "namespace",
    "nameSuffix",
    "labels",
    "resources",
    "images",
    "secretGenerator",
    "configMapGenerator",
    "patches",
}
_WITHOUT_NAMESPACE: Final = {"Namespace"}


def build(folder: Path) -> list[Object]:
    """Return the objects of a folder with a kustomization.yaml."""
    said: Object = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert said.keys() <= _KNOWN, f"{folder}: {said.keys() - _KNOWN}"
    objects: list[Object] = []
    for resource in said.get("resources", []):
        path = folder / resource
        objects += build(path) if path.is_dir() else [found for found in yaml.safe_load_all(path.read_text()) if found]
    _generate(folder, said, objects)
    for patch in said.get("patches", []):
        patched = [each for each in objects if _is_target(each, patch["target"])]
        assert patched, patch
        for each in patched:
            _add(each, yaml.safe_load(patch["patch"]))
    for made in objects:
        made["metadata"]["name"] += said.get("nameSuffix", "")
        for labels in said.get("labels", []):
            assert labels["includeSelectors"]
            _label(made, labels["pairs"])
        for image in said.get("images", []):
            for container in containers_of(made):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
        if "namespace" in said and made["kind"] not in _WITHOUT_NAMESPACE:
            made["metadata"]["namespace"] = said["namespace"]
    return objects


def pod_of(made: Object) -> Object | None:
    """Return the template of an object's pods."""
    template: Object | None = made["spec"].get("template") if "spec" in made else None
    return template


def containers_of(made: Object) -> list[Object]:
    """Return the containers of an object's pods."""
    pod = pod_of(made)
    return [] if pod is None else list(pod["spec"]["containers"])


def _generate(folder: Path, said: Object, objects: list[Object]) -> None:
    for kind, generators in (("Secret", "secretGenerator"), ("ConfigMap", "configMapGenerator")):
        for generator in said.get(generators, []):
            made = _generated(folder, kind, generator)
            if generator.get("behavior") == "merge":
                (old,) = (each for each in objects if (each["kind"], _name(each)) == (kind, generator["name"]))
                old["data"] |= made["data"]
            else:
                objects.append(made)


def _name(made: Object) -> str:
    name: str = made["metadata"]["name"]
    return name


def _is_target(made: Object, target: Object) -> bool:
    """Tell whether a patch is for an object; names are regular expressions."""
    return made["kind"] == target["kind"] and bool(re.fullmatch(target.get("name", ".*"), _name(made)))


def _add(made: Object, operations: list[Object]) -> None:
    """Apply a JSON patch (RFC 6902) that only adds."""
    for operation in operations:
        assert operation["op"] == "add"
        *path, last = operation["path"].split("/")[1:]
        there: Any = made
        for part in path:
            there = there[int(part)] if isinstance(there, list) else there[part]
        if isinstance(there, list):
            there.insert(len(there) if last == "-" else int(last), operation["value"])
        else:
            there[last] = operation["value"]


def _label(made: Object, pairs: dict[str, str]) -> None:
    made["metadata"].setdefault("labels", {}).update(pairs)
    pod = pod_of(made)
    if pod is not None:
        pod["metadata"].setdefault("labels", {}).update(pairs)
        made["spec"].setdefault("selector", {}).setdefault("matchLabels", {}).update(pairs)
    elif made["kind"] == "PodDisruptionBudget" and "matchLabels" in made["spec"].get("selector", {}):
        # As kustomize: a selector that is not there is not made.
        made["spec"]["selector"]["matchLabels"].update(pairs)


def _generated(folder: Path, kind: str, generator: Object) -> Object:
    data = dict(literal.split("=", 1) for literal in generator.get("literals", []))
    for file in generator.get("files", []):
        name, equals, path = file.partition("=")
        data[name if equals else Path(file).name] = (folder / (path if equals else file)).read_text()
    if kind == "Secret":
        data = {name: base64.b64encode(content.encode()).decode() for name, content in data.items()}
    made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}, "data": data}
    return made | ({"type": "Opaque"} if kind == "Secret" else {})
