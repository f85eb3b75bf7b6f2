"""Settings of the page of pushes: on loopback and closed to others, unless they say otherwise."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from workers.page.serve import serve
from workers.settings import load_settings
from workers.settings.observability import Address
from workers.settings.page import PageSettings

HOME = {"HOME": "/home/someone"}


def read(folder: Path, text: str, **environment: str) -> PageSettings:
    (folder / "imagepusher.toml").write_text(text)
    return load_settings(HOME | environment, str(folder / "imagepusher.toml")).page


def test_it_serves_loopback_and_knows_nobody() -> None:
    page = load_settings(HOME).page
    assert (page.address, page.logins, page.user_header) == (Address("127.0.0.1", 5556), {}, None)
    assert not page.is_exposed
    assert not page.knows_users
    assert not page.anonymous_actions
    assert page.trusts("127.0.0.1")
    assert page.trusts("::1")
    assert not page.trusts("192.0.2.1")


def test_a_file_says_who_may_act_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "logins").write_text("alice:made:up\n\nbob:other\n")
    (tmp_path / "logins").chmod(0o600)
    text = """
        [page]
        address = "[::1]:80"
        login_file = "logins"
        user_header = "X-Forwarded-User"
        proxies = ["10.0.0.0/8"]
        url = "https://Pushes.example.com/"
        flower_url = "http://flower.example:5555"
        trace_url = "http://traces.example/?q={push_id}"
    """
    page = read(tmp_path, text, IMAGEPUSHER_PAGE_ADDRESS=":8080")
    assert page == PageSettings(
        address=Address("", 8080),
        logins={"alice": "made:up", "bob": "other"},
        user_header="X-Forwarded-User",
        proxies=(ip_network("10.0.0.0/8"),),
        origin="https://pushes.example.com",
        flower_url="http://flower.example:5555",
        trace_url="http://traces.example/?q={push_id}",
    )
    assert page.is_exposed
    assert "made:up" not in repr(page)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("address = 'here'", "page.address: 'here' is not an address"),
        ("login_file = 'none'", "page.login_file: "),
        ("login_file = 'half'", "page.login_file: each line must be user:password"),
        ("user_header = 'X User'", "page.user_header: 'X User' is no name of a header"),
        ("proxies = ['proxy.example']", "page.proxies: 'proxy.example' is neither an address nor a network"),
        ("url = 'pushes.example'", "page.url: expected a URL"),
        ("flower_url = 'http://user:secret@flower.example'", "page.flower_url: expected a URL"),
        ("trace_url = 'javascript:alert(1)'", "page.trace_url: expected a URL"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "half").write_text("alice\n")
    with pytest.raises(SettingsInvalid) as refused:
        read(tmp_path, f"[page]\n{text}\n")
    assert told in str(refused.value)
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize("address", [":5556", "0.0.0.0:5556", "192.0.2.1:5556"])
def test_nothing_is_served_to_others_without_a_login(address: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"page\.login_file"):
        serve(load_settings(HOME | {"IMAGEPUSHER_PAGE_ADDRESS": address}), lambda _: None)
