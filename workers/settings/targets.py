"""Targets: the named destinations of the settings."""

import re
from pathlib import Path
from typing import Literal

from tasks.oci.platform import Platform
from tasks.oci.reference import parse_repository
from tasks.oci.signatures import SignaturePolicy, SignerIdentity, parse_key
from tasks.transfer.request.target import TARGET, Naming, Referrers, Target, read_referrers
from workers.settings.document import TargetTable
from workers.settings.hosts import read_host
from workers.settings.registries import RegistryReader


def read_target(place: str, table: TargetTable, reader: RegistryReader) -> Target:
    """Return a target; its wrong keys become faults of the reader."""
    faults = reader.faults
    host = read_host(f"{place}.host", table.host.rstrip("/"), faults) if table.host else ""
    if table.namespace:
        try:
            parse_repository(table.namespace)
        except ValueError as error:
            faults.append(f"{place}.namespace: {error}")
    if not host and (table.namespace or table.naming):
        faults.append(f"{place}.host is missing: without it, namespace and naming mean nothing")
    platforms = []
    for text in table.platforms:
        try:
            platforms.append(Platform.parse(text))
        except ValueError as error:
            faults.append(f"{place}.platforms: {error}")
    return Target(
        host=host,
        namespace=table.namespace,
        naming=table.naming or _naming_of(host),
        platforms=tuple(platforms),
        missing_children=table.missing_children,
        exact_os_version=table.exact_os_version,
        jobs=table.jobs,
        tries=table.tries,
        merge=table.merge,
        referrers=_referrers(place, table, faults),
        referrers_required=table.referrers_required,
        verify=_policy(place, table, reader),
        immutable=tuple(table.immutable),
        platform_removal=table.platform_removal,
        forward_only=table.forward_only,
        version_pattern=_version_pattern(place, table.version_pattern, faults),
        keep_replaced=table.keep_replaced,
        create=table.create,
        visibility=table.visibility,
    )


def _policy(place: str, table: TargetTable, reader: RegistryReader) -> SignaturePolicy | None:
    """Return the signature policy of a target; each key is a file with a public key in PEM."""
    keys = []
    for name in table.verify_keys:
        path = Path(reader.existing(f"{place}.verify_keys", name))
        try:
            keys.append(parse_key(path.read_text()))
        except OSError as error:
            if path.exists():
                reader.faults.append(f"{place}.verify_keys: {path} cannot be read: {error.strerror}")
        except ValueError as error:
            reader.faults.append(f"{place}.verify_keys: {path} {error}")
    if not table.verify_keys and not table.verify_identities:
        return None
    identities = tuple(SignerIdentity(each.identity, each.issuer) for each in table.verify_identities)
    return SignaturePolicy(keys=tuple(keys), identities=identities, index=table.verify_index)


def _referrers(place: str, table: TargetTable, faults: list[str]) -> Referrers | Literal["default"]:
    if table.referrers is None:
        return TARGET.referrers
    try:
        return read_referrers(table.referrers)
    except ValueError as error:
        faults.append(f"{place}.referrers {error}")
        return TARGET.referrers


def _version_pattern(place: str, pattern: str | None, faults: list[str]) -> str | None:
    """Return the version pattern of a target; it must have groups, by which versions are compared."""
    if pattern is None:
        return None
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        faults.append(f"{place}.version_pattern is no regular expression: {error}")
        return None
    if not groups:
        faults.append(f"{place}.version_pattern has no group: versions are compared by its groups, in their order")
    return pattern


def _naming_of(host: str) -> Naming:
    return "quay" if f".{host.partition(':')[0]}".endswith(".quay.io") else "verbatim"
