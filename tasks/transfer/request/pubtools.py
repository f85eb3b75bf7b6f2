"""The seed's target settings, key by key: which are used, which are secrets, which have no meaning here and why."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tasks.oci.reference import parse_registry, parse_repository
from tasks.transfer.request.faults import Faults
from tasks.transfer.request.target import Target

SOURCE_PAIR: Final = ("source_quay_user", "source_quay_password")
DESTINATION_PAIRS: Final = (("dest_quay_user", "dest_quay_password"), ("quay_user", "quay_password"))
CREDENTIAL_PAIRS: Final = (SOURCE_PAIR, *DESTINATION_PAIRS)
USED: Final = frozenset(
    {"quay_host", "quay_namespace", "source_quay_host", "tag_images_tries", "num_thread_container_push"}
)

# pubtools-quay hands its whole target settings to each of its steps: these belong to the others, or to what ran them.
_MEANINGLESS: Final = {
    r"skopeo_.*|container_exec|container_image": "images are copied by the workers themselves, not by skopeo",
    r"docker_.*": "no Docker daemon takes part in a push, and nothing is signed",
    r"ssh_.*": "nothing is run on another host",
    r"dest_quay_api_token|quay_api_.*": "registries are spoken to by the distribution API alone",
    r"quay_operator_.*|iib_.*|index_image_.*|num_threads?_build_.*|check_related_images": "no index images are built",
    r"verify_bundle_.*|ensure_bundle_.*": "no index images are built",
    r"pyxis_.*|num_threads?_pyxis|do_repo_deprecation_check": "Pyxis is not asked",
    r"(co)?sign(ing|er|atures?)?(_.*)?|rekor_.*|aws_.*|radas_.*": "signing is not part of a push",
    r"push_security_manifests_enabled|num_threads?_security_.*": "attestations are copied with their images, not made",
    r"umb_.*": "no messages are sent to UMB",
    r"propagated_.*": "a push is compared with no other target",
    r"retry_.*|tag_images_.*|num_threads?_.*|quay_parallelism|max_concurrent|timeout": "the workers' settings say it",
    r"ssl_.*|tls_.*": "the workers' settings say for each registry how TLS is verified",
    r"semaphore_.*": "tags are locked by the workers themselves",
}
_SECRET: Final = re.compile(r"passw|token|secret|credential|access_key|private_key(?!_path)|passphrase")


def secrets(settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys that hold secrets, be it further down."""
    return frozenset(key for key, value in settings.items() if _SECRET.search(key) or (value and _hides_secret(value)))


def _hides_secret(value: Any) -> bool:
    """Tell whether some object inside of a JSON value has a key that names a secret."""
    remaining = [value]
    while remaining:
        inner = remaining.pop()
        if isinstance(inner, Mapping):
            if any(_SECRET.search(str(key)) for key in inner):
                return True
            remaining += inner.values()
        elif isinstance(inner, list | tuple):
            remaining += inner
    return False


def read_target(settings: dict[str, Any], faults: Faults, warnings: list[str]) -> Target:
    """Return the target that the seed's settings describe; faults and warnings are added to the lists."""
    for user, password in CREDENTIAL_PAIRS:
        if bool(settings.get(user)) != bool(settings.get(password)):
            missing = password if settings.get(user) else user
            faults.add(f"target_settings.{missing}", "is missing: half a credential pair")
    for key in sorted(secrets(settings)):
        faults.add(f"target_settings.{key}", "is a secret; put it into the settings of the workers, not into a request")
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
