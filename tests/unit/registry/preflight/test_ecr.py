"""The mutability of tags at Amazon ECR, and what is asked of it, against moto's ECR."""

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from tasks.errors import TagImmutable
from tasks.oci.digest import digest_of
from tasks.registry.preflight.ecr import TagMutability
from tasks.registry.preflight.preflight import Preflight, api_of
from tasks.registry.preflight.questions import Wish
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistrySettings

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
LOGIN = RegistrySettings(credentials=Credentials(login="ecr"))
WISH = Wish(digest_of(b""), lambda: 0)


def repository(name: str = "team/app", settings: RegistrySettings = LOGIN) -> Repository:
    return Registries(RegistryConfiguration({HOST: settings})).repository(HOST, name, "destination")


@pytest.mark.parametrize(
    ("setting", "exclusions", "kept", "free"),
    [
        ("MUTABLE", (), "", "1 latest"),
        ("IMMUTABLE", (), "1 latest", ""),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*", "latest"), "1 dev latest2", "dev- dev-1 latest"),
        ("MUTABLE_WITH_EXCLUSION", ("v*.*", "prod"), "v1.2 prod", "v1 latest v1x2 prod-1"),
    ],
)
def test_which_tags_are_kept(setting: str, exclusions: tuple[str, ...], kept: str, free: str) -> None:
    mutability = TagMutability(setting, exclusions)
    assert [tag for tag in f"{kept} {free}".split() if mutability.keeps(tag)] == kept.split()


def test_the_rules_of_a_repository_are_asked_once(amazon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ecr = boto3.client("ecr", region_name="eu-west-1")
    ecr.create_repository(
        repositoryName="team/app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
    )
    preflight = Preflight()
    repository().require_writable(preflight, WISH, tag="dev-1")
    repository().require_writable(preflight, WISH, tag=None)
    ecr.put_image_tag_mutability(repositoryName="team/app", imageTagMutability="MUTABLE")
    with pytest.raises(TagImmutable, match=r"team/app:v1 may not move: .*IMMUTABLE_WITH_EXCLUSION"):
        repository().require_writable(preflight, WISH, tag="v1")
    repository().require_writable(Preflight(), WISH, tag="v1")


def test_a_repository_that_does_not_exist_yet_has_no_rule(amazon: None, caplog: pytest.LogCaptureFixture) -> None:
    repository("team/new").require_writable(Preflight(), WISH, tag="v1")
    assert caplog.messages == []


def test_amazon_that_does_not_answer_stops_nothing(
    amazon: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def fail(*_: object) -> None:
        asked.append(1)
        raise EndpointConnectionError(endpoint_url="https://ecr.eu-west-1.amazonaws.com")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", fail)
    preflight = Preflight()
    for tag in ("1", "2"):
        repository().require_writable(preflight, WISH, tag=tag)
    assert len(asked) == len(caplog.messages) == 1
    assert HOST in caplog.messages[0]


@pytest.mark.parametrize(
    ("settings", "api"),
    [
        (RegistrySettings(), None),
        (RegistrySettings(credentials=Credentials("AWS", "a token of some other program")), None),
        (LOGIN, "ecr"),
        (RegistrySettings(api="ecr"), "ecr"),
        (RegistrySettings(api_token="t"), "quay"),
        (RegistrySettings(api_token="t", api="none"), "none"),
        (RegistrySettings(api="harbor"), "harbor"),
        (RegistrySettings(credentials=Credentials(login="google")), None),
    ],
)
def test_which_api_the_settings_give_access_to(settings: RegistrySettings, api: str | None) -> None:
    assert api_of(settings) == api
