"""Keys and rules in the settings."""

from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from workers.settings import load_settings

KEY = "made up, of many bytes"
BROKER = f'[broker]\nurl = "redis://redis.example/0"\nkey = "{KEY}"\n'


def load(settings: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(settings)
    file.chmod(0o600)
    load_settings({"HOME": str(tmp_path)}, str(file))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (f'[producers.ci]\nkey = "{KEY}"', "broker.key_file is missing"),
        (f"{BROKER}[producers.ci]", "producers.ci.key_file is missing"),
        (f'{BROKER}[producers.ci]\nkey = "short"', "producers.ci.key: a key of 5 bytes"),
        (f'{BROKER}[producers.ci]\nkey = "{KEY}"\nkey_file = "x"', "exclude each other"),
        (f'{BROKER}[producers.ci]\nkey_file = "nowhere.key"', "cannot be read"),
        (f'{BROKER}[producers.workers]\nkey = "{KEY}"', "cannot have this name"),
        (f'{BROKER}producer = "ci"', "producers has no 'ci'"),
        (f'{BROKER}[policy.x]\nproducers = ["ci"]', "producers has no 'ci'"),
        (f'{BROKER}[policy.x]\nactions = ["delete"]', "policy.x.actions"),
    ],
)
def test_what_is_wrong_is_named_and_no_key_is_shown(settings: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load(settings, tmp_path)
    assert said in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_producer_of_its_own_needs_no_key_of_workers(tmp_path: Path) -> None:
    load(f'[broker]\nurl = "redis://redis.example/0"\nproducer = "ci"\n[producers.ci]\nkey = "{KEY}"', tmp_path)
