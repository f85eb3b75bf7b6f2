"""Credentials in the settings: where they come from, and that half of one is refused (BEHAVIOUR 1.2, 8.1, 8.2)."""

import logging
from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from tasks.registry.settings import Credentials
from workers.observability.masking import mask
from workers.settings import Settings, load_settings


def load(folder: Path, table: str, **environment: str) -> Settings:
    file = folder / "imagepusher.toml"
    file.write_text(f"[registries.'quay.io']\n{table}")
    file.chmod(0o600)
    return load_settings({"HOME": "/home/someone"} | environment, str(file))


def credentials(folder: Path, table: str, **environment: str) -> Credentials | None:
    return load(folder, table, **environment).registries.settings("quay.io", "source").credentials


def test_a_password_stands_in_the_file_in_another_or_in_a_variable(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" ge heim \n\n")
    expected = Credentials("me", " ge heim \n")
    assert credentials(tmp_path, "username = 'me'\npassword = 'geheim'") == Credentials("me", "geheim")
    assert credentials(tmp_path, "username = 'me'\npassword_file = 'secret'") == expected
    in_variable = credentials(tmp_path, "username = 'me'\npassword_env = 'SECRET'", SECRET="geheim")
    assert in_variable == Credentials("me", "geheim")


def test_an_identity_token_needs_no_user(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\r\n")
    assert credentials(tmp_path, "identity_token = 'abc'") == Credentials("", "", "abc")
    assert credentials(tmp_path, "identity_token_file = 'token'") == Credentials("", "", "abc")
    assert credentials(tmp_path, "identity_token_env = 'T'\nusername = 'me'", T="abc") == Credentials("me", "", "abc")


def test_each_role_may_have_credentials_of_its_own(tmp_path: Path) -> None:
    registries = load(
        tmp_path,
        """
        username = "both"
        password = "1"
        [registries."quay.io".destination]
        username = "writer"
        password = "2"
        """,
    ).registries
    assert registries.settings("quay.io", "source").credentials == Credentials("both", "1")
    assert registries.settings("quay.io", "destination").credentials == Credentials("writer", "2")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("api = 'quay'", r'"quay\.io": api = "quay" needs api_token_file'),
        ("api = 'ecr'", r'"quay\.io": api = "ecr" is for a private registry of Amazon ECR'),
        ("api = 'gitlab'", r'"quay\.io"\.api: expected .*harbor'),
    ],
)
def test_the_api_of_a_product_is_one_that_the_settings_give_access_to(tmp_path: Path, table: str, fault: str) -> None:
    with pytest.raises(SettingsInvalid, match=fault):
        load(tmp_path, table)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("login = 'azure'", r'"quay\.io": login = "azure" is for .*, and quay\.io is not one'),
        ("[registries.'quay.io'.destination]\nlogin = 'ecr'", r'"quay\.io"\.destination: login = "ecr" is for'),
        (
            "login = 'google'\nusername = 'me'\npassword = 'geheim'",
            r'"quay\.io": login and username and password exclude each other',
        ),
        ("login = 'gcp'", r'"quay\.io"\.login: expected ecr or google or azure'),
    ],
)
def test_the_login_of_a_cloud_is_for_its_registries_and_stands_alone(tmp_path: Path, table: str, fault: str) -> None:
    """8.2."""
    with pytest.raises(SettingsInvalid, match=fault) as refused:
        load(tmp_path, table)
    assert "geheim" not in str(refused.value)


def test_the_login_of_a_cloud_stands_for_credentials(tmp_path: Path) -> None:
    """8.2."""
    registries = load(tmp_path, "[registries.'gcr.io']\nlogin = 'google'").registries
    assert registries.settings("gcr.io", "source").credentials == Credentials(login="google")


def test_a_table_without_credentials_has_none(tmp_path: Path) -> None:
    assert credentials(tmp_path, "tls_verify = true\n[registries.'quay.io'.source]") is None


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("username = 'me'", '"quay.io": username needs password, password_file or password_env beside it'),
        ("password_env = 'SECRET'", '"quay.io": password_env needs username beside it'),
        ("[registries.'quay.io'.source]\npassword = 'geheim'", '"quay.io".source: password needs username'),
        (
            "username = 'me'\npassword = 'geheim'\npassword_env = 'SECRET'",
            '"quay.io": password and password_env exclude each other',
        ),
        (
            "username = 'me'\npassword = 'geheim'\nidentity_token = 'geheim'",
            '"quay.io": password and identity_token exclude each other',
        ),
        ("client_certificate = 'imagepusher.toml'", '"quay.io": client_certificate needs client_key beside it'),
        ("client_key = 'imagepusher.toml'", '"quay.io": client_key needs client_certificate beside it'),
        ("username = 'me'\npassword_env = 'NONE'", '"quay.io".password_env: the variable NONE is not set'),
        ("username = 'me'\npassword_env = 'EMPTY'", '"quay.io".password_env: the variable EMPTY is not set'),
        ("username = 'me'\npassword_file = 'none'", "imagepusher_toml_folder/none cannot be read: No such file"),
        ("identity_token_file = 'empty'", "imagepusher_toml_folder/empty is empty"),
        ("ca_file = 'none'", '"quay.io".ca_file: there is no file imagepusher_toml_folder/none'),
        ("certificates = 'empty'", '"quay.io".certificates: there is no folder imagepusher_toml_folder/empty'),
        ("username = 'me'\npassword = ''", '"quay.io".password: expected `str` of length >= 1'),
        ("username = 'me'\npassword = 1234", '"quay.io".password: expected `str`, got `int`'),
        ("username = 'me'\npassword_env = 'ge-heim!'", '"quay.io".password_env: expected `str` matching'),
        ("passwrd = 'geheim'", '"quay.io".passwrd is not a known key; did you mean password?'),
    ],
)
def test_half_or_missing_credentials_are_refused_by_the_names_of_their_keys(
    tmp_path: Path, table: str, fault: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsInvalid) as refused:
        load(tmp_path, table, SECRET="geheim", EMPTY="")
    message = str(refused.value)
    assert fault.replace("imagepusher_toml_folder", str(tmp_path)) in message
    for secret in ("geheim", "ge-heim", "1234"):
        assert secret not in message.replace(str(tmp_path), "")


def test_no_secret_is_in_the_repr_of_settings(tmp_path: Path) -> None:
    """BEHAVIOUR 6.7."""
    table = "username = 'me'\npassword = 'geheim'\n[broker]\nurl = 'redis://:geheim@host/0'"
    settings = load(tmp_path, table)
    assert settings.broker_url == "redis://:geheim@host/0"
    assert "geheim" not in repr(settings)


def test_the_names_of_docker_hub_are_one_registry(tmp_path: Path) -> None:
    """BEHAVIOUR 1.3."""
    hub = "[registries.'index.docker.io']\ntls_verify = false\n"
    assert not load(tmp_path, hub).registries.settings("docker.io", "source").tls_verify
    with pytest.raises(SettingsInvalid, match=r"is docker\.io, which has settings already"):
        load(tmp_path, f"{hub}[registries.'docker.io']")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, []), (0o640, []), (0o604, [True])])
def test_a_secret_that_every_user_may_read_gives_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: list[bool]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    secret.chmod(mode)
    with caplog.at_level(logging.WARNING):
        load(tmp_path, "username = 'me'\npassword_file = 'secret'")
    assert [mask(message).endswith(f"run chmod o-r {secret}") for message in caplog.messages] == warned
    assert "geheim" not in caplog.text


def test_a_settings_file_with_a_password_is_a_secret_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "readable.toml"
    file.write_text("[registries.'quay.io']\nusername = 'me'\npassword = 'geheim'")
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        load_settings({"HOME": "/home/someone"}, str(file))
    assert [str(file) in message for message in caplog.messages] == [True]


@pytest.mark.parametrize(
    ("http", "broker", "used"),
    [
        ("", "", "environment"),
        ("", "redis://host/0", "none"),
        ("proxy = 'environment'", "redis://host/0", "environment"),
        ("proxy = 'none'", "", "none"),
    ],
)
def test_proxies_of_the_environment_are_a_commands_own_unless_a_setting_says_otherwise(
    tmp_path: Path, http: str, broker: str, used: str
) -> None:
    """BEHAVIOUR 8.7."""
    settings = load(tmp_path, f"[http]\n{http}", IMAGEPUSHER_BROKER_URL=broker)
    assert settings.registries.settings("quay.io", "source").proxy == used


def test_the_usual_folders_of_certificates_may_be_switched_off(tmp_path: Path) -> None:
    (tmp_path / "off.toml").write_text("certs_d = false")
    home = {"HOME": "/home/someone"}
    folders = load_settings(home).registries.settings("quay.io", "source").usual_certificates
    assert folders[0] == "/home/someone/.config/containers/certs.d"
    off = load_settings(home, str(tmp_path / "off.toml"))
    assert off.registries.settings("quay.io", "source").usual_certificates == ()


def test_the_null_device_stands_for_no_authentication_file() -> None:
    assert load_settings({"HOME": "/h", "IMAGEPUSHER_AUTHFILE": "/dev/null"}).registries.auth_files == ("/dev/null",)


def test_variables_with_secrets_are_known_as_such(tmp_path: Path) -> None:
    """BEHAVIOUR 6.7: programs that are started do not inherit them."""
    settings = load(tmp_path, "username = 'me'\npassword_env = 'WORD'", WORD="geheim")
    assert settings.registries.secret_variables == {"WORD"}
