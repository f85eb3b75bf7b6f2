"""By which scheme a registry is reached, and by whom it is believed to be served (BEHAVIOUR 8.5)."""

import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from msgspec import structs

from tasks.errors import RegistryUnavailable, ResponseInvalid, SettingsInvalid
from tasks.registry.http import expiring_cache
from tasks.registry.http.retry import Transient
from tasks.registry.http.scheme import Endpoint, Pong, host_for, is_loopback, schemes
from tasks.registry.repository import Repository
from tasks.registry.settings import RegistrySettings
from tests.support.certificates import Authority
from tests.support.images import image
from tests.support.scripted import Answer, Exchange, NoAnswer, ScriptedRegistry
from tests.unit.registry.clients import PING, client, manifest_path

IMAGE = image()
FETCH = Exchange("GET", manifest_path("latest"), Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest))
UNVERIFIED = RegistrySettings(tls_verify=False)
ASKED_IN_PLAIN = Answer(400, body=b"Client sent an HTTP request to an HTTPS server.\n", close=True)


@pytest.mark.parametrize(
    ("registry", "settings", "expected"),
    [
        ("registry.example", RegistrySettings(), ("https",)),
        ("10.0.0.1:5000", RegistrySettings(), ("https",)),
        ("registry.example", UNVERIFIED, ("https", "http")),
        ("registry.example", RegistrySettings(plain_http=True), ("http",)),
        ("127.0.0.1:5000", RegistrySettings(), ("http", "https")),
        ("localhost:5000", UNVERIFIED, ("http", "https")),
        ("[::1]:5000", RegistrySettings(), ("http", "https")),
        ("127.0.0.1:5000", RegistrySettings(plain_http=False), ("https",)),
    ],
)
def test_plain_http_is_for_loopback_or_where_a_setting_says_so(
    registry: str, settings: RegistrySettings, expected: tuple[str, ...]
) -> None:
    """8.5."""
    assert schemes(registry, settings) == expected


def test_loopback_is_told_from_what_looks_like_it() -> None:
    """8.5."""
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost", "a.localhost"]))
    assert not any(map(is_loopback, ["127.0.0.1.example", "10.0.0.1", "localhost.example", "::2", "128.0.0.1"]))


def test_docker_hub_has_another_host_than_its_name() -> None:
    """1.3."""
    assert host_for("docker.io") == "registry-1.docker.io"
    assert host_for("registry.example:5000") == "registry.example:5000"


def settle(answers: dict[str, Pong | Exception], settings: RegistrySettings, registry: str = "127.0.0.1:5") -> str:
    def ping(base: str) -> Pong:
        answer = answers.pop(base.partition(":")[0])
        if isinstance(answer, Exception):
            raise answer
        return answer

    learnt: list[Pong] = []
    endpoint = Endpoint(registry, settings, ping, learnt.append)
    base = endpoint.base()
    assert endpoint.base() == base
    assert [each.url for each in learnt] == [base]
    return base.partition(":")[0]


def test_a_loopback_registry_that_wants_tls_is_recognised() -> None:
    """8.5: it answers 400, leads to https, or closes the connection."""
    https = Pong("https://127.0.0.1:5", 401, {})
    moved = Pong("http://127.0.0.1:5", 301, {"Location": "https://127.0.0.1:5/v2/"})
    for refusal in (Pong("http://127.0.0.1:5", 400, {}), moved, Transient("closed")):
        assert settle({"http": refusal, "https": https}, RegistrySettings()) == "https"
    for status in (200, 401, 403, 429, 503):
        assert settle({"http": Pong("http://127.0.0.1:5", status, {})}, RegistrySettings()) == "http"


def test_an_unverified_registry_without_tls_is_recognised() -> None:
    """8.5."""
    http = Pong("http://registry.example", 200, {})
    answers: dict[str, Pong | Exception] = {"https": ResponseInvalid("TLS failed"), "http": http}
    assert settle(answers, UNVERIFIED, "registry.example") == "http"


@pytest.mark.parametrize("status", [200, 401, 403, 429, 503])
def test_an_unverified_registry_is_one_that_answers_as_one(status: int) -> None:
    """8.5."""
    pong = Pong("http://registry.example", status, {})
    assert settle({"https": Transient("refused"), "http": pong}, UNVERIFIED, "registry.example") == "http"


@pytest.mark.parametrize("status", [204, 301, 302, 400, 404])
def test_the_web_server_beside_a_registry_is_not_taken_for_it(status: int) -> None:
    """8.5: where https failed for a moment, the next try asks by https again."""
    pong = Pong("http://registry.example", status, {"Location": "http://www.example/"})
    with pytest.raises(Transient, match="reset"):
        settle({"https": Transient("reset"), "http": pong}, UNVERIFIED, "registry.example")


def test_threads_wait_for_one_answer_and_share_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """8.4: a registry that does not answer holds each up for one timeout, not for those of all."""
    waiting, answered = threading.Semaphore(0), threading.Event()
    pings: list[str] = []

    def counted(fetches: list[Future[str]]) -> None:
        waiting.release()
        wait(fetches)

    def ping(base: str) -> Pong:
        pings.append(base)
        assert answered.wait(300)
        raise Transient("no connection within the time allowed")

    monkeypatch.setattr(expiring_cache, "wait", counted)
    endpoint = Endpoint("registry.example", RegistrySettings(), ping, lambda _: None)
    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(endpoint.base) for _ in range(4)]
        for _ in range(3):
            assert waiting.acquire(timeout=300)
        answered.set()
        assert [type(each.exception(30)) for each in asking] == [Transient] * 4
    assert pings == ["https://registry.example"]


def test_a_failure_is_not_remembered() -> None:
    """8.3: the next try asks again."""
    answers: list[Transient | Pong] = [Transient("refused"), Transient("refused"), Pong("http://127.0.0.1:5", 200, {})]

    def ping(_: str) -> Pong:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    endpoint = Endpoint("127.0.0.1:5", RegistrySettings(), ping, lambda _: None)
    with pytest.raises(Transient):
        endpoint.base()
    assert endpoint.base() == "http://127.0.0.1:5"


def fetches(repository: Repository) -> bool:
    return repository.fetch_manifest("latest").content == IMAGE.manifest


def test_a_registry_of_an_own_authority_is_verified_by_it(tmp_path: Path) -> None:
    """8.5: CA bundle."""
    authority = Authority(tmp_path)
    with ScriptedRegistry(PING, FETCH, tls=authority.certificates()) as registry:
        trusting = RegistrySettings(plain_http=False, ca_file=str(authority.path))
        assert fetches(client(registry.host, settings=trusting))


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(tmp_path: Path) -> None:
    """8.5: verified by default."""
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    with ScriptedRegistry(tls=authority.certificates()) as registry:
        for settings in (RegistrySettings(plain_http=False), RegistrySettings(ca_file=str(other.path))):
            with pytest.raises(ResponseInvalid, match="the certificate cannot be verified"):
                fetches(client(registry.host, settings=settings))


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """8.5."""
    authority = Authority(tmp_path)
    with ScriptedRegistry(tls=authority.certificates()) as registry:
        host = registry.host.replace("127.0.0.1", "127.0.0.1.nip.localhost")
        settings = RegistrySettings(plain_http=False, ca_file=str(authority.path))
        # Where names below localhost are not resolved there is nothing to verify.
        with pytest.raises((ResponseInvalid, RegistryUnavailable), match=r"mismatch|cannot be resolved"):
            fetches(client(host, settings=settings))


def test_without_verification_any_certificate_will_do(tmp_path: Path) -> None:
    """8.5."""
    settings = structs.replace(UNVERIFIED, plain_http=False)
    with ScriptedRegistry(PING, FETCH, tls=Authority(tmp_path).certificates()) as registry:
        assert fetches(client(registry.host, settings=settings))


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    """8.5."""
    authority = Authority(tmp_path)
    pair = authority.issue("client")
    settings = RegistrySettings(plain_http=False, ca_file=str(authority.path))
    introduced = structs.replace(settings, client_certificate=str(pair.certificate), client_key=str(pair.key))
    with ScriptedRegistry(PING, FETCH, tls=authority.certificates(require_client=True)) as registry:
        assert fetches(client(registry.host, settings=introduced))
        with pytest.raises((ResponseInvalid, RegistryUnavailable)):
            fetches(client(registry.host, settings=settings))


@pytest.mark.parametrize("by_name", [True, False])
def test_a_folder_of_certificates_is_read_as_docker_does(tmp_path: Path, *, by_name: bool) -> None:
    """8.5."""
    authority = Authority(tmp_path / "made")
    pair = authority.issue("client")
    with ScriptedRegistry(PING, FETCH, tls=authority.certificates(require_client=True)) as registry:
        folder = tmp_path / "certs.d"
        files = folder / registry.host if by_name else folder
        files.mkdir(parents=True)
        for source, name in ((authority.path, "ca.crt"), (pair.certificate, "me.cert"), (pair.key, "me.key")):
            shutil.copy(source, files / name)
        assert fetches(client(registry.host, settings=RegistrySettings(certificates=str(folder))))


def test_what_is_no_certificate_is_named(tmp_path: Path) -> None:
    """8.5."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    path = str(broken)
    for settings in (
        RegistrySettings(ca_file=path),
        RegistrySettings(ca_file=path + "-missing"),
        RegistrySettings(client_certificate=path, client_key=path),
        RegistrySettings(certificates=path),
    ):
        with pytest.raises(SettingsInvalid, match=r"broken\.pem"):
            fetches(client("127.0.0.1:9", settings=settings))


def test_a_server_without_tls_is_said_to_be_one() -> None:
    """8.5."""
    with ScriptedRegistry() as registry, pytest.raises(ResponseInvalid, match="TLS failed"):
        fetches(client(registry.host, settings=RegistrySettings(plain_http=False)))


def test_a_loopback_registry_is_asked_in_plain_first() -> None:
    """8.5."""
    with ScriptedRegistry(PING, FETCH) as registry:
        assert fetches(client(registry.host))


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [(ASKED_IN_PLAIN, ResponseInvalid, "TLS failed"), (NoAnswer.DROP, RegistryUnavailable, "the connection was lost")],
)
def test_a_loopback_registry_with_neither_is_an_error(
    reply: Answer | NoAnswer, kind: type[ResponseInvalid | RegistryUnavailable], said: str
) -> None:
    """8.5, and 8.3: a connection that was lost is worth another try, whatever TLS says of a plain port."""
    script = Exchange("GET", "/v2/", reply, times=None)
    with ScriptedRegistry(script) as registry, pytest.raises(kind, match=said):
        fetches(client(registry.host))
