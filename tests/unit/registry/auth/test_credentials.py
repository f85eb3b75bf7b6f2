"""Credentials come from the settings, then the files, then the helpers that they name (BEHAVIOUR 8.2)."""

import base64
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import SettingsInvalid
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistryOverride, RegistrySettings

IN_FILE = Credentials("file", "p")


def pair(user: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:p".encode()).decode()}


class Machine:
    """A home with authentication files and a PATH with helpers."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": f"{home}:{os.defpath}"}

    def write(self, name: str, document: dict[str, Any] | str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def install(self, name: str, script: str) -> None:
        self.write(f"docker-credential-{name}", f"#!/bin/sh\n{script}\n").chmod(0o755)

    def store(self, configuration: RegistryConfiguration | None = None) -> CredentialStore:
        return CredentialStore(configuration or RegistryConfiguration(), environment=self.environment)

    def explicit(self, *paths: Path) -> CredentialStore:
        return self.store(RegistryConfiguration(auth_files=tuple(map(str, paths))))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nobody_is_known_on_an_empty_machine(machine: Machine) -> None:
    assert machine.store().find("quay.io", "a/b", "source") is None


def test_the_settings_count_more_than_any_file_and_differ_by_role(machine: Machine) -> None:
    """BEHAVIOUR 8.1: one registry with different credentials for source and destination."""
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file")}})
    settings = RegistrySettings(source_credentials=Credentials("reader", "r"))
    store = machine.store(
        RegistryConfiguration(
            {"quay.io": settings}, destination_override=RegistryOverride(credentials=Credentials("writer", "w"))
        )
    )
    assert store.find("quay.io", "a", "source") == Credentials("reader", "r")
    assert store.find("quay.io", "a", "destination") == Credentials("writer", "w")


def test_the_files_serve_where_the_settings_say_nothing(machine: Machine) -> None:
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file")}})
    assert machine.store().find("quay.io", "a", "source") == IN_FILE
    assert machine.store().find("gcr.io", "a", "source") is None


def test_empty_credentials_in_the_settings_mean_anonymous(machine: Machine) -> None:
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file")}})
    store = machine.store(RegistryConfiguration({"quay.io": RegistrySettings(credentials=Credentials())}))
    assert store.find("quay.io", "a", "source") is None


def test_the_first_default_file_that_knows_the_registry_counts(machine: Machine) -> None:
    machine.write("run/containers/auth.json", {"auths": {"gcr.io": pair("first")}})
    machine.write(".config/containers/auth.json", {"auths": {"gcr.io": pair("no"), "quay.io/ns": pair("second")}})
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("third")}})
    store = machine.store()
    assert store.find("gcr.io", "a", "source") == Credentials("first", "p")
    assert store.find("quay.io", "ns/a", "source") == Credentials("second", "p")
    assert store.find("quay.io", "other/a", "source") == Credentials("third", "p")


def test_named_files_stand_in_for_the_default_ones(machine: Machine) -> None:
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file"), "gcr.io": pair("file")}})
    store = machine.explicit(machine.write("named.json", {"auths": {"quay.io": pair("named")}}))
    assert store.find("quay.io", "a", "source") == Credentials("named", "p")
    assert store.find("gcr.io", "a", "source") is None


def test_a_login_while_the_process_runs_is_seen(machine: Machine) -> None:
    store = machine.store()
    assert store.find("quay.io", "a", "source") is None
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file")}})
    assert store.find("quay.io", "a", "source") == IN_FILE


@pytest.mark.parametrize("content", [None, "SECRET"])
def test_a_named_file_that_is_missing_or_broken_is_an_error(machine: Machine, content: str | None) -> None:
    path = machine.home / "named.json"
    if content:
        path.write_text(content)
    with pytest.raises(SettingsInvalid, match=str(path)) as raised:
        machine.explicit(path).find("quay.io", "a", "source")
    assert "SECRET" not in str(raised.value)


def test_a_broken_default_file_is_skipped_with_one_warning(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    broken = machine.write("run/containers/auth.json", "SECRET")
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file")}})
    store = machine.store()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert store.find("quay.io", "a", "source") == IN_FILE
    (record,) = caplog.records
    assert str(broken) in record.getMessage()
    assert "SECRET" not in record.getMessage()


def test_the_helper_of_a_registry_counts_more_than_an_entry_and_that_more_than_the_helper_of_all(
    machine: Machine,
) -> None:
    machine.install("own", """echo '{"Username": "own", "Secret": "p"}'""")
    machine.install("all", """echo '{"Username": "all", "Secret": "p"}'""")
    machine.write(
        ".docker/config.json",
        {
            "auths": {"gcr.io": pair("file"), "quay.io": pair("file"), "ghcr.io": {}},
            "credHelpers": {"gcr.io": "own", "off.io": ""},
            "credsStore": "all",
        },
    )
    store = machine.store()
    found = {host: store.find(host, "a", "source") for host in ("gcr.io", "quay.io", "ghcr.io", "off.io")}
    assert {host: each.username if each else None for host, each in found.items()} == {
        "gcr.io": "own",
        "quay.io": "file",
        "ghcr.io": "all",
        "off.io": None,
    }


@pytest.mark.parametrize("server", ["https://index.docker.io/v1/", "docker.io"])
def test_docker_hub_is_known_to_helpers_by_either_name(machine: Machine, server: str) -> None:
    machine.install(
        "all",
        f"""test "$(cat)" = {server} && echo '{{"Username": "hub", "Secret": "p"}}' && exit
        echo 'credentials not found in native keychain'; exit 1""",
    )
    machine.write(".docker/config.json", {"credsStore": "all"})
    assert machine.store().find("docker.io", "library/a", "source") == Credentials("hub", "p")


def test_a_registry_whose_own_helper_fails_is_an_error(machine: Machine) -> None:
    path = machine.write(".docker/config.json", {"credHelpers": {"gcr.io": "absent"}})
    with pytest.raises(SettingsInvalid, match=str(path)):
        machine.store().find("gcr.io", "a", "source")
    assert machine.store().find("quay.io", "a", "source") is None


def test_a_helper_of_all_that_fails_is_skipped_in_a_default_file(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    path = machine.write(".docker/config.json", {"credsStore": "absent"})
    with caplog.at_level(logging.WARNING):
        assert machine.store().find("quay.io", "a", "source") is None
    assert str(path) in caplog.text


def test_a_helper_of_all_that_fails_is_an_error_in_a_named_file(machine: Machine) -> None:
    path = machine.write("named.json", {"credsStore": "absent"})
    with pytest.raises(SettingsInvalid, match=str(path)):
        machine.explicit(path).find("quay.io", "a", "source")


def test_an_entry_that_cannot_be_read_is_told_once_and_refused_where_it_is_wanted(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    path = machine.write(
        ".docker/config.json", {"auths": {"quay.io": pair("file"), "gcr.io": {"auth": "SECRET"}, "x.io": ["SECRET"]}}
    )
    store = machine.store()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert store.find("quay.io", "a", "source") == IN_FILE
    (record,) = caplog.records
    assert record.getMessage() == (
        f"The authentication file {path} has entries that cannot be read: 'gcr.io', 'x.io'. They are skipped."
    )
    with pytest.raises(SettingsInvalid, match=r"'gcr\.io'") as raised:
        store.find("gcr.io", "a", "source")
    assert str(path) in str(raised.value)
    assert "SECRET" not in str(raised.value)


def test_a_helper_is_asked_by_all_that_a_registry_may_be_filed_under(machine: Machine) -> None:
    machine.install(
        "all",
        """test "$(cat)" = https://quay.io && echo '{"Username": "all", "Secret": "p"}' && exit
        echo 'credentials not found in native keychain'; exit 1""",
    )
    machine.write(".docker/config.json", {"credsStore": "all", "auths": {"https://quay.io": {}}})
    assert machine.store().find("quay.io", "a", "source") == Credentials("all", "p")
    assert machine.store().find("gcr.io", "a", "source") is None


def test_a_helper_may_be_named_for_a_part_of_a_registry(machine: Machine) -> None:
    machine.install("own", """printf '{"Username": "%s", "Secret": "p"}' "$(cat)" """)
    machine.write(".docker/config.json", {"credHelpers": {"quay.io/ns": "own"}, "auths": {"quay.io": pair("file")}})
    store = machine.store()
    assert store.find("quay.io", "ns/a", "source") == Credentials("quay.io/ns", "p")
    assert store.find("quay.io", "other/a", "source") == IN_FILE


def test_a_variable_may_hold_the_content_of_a_file(machine: Machine) -> None:
    """I: the jobs of GitLab, and docker, have their credentials there."""
    machine.install("own", """printf '{"Username": "%s", "Secret": "p"}' "$(cat)" """)
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("other"), "ghcr.io": pair("file")}})
    document = {"auths": {"quay.io": pair("variable"), "x.io/ns": pair("ns")}, "credHelpers": {"gcr.io": "own"}}
    machine.environment["DOCKER_AUTH_CONFIG"] = json.dumps(document)
    store = machine.store()
    found = {name: store.find(name, "ns/a", "source") for name in ("quay.io", "x.io", "gcr.io", "ghcr.io", "none.io")}
    assert found == {
        "quay.io": Credentials("variable", "p"),
        "x.io": Credentials("ns", "p"),
        "gcr.io": Credentials("gcr.io", "p"),
        "ghcr.io": IN_FILE,
        "none.io": None,
    }


def test_files_that_are_named_count_in_place_of_the_variable(machine: Machine) -> None:
    machine.environment["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"quay.io": pair("variable")}})
    path = machine.write("named.json", {"auths": {"quay.io": pair("file")}})
    assert machine.explicit(path).find("quay.io", "a", "source") == IN_FILE
    assert machine.explicit(machine.write("none.json", "{}")).find("quay.io", "a", "source") is None


@pytest.mark.parametrize("content", ["SECRET", "[]", '{"auths": ["SECRET"]}', "/run/SECRET.json", "\udcffSECRET"])
def test_a_broken_variable_is_skipped_with_a_warning(
    machine: Machine, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    machine.write(".docker/config.json", {"auths": {"quay.io": pair("file")}})
    machine.environment["DOCKER_AUTH_CONFIG"] = content
    store = machine.store()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert store.find("quay.io", "a", "source") == IN_FILE
    (record,) = caplog.records
    assert (
        record.getMessage() == "The variable DOCKER_AUTH_CONFIG is not JSON as in docker's config.json. It is skipped."
    )


def test_an_entry_of_the_variable_that_cannot_be_read_is_refused_where_it_is_wanted(machine: Machine) -> None:
    machine.environment["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"quay.io": {"auth": "SECRET"}}})
    with pytest.raises(SettingsInvalid, match=r"The variable DOCKER_AUTH_CONFIG has an entry for 'quay\.io'") as raised:
        machine.store().find("quay.io", "a", "source")
    assert "SECRET" not in str(raised.value)


def test_why_a_helper_fails_is_told(machine: Machine) -> None:
    machine.install("own", "echo 'the vault is sealed'; exit 1")
    path = machine.write(".docker/config.json", {"credHelpers": {"gcr.io": "own"}})
    with pytest.raises(
        SettingsInvalid, match="docker-credential-own ended with status 1: the vault is sealed"
    ) as raised:
        machine.store().find("gcr.io", "a", "source")
    assert str(path) in str(raised.value)


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=6)
        | st.sampled_from(["Og==", "dTpw", "own", "\0"]),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["auths", "quay.io", "https://quay.io/ns", "auth", "username", "credHelpers", "credsStore"]
                ),
                inner,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_file_may_hold_anything(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """It is read, skipped, or named by SettingsInvalid; never a traceback."""
    machine = Machine(tmp_path_factory.getbasetemp() / "any")
    path = machine.write("auth.json", "")
    path.write_bytes(content)
    machine.environment["REGISTRY_AUTH_FILE"] = str(path)
    machine.environment["DOCKER_AUTH_CONFIG"] = os.fsdecode(content)
    for store in (machine.store(), machine.explicit(path)):
        with suppress(SettingsInvalid):
            store.find("quay.io", "ns/app", "source")
