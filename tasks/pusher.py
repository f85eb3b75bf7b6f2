"""The seed's class: pubtools-quay's ContainerImagePusher, with the same names and arguments, on Celery."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

import msgspec

from tasks import contract
from tasks.errors import PushFailed, RequestInvalid, SettingsInvalid
from tasks.registry.settings import Credentials, RegistryOverride
from tasks.transfer.publish.report import summary
from tasks.transfer.request import pubtools as seed

LOG: Final = logging.getLogger(__name__)
_HOST_PLATFORM: Final = "linux/amd64"
_HIDDEN: Final = "…"


class PushClient(Protocol):
    """The part of a client that a push needs."""

    embedded: bool

    def send(self, request: dict[str, Any], push_id: str) -> None: ...
    def wait(self, push_id: str) -> contract.PushReport: ...


class ContainerImagePusher:
    """Push container images to Quay or any other registry.

    `push_items` are objects with `metadata`, or dicts; `target_settings` are the seed's. Passwords in them are used
    where the push runs in this process, and refused where a broker would carry them. Every method waits, returns the
    report (BEHAVIOUR 6.1), and raises RequestInvalid before anything is written, SettingsInvalid, or PushFailed with
    the report.
    """

    def __init__(self, push_items: Sequence[Any], target_settings: Mapping[str, Any]) -> None:
        self.push_items = push_items
        self.target_settings = dict(target_settings)

    def push_container_images(self) -> contract.PushReport:
        """Push all items: source images as they are, multi-arch images merged where a tag holds more platforms."""
        return _push([_seed_item(item) for item in self.push_items], self.target_settings)

    def copy_source_push_item(self, push_item: Any) -> contract.PushReport:
        """Push one item as a source image: as it is, whatever it is."""
        return _push([_seed_item(push_item, is_source=True)], self.target_settings)

    def copy_multiarch_push_item(self, push_item: Any, source_ml: Any = None) -> contract.PushReport:
        """Push one multi-arch item; `source_ml` is not needed, the source is read when the push is planned."""
        del source_ml
        return _push([_seed_item(push_item, is_source=False)], self.target_settings)

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


def _seed_item(push_item: Any, *, is_source: bool | None = None) -> dict[str, Any]:
    """Return what a push needs of an item; of its build that is whether it marks a source image (BEHAVIOUR 1.1)."""
    metadata = push_item.get("metadata") if isinstance(push_item, Mapping) else getattr(push_item, "metadata", None)
    if not isinstance(metadata, Mapping):
        return {} if metadata is None else {"metadata": str(type(metadata).__name__)}
    mark = metadata.get("build")
    for key in ("extra", "image", "sources_for_nvr"):
        mark = mark.get(key) if isinstance(mark, Mapping) else None
    marked = bool(mark) if is_source is None else is_source
    carried = {key: metadata[key] for key in ("pull_url", "tags") if key in metadata}
    return {"metadata": carried | {"build": {"extra": {"image": {"sources_for_nvr": marked}}}}}


def _push(items: list[dict[str, Any]], target_settings: Mapping[str, Any]) -> contract.PushReport:
    return _run({"push_items": items, "target_settings": _public(target_settings)}, target_settings)


def _push_references(
    source_ref: str, dest_refs: Sequence[str], target_settings: Mapping[str, Any], options: Mapping[str, Any]
) -> contract.PushReport:
    if isinstance(dest_refs, str):
        raise RequestInvalid("dest_refs is a string: a list of references is due.")
    _refuse_half_pairs(target_settings)
    destinations: dict[str, list[str]] = {}
    for reference in dest_refs:
        repository, _, tag = reference.rpartition(":")
        destinations.setdefault(repository, []).append(tag)
    return _run({"items": [{"source": source_ref, "destinations": destinations, **options}]}, target_settings)


def _run(request: dict[str, Any], target_settings: Mapping[str, Any]) -> contract.PushReport:
    source = _credentials(target_settings, seed.SOURCE_PAIR)
    destination = _credentials(target_settings, *seed.DESTINATION_PAIRS)
    push_id = str(uuid.uuid4())
    with _open_client(source, destination) as client:
        if not client.embedded and (source or destination):
            raise SettingsInvalid(
                "target_settings carry a password, and a broker would carry it along. Put the credentials into the"
                " settings of the workers."
            )
        client.send(_plain(request), push_id)
        report = client.wait(push_id)
    if report.state != "succeeded":
        raise PushFailed(summary(report), msgspec.to_builtins(report))
    return report


def _plain(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request of JSON's types; raises RequestInvalid where a value is of no such type."""
    try:
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(request, enc_hook=_plain_mapping))
    except TypeError as error:
        raise RequestInvalid(f"The push items or target_settings cannot be sent as JSON: {error}.") from None
    return plain


def _plain_mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def _open_client(source: Credentials | None, destination: Credentials | None) -> AbstractContextManager[PushClient]:
    """Open the client that the distribution registers: `tasks` does not import the package that implements it."""
    found = entry_points(group="imagepusher.client", name="default")
    if not found:
        raise SettingsInvalid("imagepusher is not installed in this environment: pip install it.")
    client: AbstractContextManager[PushClient] = next(iter(found)).load()(
        source=RegistryOverride(credentials=source), destination=RegistryOverride(credentials=destination)
    )
    return client


def _credentials(target_settings: Mapping[str, Any], *pairs: tuple[str, str]) -> Credentials | None:
    for user, password in pairs:
        if target_settings.get(user) and target_settings.get(password):
            return Credentials(target_settings[user], target_settings[password])
    return None


def _refuse_half_pairs(target_settings: Mapping[str, Any]) -> None:
    """Raise RequestInvalid for what the validation of target settings says of them, where they are not sent."""
    fields = [
        f"target_settings.{missing}"
        for pair in seed.CREDENTIAL_PAIRS
        for missing, given in (pair, pair[::-1])
        if target_settings.get(given) and not target_settings.get(missing)
    ]
    if fields:
        reason = "is missing: half a credential pair"
        raise RequestInvalid(
            f"{', '.join(fields)} {reason}.", [{"item": None, "field": field, "reason": reason} for field in fields]
        )


def _public(target_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request may carry of target settings.

    Whole credential pairs are used here, and secrets without a meaning dropped. Of any other secret the key stays, for
    the validation to name it.
    """
    pairs = [pair for pair in seed.CREDENTIAL_PAIRS if all(target_settings.get(key) for key in pair)]
    secrets = seed.secrets(target_settings)
    used = {key for pair in pairs for key in pair}
    useless = {key for key in secrets if seed.meaningless(key)}
    for key in sorted(useless):
        LOG.warning("target_settings.%s has no meaning here: %s.", key, seed.meaningless(key))
    public = {key: value for key, value in target_settings.items() if key not in used | useless}
    return public | {key: _HIDDEN for key in public if key in secrets and public[key]}
