"""Whose certificates are taken (BEHAVIOUR 8.5)."""

import ssl

from tasks.registry.http.tls import tls_context
from tasks.registry.settings import RegistrySettings


def test_certificates_are_verified_no_more_strictly_than_by_other_clients() -> None:
    """By the rules that Python 3.13 begins with, the authorities of many companies would do no longer."""
    context = tls_context("registry.example", RegistrySettings())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_nothing_is_verified_where_the_settings_say_so() -> None:
    context = tls_context("registry.example", RegistrySettings(tls_verify=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
