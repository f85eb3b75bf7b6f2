"""Whose certificates are taken (BEHAVIOUR 8.5)."""

import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tasks.errors import NotFound, RegistryError
from tasks.registry.http.certs_d import usual_folders
from tasks.registry.http.tls import tls_context
from tasks.registry.settings import RegistrySettings
from tests.support.certificates import Authority
from tests.support.scripted import Answer, ImprovisingRegistry
from tests.unit.registry.clients import QUICK, client


def test_certificates_are_verified_no_more_strictly_than_by_other_clients() -> None:
    """By the rules that Python 3.13 begins with, the authorities of many companies would do no longer."""
    context = tls_context("registry.example", RegistrySettings())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_nothing_is_verified_where_the_settings_say_so() -> None:
    context = tls_context("registry.example", RegistrySettings(tls_verify=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def trusted(registry: str, settings: RegistrySettings) -> set[str]:
    """Return the names of the authorities that are not the system's."""
    listed: Any = tls_context(registry, settings).get_ca_certs()
    names = (dict(part[0] for part in each["subject"]).get("commonName", "") for each in listed)
    return {name for name in names if name.startswith("made-")}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, ...]:
    """Return two usual folders: both know `both:5000`, one each knows a registry of its own."""
    for place, registry in (
        ("own", "both:5000"),
        ("system", "both:5000"),
        ("own", "o.example"),
        ("system", "s.example"),
    ):
        authority = Authority(tmp_path / "made", f"made-{place}-{registry.partition(':')[0]}")
        folder = tmp_path / place / registry
        folder.mkdir(parents=True)
        shutil.copy(authority.path, folder / "ca.crt")
    return str(tmp_path / "absent"), str(tmp_path / "own"), str(tmp_path / "system")


def test_the_first_usual_folder_that_knows_a_registry_counts_alone(folders: tuple[str, ...]) -> None:
    settings = RegistrySettings(usual_certificates=folders)
    assert trusted("both:5000", settings) == {"made-own-both"}
    assert trusted("s.example", settings) == {"made-system-s.example"}
    assert trusted("both", settings) == trusted("both:443", settings) == set()


def test_the_usual_folders_count_where_the_settings_name_none(folders: tuple[str, ...], tmp_path: Path) -> None:
    named = RegistrySettings(usual_certificates=folders, certificates=f"{tmp_path}/system")
    assert trusted("both:5000", named) == {"made-system-both"}
    beside = RegistrySettings(usual_certificates=folders, ca_file=f"{tmp_path}/made/made-system-s.example.crt")
    assert trusted("both:5000", beside) == {"made-own-both", "made-system-s.example"}
    assert trusted("both:5000", RegistrySettings()) == set()


def test_the_usual_folders_are_those_of_podman_and_docker() -> None:
    system = ("/etc/containers/certs.d", "/etc/docker/certs.d")
    assert usual_folders({"HOME": "/h"}) == (
        "/h/.config/containers/certs.d",
        "/h/.config/docker/certs.d",
        "/h/.docker/certs.d",
        *system,
    )
    assert usual_folders({"HOME": "/h", "XDG_CONFIG_HOME": "/x"})[0] == "/x/containers/certs.d"
    assert usual_folders({}) == system


def test_a_name_that_stands_in_no_subject_alternative_name_counts_for_nobody() -> None:
    """Rule 8.5."""
    assert not tls_context("registry.example", RegistrySettings()).hostname_checks_common_name


def test_a_client_certificate_is_shown_to_its_registry_alone(tmp_path: Path) -> None:
    """T13: a redirect to another host, which asks for one, gets none."""
    authority = Authority(tmp_path)
    certificates, own = authority.certificates(require_client=True), authority.issue("client")
    settings = RegistrySettings(
        plain_http=False,
        ca_file=str(authority.path),
        client_certificate=str(own.certificate),
        client_key=str(own.key),
    )
    limits = structs.replace(QUICK, tries=1)
    with ImprovisingRegistry(tls=certificates) as other, ImprovisingRegistry(tls=certificates) as registry:
        elsewhere = f"https://localhost:{other.host.rpartition(':')[2]}/stored"
        registry.answer = lambda got: Answer(200) if got.path == "/v2/" else Answer(307, {"Location": elsewhere})
        repository = client(registry.host, settings=settings, limits=limits)
        with pytest.raises(RegistryError, match="localhost"):
            repository.fetch_manifest("latest")
        assert registry.received
        assert not other.received
        other.faults.clear()
        # Shown to its own registry, it is taken.
        other.answer = lambda _: Answer(404)
        with pytest.raises(NotFound):
            client(other.host, settings=settings, limits=limits).fetch_manifest("latest")
