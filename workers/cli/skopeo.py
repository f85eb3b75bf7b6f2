"""Replacements for skopeo's options that have no meaning or another name here."""

from collections.abc import Mapping
from typing import Final

import click

_ALL_PLATFORMS: Final = "every platform is copied unless --platform names some"
_AS_IT_IS: Final = "manifests and layers are copied as they are, byte by byte"
_ONE_AUTHFILE: Final = "--authfile, or the settings' auth_files, serve source and destination"
_NO_POLICY: Final = "no policy file is read here; write --verify-key FILE after the command to ask for a signature"
_NO_SIGNING: Final = "images are not signed here; sign the digest in the report by a tool such as cosign"
_NO_ENCRYPTION: Final = "layers are neither encrypted nor decrypted here"
_REGISTRIES_ONLY: Final = "images are copied between registries only"
_NO_LOGIN: Final = "leave out credentials, and log out of the registry, to be anonymous"
_NO_BEARER: Final = "write it as `registrytoken` into an --authfile, or write --{}-creds USER:PASSWORD"

INSTEAD: Final[Mapping[str, str]] = {
    "--additional-tag": "write one more DESTINATION for each tag",
    "--all": _ALL_PLATFORMS,
    "-a": _ALL_PLATFORMS,
    "--command-timeout": "run it as `timeout 600 imagepusher copy …`",
    "--decryption-key": _NO_ENCRYPTION,
    "--dest-authfile": _ONE_AUTHFILE,
    "--dest-compress": _AS_IT_IS,
    "--dest-compress-format": _AS_IT_IS,
    "--dest-compress-level": _AS_IT_IS,
    "--dest-daemon-host": _REGISTRIES_ONLY,
    "--dest-decompress": _AS_IT_IS,
    "--dest-force-compress-format": _AS_IT_IS,
    "--dest-no-creds": _NO_LOGIN,
    "--dest-oci-accept-uncompressed-layers": _AS_IT_IS,
    "--dest-password": "write --dest-creds USER:PASSWORD",
    "--dest-precompute-digests": "digests are known from the manifests, and what is there is never uploaded",
    "--dest-registry-token": _NO_BEARER.format("dest"),
    "--dest-shared-blob-dir": _REGISTRIES_ONLY,
    "--dest-username": "write --dest-creds USER:PASSWORD",
    "--digestfile": "write --output json: the report has every digest",
    "--encrypt-layer": _NO_ENCRYPTION,
    "--encryption-key": _NO_ENCRYPTION,
    "--format": _AS_IT_IS,
    "-f": _AS_IT_IS,
    "--image-parallel-copies": "write --jobs N",
    "--insecure-policy": _NO_POLICY,
    "--multi-arch": _ALL_PLATFORMS,
    "--override-arch": "write --platform OS/ARCH after the command",
    "--override-os": "write --platform OS/ARCH after the command",
    "--override-variant": "write --platform OS/ARCH/VARIANT after the command",
    "--policy": _NO_POLICY,
    "--preserve-digests": _AS_IT_IS,
    "--registries-conf": "write the registry's own host in SOURCE and DESTINATION",
    "--registries.d": _NO_POLICY,
    "--remove-signatures": "write --no-referrers: signatures that refer to the image are left behind",
    "--retry-delay": "the settings' http.longest_wait says it",
    "--retry-times": "the settings' http.tries says it",
    "--require-signed": _NO_POLICY,
    "--sign-by": _NO_SIGNING,
    "--sign-by-sigstore": _NO_SIGNING,
    "--sign-by-sigstore-private-key": _NO_SIGNING,
    "--sign-by-sq-fingerprint": _NO_SIGNING,
    "--sign-identity": _NO_SIGNING,
    "--sign-passphrase-file": _NO_SIGNING,
    "--src-authfile": _ONE_AUTHFILE,
    "--src-daemon-host": _REGISTRIES_ONLY,
    "--src-no-creds": _NO_LOGIN,
    "--src-password": "write --src-creds USER:PASSWORD",
    "--src-registry-token": _NO_BEARER.format("src"),
    "--src-shared-blob-dir": _REGISTRIES_ONLY,
    "--src-username": "write --src-creds USER:PASSWORD",
    "--tmpdir": "nothing is written to a temporary folder",
    "--user-agent-prefix": "requests say `imagepusher`, and nothing else",
}


def explained(error: click.NoSuchOption) -> click.UsageError:
    """Return the error for an unknown option; if it is one of skopeo's, the error names the replacement."""
    name = error.option_name
    hint = INSTEAD.get(name) or INSTEAD.get(name[:2] if not name.startswith("--") else "")
    return click.UsageError(f"There is no {name} here: {hint}.", error.ctx) if hint else error
