"""The seed's class: pubtools-quay's ContainerImagePusher, with the same names and arguments, on Celery."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

import msgspec

from tasks import contract
from tasks.errors import PushFailed, SettingsInvalid
from tasks.registry.settings import Credentials, RegistryOverride
from tasks.transfer import seed
from tasks.transfer.report import summary

LOG: Final = logging.getLogger(__name__)
_HOST_PLATFORM: Final = "linux/amd64"


class PushClient(Protocol):
    """The part of a client that a push needs."""

    embedded: bool

    def send(self, request: dict[str, Any], push_id: str) -> None: ...
    def wait(self, push_id: str) -> contract.PushReport: ...


class ContainerImagePusher:
    """Push container images to Quay or any other registry.

    `push_items` are objects with `metadata`, or dicts; `target_settings` are the seed's. Passwords in them are used
    where the push runs in this process, and refused where a broker would carry them. Every method waits, returns the
    report (BEHAVIOUR 6.1), and raises RequestInvalid, or PushFailed with the report.
    """

    def __init__(self, push_items: Sequence[Any], target_settings: Mapping[str, Any]) -> None:
        self.push_items = push_items
        self.target_settings = dict(target_settings)

    def push_container_images(self) -> contract.PushReport:
        """Push all items: source images as they are, multi-arch images merged where a tag holds more platforms."""
        return _push([_seed_item(item) for item in self.push_items], self.target_settings)

    def copy_source_push_item(self, push_item: Any) -> contract.PushReport:
        """Push one item as a source image: as it is, whatever it is."""
        item = _seed_item(push_item)
        marked = item["metadata"] | {"build": {"extra": {"image": {"sources_for_nvr": True}}}}
        return _push([{"metadata": marked}], self.target_settings)

    def copy_multiarch_push_item(self, push_item: Any, source_ml: Any = None) -> contract.PushReport:
        """Push one multi-arch item; `source_ml` is not needed, the source is read when the push is planned."""
        del source_ml
        item = _seed_item(push_item)
        unmarked = {key: value for key, value in item["metadata"].items() if key != "build"}
        return _push([{"metadata": unmarked}], self.target_settings)

    def run_merge_workflow(self, source_ref: str, dest_refs: Sequence[str]) -> contract.PushReport:
        """Push one multi-arch image to full references, merged where they hold more platforms."""
        return _push_references(source_ref, dest_refs, self.target_settings, {"single_arch": "refuse"})

    @classmethod
    def run_tag_images(
        cls,
        source_ref: str,
        dest_refs: Sequence[str],
        all_arch: bool,  # noqa: FBT001 - as the seed has it
        target_settings: Mapping[str, Any],
    ) -> contract.PushReport:
        """Copy one image to full references over what is there: with all its platforms, or only linux/amd64."""
        only = (
            {"kind": "source"} if all_arch else {"platforms": [_HOST_PLATFORM], "single_arch": "copy", "merge": False}
        )
        return _push_references(source_ref, dest_refs, target_settings, only)


def _seed_item(push_item: Any) -> dict[str, Any]:
    metadata = push_item.get("metadata") if isinstance(push_item, Mapping) else getattr(push_item, "metadata", None)
    carried = {key: metadata[key] for key in ("pull_url", "tags", "build") if key in metadata} if metadata else {}
    return {"metadata": carried}


def _push(items: list[dict[str, Any]], target_settings: Mapping[str, Any]) -> contract.PushReport:
    return _run({"push_items": items}, target_settings, with_target=True)


def _push_references(
    source_ref: str, dest_refs: Sequence[str], target_settings: Mapping[str, Any], options: Mapping[str, Any]
) -> contract.PushReport:
    destinations: dict[str, list[str]] = {}
    for reference in dest_refs:
        repository, _, tag = reference.rpartition(":")
        destinations.setdefault(repository, []).append(tag)
    item = {"source": source_ref, "destinations": destinations, **options}
    return _run({"items": [item]}, target_settings, with_target=False)


def _run(request: dict[str, Any], target_settings: Mapping[str, Any], *, with_target: bool) -> contract.PushReport:
    source = _credentials(target_settings, seed.SOURCE_PAIR)
    destination = _credentials(target_settings, *seed.DESTINATION_PAIRS)
    if with_target:
        request = request | {"target_settings": _public(target_settings)}
    push_id = str(uuid.uuid4())
    with _open_client(source, destination) as client:
        if not client.embedded and (source or destination):
            raise SettingsInvalid(
                "target_settings carry a password, and a broker would carry it along. Put the credentials into the"
                " settings of the workers."
            )
        client.send(request, push_id)
        report = client.wait(push_id)
    if report.state != "succeeded":
        raise PushFailed(summary(report), msgspec.to_builtins(report))
    return report


def _open_client(source: Credentials | None, destination: Credentials | None) -> AbstractContextManager[PushClient]:
    """Open the client that the distribution registers: `tasks` does not import the package that implements it."""
    (entry,) = entry_points(group="imagepusher.client", name="default")
    client: AbstractContextManager[PushClient] = entry.load()(
        source=RegistryOverride(credentials=source), destination=RegistryOverride(credentials=destination)
    )
    return client


def _credentials(target_settings: Mapping[str, Any], *pairs: tuple[str, str]) -> Credentials | None:
    for user, password in pairs:
        if target_settings.get(user) and target_settings.get(password):
            return Credentials(target_settings[user], target_settings[password])
    return None


def _public(target_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request may carry: whole credential pairs are used here, other secrets have no use at all."""
    pairs = [pair for pair in seed.CREDENTIAL_PAIRS if all(target_settings.get(key) for key in pair)]
    used = {key for pair in pairs for key in pair}
    useless = {key for key in seed.secrets(target_settings) if seed.meaningless(key)}
    for key in sorted(useless):
        LOG.warning("target_settings.%s has no meaning here: %s.", key, seed.meaningless(key))
    return {key: value for key, value in target_settings.items() if key not in used | useless}
