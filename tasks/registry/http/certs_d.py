"""Folders of certificates in the layout of docker and podman (containers-certs.d(5)).

FOLDER/HOST[:PORT]/*.crt are authorities, *.cert with *.key of the same name are client certificates. The folder's name
has the port as references have it. Only the first of the usual folders with a folder for the registry counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_SYSTEM = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def usual_folders(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders where podman, skopeo and docker look, in that order; they need not exist."""
    home = environment.get("HOME")
    configuration = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    own = [f"{configuration}/containers/certs.d", f"{configuration}/docker/certs.d"] if configuration else []
    return (*own, *([f"{home}/.docker/certs.d"] if home else []), *_SYSTEM)


def folder_of(registry: str, folders: Iterable[str]) -> Path | None:
    """Return the first folder of certificates for a registry; folders without access are skipped."""
    for folder in folders:
        found = Path(folder, registry)
        try:
            if found.is_dir():
                return found
        except OSError:
            continue
    return None


def authorities(folder: Path) -> list[Path]:
    """Return the authorities to trust."""
    return sorted(folder.glob("*.crt"))


def client_pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each client certificate with its key."""
    for certificate in sorted(folder.glob("*.cert")):
        yield certificate, certificate.with_suffix(".key")
