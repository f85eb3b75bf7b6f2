"""The login of a cloud is that of its own library, kept until shortly before its end (BEHAVIOUR 8.2)."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tasks.errors import (
    AddressForbidden,
    AuthenticationRefused,
    ImagePusherError,
    RegistryUnavailable,
    ResponseInvalid,
    SettingsInvalid,
)
from tasks.registry.auth.authentication import Authentication
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.auth.logins import azure, ecr, google
from tasks.registry.auth.logins.login import CloudLogin, check_host
from tasks.registry.auth.tokens import TokenSource
from tasks.registry.http.expiring_cache import Expiring
from tasks.registry.settings import Credentials, Login, RegistryConfiguration, RegistrySettings
from tests.support.scripted import Answer, Exchange, ImprovisingRegistry, Received, ScriptedRegistry
from tests.unit.registry.clients import client, manifest_path

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GOOGLE = "europe-docker.pkg.dev"
AZURE = "example.azurecr.io"
PULL = frozenset({"repository:a:pull"})


def jwt(seconds: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


@dataclass
class Vendor:
    """The token servers of Google and Azure, as their libraries ask for them."""

    server: ImprovisingRegistry
    asked: list[Received] = field(default_factory=list)
    status: int = 200
    life: int = 3600

    def answer(self, received: Received) -> Answer:
        self.asked.append(received)
        said: dict[str, Any] = {"access_token": f"of-the-cloud-{len(self.asked)}", "token_type": "Bearer"}
        said |= {"expires_in": self.life, "expires_on": str(int(time.time()) + self.life)}
        if self.status != 200:
            said = {"error": "invalid_grant", "error_description": "this account is disabled"}
        return Answer(self.status, {"Content-Type": "application/json"}, json.dumps(said).encode())


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with ImprovisingRegistry() as server:
        found = Vendor(server)
        server.answer = found.answer
        yield found


@pytest.fixture
def service_account(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "made-up",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "pusher@made-up.example",
        "client_id": "1",
        "token_uri": f"{vendor.server.url}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return file


@pytest.fixture
def workload(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the managed identity of an Azure workload."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{vendor.server.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "made-up")


class Registry:
    """A fake `send`: the token server of a registry, which asks for Bearer by itself."""

    def __init__(self, registry: str, identity: str = "") -> None:
        self.url = f"https://{registry}"
        self.identity = identity or jwt(10_800)
        self.requests: list[tuple[str, str, Mapping[str, str], dict[str, list[str]]]] = []
        self.statuses: list[int] = []

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.requests.append((method, url, headers, parse_qs((body or b"").decode())))
        status = self.statuses.pop(0) if self.statuses else 200
        said = {"refresh_token": self.identity} if url.endswith("/exchange") else {"token": f"t{len(self.requests)}"}
        return status, {}, json.dumps(said if status == 200 else {"errors": [{"message": "no"}]}).encode()

    def asked(self) -> list[str]:
        return [f"{method} {url.removeprefix(self.url).partition('?')[0]}" for method, url, _, _ in self.requests]


def authentication(registry: str, login: Login, send: Registry) -> Authentication:
    settings = RegistrySettings(credentials=Credentials(login=login))
    store = CredentialStore(RegistryConfiguration({registry: settings}))
    return Authentication(registry, "destination", store, TokenSource(send), CloudLogin(send))


def bearer(registry: str) -> str:
    return f'Bearer realm="https://{registry}/oauth2/token",service="{registry}"'


@pytest.mark.usefixtures("amazon")
def test_amazon_is_asked_when_the_registry_asks_and_gets_basic() -> None:
    subject = authentication(ECR, "ecr", Registry(ECR))
    assert subject.header("a", PULL) is None
    assert subject.learn('Basic realm="x"', "a", PULL, None)
    password = base64.b64encode(b"AWS:123456789012-auth-token").decode()
    assert subject.header("a", PULL) == f"Basic {password}"
    assert subject.user("a") == ""


def test_the_public_registry_of_amazon_has_an_api_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    token = base64.b64encode(b"AWS:secret").decode()
    data = {"authorizationToken": token, "expiresAt": datetime.now(UTC) + timedelta(hours=12)}

    class Client:
        def get_authorization_token(self) -> dict[str, Any]:
            return {"authorizationData": data}

    asked: list[tuple[str, str]] = []

    def client(service: str, region: str, _purpose: str) -> Client:
        asked.append((service, region))
        return Client()

    monkeypatch.setattr(ecr, "amazon_client", client)
    found = ecr.log_in("public.ecr.aws")
    assert found.value == Credentials("AWS", "secret")
    assert 11.9 * 3600 < found.seconds <= 12 * 3600
    assert asked == [("ecr-public", "us-east-1")]
    data.clear()
    with pytest.raises(ResponseInvalid):
        ecr.log_in("public.ecr.aws")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": "not for you"}}, "GetAuthorizationToken"
            ),
            AuthenticationRefused,
        ),
        (EndpointConnectionError(endpoint_url="https://api.example"), RegistryUnavailable),
    ],
)
@pytest.mark.usefixtures("amazon")
def test_a_refusal_of_amazon_is_told(
    error: Exception, kind: type[ImagePusherError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.8."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    with pytest.raises(kind, match=f"{ECR}.*(not for you|api.example)"):
        ecr.log_in(ECR)


def test_without_credentials_of_amazon_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(AuthenticationRefused, match="boto3 finds no credentials"):
        ecr.log_in(ECR)


@pytest.mark.usefixtures("service_account")
def test_the_login_of_google_is_the_access_token_of_its_account(vendor: Vendor) -> None:
    found = google.log_in(GOOGLE)
    assert found.value == Credentials("oauth2accesstoken", "of-the-cloud-1")
    assert 3500 < found.seconds <= 3600
    claims = parse_qs(vendor.asked[0].body.decode())["assertion"][0].split(".")[1]
    assert "cloud-platform" in json.loads(base64.urlsafe_b64decode(claims + "=="))["scope"]


def test_the_token_of_google_goes_to_the_realm_of_the_registry_alone(service_account: Path) -> None:
    registry = Registry(GOOGLE)
    subject = authentication(GOOGLE, "google", registry)
    subject.learn(f'Bearer realm="https://{GOOGLE}/v2/token",service="{GOOGLE}"', "a", PULL, None)
    assert subject.header("a", PULL) == "Bearer t1"
    ((_, _, headers, _),) = registry.requests
    password = base64.b64encode(b"oauth2accesstoken:of-the-cloud-1").decode()
    assert headers["Authorization"] == f"Basic {password}"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        "not JSON",
        '{"type": "service_account"}',
        '{"type": "impersonated_service_account"}',
        '{"type": "external_account", "audience": 1, "subject_token_type": "x", "credential_source": {"file": ""}}',
    ],
)
def test_a_broken_account_of_google_is_told_and_not_shown(service_account: Path, text: str) -> None:
    service_account.write_text(text)
    with pytest.raises(AuthenticationRefused, match=f"Google gives no login for {GOOGLE}"):
        google.log_in(GOOGLE)


@pytest.mark.usefixtures("service_account")
def test_a_refusal_of_google_is_told(vendor: Vendor) -> None:
    """6.8."""
    vendor.status = 400
    with pytest.raises(AuthenticationRefused, match="this account is disabled"):
        google.log_in(GOOGLE)


@pytest.mark.usefixtures("workload")
def test_the_login_of_azure_takes_two_exchanges(vendor: Vendor) -> None:
    registry = Registry(AZURE)
    subject = authentication(AZURE, "azure", registry)
    subject.learn(bearer(AZURE), "a", PULL, None)
    assert subject.header("a", PULL) == "Bearer t2"
    assert subject.header("a", PULL | {"repository:b:pull"}) == "Bearer t3"
    assert registry.asked() == ["POST /oauth2/exchange", "POST /oauth2/token", "POST /oauth2/token"]
    (_, _, _, exchange), (_, _, _, token), _ = registry.requests
    assert exchange == {"grant_type": ["access_token"], "service": [AZURE], "access_token": ["of-the-cloud-1"]}
    assert (token["grant_type"], token["refresh_token"]) == (["refresh_token"], [registry.identity])
    assert token["scope"] == ["repository:a:pull"]
    assert "resource=https://containerregistry.azure.net" in unquote(vendor.asked[0].target)


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


@pytest.mark.usefixtures("workload")
def test_an_identity_token_of_azure_says_how_long_it_lives() -> None:
    found = azure.log_in(f"https://{AZURE}", Registry(AZURE))
    assert 10_000 < found.seconds <= 10_800
    assert azure.log_in(f"https://{AZURE}", Registry(AZURE, "opaque")).seconds == 1800


@pytest.mark.usefixtures("workload")
def test_a_refusal_of_azure_is_told_and_shows_no_token(vendor: Vendor) -> None:
    """6.8."""
    registry = Registry(AZURE)
    registry.statuses = [401]
    with pytest.raises(AuthenticationRefused, match=f"{AZURE} refused the login of Azure") as refused:
        azure.log_in(f"https://{AZURE}", registry)
    assert "of-the-cloud" not in str(refused.value)
    vendor.status = 400
    with pytest.raises(AuthenticationRefused, match=f"Azure gives no login for {AZURE}"):
        azure.log_in(f"https://{AZURE}", registry)


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


@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("said", [b"{}", b"[]", b'{"refresh_token": ""}', b'{"refresh_token": 1}', b"\xff"])
def test_another_answer_to_the_exchange_is_refused(said: bytes) -> None:
    with pytest.raises(ResponseInvalid, match=AZURE):
        azure.log_in(f"https://{AZURE}", lambda *_: (200, {}, said))


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
