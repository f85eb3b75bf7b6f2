"""The seed's target settings, key by key: which are used, which are secrets, which have no meaning here and why."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tasks.oci.reference import parse_registry, parse_repository
from tasks.transfer.faults import Faults
from tasks.transfer.target import Target

SOURCE_PAIR: Final = ("source_quay_user", "source_quay_password")
DESTINATION_PAIRS: Final = (("dest_quay_user", "dest_quay_password"), ("quay_user", "quay_password"))
CREDENTIAL_PAIRS: Final = (SOURCE_PAIR, *DESTINATION_PAIRS)
USED: Final = frozenset(
    {"quay_host", "quay_namespace", "source_quay_host", "tag_images_tries", "num_thread_container_push"}
)

_MEANINGLESS: Final = {
    r"skopeo_.*|container_.*": "images are copied by the workers themselves, not by skopeo in a container",
    r"docker_.*": "no Docker daemon takes part in a push",
    r"ssh_.*": "nothing is run on another host",
    r"quay_operator_.*|iib_.*|index_image_.*|operator_.*|build_.*|fbc_.*": "index images are not built here",
    r"pyxis_.*|sign.*|cosign_.*|verify_.*|clear_.*|remove_.*": "signing is not part of a push",
    r"umb_.*|send_umb_.*|propagated_.*": "no messages are sent to UMB",
    r"retry_sleep_time|quay_action_.*|timeout|num_threads?_.*|tag_images_.*": "the workers' settings say it",
    r"extra_args|allowed_.*|check_.*|external_.*|internal_.*|repo_.*|task_.*": "it belongs to other steps of Pub",
}


def secrets(settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys that hold secrets."""
    return frozenset(key for key in settings if re.search(r"passw|token|secret|private_key", key))


def read_target(settings: dict[str, Any], faults: Faults, warnings: list[str]) -> Target:
    """Return the target that the seed's settings describe; faults and warnings are added to the lists."""
    for user, password in CREDENTIAL_PAIRS:
        if bool(settings.get(user)) != bool(settings.get(password)):
            missing = password if settings.get(user) else user
            faults.add(f"target_settings.{missing}", "is missing: half a credential pair")
    for key in sorted(secrets(settings)):
        faults.add(f"target_settings.{key}", "is a secret: put it into the settings of the workers, not into a request")
    pairs = {key for pair in CREDENTIAL_PAIRS for key in pair}
    for key in sorted(settings.keys() - USED - pairs - secrets(settings)):
        reason = meaningless(key)
        if reason is None:
            faults.add(f"target_settings.{key}"[:100], f"is not a known key; known are {', '.join(sorted(USED))}")
        else:
            warnings.append(f"target_settings.{key} has no meaning here: {reason}.")
    if settings.get("source_quay_host"):
        warnings.append("target_settings.source_quay_host changes nothing: the host in the source reference is read.")
    host = faults.expect("target_settings.quay_host", settings.get("quay_host", "quay.io"), str, "a string")
    if host is not None:
        host = faults.read("target_settings.quay_host", parse_registry, host.rstrip("/"))
    namespace = faults.expect("target_settings.quay_namespace", settings.get("quay_namespace"), str, "a string")
    if namespace is not None:
        namespace = faults.read("target_settings.quay_namespace", parse_repository, namespace)
    return Target(
        host=host or "",
        namespace=namespace or "",
        naming="quay",
        tries=_count(settings, "tag_images_tries", Target.tries, faults),
        jobs=_count(settings, "num_thread_container_push", Target.jobs, faults),
    )


def meaningless(key: str) -> str | None:
    """Return why a key of the seed has no meaning here, None if the seed has no such key."""
    return next((reason for pattern, reason in _MEANINGLESS.items() if re.fullmatch(pattern, key)), None)


def _count(settings: dict[str, Any], key: str, default: int, faults: Faults) -> int:
    count = faults.expect(f"target_settings.{key}", settings.get(key, default), int, "a number")
    if count is not None and count < 1:
        faults.add(f"target_settings.{key}", "must be 1 or more")
    return count or default
