"""The login of Google is that of its own library (BEHAVIOUR 8.2)."""

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tasks.errors import (
    AuthenticationRefused,
)
from tasks.registry.auth.logins import google
from tasks.registry.settings import Credentials
from tests.unit.registry.auth.logins.clouds import GOOGLE, PULL, Registry, Vendor, authentication


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
