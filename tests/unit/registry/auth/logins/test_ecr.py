"""The login of Amazon is that of its own library (BEHAVIOUR 8.2)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tasks.errors import (
    AuthenticationRefused,
    ImagePusherError,
    RegistryUnavailable,
    ResponseInvalid,
)
from tasks.registry.auth.logins import ecr
from tasks.registry.settings import Credentials
from tests.unit.registry.auth.logins.clouds import ECR, PULL, Registry, authentication


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
