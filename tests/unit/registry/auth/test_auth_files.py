"""Where authentication files lie, and the reading of them (BEHAVIOUR 8.2)."""

import json
import os
from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from tasks.registry.auth.auth_files import AuthFiles, default_paths
from tasks.registry.auth.auth_format import AuthFile


@pytest.mark.parametrize(
    "content",
    [
        b"SECRET",
        b"[]",
        b'{"auths": []}',
        b'{"auths": {}} SECRET',
        b"\xff\xfeSECRET",
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


def test_the_default_places_are_those_of_podman_skopeo_and_docker() -> None:
    environment = {
        "XDG_RUNTIME_DIR": "/run/user/1",
        "HOME": "/home/user",
    }
    assert list(map(str, default_paths(environment))) == [
        "/run/user/1/containers/auth.json",
        "/home/user/.config/containers/auth.json",
        "/home/user/.docker/config.json",
        "/home/user/.dockercfg",
    ]


def test_variables_take_the_place_of_the_default_files_of_podman_and_docker() -> None:
    environment = {
        "REGISTRY_AUTH_FILE": "/named.json",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "DOCKER_CONFIG": "/docker",
        "HOME": "/home/user",
    }
    assert list(map(str, default_paths(environment))) == [
        "/named.json",
        "/home/user/.config/containers/auth.json",
        "/docker/config.json",
        "/home/user/.dockercfg",
    ]


def test_the_default_places_need_no_variables_but_the_home() -> None:
    assert list(map(str, default_paths({"HOME": "/home/user", "XDG_CONFIG_HOME": "/xdg"}))) == [
        f"/run/containers/{os.getuid()}/auth.json",
        "/xdg/containers/auth.json",
        "/home/user/.docker/config.json",
        "/home/user/.dockercfg",
    ]


def test_a_null_device_is_an_empty_file() -> None:
    assert AuthFiles().read(Path(os.devnull)) == AuthFile()


@pytest.mark.parametrize("below", ["absent", "file/below", "absent/below"])
def test_a_file_that_is_not_there_is_told_from_one_that_cannot_be_read(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        AuthFiles().read(tmp_path / below)


def test_a_dockercfg_is_read_in_its_own_form(tmp_path: Path) -> None:
    path = tmp_path / ".dockercfg"
    path.write_text(json.dumps({"https://quay.io/v1/": {"username": "user", "password": "p"}}))
    found = AuthFiles().read(path).find("quay.io", "ns/repo")
    assert found is not None
    assert found.username == "user"
