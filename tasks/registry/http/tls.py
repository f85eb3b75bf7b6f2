"""TLS context of one registry: trusted authorities and client certificate (BEHAVIOUR 8.5)."""

import ssl
from pathlib import Path

from tasks.errors import SettingsInvalid
from tasks.registry.http.certs_d import authorities, client_pairs, folder_of
from tasks.registry.settings import RegistrySettings


def tls_context(registry: str, settings: RegistrySettings, *, introduce: bool = True) -> ssl.SSLContext:
    """Return the TLS context of `registry`, with its client certificate unless `introduce` is False.

    The context trusts the authorities of the system, of certifi, and of the settings. The folder of certificates is
    read as docker's certs.d: it holds the files, or a folder of them by the registry's name. If the settings name no
    folder, the usual folders serve. Raises SettingsInvalid for a missing or invalid file.
    """
    # Only what speaks TLS needs it.
    import certifi  # noqa: PLC0415

    context = ssl.create_default_context()
    # Only names in a subjectAltName count (RFC 6125 6.4.4).
    context.hostname_checks_common_name = False
    # Python 3.13 refuses authorities without a key identifier; many companies have them, and other clients take them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.certificates is not None:
        _read_named_folder(context, Path(settings.certificates), registry, introduce=introduce)
    elif usual := folder_of(registry, settings.usual_certificates):
        _read_folder(context, usual, introduce=introduce)
    # OpenSSL shows the last certificate loaded: that of the settings.
    if settings.ca_file is not None:
        _trust(context, Path(settings.ca_file))
    if introduce and settings.client_certificate is not None:
        key = Path(settings.client_key) if settings.client_key is not None else None
        _introduce(context, Path(settings.client_certificate), key)
    return context


def _read_named_folder(context: ssl.SSLContext, folder: Path, registry: str, *, introduce: bool) -> None:
    if not folder.is_dir():
        raise SettingsInvalid(f"The folder of certificates {folder} does not exist.")
    _read_folder(context, folder_of(registry, [str(folder)]) or folder, introduce=introduce)


def _read_folder(context: ssl.SSLContext, folder: Path, *, introduce: bool) -> None:
    for authority in authorities(folder):
        _trust(context, authority)
    for certificate, key in client_pairs(folder) if introduce else ():
        _introduce(context, certificate, key)


def _trust(context: ssl.SSLContext, authority: Path) -> None:
    try:
        context.load_verify_locations(authority)
    except OSError as error:
        raise SettingsInvalid(f"{authority} is no bundle of certificates: {_said(error)}.") from None


def _introduce(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        where = f"{certificate} and {key}" if key is not None else f"{certificate}"
        raise SettingsInvalid(f"{where} are no certificate with its key: {_said(error)}.") from None


def _no_password() -> str:
    # Without this OpenSSL asks for the password of an encrypted key on the terminal.
    raise ValueError("keys with a password are not supported")


def _said(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error) or "not a PEM file"
