"""Authentication files of docker and podman (BEHAVIOUR 8.2)."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import SettingsInvalid
from tasks.registry.auth.auth_files import AuthFile, AuthFiles, default_paths, normalise_key, parse_auth_file
from tasks.registry.settings import Credentials


def pair(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def parsed(document: dict[str, Any]) -> AuthFile:
    return parse_auth_file(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("quay.io", "quay.io"),
        ("Quay.IO", "quay.io"),
        ("quay.io/", "quay.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://quay.io", "quay.io"),
        ("https://quay.io/v1/", "quay.io"),
        ("http://quay.io:8080/v2/", "quay.io:8080"),
        ("quay.io/v1/", "quay.io"),
        ("quay.io/ns/repo", "quay.io/ns/repo"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io/library/busybox", "docker.io/library/busybox"),
        ("[::1]:5000/ns", "[::1]:5000/ns"),
        ("", ""),
    ],
)
def test_a_key_names_a_registry_or_a_part_of_one(key: str, normal: str) -> None:
    assert normalise_key(key) == normal


@pytest.mark.parametrize(
    ("entry", "credentials"),
    [
        (pair("user:pass"), Credentials("user", "pass")),
        (pair("user:pa:ss:word"), Credentials("user", "pa:ss:word")),
        (pair("üser:pässword"), Credentials("üser", "pässword")),
        (pair("user:padded\0\0"), Credentials("user", "padded")),
        ({"username": "user", "password": "p"}, Credentials("user", "p")),
        ({"identitytoken": "i"}, Credentials(identity_token="i")),
        ({**pair("user:"), "identitytoken": "i"}, Credentials("user", "", "i")),
        ({**pair("user:pass"), "username": "other", "password": "x", "email": "e"}, Credentials("user", "pass")),
        ({}, None),
        (None, None),
        ({"auth": ""}, None),
    ],
)
def test_an_entry_holds_a_user_or_an_identity_token(entry: Any, credentials: Credentials | None) -> None:
    assert parsed({"auths": {"quay.io": entry}}).find("quay.io", "a/b") == credentials


@pytest.mark.parametrize(
    ("repository", "user"),
    [
        ("ns/repo", "repo"),
        ("ns/repo/below", "repo"),
        ("ns/repository", "ns"),
        ("ns", "ns"),
        ("other/repo", "host"),
        ("", "host"),
    ],
)
def test_the_longest_name_wins(repository: str, user: str) -> None:
    auths = {"quay.io": pair("host:p"), "quay.io/ns": pair("ns:p"), "quay.io/ns/repo": pair("repo:p")}
    assert parsed({"auths": auths}).find("quay.io", repository) == Credentials(user, "p")


def test_a_name_of_another_registry_does_not_count() -> None:
    file = parsed({"auths": {"quay.io:443": pair("a:b"), "x.quay.io": pair("a:b"), "io": pair("a:b")}})
    assert file.find("quay.io", "ns/repo") is None


@pytest.mark.parametrize("keys", [["quay.io", "https://quay.io/v1/"], ["https://quay.io/v1/", "quay.io"]])
def test_a_bare_host_counts_more_than_a_url(keys: list[str]) -> None:
    file = parsed({"auths": {key: pair(f"{len(key)}:p") for key in keys}})
    assert file.find("quay.io", "a") == Credentials("7", "p")


def test_docker_hub_is_found_under_its_old_name() -> None:
    file = parsed({"auths": {"https://index.docker.io/v1/": pair("user:p")}})
    assert file.find("docker.io", "library/busybox") == Credentials("user", "p")


def test_helpers_are_named_by_host_and_for_all() -> None:
    file = parsed({"credsStore": "desktop", "credHelpers": {"https://index.docker.io/v1/": "pass", "gcr.io": "gcloud"}})
    assert (file.store, file.helpers) == ("desktop", {"docker.io": "pass", "gcr.io": "gcloud"})


def test_members_that_mean_nothing_here_are_passed_over() -> None:
    file = parsed({"auths": None, "credHelpers": None, "credsStore": None, "HttpHeaders": {"x": "y"}, "proxies": []})
    assert file == AuthFile()


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["auths", "quay.io", "auth", "credHelpers", "identitytoken"]),
            inner,
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_content_of_any_kind_is_read_or_is_a_value_error(content: bytes) -> None:
    try:
        parse_auth_file(content)
    except ValueError:
        return


@pytest.mark.parametrize(
    "content",
    [
        b"SECRET",
        b"[]",
        b'{"auths": []}',
        b'{"auths": {"quay.io": {"auth": "SECRET!"}}}',
        b'{"auths": {"quay.io": {"auth": "U0VDUkVU"}}}',
        b'{"auths": {"quay.io": {"auth": "/////w=="}}}',
        b'{"auths": {"quay.io": {"auth": ["SECRET"]}}}',
        b"{}" + b" " * (1024 * 1024 - 1),
        b'{"auths":' * 50_000,
    ],
)
def test_a_broken_file_is_named_and_never_quoted(tmp_path: Path, content: bytes) -> None:
    """BEHAVIOUR 6.7."""
    path = tmp_path / "auth.json"
    path.write_bytes(content)
    with pytest.raises(SettingsInvalid) as raised:
        AuthFiles().read(path)
    assert str(path) in str(raised.value)
    assert "SECRET" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop"])
def test_what_is_not_a_readable_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "auth.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    with pytest.raises(SettingsInvalid, match=str(path)):
        AuthFiles().read(path)


def test_a_file_is_read_once_and_again_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"credsStore": "first"}))
    files = AuthFiles()
    first = files.read(path)
    assert files.read(path) is first
    path.write_text(json.dumps({"credsStore": "other"}))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))
    assert files.read(path).store == "other"
    path.write_text("broken")
    with pytest.raises(SettingsInvalid):
        files.read(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files.read(path)


def test_credentials_are_not_in_a_repr() -> None:
    """BEHAVIOUR 6.7."""
    assert "hunter2" not in repr(parsed({"auths": {"quay.io": pair("user:hunter2")}}))


def test_the_default_places_are_those_of_podman_skopeo_and_docker() -> None:
    environment = {
        "REGISTRY_AUTH_FILE": "/named.json",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "DOCKER_CONFIG": "/docker",
        "HOME": "/home/user",
    }
    assert list(map(str, default_paths(environment))) == [
        "/named.json",
        "/run/user/1/containers/auth.json",
        "/home/user/.config/containers/auth.json",
        "/docker/config.json",
        "/home/user/.docker/config.json",
    ]


def test_the_default_places_need_no_variables_but_the_home() -> None:
    assert list(map(str, default_paths({"HOME": "/home/user", "XDG_CONFIG_HOME": "/xdg"}))) == [
        f"/run/containers/{os.getuid()}/auth.json",
        "/xdg/containers/auth.json",
        "/home/user/.docker/config.json",
    ]
