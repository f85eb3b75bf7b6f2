"""The form of pubtools-quay: its push items, and the effect of each key of its target settings."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tasks import contract
from tasks.oci.reference import parse_registry, parse_repository
from tasks.patterns import late
from tasks.transfer.request.faults import Faults
from tasks.transfer.request.target import TARGET, Target

SOURCE_PAIR: Final = ("source_quay_user", "source_quay_password")
DESTINATION_PAIRS: Final = (("dest_quay_user", "dest_quay_password"), ("quay_user", "quay_password"))
CREDENTIAL_PAIRS: Final = (SOURCE_PAIR, *DESTINATION_PAIRS)
USED: Final = frozenset(
    {"quay_host", "quay_namespace", "tag_images_tries", "num_thread_container_push", "allow_v1_containers", "merge"}
)

# pubtools-quay hands its whole target settings to each of its steps: these keys belong to other steps or their runner.
_MEANINGLESS: Final = {
    r"source_quay_host": "the host in the source reference is read",
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
_SECRET: Final = late(r"passw|token|secret|credential|access_key|private_key(?!_path)|passphrase")


def secrets(settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys that hold secrets, at any depth."""
    return frozenset(
        key for key, value in settings.items() if _SECRET().search(key) or (value and _hides_secret(value))
    )


def _hides_secret(value: Any) -> bool:
    """Tell whether any object inside a JSON value has a key that names a secret."""
    remaining = [value]
    while remaining:
        inner = remaining.pop()
        if isinstance(inner, Mapping):
            if any(_SECRET().search(str(key)) for key in inner):
                return True
            remaining += inner.values()
        elif isinstance(inner, list | tuple):
            remaining += inner
    return False


def read_target(settings: dict[str, Any], faults: Faults, warnings: list[str]) -> Target:
    """Return the target that the settings describe; faults and warnings are added to the lists."""
    refuse_half_pairs(settings, faults)
    for key in sorted(secrets(settings)):
        faults.add(f"target_settings.{key}", "is a secret; put it into the settings of the workers, not into a request")
    pairs = {key for pair in CREDENTIAL_PAIRS for key in pair}
    useless = {key for key in settings.keys() - USED - pairs - secrets(settings) if settings[key] not in (None, "")}
    warnings += [ignored(useless)] if useless else []
    for key in ("allow_v1_containers", "merge"):
        if settings.get(key) is not None and flag(settings[key]) is None:
            faults.add(f"target_settings.{key}", "must be true or false")
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
        merge=flag(settings.get("merge", True)) is not False,
        tries=count(settings, "tag_images_tries", faults),
        jobs=count(settings, "num_thread_container_push", faults) or TARGET.jobs,
    )


def refuse_half_pairs(settings: Mapping[str, Any], faults: Faults) -> None:
    """Note a fault for each user without a password, and each password without a user (BEHAVIOUR 1.2)."""
    for user, password in CREDENTIAL_PAIRS:
        if bool(settings.get(user)) != bool(settings.get(password)):
            missing = password if settings.get(user) else user
            faults.add(f"target_settings.{missing}", "is missing: half a credential pair")


def single_arch_of(settings: Mapping[str, Any]) -> contract.SingleArch:
    """Return the treatment of single-arch images that are no source images (BEHAVIOUR 2.2)."""
    return "copy" if flag(settings.get("allow_v1_containers", False)) else "refuse"


def native_item(item: contract.PubtoolsItem, single_arch: contract.SingleArch, faults: Faults) -> contract.PushItem:
    """Return a push item of pubtools-quay in the native form (BEHAVIOUR 1.1)."""
    return contract.PushItem(
        source=item.metadata.pull_url,
        destinations=item.metadata.tags,
        kind="source" if _marks_source(item.metadata.build, faults) else "auto",
        single_arch=single_arch,
    )


def _marks_source(build: dict[str, Any] | None, faults: Faults) -> bool:
    """Tell whether a build belongs to a source image: `extra.image.sources_for_nvr` is truthy."""
    where, marks = "metadata.build", build
    for key in ("extra", "image", "sources_for_nvr"):
        if marks is None:
            return False
        known = faults.expect(where, marks, dict, "an object")
        if known is None:
            return False
        where, marks = f"{where}.{key}", known.get(key)
    return bool(marks)


def ignored(keys: Iterable[str]) -> str:
    """Return one warning that names all keys without an effect, and the reasons (BEHAVIOUR 1.7)."""
    named: dict[str, list[str]] = {}
    for key in sorted(map(str, keys)):
        reason = meaningless(key) or f"not known; known are {', '.join(sorted(USED))}"
        named.setdefault(reason, []).append(key[:100])
    groups = "; ".join(f"{', '.join(same)} ({why})" for why, same in named.items())
    return f"Ignored in target_settings: {groups}."


def meaningless(key: str) -> str | None:
    """Return the reason why a key of pubtools-quay has no effect here, None for any other key."""
    return next((reason for pattern, reason in _MEANINGLESS.items() if re.fullmatch(pattern, key)), None)


def flag(value: Any) -> bool | None:
    """Return a truth value, which may be a text; None for anything else."""
    texts = {"true": True, "false": False}
    return texts.get(value.lower()) if isinstance(value, str) else value if isinstance(value, bool) else None


def count(settings: Mapping[str, Any], key: str, faults: Faults) -> int | None:
    """Return a number of 1 or more, which may be a text; None if absent or null or, with a fault, if invalid."""
    said = settings.get(key)
    if said is None:
        return None
    if isinstance(said, str) and re.fullmatch(r"[0-9]{1,9}", said.strip()):
        said = int(said)
    known = faults.expect(f"target_settings.{key}", said, int, "a number")
    if known is not None and known < 1:
        faults.add(f"target_settings.{key}", "must be 1 or more")
    return known
