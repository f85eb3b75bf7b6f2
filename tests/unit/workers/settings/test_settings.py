"""Settings from a file and the environment: what they mean, and that nothing wrong goes by without its name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from tasks.oci.platform import Platform
from tasks.oci.signatures import SignaturePolicy, SignerIdentity
from tasks.registry.settings import Credentials, HttpLimits
from tasks.transfer.request.target import Target
from tests.support.signatures import Signer
from workers.settings import Settings, load_settings

Load = Callable[..., Settings]
HOME = {"HOME": "/home/someone"}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings from the text of a file and variables."""

    def load(text: str, **environment: str) -> Settings:
        file = tmp_path / "imagepusher.toml"
        file.write_text(text)
        file.chmod(0o600)
        return load_settings(HOME | environment, str(file))

    return load


def faults(load: Load, text: str, **environment: str) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        load(text, **environment)
    return str(refused.value)


def test_without_a_file_and_variables_everything_has_a_default() -> None:
    settings = load_settings(HOME)
    assert (settings.broker_url, settings.result_url, settings.state_url) == (None, None, None)
    assert settings.targets == {}
    assert settings.registries.registries == {}
    assert settings.registries.limits == HttpLimits()
    assert settings.state_dir == Path("/home/someone/.local/state/imagepusher")
    assert (settings.jobs, settings.task_tries, settings.lock_seconds, settings.lock_wait_seconds) == (8, 4, 15, 60)
    assert (settings.copy_seconds, settings.visibility_seconds) == (6 * 3600, 8 * 3600)
    assert (settings.grace_seconds, settings.ledger_seconds) == (30, 7 * 86_400)


def test_a_file_is_named_by_the_argument_or_by_the_environment(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text("limits.jobs = 1")
    other.write_text("limits.jobs = 2")
    environment = HOME | {"IMAGEPUSHER_CONFIG": str(one)}
    assert load_settings(environment).jobs == 1
    assert load_settings(environment, str(other)).jobs == 2
    assert load_settings(HOME | {"IMAGEPUSHER_CONFIG": ""}).jobs == 8


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"missing\.toml cannot be read: No such file"):
        load_settings(HOME, str(tmp_path / "missing.toml"))


def test_a_syntax_error_names_file_and_line(load: Load) -> None:
    message = faults(load, "[limits]\njobs = \n")
    assert "imagepusher.toml" in message
    assert "line 2" in message


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsInvalid, match="not UTF-8"):
        load_settings(HOME, str(tmp_path / "bad.toml"))


def test_the_environment_wins_over_the_file(load: Load, tmp_path: Path) -> None:
    text = 'state_dir = "state"\n[limits]\njobs = 2\ngrace_seconds = 5\n[broker]\nurl = "redis://file/0"'
    settings = load(text, IMAGEPUSHER_JOBS="3", IMAGEPUSHER_BROKER_URL="redis://variable/1")
    assert (settings.jobs, settings.grace_seconds, settings.broker_url) == (3, 5, "redis://variable/1")
    assert settings.state_dir == tmp_path / "state"
    assert load(text, IMAGEPUSHER_STATE_DIR="/elsewhere").state_dir == Path("/elsewhere")
    assert load(text, IMAGEPUSHER_JOBS="").jobs == 2


def test_a_limit_of_the_environment_is_a_number_in_its_bounds(load: Load) -> None:
    message = faults(load, "", IMAGEPUSHER_JOBS="many", IMAGEPUSHER_LOCK_SECONDS="0", IMAGEPUSHER_GRACE_SECONDS="1.5")
    assert "IMAGEPUSHER_JOBS: expected `int`;" in message
    assert "IMAGEPUSHER_LOCK_SECONDS: expected `float` > 0.0" in message
    assert "GRACE" not in message


@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1", "true", '"30"'])
def test_seconds_are_a_finite_number_above_zero(load: Load, value: str) -> None:
    assert "limits.lock_seconds: expected `float`" in faults(load, f"limits.lock_seconds = {value}")


def test_state_goes_where_xdg_says_unless_that_is_relative() -> None:
    assert load_settings(HOME | {"XDG_STATE_HOME": "/xdg"}).state_dir == Path("/xdg/imagepusher")
    relative = load_settings(HOME | {"XDG_STATE_HOME": "xdg"}).state_dir
    assert relative == Path("/home/someone/.local/state/imagepusher")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[limit]\n", "limit is not a known key; did you mean limits?"),
        ("limits.job = 1", "limits.job is not a known key; did you mean jobs?"),
        ('broker.urls = "x"', "broker.urls is not a known key; did you mean url?"),
        ("http.xyzzy = 1", "http.xyzzy is not a known key; known are commit_timeout, connect_timeout"),
        ("[targets.stage]\nhosts = 'x'", "targets.stage.hosts is not a known key; did you mean host?"),
        (
            "[registries.'quay.io'.source]\nuser = 'x'",
            'registries."quay.io".source.user is not a known key; did you mean username?',
        ),
        ("limits.jobs = '8'", "limits.jobs: expected `int`, got `str`"),
        ("limits.jobs = true", "limits.jobs: expected `int`, got `bool`"),
        ("limits.jobs = 0", "limits.jobs: expected `int` >= 1"),
        ("limits = 1", "limits: expected a table"),
        ("targets.stage = 'x'", "targets.stage: expected a table"),
        ("registries = ['x']", "registries: expected a table"),
        ("auth_files = 'x'", "auth_files: expected `array`, got `str`"),
        ("[registries.'quay.io']\nplain_http = 1", 'registries."quay.io".plain_http: expected `bool`, got `int`'),
        ("[targets.stage]\nnaming = 'kway'", "targets.stage.naming: expected quay or verbatim"),
        ("[targets.stage]\nmissing_children = 'x'", "targets.stage.missing_children: expected error or drop"),
    ],
)
def test_what_is_unknown_or_of_a_wrong_type_is_named_with_what_is_due(load: Load, text: str, fault: str) -> None:
    message = faults(load, text)
    assert fault in message
    assert "imagepusher.toml" in message
    assert "has 1 fault" in message
    assert "?." not in message


def test_all_faults_are_reported_at_once(load: Load) -> None:
    message = faults(
        load, "limits.job = 1\nlimits.copy_seconds = 'x'", IMAGEPUSHER_JOBZ="1", IMAGEPUSHER_TASK_TRIES="x"
    )
    for named in ("limits.job ", "limits.copy_seconds", "IMAGEPUSHER_JOBZ", "IMAGEPUSHER_TASK_TRIES"):
        assert named in message
    assert "has 4 faults" in message


def test_an_unknown_variable_is_refused_and_the_nearest_offered() -> None:
    with pytest.raises(
        SettingsInvalid, match="IMAGEPUSHER_BROKERURL is not a known variable; did you mean IMAGEPUSHER_B"
    ):
        load_settings(HOME | {"IMAGEPUSHER_BROKERURL": "redis://:geheim@host"})


def test_variables_of_others_are_not_refused() -> None:
    names = ("VENV", "SRC_CREDS", "DEST_CREDS", "LOG_LEVEL")
    load_settings(HOME | {f"IMAGEPUSHER_{name}": "x" for name in names} | {"OTHER": "x"})


def test_a_variable_that_a_table_names_may_carry_the_prefix(load: Load) -> None:
    table = "[registries.'quay.io'.destination]\nusername = 'me'\npassword_env = 'IMAGEPUSHER_QUAY'"
    settings = load(table, IMAGEPUSHER_QUAY="geheim")
    assert settings.registries.settings("quay.io", "destination").credentials == Credentials("me", "geheim")


def test_work_is_not_delivered_again_before_its_deadline(load: Load) -> None:
    message = faults(load, "[limits]\ncopy_seconds = 28800")
    assert "limits.visibility_seconds (28800) must be longer than limits.copy_seconds (28800)" in message
    assert load("[limits]\ncopy_seconds = 28799").copy_seconds == 28799


def test_http_limits_are_those_of_the_client(load: Load) -> None:
    text = "[http]\nconnect_timeout = 1\nidle_timeout = 2.5\ntries = 3\nlongest_wait = 0\nmanifest_bytes = 4"
    assert load(text).registries.limits == HttpLimits(
        connect_timeout=1, idle_timeout=2.5, tries=3, longest_wait=0, manifest_bytes=4
    )


def test_passwords_of_target_settings_are_dropped_where_a_setting_says_so(load: Load) -> None:
    assert load("").drop_passwords is False
    assert load("[pubtools]\ndrop_passwords = true").drop_passwords is True
    assert load("", IMAGEPUSHER_DROP_PASSWORDS="true").drop_passwords is True


def test_a_target_has_the_settings_of_its_table(load: Load) -> None:
    text = """
        [targets.stage]
        host = "registry.example:5000/"
        namespace = "team/app"
        platforms = ["linux/amd64", "linux/arm/v7"]
        missing_children = "drop"
        exact_os_version = true
        jobs = 2
        tries = 3
        merge = false
    """
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm", "v7"))
    expected = Target("registry.example:5000", "team/app", "verbatim", platforms, "drop", True, 2, 3, merge=False)
    assert load(text).targets == {"stage": expected}
    assert load("[targets.any]").targets == {"any": Target()}


@pytest.mark.parametrize(
    ("host", "naming"),
    [
        ("quay.io", "quay"),
        ("stage.quay.io", "quay"),
        ("quay.io:443", "quay"),
        ("notquay.io", "verbatim"),
        ("quay.io.example", "verbatim"),
    ],
)
def test_quay_names_are_the_default_of_quay_alone(load: Load, host: str, naming: str) -> None:
    """BEHAVIOUR 1.4."""
    assert load(f"[targets.t]\nhost = '{host}'").targets["t"].naming == naming
    assert load(f"[targets.t]\nhost = '{host}'\nnaming = 'verbatim'").targets["t"].naming == "verbatim"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("host = 'https://quay.io'", "targets.t.host: 'https://quay.io' is not a registry host"),
        ("host = 'registry'", "targets.t.host: in references, 'registry' would be a part of a name, not a host"),
        ("host = 'quay.io'\nnamespace = 'Team'", "targets.t.namespace: 'Team' is not a repository name"),
        ("namespace = 'team'", "targets.t.host is missing"),
        ("platforms = ['amd64']", "targets.t.platforms: 'amd64' is not a platform"),
    ],
)
def test_a_target_that_cannot_be_is_refused(load: Load, text: str, fault: str) -> None:
    assert fault in faults(load, f"[targets.t]\n{text}")


def test_a_host_with_a_password_is_refused_without_showing_it(load: Load) -> None:
    """BEHAVIOUR 6.7."""
    for text in ("[targets.t]\nhost = 'me:geheim@quay.io'", "[registries.'me:geheim@quay.io']"):
        message = faults(load, text)
        assert "carries no credentials" in message
        assert "geheim" not in message


def test_relative_files_stand_beside_the_settings_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    for name in ("ca.pem", "client.pem", "auth.json"):
        (tmp_path / name).touch()
    (tmp_path / "client.key").touch(0o600)
    settings = load(
        """
        auth_files = ["auth.json"]
        [registries."registry.example"]
        tls_verify = false
        plain_http = true
        ca_file = "ca.pem"
        certificates = "certs"
        client_certificate = "client.pem"
        client_key = "client.key"
        """
    )
    found = settings.registries.settings("registry.example", "source")
    assert (found.tls_verify, found.plain_http) == (False, True)
    assert (found.ca_file, found.certificates) == (str(tmp_path / "ca.pem"), str(tmp_path / "certs"))
    assert (found.client_certificate, found.client_key) == (str(tmp_path / "client.pem"), str(tmp_path / "client.key"))
    assert settings.registries.auth_files == (str(tmp_path / "auth.json"),)


def test_the_authentication_file_of_the_environment_is_relative_to_the_working_directory(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "auth.json").touch()
    monkeypatch.chdir(elsewhere)
    settings = load("auth_files = ['other.json']", IMAGEPUSHER_AUTHFILE="auth.json")
    assert settings.registries.auth_files == (str(elsewhere / "auth.json"),)


def test_a_target_says_which_referrers_and_signatures_count(load: Load, tmp_path: Path) -> None:
    """Rules 9.1, 9.5, 9.6; a key is a file beside the settings."""
    key = Signer().public
    (tmp_path / "cosign.pub").write_text(key)
    text = """
        targets.all.referrers = "all"
        targets.none.referrers = "none"
        [targets.some]
        referrers = ["a/b"]
        referrers_required = true
        verify_keys = ["cosign.pub"]
        verify_identities = [{identity = "who", issuer = "https://issuer.example"}]
        verify_index = "children"
    """
    targets = load(text).targets
    assert (targets["all"].referrers, targets["none"].referrers) == ((), None)
    who = SignerIdentity("who", "https://issuer.example")
    policy = SignaturePolicy(keys=(key,), identities=(who,), index="children")
    assert targets["some"] == Target(referrers=("a/b",), referrers_required=True, verify=policy)


def test_referrers_and_keys_of_a_target_that_cannot_be_meant_are_named(load: Load, tmp_path: Path) -> None:
    (tmp_path / "not.pub").write_text("key")
    assert "receipts.key_file: " in faults(load, "receipts.key_file = 'gone.pem'")
    assert "not.pub is not a private key" in faults(load, "receipts.key_file = 'not.pub'")
    assert "targets.t.referrers" in faults(load, "targets.t.referrers = []")
    assert "targets.t.referrers" in faults(load, "targets.t.referrers = 'some'")
    assert "targets.t.verify_keys: there is no file" in faults(load, "targets.t.verify_keys = ['gone.pub']")
    assert "not.pub is not a public key" in faults(load, "targets.t.verify_keys = ['not.pub']")
    assert "targets.t.verify_identities" in faults(load, "targets.t.verify_identities = [{identity = 'who'}]")
    assert "signatures.trusted_root: there is no file" in faults(load, "signatures.trusted_root = 'gone.json'")
    assert "targets.t.verify_index" in faults(load, "targets.t.verify_index = 'some'")


def test_the_conditions_of_a_target_are_read(load: Load) -> None:
    """Rules 10.2 to 10.4."""
    target = load(
        '[targets.t]\nimmutable = ["v*"]\nplatform_removal = "refuse"\nforward_only = "created"\n'
        "version_pattern = 'build-(\\d+)'\nkeep_replaced = true\n"
    ).targets["t"]
    assert (target.immutable, target.platform_removal, target.forward_only) == (("v*",), "refuse", "created")
    assert (target.version_pattern, target.keep_replaced) == (r"build-(\d+)", True)


@pytest.mark.parametrize(("pattern", "reason"), [("build-(", "no regular expression"), ("build-\\d+", "has no group")])
def test_a_pattern_that_compares_nothing_is_a_fault(load: Load, pattern: str, reason: str) -> None:
    told = faults(load, f"[targets.t]\nversion_pattern = '{pattern}'\n")
    assert "targets.t.version_pattern" in told
    assert reason in told


def test_a_history_is_not_shorter_than_the_ledger(load: Load) -> None:
    """Rule 10.6."""
    assert load("[limits]\nledger_seconds = 60\nhistory_seconds = 60\n").history_seconds == 60
    assert load("").history_seconds is None
    assert "limits.history_seconds" in faults(load, "[limits]\nledger_seconds = 60\nhistory_seconds = 59\n")
