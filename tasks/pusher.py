"""pubtools-quay's ContainerImagePusher, with the same names and arguments, on Celery."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from tasks import contract
from tasks.errors import RequestInvalid, SettingsInvalid
from tasks.installed import open_client
from tasks.pubtools_errors import failure
from tasks.pubtools_events import logged_step, tell_tagged
from tasks.quay_client import QuayClient
from tasks.registry.settings import Credentials
from tasks.transfer.publish.report import summary
from tasks.transfer.request import pubtools
from tasks.transfer.request.faults import Faults

LOG: Final = logging.getLogger(__name__)
_HIDDEN: Final = "…"


class ContainerImagePusher:
    """Push container images to Quay or any other registry.

    `push_items` are objects with `metadata`, or dicts; `target_settings` are those of pubtools-quay. Passwords in them
    are used if the push runs in this process. If a broker would carry the passwords, they are refused, or dropped if
    the program settings say so. Every method waits and returns the report (BEHAVIOUR 6.1). Raises RequestInvalid, a
    ValueError and KeyError, before anything is written; SettingsInvalid; PushFailed, a RuntimeError, with the report.
    If a registry refused a request, PushFailed is also a requests HTTPError.
    """

    def __init__(self, push_items: Sequence[Any], target_settings: Mapping[str, Any]) -> None:
        self.push_items = push_items
        self.target_settings = target_settings
        self.quay_host = str(target_settings.get("quay_host") or "quay.io").rstrip("/")

    @cached_property
    def src_quay_client(self) -> QuayClient:
        """The client for callers that read sources themselves."""
        settings = self.target_settings
        user, password = (settings.get(key) for key in pubtools.SOURCE_PAIR)
        return QuayClient(user, password, settings.get("source_quay_host") or self.quay_host)

    @cached_property
    def dest_quay_client(self) -> QuayClient:
        """The client that reads and writes destinations by hand."""
        found = _credentials(self.target_settings, *pubtools.DESTINATION_PAIRS)
        user, password = (found.username, found.password) if found is not None else (None, None)
        return QuayClient(user, password, self.quay_host)

    def push_container_images(self) -> contract.PushReport:
        """Push all items: source images as they are, multi-arch images merged where a tag holds more platforms."""
        with logged_step("push-images-to-quay"):
            return _push([_push_item(item) for item in self.push_items], self.target_settings)

    def copy_source_push_item(self, push_item: Any) -> contract.PushReport:
        """Push one item as a source image: unchanged, of any kind."""
        return _push([_push_item(push_item, is_source=True)], self.target_settings)

    def copy_v1_push_item(self, push_item: Any) -> contract.PushReport:
        """Push one item unchanged over its tags, even a single image."""
        as_it_is = {"allow_v1_containers": True, "merge": False}
        return _push([_push_item(push_item, is_source=False)], {**self.target_settings, **as_it_is})

    def copy_multiarch_push_item(self, push_item: Any, source_ml: Any = None) -> contract.PushReport:
        """Push one multi-arch item; `source_ml` is ignored: the source is read when the push is planned."""
        del source_ml
        return _push([_push_item(push_item, is_source=False)], self.target_settings)

    def run_merge_workflow(self, source_ref: str, dest_refs: Sequence[str]) -> contract.PushReport:
        """Push one multi-arch image to full references, merged if they hold more platforms."""
        return _push_references(source_ref, dest_refs, self.target_settings, {"single_arch": "refuse"}, merge=True)

    @classmethod
    def run_tag_images(
        cls,
        source_ref: str,
        dest_refs: Sequence[str],
        all_arch: bool,  # noqa: FBT001 - as pubtools-quay has it
        target_settings: Mapping[str, Any],
    ) -> contract.PushReport:
        """Copy one image to full references, tags or digests, without a merge.

        With `all_arch` all platforms are copied; without, only the image for linux/amd64, or the only image.
        """
        return _push_references(source_ref, dest_refs, target_settings, {"kind": "source" if all_arch else "image"})


def _push_item(push_item: Any, *, is_source: bool | None = None) -> dict[str, Any]:
    """Return the keys of a push item that a push needs, with the source-image mark of its build (BEHAVIOUR 1.1)."""
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
    source_ref: str,
    dest_refs: Sequence[str],
    target_settings: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    merge: bool = False,
) -> contract.PushReport:
    if isinstance(dest_refs, str):
        raise RequestInvalid("dest_refs is a string: give a list of references.")
    faults = Faults()
    pubtools.refuse_half_pairs(target_settings, faults)
    tries = pubtools.count(target_settings, "tag_images_tries", faults)
    faults.raise_any()
    destinations: dict[str, list[str]] = {}
    for reference in dest_refs:
        repository, _, tag = reference.rpartition("@" if "@" in reference else ":")
        destinations.setdefault(repository, []).append(tag)
    item = {"source": source_ref, "destinations": destinations, **options}
    if pubtools.flag(target_settings.get("merge", True)) is False:
        item["merge"] = False
    return _run({"items": [item]} | ({"tries": tries} if tries else {}), target_settings, merge=merge)


def _run(request: dict[str, Any], target_settings: Mapping[str, Any], *, merge: bool = False) -> contract.PushReport:
    source = _credentials(target_settings, pubtools.SOURCE_PAIR)
    destination = _credentials(target_settings, *pubtools.DESTINATION_PAIRS)
    push_id = str(uuid.uuid4())
    with open_client(source, destination) as client:
        if not client.embedded and (source or destination):
            _drop_passwords(allowed=client.drops_passwords)
        client.send(_plain(request), push_id)
        report = client.wait(push_id)
    tell_tagged(report)
    if report.state != "succeeded":
        raise failure(summary(report), report, msgspec.to_builtins(report), merge=merge)
    return report


def _drop_passwords(*, allowed: bool) -> None:
    """Warn that passwords are dropped; raises SettingsInvalid unless the settings allow it (BEHAVIOUR 6.7)."""
    if not allowed:
        raise SettingsInvalid(
            "target_settings carry a password, and a broker would carry it along. Put the credentials into the"
            " settings of the workers; where they hold them, drop_passwords in [pubtools] leaves those of"
            " target_settings out."
        )
    LOG.warning("The passwords of target_settings are dropped: the workers have credentials of their own.")


def _plain(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request in JSON types; raises RequestInvalid for a value of any other type."""
    try:
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(request, enc_hook=_plain_mapping))
    except TypeError as error:
        raise RequestInvalid(f"The push items or target_settings cannot be sent as JSON: {error}.") from None
    return plain


def _plain_mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a type of JSON")


def _credentials(target_settings: Mapping[str, Any], *pairs: tuple[str, str]) -> Credentials | None:
    for user, password in pairs:
        if target_settings.get(user) and target_settings.get(password):
            return Credentials(target_settings[user], target_settings[password])
    return None


def _public(target_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target settings that a request may carry: the keys with an effect, and no secret (BEHAVIOUR 6.7).

    Whole credential pairs are used in this process. Half a pair leaves only its key, for the validation to name.
    """
    known = pubtools.USED | {key for pair in pubtools.CREDENTIAL_PAIRS for key in pair}
    useless = {key for key in target_settings.keys() - known if target_settings[key] not in (None, "")}
    if useless:
        LOG.warning("%s", pubtools.ignored(useless))
    whole = {key for pair in pubtools.CREDENTIAL_PAIRS if all(map(target_settings.get, pair)) for key in pair}
    public = {key: target_settings[key] for key in known & target_settings.keys() - whole}
    return public | {key: _HIDDEN for key in pubtools.secrets(public) if public[key]}
