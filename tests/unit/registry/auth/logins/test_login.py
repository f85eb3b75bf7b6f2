"""The login of a cloud is kept until shortly before its end, for the registries of that cloud alone (BEHAVIOUR 8.2)."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tasks.errors import (
    AddressForbidden,
    AuthenticationRefused,
    RegistryUnavailable,
    SettingsInvalid,
)
from tasks.registry.auth.logins import azure, ecr, google
from tasks.registry.auth.logins.login import CloudLogin, check_host
from tasks.registry.http.expiring_cache import Expiring
from tasks.registry.settings import Credentials, Login, RegistrySettings
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.auth.logins.clouds import AZURE, ECR, GOOGLE, PULL, Registry, Vendor, authentication, bearer
from tests.unit.registry.clients import client, manifest_path


@pytest.mark.usefixtures("workload")
def test_a_registry_is_read_with_a_login() -> None:
    """Both exchanges go the way of all requests to the registry: its TLS, its proxy, its tries."""
    image = b'{"schemaVersion":2}'
    media_type = "application/vnd.oci.image.manifest.v1+json"
    with ScriptedRegistry() as registry:
        asks = {"WWW-Authenticate": f'Bearer realm="{registry.url}/oauth2/token",service="{registry.host}"'}
        latest = manifest_path("latest")
        registry.expect(
            Exchange("GET", "/v2/", Answer(401, asks)),
            Exchange("POST", "/oauth2/exchange", Answer(503)),
            Exchange("POST", "/oauth2/exchange", Answer(200, body=b'{"refresh_token": "identity"}')),
            Exchange("POST", "/oauth2/token", Answer(200, body=b'{"access_token": "access"}')),
            Exchange(
                "GET",
                latest,
                Answer(200, {"Content-Type": media_type}, image),
                request_headers={"Authorization": "Bearer access"},
            ),
        )
        settings = RegistrySettings(credentials=Credentials(login="azure"))
        assert client(registry.host, settings=settings).fetch_manifest("latest").content == image


@pytest.mark.parametrize(
    ("login", "variables"),
    [
        ("ecr", {"AWS_PROFILE": "none"}),
        ("ecr", {"AWS_ENDPOINT_URL": "nonsense"}),
        ("ecr", {"AWS_CA_BUNDLE": "/none"}),
        ("azure", {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "b", "AZURE_CLIENT_CERTIFICATE_PATH": "/none"}),
        ("azure", {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "../b", "AZURE_CLIENT_SECRET": "made-up"}),
        ("azure", {"AZURE_AUTHORITY_HOST": "http://127.0.0.1"}),
    ],
)
def test_variables_of_a_cloud_that_mean_nothing_are_told(
    login: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
    usual |= {"IDENTITY_ENDPOINT": "http://127.0.0.1:9", "IDENTITY_HEADER": "x", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (usual | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises((AuthenticationRefused, RegistryUnavailable), match="gives no login for"):
        ecr.log_in(ECR) if login == "ecr" else azure.log_in(f"https://{AZURE}", Registry(AZURE))


def kept(monkeypatch: pytest.MonkeyPatch, seconds: float) -> tuple[CloudLogin, Callable[[float], None], list[int]]:
    """Return a login whose clock is moved by hand, and the numbers of the logins that it made."""
    made: list[int] = []
    now = 100.0

    def log_in(_registry: str) -> Expiring[Credentials]:
        made.append(len(made))
        return Expiring(Credentials("AWS", str(len(made))), seconds)

    def move(by: float) -> None:
        nonlocal now
        now += by

    monkeypatch.setattr(ecr, "log_in", log_in)
    return CloudLogin(Registry(ECR), lambda: now), move, made


@pytest.mark.parametrize(("life", "margin"), [(43_200, 300), (600, 150), (-5, 15)])
def test_a_login_is_kept_and_renewed_before_it_ends(
    life: float, margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, move, made = kept(monkeypatch, life)
    first = login.credentials("ecr", f"https://{ECR}")
    move(max(life, 60) - margin - 1)
    assert login.credentials("ecr", f"https://{ECR}") is first
    move(2)
    assert login.credentials("ecr", f"https://{ECR}") != first
    assert len(made) == 2


def test_a_password_that_was_refused_is_replaced_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, made = kept(monkeypatch, 3600)
    subject = authentication(ECR, "ecr", Registry(ECR))
    subject.learn('Basic realm="x"', "a", PULL, None)
    sent = subject.header("a", PULL)
    for _ in range(2):
        assert subject.learn('Basic realm="x"', "a", PULL, sent)
        assert subject.header("a", PULL) != sent
    assert len(made) == 2


@pytest.mark.usefixtures("service_account")
def test_a_token_that_the_realm_refuses_is_replaced_once(vendor: Vendor) -> None:
    registry = Registry(GOOGLE)
    registry.statuses = [401, 200, 401, 401]
    subject = authentication(GOOGLE, "google", registry)
    subject.learn(bearer(GOOGLE), "a", PULL, None)
    assert subject.header("a", PULL) == "Bearer t2"
    assert len(vendor.asked) == 2
    with pytest.raises(AuthenticationRefused):
        subject.header("b", frozenset({"repository:b:pull"}))
    assert len(vendor.asked) == 3


@pytest.mark.parametrize(("registry", "login"), [(ECR, "ecr"), (GOOGLE, "google"), (AZURE, "azure")])
@pytest.mark.usefixtures("amazon", "service_account", "workload")
def test_a_realm_on_another_host_gets_nothing(registry: str, login: Login) -> None:
    send = Registry(registry)
    subject = authentication(registry, login, send)
    subject.learn('Bearer realm="https://elsewhere.example/token"', "a", PULL, None)
    with pytest.raises(AddressForbidden, match=registry):
        subject.header("a", PULL)
    assert "https://elsewhere.example/token" not in {url for _, url, _, _ in send.requests}


@pytest.mark.parametrize(
    ("login", "registry", "fits"),
    [
        ("ecr", ECR, True),
        ("ecr", "public.ecr.aws", True),
        ("ecr", f"{ECR}.example.org", False),
        ("google", GOOGLE, True),
        ("google", "gcr.io", True),
        ("google", "eu.gcr.io", True),
        ("google", "pkg.dev", False),
        ("google", "gcr.io.example.org", False),
        ("google", "evilgcr.io", False),
        ("azure", AZURE, True),
        ("azure", "example.azurecr.cn", True),
        ("azure", "example-abc123.westeurope.azurecr.io", True),
        ("azure", "azurecr.io", False),
        ("azure", f"{AZURE}:8443", False),
        ("azure", "example.org", False),
    ],
)
def test_a_login_is_for_the_registries_of_its_cloud(login: Login, registry: str, *, fits: bool) -> None:
    if fits:
        check_host(login, registry)
        return
    with pytest.raises(SettingsInvalid, match=f'login = "{login}" is for .*, and {registry} is not one'):
        check_host(login, registry)


@pytest.mark.parametrize(
    ("module", "extra", "ask"),
    [
        ("boto3", "aws", lambda: ecr.log_in(ECR)),
        ("google.auth", "google", lambda: google.log_in(GOOGLE)),
        ("azure.identity", "azure", lambda: azure.log_in(f"https://{AZURE}", Registry(AZURE))),
    ],
)
def test_without_its_library_the_error_says_how_to_install_it(
    module: str, extra: str, ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsInvalid, match=rf"'\.\[{extra}\]'"):
        ask()


def test_no_library_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, tasks.registry.repository, tasks.push, workers.settings;"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in {'boto3', 'botocore', 'azure', 'msal'}"
        " or name.startswith('google.auth')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
