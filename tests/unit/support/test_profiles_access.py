import base64
import json
from dataclasses import replace
from typing import Any

import pytest
import requests

from tests.support import images
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.unit.support.profile_client import NAME, USERS, PlainClient, code, serving

ONE = images.image()
LOGIN = ("writer", "secret")


def ask(registry: ProfileRegistry, scope: str, login: tuple[str, str] | None = LOGIN) -> requests.Response:
    return requests.get(
        registry.tokens.realm, params={"service": registry.tokens.service, "scope": scope}, auth=login, timeout=30
    )


def access(answer: requests.Response) -> list[dict[str, Any]]:
    """Return what a token says of itself, as a client may read it."""
    claims = answer.json()["token"].split(".")[1]
    found: list[dict[str, Any]] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["access"]
    return found


def test_a_registry_with_tokens_says_where_to_get_one_and_for_what() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        for method, path, scope in (
            ("GET", "/manifests/1", "pull"),
            ("POST", "/blobs/uploads/", "pull,push"),
        ):
            answer = requests.request(method, f"{registry.url}/v2/{NAME}{path}", timeout=30)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == (
                f'Bearer realm="{registry.url}/v2/auth",service="{registry.host}",scope="repository:{NAME}:{scope}"'
            )


def test_tokens_end() -> None:
    with serving(profiles.QUAY) as client:
        client.registry.put(NAME, ONE, "1")
        auth = client.registry.auth("writer", NAME)
        assert client.send("GET", "/manifests/1", auth=auth).status_code == 200
        client.registry.clock.advance(301)
        refused = client.send("GET", "/manifests/1", auth=auth)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


def test_quays_token_server_makes_the_repository_when_push_is_asked_and_not_before() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        assert access(ask(registry, f"repository:{NAME}:pull"))[0]["actions"] == []
        assert registry.store.repositories == {}
        assert access(ask(registry, f"repository:{NAME}:pull,push"))[0]["actions"] == ["pull", "push"]
        assert registry.store.repositories[NAME].private
        anonymous = PlainClient(registry, user=None)
        assert anonymous.get("1").status_code == 401


def test_a_repository_that_does_not_exist() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        refused = PlainClient(registry).get("1")
        assert code(refused) == (401, "UNAUTHORIZED")
        assert f'scope="repository:{NAME}:pull"' in refused.headers["WWW-Authenticate"]
    for profile in (profiles.HARBOR, profiles.STRICT, profiles.ECR):
        with ProfileRegistry(profile, users=USERS) as registry:
            assert code(PlainClient(registry).get("1")) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    ("profile", "status"),
    [(profiles.STRICT, 202), (profiles.ECR, 404), (profiles.ECR_CREATE_ON_PUSH, 202), (profiles.HARBOR, 202)],
    ids=lambda each: getattr(each, "name", ""),
)
def test_who_makes_a_repository(profile: Profile, status: int) -> None:
    with ProfileRegistry(profile, users=USERS) as registry:
        assert PlainClient(registry).start().status_code == status
        assert (NAME in registry.store.repositories) is (status == 202)


def test_a_namespace_that_does_not_exist() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS, namespaces={"other"}) as registry:
        answer = ask(registry, f"repository:{NAME}:pull,push")
        assert (answer.status_code, access(answer)[0]["actions"]) == (200, [])
        assert PlainClient(registry).start().status_code == 401
    with ProfileRegistry(profiles.HARBOR, users=USERS, namespaces={"other"}) as registry:
        refused = PlainClient(registry).start()
        assert code(refused) == (404, "NOT_FOUND")
        assert refused.json()["errors"][0]["message"] == "project team not found"


def test_a_disabled_namespace_is_told_by_the_token_server() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        registry.disabled_namespaces.add("team")
        answer = ask(registry, f"repository:{NAME}:pull")
        assert code(answer) == (405, "DENIED")
        assert "Namespace team has been disabled" in answer.json()["errors"][0]["message"]
        assert [each.status for each in registry.tokens.asked] == [405]


def test_a_user_who_may_only_read_gets_a_token_that_says_so() -> None:
    def only_pull(_user: str | None, _name: str, actions: frozenset[str]) -> frozenset[str]:
        return actions & {"pull"}

    for profile, status in ((profiles.QUAY, 401), (profiles.GHCR, 403)):
        with serving(profile, policy=only_pull) as client:
            assert access(ask(client.registry, f"repository:{NAME}:pull,push"))[0]["actions"] == ["pull"]
            refused = client.start()
            assert refused.status_code == status
            assert ("scope" in refused.headers.get("WWW-Authenticate", "")) is (status == 401)
            assert client.get("1").status_code == 404


@pytest.mark.parametrize("login", [("writer", "wrong"), ("nobody", "secret")])
def test_a_wrong_login(login: tuple[str, str]) -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        assert code(ask(registry, f"repository:{NAME}:pull", login)) == (401, "UNAUTHORIZED")
    with ProfileRegistry(profiles.ZOT, users=USERS) as registry:
        answer = requests.get(f"{registry.url}/v2/", auth=login, timeout=30)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_basic_lets_users_in_and_anonymous_clients_read_where_they_may() -> None:
    for profile, status in ((profiles.ZOT, 200), (profiles.ECR, 401)):
        with ProfileRegistry(profile, users=USERS) as registry:
            registry.put(NAME, ONE, "1")
            assert PlainClient(registry).get("1").status_code == 200
            assert PlainClient(registry, user=None).get("1").status_code == status
            assert PlainClient(registry, user=None).start().status_code == 401


def test_azures_token_comes_in_two_steps() -> None:
    with ProfileRegistry(profiles.AZURE, users=USERS) as registry:
        form = {"grant_type": "access_token", "service": registry.host, "access_token": "secret"}
        first = requests.post(f"{registry.url}/oauth2/exchange", data=form, timeout=30).json()["refresh_token"]
        form = {
            "grant_type": "refresh_token",
            "service": registry.host,
            "refresh_token": first,
            "scope": f"repository:{NAME}:pull,push",
        }
        token = requests.post(registry.tokens.realm, data=form, timeout=30).json()["access_token"]
        base = f"{registry.url}/v2/{NAME}"
        answer = requests.post(f"{base}/blobs/uploads/", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert answer.status_code == 202
        wrong = requests.post(registry.tokens.realm, data=form | {"refresh_token": "x"}, timeout=30)
        assert wrong.status_code == 401


def test_answers_that_are_none_of_a_registry() -> None:
    for broken, status in (("login_page", 200), ("no_challenge", 401)):
        rules = replace(profiles.STRICT.access, broken=broken)  # type: ignore[arg-type]
        with serving(replace(profiles.STRICT, access=rules)) as client:
            answer = client.get("1")
            assert answer.status_code == status
            assert "WWW-Authenticate" not in answer.headers
            assert ("html" in answer.headers["Content-Type"]) is (broken == "login_page")


def test_a_token_for_another_service_or_one_scope_twice_is_a_fault_of_the_client() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS) as registry:
        scope = f"repository:{NAME}:pull"
        requests.get(registry.tokens.realm, params={"service": "x", "scope": scope}, timeout=30)
        ask(registry, f"{scope} {scope}")
        found, registry.violations = registry.violations, []
        assert found == [
            "GET /v2/auth: the service is not that of the challenge",
            "GET /v2/auth: one scope stands twice",
        ]


def test_quays_api_makes_repositories() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS, namespaces={"team"}) as registry:
        registry.api_tokens.add("oauth")
        wanted = {"namespace": "team", "repository": "app", "visibility": "public", "description": ""}

        def make(token: str = "oauth", **changed: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            url = f"{registry.url}/api/v1/repository"
            return requests.post(url, json=wanted | changed, headers=headers, timeout=30).status_code

        assert make(token="other") == 401
        assert make(namespace="elsewhere") == 403
        assert make(visibility="hidden") == 400
        assert make(repository="App") == 400
        assert registry.store.repositories == {}
        assert make() == 201
        assert not registry.store.repositories[NAME].private
        assert make() == 400
        assert make(repository="other", visibility="private") == 201
        assert registry.store.repositories["team/other"].private
    with ProfileRegistry(profiles.STRICT) as registry:
        assert requests.post(f"{registry.url}/api/v1/repository", json={}, timeout=30).status_code == 404
        registry.violations.clear()


def test_quays_api_tells_of_tags_and_quotas() -> None:
    with ProfileRegistry(profiles.QUAY, users=USERS, namespaces={"team"}) as registry:
        registry.api_tokens.add("oauth")
        registry.immutable, registry.quota_bytes = ("v*",), 5_000
        registry.put(NAME, images.image(), "v1")

        def tell(path: str, token: str = "oauth") -> requests.Response:
            return requests.get(
                f"{registry.url}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30
            )

        assert tell("organization/team", token="other").status_code == 401
        assert tell("organization/elsewhere").status_code == 404
        assert tell("organization/team").json()["quota_report"]["quota_bytes"] == registry.store.size("team")
        assert tell("organization/team").json()["quotas"][0]["limit_bytes"] == 5_000
        (tag,) = tell(f"repository/{NAME}/tag/?specificTag=v1").json()["tags"]
        assert (tag["name"], tag["immutable"]) == ("v1", True)
        assert tell(f"repository/{NAME}/tag/?specificTag=v2").json()["tags"] == []
        assert tell("repository/team/other/tag/?specificTag=v1").status_code == 404


def test_harbors_api_tells_of_tags_and_quotas() -> None:
    nested = "team/a/b"
    with ProfileRegistry(profiles.HARBOR, users=USERS, namespaces={"team"}) as registry:
        registry.immutable, registry.quota_bytes = ("v*",), 5_000
        image = images.image()
        registry.put(nested, images.index([image]), "v1")

        def tell(path: str, user: str = LOGIN[0]) -> requests.Response:
            url = f"{registry.url}/api/v2.0/projects/{path}"
            return requests.get(url, auth=(user, USERS.get(user, "")), timeout=30)

        assert tell("team/summary", user="nobody").status_code == 401
        assert tell("elsewhere/summary").status_code == 404
        quota = {"hard": {"storage": 5_000}, "used": {"storage": registry.store.size("team")}}
        assert tell("team/summary").json()["quota"] == quota
        tags = "team/repositories/a%252Fb/artifacts/v1/tags?with_immutable_status=true"
        assert [(each["name"], each["immutable"]) for each in tell(f"{tags}&q=name=v1").json()] == [("v1", True)]
        assert tell(tags.replace("/v1/", "/v2/")).status_code == 404
        assert tell(f"team/artifacts?q=digest={image.digest}").json() == []
        assert [each["digest"] for each in tell(f"team/artifacts?q=digest={image.digest},base=*").json()] == [
            image.digest
        ]
