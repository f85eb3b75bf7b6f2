"""The target settings of pubtools-quay, key by key."""

from typing import Any

import pytest

from tasks.pusher import _public
from tasks.transfer.request.faults import Faults
from tasks.transfer.request.pubtools import CREDENTIAL_PAIRS, USED, meaningless, read_target, secrets, single_arch_of
from tasks.transfer.request.target import Target

# Every key that pubtools-quay reads from its target settings, or that its own tests put there.
USED_HERE = {"quay_host", "quay_namespace", "tag_images_tries", "num_thread_container_push", "allow_v1_containers"}
# The switch for what pubtools-quay dropped later.
OWN = {"merge"}
CREDENTIALS = {"source_quay_user", "source_quay_password", "dest_quay_user", "dest_quay_password"}
OTHERS = {
    "aws_kms_credentials",
    "check_related_images",
    "container_exec",
    "cosign_private_key_path",
    "cosign_public_key_path",
    "cosign_rekor_url",
    "cosign_sbom_skip_upload_rekor",
    "cosign_sbom_skip_verify_rekor",
    "dest_quay_api_token",
    "do_repo_deprecation_check",
    "docker_cert_path",
    "docker_host",
    "docker_settings",
    "docker_timeout",
    "docker_tls_verify",
    "iib_build_timeout",
    "iib_deprecation_list_url",
    "iib_index_image",
    "iib_krb_ktfile",
    "iib_krb_principal",
    "iib_organization",
    "iib_overwrite_from_index",
    "iib_overwrite_from_index_token",
    "iib_server",
    "index_image_quay_password",
    "index_image_quay_user",
    "max_concurrent",
    "num_thread_build_index_images",
    "num_thread_pyxis",
    "num_thread_security_manifest_push",
    "propagated_from",
    "push_security_manifests_enabled",
    "pyxis_server",
    "pyxis_ssl_cert",
    "pyxis_ssl_crtfile",
    "pyxis_ssl_key",
    "pyxis_ssl_keyfile",
    "quay_operator_namespace",
    "quay_operator_repository",
    "quay_parallelism",
    "retry_sleep_time",
    "semaphore_components",
    "semaphore_url",
    "signing",
    "signing_chunk_size",
    "signing_parallelism",
    "skopeo_executor_password",
    "skopeo_executor_username",
    "skopeo_image",
    "ssh_password",
    "ssh_remote_host",
    "source_quay_host",
    "ssh_user",
    "ssl_validation",
    "tag_images_wait_time_increase",
    "verify_bundle_tries",
    "verify_bundle_wait_time_increase",
}
SECRETS = {
    "aws_kms_credentials",
    "dest_quay_api_token",
    "iib_overwrite_from_index_token",
    "index_image_quay_password",
    "skopeo_executor_password",
    "ssh_password",
}


def read(**settings: Any) -> tuple[Target, list[str], list[str]]:
    """Return the target, the fields of the faults, and the warnings."""
    faults, warnings = Faults(), list[str]()
    target = read_target({"quay_namespace": "shop"} | settings, faults, warnings)
    return target, [fault["field"].removeprefix("target_settings.") for fault in faults.found], warnings


def test_the_keys_say_where_and_how() -> None:
    """Rule 1.4."""
    target, faults, warnings = read(
        quay_host="quay.example:8443/",
        quay_namespace="a/b",
        source_quay_host="",
        tag_images_tries=2,
        num_thread_container_push=7,
    )
    assert target == Target(host="quay.example:8443", namespace="a/b", naming="quay", tries=2, jobs=7)
    assert (faults, warnings) == ([], [])


def test_only_the_namespace_is_due() -> None:
    """Rule 1.4."""
    target, faults, warnings = read()
    assert target == Target(host="quay.io", namespace="shop", naming="quay")
    assert (faults, warnings) == ([], [])
    assert read(quay_namespace=None)[1] == ["quay_namespace"]


def test_the_keys_that_are_used_are_those_of_pubtools_quay() -> None:
    assert USED == USED_HERE | OWN
    assert {key for pair in CREDENTIAL_PAIRS[:2] for key in pair} == CREDENTIALS


@pytest.mark.parametrize("key", sorted(OTHERS - SECRETS))
def test_a_key_without_meaning_is_a_warning_that_says_why(key: str) -> None:
    """Rule 1.1: the request is taken as it is."""
    _, faults, (warning,) = read(**{key: "x"})
    assert faults == []
    assert warning == f"Ignored in target_settings: {key} ({meaningless(key)})."


def test_unknown_keys_and_those_without_meaning_are_one_warning() -> None:
    """Rule 1.7."""
    _, faults, (warning,) = read(
        quay_hots="q.example", colour=1, docker_host="x", docker_timeout=5, umb_urls=[], ssh_user=""
    )
    assert faults == []
    assert "quay_hots" in warning
    assert "colour" in warning
    assert "docker_host, docker_timeout (no Docker daemon" in warning
    assert "known are allow_v1_containers" in warning
    assert "ssh_user" not in warning


@pytest.mark.parametrize(("said", "number"), [("4", 4), (" 12 ", 12), (3, 3)])
def test_numbers_may_be_texts(said: Any, number: int) -> None:
    """Rule 1.7."""
    target, faults, warnings = read(tag_images_tries=said, num_thread_container_push=said)
    assert (target.tries, target.jobs, faults, warnings) == (number, number, [], [])


@pytest.mark.parametrize("key", ["tag_images_tries", "num_thread_container_push", "allow_v1_containers", "merge"])
def test_null_says_that_a_setting_is_not_set(key: str) -> None:
    """Rule 1.7."""
    assert read(**{key: None}) == read()


@pytest.mark.parametrize(
    ("said", "allowed"), [(True, "copy"), ("true", "copy"), (False, "refuse"), ("False", "refuse")]
)
def test_single_images_are_copied_where_the_settings_allow_it(said: Any, allowed: str) -> None:
    """Rule 2.2."""
    assert (read(allow_v1_containers=said)[1:], single_arch_of({"allow_v1_containers": said})) == (([], []), allowed)
    assert single_arch_of({}) == "refuse"


def test_merging_can_be_switched_off() -> None:
    """Rule 3.2."""
    assert [read(**said)[0].merge for said in ({}, {"merge": True}, {"merge": False}, {"merge": "false"})] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_a_secret_is_a_fault_and_known_to_be_useless(key: str) -> None:
    """Rule 6.7: a broker would carry it; the Python entry may leave it out, since nothing needs it."""
    _, faults, warnings = read(**{key: "s3cret"})
    assert (faults, warnings) == ([key], [])
    assert meaningless(key)


def test_the_class_takes_everything_that_pubtools_quay_takes() -> None:
    """Rules 1.1 and 6.7: all keys at once, credentials and useless secrets left out of the request."""
    everything: dict[str, Any] = dict.fromkeys(OTHERS, "x") | dict.fromkeys(CREDENTIALS, "s3cret")
    carried = _public(everything | {"quay_host": "q.example/", "quay_namespace": "shop"})
    assert not carried.keys() & (SECRETS | CREDENTIALS)
    target, faults, warnings = read(**carried)
    assert (target.host, target.namespace, faults) == ("q.example", "shop", [])
    assert warnings == []


@pytest.mark.parametrize(("user", "password"), CREDENTIAL_PAIRS)
def test_half_a_credential_pair_is_a_fault(user: str, password: str) -> None:
    """Rule 1.2."""
    for half in ({user: "x"}, {user: "x", password: ""}, {user: "x", password: None}):
        assert read(**half)[1][0] == password
    assert read(**{password: "x"})[1] == [user, password]
    assert read(**{user: "", password: ""})[1] == [password]
    assert read(**{user: "x", password: "y"})[1] == [password]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"tag_images_tries": 0}, "tag_images_tries"),
        ({"tag_images_tries": -1}, "tag_images_tries"),
        ({"tag_images_tries": "0"}, "tag_images_tries"),
        ({"tag_images_tries": "four"}, "tag_images_tries"),
        ({"tag_images_tries": "-1"}, "tag_images_tries"),
        ({"allow_v1_containers": "yes"}, "allow_v1_containers"),
        ({"allow_v1_containers": 1}, "allow_v1_containers"),
        ({"tag_images_tries": 1.5}, "tag_images_tries"),
        ({"tag_images_tries": True}, "tag_images_tries"),
        ({"num_thread_container_push": 0}, "num_thread_container_push"),
        ({"quay_host": ""}, "quay_host"),
        ({"quay_host": "/"}, "quay_host"),
        ({"quay_host": "https://quay.io"}, "quay_host"),
        ({"quay_host": "quay.io/ns"}, "quay_host"),
        ({"quay_host": 1}, "quay_host"),
        ({"quay_host": None}, "quay_host"),
        ({"quay_namespace": ""}, "quay_namespace"),
        ({"quay_namespace": "Shop"}, "quay_namespace"),
        ({"quay_namespace": ["shop"]}, "quay_namespace"),
        ({"password": "x"}, "password"),
        ({"docker_settings": {"registries": [{"Auth": {"password": "x"}}]}}, "docker_settings"),
    ],
)
def test_a_wrong_setting_is_a_fault_that_names_it(settings: dict[str, Any], field: str) -> None:
    """Rule 1.2: a retry count below 1, a typing error, a secret however deep."""
    assert read(**settings)[1] == [field]


def test_secrets_are_found_by_the_names_of_their_keys_however_deep() -> None:
    """Rule 6.7."""
    settings: dict[str, Any] = {
        "dest_quay_password": "x",
        "some_token": None,
        "aws": {"profile": {"aws_secret_access_key": "x"}},
        "list": [1, [{"passphrase": "x"}]],
        "cosign_private_key_path": "/etc/key",
        "pyxis_ssl_key": "/etc/key",
        "signing": [{"label": "x", "enabled": True, "config_file": "y"}],
        "text": "password",
        "none": None,
    }
    assert secrets(settings) == {"dest_quay_password", "some_token", "aws", "list"}
