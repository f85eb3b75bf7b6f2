"""The login of Azure is that of its own library (BEHAVIOUR 8.2)."""

from urllib.parse import unquote

import pytest

from tasks.errors import (
    AuthenticationRefused,
    ResponseInvalid,
)
from tasks.registry.auth.logins import azure
from tests.unit.registry.auth.logins.clouds import AZURE, PULL, Registry, Vendor, authentication, bearer


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


@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("said", [b"{}", b"[]", b'{"refresh_token": ""}', b'{"refresh_token": 1}', b"\xff"])
def test_another_answer_to_the_exchange_is_refused(said: bytes) -> None:
    with pytest.raises(ResponseInvalid, match=AZURE):
        azure.log_in(f"https://{AZURE}", lambda *_: (200, {}, said))
