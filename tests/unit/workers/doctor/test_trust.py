"""What doctor says of whom the workers believe."""

from pathlib import Path

import pytest

from workers.doctor.trust import judge_trust
from workers.settings import load_settings

ALL = ["trust.workers", "trust.producers", "trust.policy"]


def levels(settings: str, tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "settings.toml"
    file.write_text(settings)
    file.chmod(0o600)
    return {found.check: found.level for found in judge_trust(load_settings({"HOME": str(tmp_path)}, str(file)))}


@pytest.mark.parametrize("host", ["redis.example", "10.0.0.1:6379"])
def test_what_is_open_to_whoever_reaches_the_broker_is_a_warning(host: str, tmp_path: Path) -> None:
    assert levels(f'[broker]\nurl = "redis://{host}/0"', tmp_path) == dict.fromkeys(ALL, "warning")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "redis://[::1]:6379/0", "unix:///run/redis.sock"])
def test_a_broker_of_this_machine_alone_needs_no_keys(url: str, tmp_path: Path) -> None:
    assert levels(f'[broker]\nurl = "{url}"', tmp_path) == dict.fromkeys(ALL, "ok")


def test_keys_and_rules_are_well(tmp_path: Path) -> None:
    key = "made up, of many bytes"
    settings = f"""
[broker]
url = "redis://redis.example/0"
key = "{key}"
[producers.ci]
key = "{key}"
[policy.builds]
producers = ["ci"]
"""
    assert levels(settings, tmp_path) == dict.fromkeys(ALL, "ok")
