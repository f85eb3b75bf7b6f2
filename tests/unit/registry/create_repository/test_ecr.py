"""A repository that is missing is made at Amazon ECR by boto3, against moto's ECR."""

import sys

import boto3
import pytest
from botocore.exceptions import ClientError

from tasks.errors import AuthenticationRefused, ImagePusherError, RequestRefused, SettingsInvalid
from tasks.registry.auth.logins.ecr import Place, place_of
from tasks.registry.create_repository.ecr import create

ACCOUNT = "123456789012"
HOME = Place(ACCOUNT, "eu-west-1")


@pytest.mark.parametrize(
    ("host", "place"),
    [
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com", HOME),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Place(ACCOUNT, "us-gov-west-1")),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", Place(ACCOUNT, "cn-north-1")),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", HOME),
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.example.org", None),
        ("public.ecr.aws", None),
        ("quay.io", None),
    ],
)
def test_a_private_registry_of_amazon_is_known_by_its_name(host: str, place: Place | None) -> None:
    assert place_of(host) == place


def test_a_repository_is_made_once(amazon: None) -> None:
    for _ in range(2):
        create(HOME, "team/app", "private")
    found = boto3.client("ecr", region_name="eu-west-1").describe_repositories()["repositories"]
    assert [each["repositoryName"] for each in found] == ["team/app"]


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDeniedException", AuthenticationRefused), ("LimitExceededException", RequestRefused)]
)
def test_a_refusal_is_told_in_the_words_of_amazon(
    code: str, kind: type[ImagePusherError], amazon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.8."""

    def refuse(*_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "not for you"}}, "CreateRepository")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    with pytest.raises(kind, match="not for you"):
        create(HOME, "team/app", "private")


def test_nothing_public_is_made() -> None:
    with pytest.raises(SettingsInvalid, match="visibility"):
        create(HOME, "team/app", "public")


def test_without_the_library_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsInvalid, match=r"'\.\[aws\]'"):
        create(HOME, "team/app", "private")
