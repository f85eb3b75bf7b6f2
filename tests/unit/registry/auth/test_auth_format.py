"""The format of authentication files of docker and podman (BEHAVIOUR 8.2)."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.registry.auth.auth_format import AuthFile, UnreadableEntry, normalise_key, parse_auth_file
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
        ("https://quay.io/v1", "quay.io"),
        ("https://quay.io/ns-a", "quay.io/ns-a"),
        ("https://quay.io/ns-a/repo/", "quay.io/ns-a/repo"),
        ("https://quay.io/v2/ns-a", "quay.io/v2/ns-a"),
        ("https://index.docker.io/v1/access-token", "docker.io/v1/access-token"),
        ("https://index.docker.io/v1/refresh-token", "docker.io/v1/refresh-token"),
        ("https://registry-1.docker.io/v2/", "docker.io"),
        ("HTTPS://Quay.IO/Ns", "quay.io/Ns"),
        ("https://quay.io:443/v2/", "quay.io:443"),
        ("https://quay.io//", "quay.io"),
        ("https://user:word@quay.io/v1/", "quay.io"),
        ("https://quay.io/ns?x=y#z", "quay.io/ns"),
        ("registry.cluster.:5000", "registry.cluster.:5000"),
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
        (pair(":"), None),
        ({"auth": None, "username": "user", "password": "p"}, Credentials("user", "p")),
        ({"username": "us:er", "password": "p"}, Credentials("us:er", "p")),
        ({"auth": "dXNlcjpw\r\nYXNz\n"}, Credentials("user", "pass")),
        ({"auth": "dXNlcjpwYXM"}, Credentials("user", "pas")),
        ({"auth": "dXNlcjo_Pj8-"}, Credentials("user", "?>?>")),
        (pair("<token>:identity"), Credentials(identity_token="identity")),
        ({"registrytoken": "r"}, Credentials(registry_token="r")),
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


def test_docker_hub_has_three_entries_after_a_login_by_the_browser() -> None:
    auths = {
        "https://index.docker.io/v1/": pair("user:password"),
        "https://index.docker.io/v1/access-token": pair("user:access"),
        "https://index.docker.io/v1/refresh-token": pair("user:refresh"),
    }
    assert parsed({"auths": auths}).find("docker.io", "library/busybox") == Credentials("user", "password")


def test_keys_with_a_scheme_and_a_path_stand_for_that_path_alone() -> None:
    file = parsed({"auths": {"https://quay.io/ns-a": pair("a:p"), "https://quay.io/ns-b": pair("b:p")}})
    found = [file.find("quay.io", repository) for repository in ("ns-a/x", "ns-b/x", "ns-c/x", "")]
    assert found == [Credentials("a", "p"), Credentials("b", "p"), None, None]


@pytest.mark.parametrize("keys", [["https://quay.io", "http://quay.io"], ["http://quay.io", "https://quay.io"]])
def test_https_counts_more_than_http(keys: list[str]) -> None:
    file = parsed({"auths": {key: pair(f"{key.partition(':')[0]}:p") for key in keys}})
    assert file.find("quay.io", "a") == Credentials("https", "p")


def test_an_empty_entry_hides_no_other_of_its_name() -> None:
    file = parsed({"auths": {"quay.io": {}, "https://quay.io/v1/": pair("user:p"), "quay.io/ns": None}})
    assert file.find("quay.io", "ns/a") == Credentials("user", "p")


SPOILED = [
    {"auth": "SECRET!"},
    {"auth": "U0VDUkVU"},
    {"auth": "/////w=="},
    {"auth": ["SECRET"]},
    {"auth": "a"},
    {"username": 7},
    {"identitytoken": {}},
    "SECRET",
    17,
    ["SECRET"],
    False,
]


@pytest.mark.parametrize("entry", SPOILED, ids=repr)
def test_an_entry_that_cannot_be_read_spoils_only_itself(entry: Any) -> None:
    auths = {"quay.io": pair("user:p"), "quay.io/ns": entry, "gcr.io": entry, "ghcr.io": pair("other:p")}
    file = parsed({"auths": auths})
    assert file.find("quay.io", "other") == Credentials("user", "p")
    assert file.find("ghcr.io", "a") == Credentials("other", "p")
    assert file.faults() == ["'gcr.io'", "'quay.io/ns'"]
    for registry, repository in (("gcr.io", "a"), ("quay.io", "ns/a")):
        with pytest.raises(UnreadableEntry) as raised:
            file.find(registry, repository)
        assert registry in str(raised.value)
        assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("name", [7, ["x"], {}, True])
def test_a_helper_without_a_name_spoils_only_itself(name: Any) -> None:
    file = parsed({"credHelpers": {"gcr.io": name, "quay.io": "pass"}, "credsStore": name})
    assert file.helper("quay.io", "ns/a") == ("quay.io", "pass")
    assert file.helper("ghcr.io", "ns/a") is None
    with pytest.raises(UnreadableEntry, match=r"gcr\.io"):
        file.helper("gcr.io", "ns/a")
    with pytest.raises(UnreadableEntry, match="credsStore"):
        file.default_helper()


def test_null_says_that_a_registry_has_no_helper() -> None:
    file = parsed({"credHelpers": {"gcr.io": None, "quay.io": "pass"}, "credsStore": "all"})
    assert file.helper("gcr.io", "a") == ("gcr.io", "")
    assert file.faults() == []


def test_the_helper_of_the_longest_name_counts() -> None:
    file = parsed({"credHelpers": {"quay.io": "one", "https://quay.io/ns": "two"}})
    assert file.helper("quay.io", "ns/a") == ("quay.io/ns", "two")
    assert file.helper("quay.io", "nsx/a") == ("quay.io", "one")


def test_a_key_with_a_password_is_named_without_it() -> None:
    """BEHAVIOUR 6.7."""
    file = parsed({"auths": {"https://user:hunter2@quay.io": {"auth": "?"}}})
    assert file.faults() == ["'https://…@quay.io'"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_passed_over(encoding: str) -> None:
    content = json.dumps({"auths": {"quay.io": pair("user:p")}}).encode(encoding)
    assert parse_auth_file(content).find("quay.io", "a") == Credentials("user", "p")


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf", b"{}"])
def test_a_file_may_say_nothing(content: bytes) -> None:
    assert parse_auth_file(content) == AuthFile()


def test_credentials_are_not_in_a_repr() -> None:
    """BEHAVIOUR 6.7."""
    assert "hunter2" not in repr(parsed({"auths": {"quay.io": pair("user:hunter2")}}))
