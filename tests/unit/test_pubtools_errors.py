"""The exceptions of pubtools-quay: what its callers catch, and the status that they look at."""

import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from tasks import contract, errors
from tasks.pubtools_errors import ManifestTypeError, failure, http_error
from tests.support.workers import environment


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), HTTPStatus.NOT_FOUND),
        (errors.RepositoryMissing("x"), HTTPStatus.NOT_FOUND),
        (errors.AuthenticationRefused("x"), HTTPStatus.UNAUTHORIZED),
        (errors.RightMissing("x"), HTTPStatus.UNAUTHORIZED),
        (errors.RequestRefused("x"), HTTPStatus.BAD_REQUEST),
        (errors.TagImmutable("x"), HTTPStatus.BAD_REQUEST),
        (errors.CopyIncomplete("x"), HTTPStatus.BAD_REQUEST),
        (errors.RateLimited("x"), HTTPStatus.TOO_MANY_REQUESTS),
        (errors.RegistryReadOnly("x"), HTTPStatus.SERVICE_UNAVAILABLE),
        (errors.ResponseInvalid("x"), HTTPStatus.BAD_GATEWAY),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_has_the_status_of_its_kind(error: errors.ImagePusherError, status: int) -> None:
    assert http_error(error).response.status_code == status


def test_the_status_of_the_answer_counts_before_that_of_the_kind() -> None:
    """S7: callers take 401 for an absent image, and 403 for none."""
    error = errors.AuthenticationRefused("x")
    error.status = HTTPStatus.FORBIDDEN
    assert http_error(error).response.status_code == HTTPStatus.FORBIDDEN


def test_a_registry_that_did_not_answer_is_a_connection_error_too() -> None:
    assert isinstance(http_error(errors.RegistryUnavailable("x")), requests.ConnectionError)
    answered = errors.RegistryUnavailable("x")
    answered.status = HTTPStatus.BAD_GATEWAY
    assert not isinstance(http_error(answered), requests.ConnectionError)


@pytest.mark.parametrize(
    ("code", "caught", "status"),
    [
        ("not_found", requests.HTTPError, 404),
        ("source_missing", RuntimeError, None),
        ("right_missing", requests.HTTPError, 401),
        ("quota_exceeded", requests.HTTPError, 400),
        ("registry_unavailable", requests.HTTPError, 503),
        ("index_empty", RuntimeError, None),
    ],
)
def test_a_failed_push_has_the_status_of_its_first_error(
    code: str, caught: type[Exception], status: int | None
) -> None:
    """S7."""
    fault = contract.Fault(code, "x")
    item = contract.ItemReport(source="a.example/a:1", error=fault, tags=[])
    report = contract.PushReport(push_id="p", state="failed", items=[item], totals=contract.Totals())
    error = failure("x", report, {})
    assert isinstance(error, errors.PushFailed)
    assert isinstance(error, RuntimeError)
    assert isinstance(error, caught)
    if status is not None:
        assert isinstance(error, requests.HTTPError)
        assert error.response.status_code == status


def test_a_merge_whose_source_is_missing_is_an_http_error_too() -> None:
    """S7: pubtools-quay reads the source of a merge itself, that of a copy by skopeo."""
    fault = contract.Fault("source_missing", "x")
    item = contract.ItemReport(source="a.example/a:1", error=fault, tags=[])
    report = contract.PushReport(push_id="p", state="failed", items=[item], totals=contract.Totals())
    error = failure("x", report, {}, merge=True)
    assert isinstance(error, requests.HTTPError)
    assert error.response.status_code == HTTPStatus.NOT_FOUND
    assert not isinstance(failure("x", report, {}), requests.HTTPError)


def test_a_merge_of_a_single_image_is_an_error_of_its_type_too() -> None:
    """S7."""
    fault = contract.Fault("single_arch_refused", "x")
    item = contract.ItemReport(source="a.example/a:1", error=fault, tags=[])
    report = contract.PushReport(push_id="p", state="failed", items=[item], totals=contract.Totals())
    error = failure("what failed", report, {"push_id": "p"}, merge=True)
    assert isinstance(error, ManifestTypeError)
    assert (str(error), error.report, error.code) == ("what failed", {"push_id": "p"}, "push_failed")
    assert type(failure("what failed", report, {})) is errors.PushFailed


CATCHES = """
from pubtools._quay import exceptions
from tasks import contract, pubtools_errors

fault = contract.Fault("single_arch_refused", "x")
item = contract.ItemReport(source="a.example/a:1", error=fault, tags=[])
report = contract.PushReport(push_id="p", state="failed", items=[item], totals=contract.Totals())
for error in (
    pubtools_errors.ManifestTypeError("x"),
    pubtools_errors.failure("x", report, {}, merge=True),
):
    assert isinstance(error, exceptions.ManifestTypeError), error
assert isinstance(pubtools_errors.ManifestNotFoundError("x"), exceptions.ManifestNotFoundError)
assert isinstance(pubtools_errors.RegistryAuthError("x"), exceptions.RegistryAuthError)
"""
ORIGINALS = "ManifestTypeError", "ManifestNotFoundError", "RegistryAuthError"


def test_where_pubtools_quay_is_installed_its_own_exceptions_are_raised(tmp_path: Path) -> None:
    """S7: a program may go on importing them from there; its package is stood in for."""
    package = tmp_path / "pubtools" / "_quay"
    package.mkdir(parents=True)
    (package / "exceptions.py").write_text("".join(f"class {name}(Exception): ...\n" for name in ORIGINALS))
    done = subprocess.run(
        [sys.executable, "-c", CATCHES],
        env=environment({"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
