"""Who is let in, by which setting."""

import base64
from ipaddress import ip_network

import pytest
from starlette.datastructures import Headers

from tests.unit.workers.page.conftest import LOGIN, Ask
from workers.page.users import User, identify
from workers.settings.page import PageSettings

PROXY = PageSettings(user_header="X-Forwarded-User", proxies=(ip_network("10.0.0.0/8"),))


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (basic("alice:made-up"), "alice"),
        (basic("alice:made-up").replace("Basic", "basic"), "alice"),
        (basic("alice:wrong"), None),
        (basic("alice:"), None),
        (basic("alice"), None),
        (basic("mallory:"), None),
        (basic("mallory"), None),
        ("Basic !", None),
        ("Basic /w==", None),
        ("Bearer made-up", None),
        ("", None),
    ],
)
def test_a_password_lets_in_its_user_alone(header: str, name: str | None) -> None:
    found = identify(PageSettings(logins=LOGIN), Headers({"authorization": header}), "192.0.2.1")
    assert found == (None if name is None else User(name, acts=True))


@pytest.mark.parametrize(
    ("peer", "header", "name"),
    [
        ("10.1.2.3", "bob", "bob"),
        ("10.1.2.3", "", None),
        ("10.1.2.3", "b\nb", None),
        ("10.1.2.3", "b" * 201, None),
        ("192.0.2.1", "bob", None),
        ("testclient", "bob", None),
    ],
)
def test_the_header_of_the_user_counts_from_the_proxy_alone(peer: str, header: str, name: str | None) -> None:
    found = identify(PROXY, Headers({"X-Forwarded-User": header}), peer)
    assert found == (None if name is None else User(name, acts=True))


def test_a_name_that_comes_beside_that_of_the_proxy_is_nobodys() -> None:
    """A proxy may add its header to those of the sender."""
    twice = Headers(raw=[(b"x-forwarded-user", b"admin"), (b"x-forwarded-user", b"bob")])
    assert identify(PROXY, twice, "10.1.2.3") is None


def test_a_refused_login_shows_nothing(ask: Ask) -> None:
    client = ask(logins=LOGIN)
    refused = client.get("/pushes", auth=("alice", "wrong"))
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    assert "Pushes" not in refused.text
    assert client.get("/healthcheck").text == "OK\n"
    assert client.get("/pushes", auth=("alice", "made-up")).status_code == 200


def test_who_comes_past_the_proxy_is_refused(ask: Ask) -> None:
    client = ask("192.0.2.1", user_header="X-Forwarded-User", proxies=PROXY.proxies)
    assert client.get("/pushes", headers={"X-Forwarded-User": "bob"}).status_code == 403
