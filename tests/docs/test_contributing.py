"""CONTRIBUTING.md and the hooks: the commands run, and the hooks are the linters of `tests/run`."""

import ast
import re
import shlex
import subprocess
import sys
from typing import Any, Final

import pytest
import yaml

from tests.docs.readme import ROOT, document

_NO_TESTS: Final = 5
_COMMANDS: Final = [
    shlex.split(line, comments=True)
    for block in document("CONTRIBUTING.md").of("bash")
    for line in block.text.splitlines()
]
_HOOKS: Final[list[dict[str, Any]]] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def _selections() -> list[list[str]]:
    """Return the arguments of each command that runs a selection of the tests."""
    direct = [words[3:] for words in _COMMANDS if words[:3] == ["python", "-m", "pytest"]]
    return direct + [words[1:] for words in _COMMANDS if words[0] == "tests/run" and words[1:]]


@pytest.mark.parametrize("arguments", _selections(), ids=shlex.join)
def test_every_command_selects_some_tests(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert collected.returncode != _NO_TESTS, "no test is selected"
    assert collected.returncode == 0, collected.stdout


def test_hooks_are_local() -> None:
    assert [repository["repo"] for repository in _HOOKS] == ["local"]
    assert {hook["language"] for hook in _HOOKS[0]["hooks"]} == {"system"}


def test_hooks_are_the_linters_of_the_suite() -> None:
    stages = re.findall(
        r"^  quiet (?:'[^']+'|\S+) (?:flock pyproject\.toml )?(.+)$", (ROOT / "tests/run").read_text(), re.MULTILINE
    )
    linters = {_plain(stage) for stage in stages} - {"coverage combine"}
    # tests/deploy/test_scripts.py runs it in the suite.
    assert {_plain(hook["entry"]) for hook in _HOOKS[0]["hooks"]} == linters | {"shellcheck"}


def _plain(command: str) -> str:
    """Return a command without its options and without the folder."""
    return " ".join(word for word in command.split() if not word.startswith("-") and word != ".")


def test_every_folder_of_tests_is_described() -> None:
    described = {row[0].strip("`") for row in document("CONTRIBUTING.md").rows("Run the tests")}
    existing = {
        f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name[0] not in "._"
    }
    assert described == existing - {"tests/data"}


def _undescribed(source: str) -> list[str]:
    """Return the public methods of protocols that have no docstring (D102, which ruff has for all classes or none)."""
    classes = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.ClassDef)]
    protocols = [each for each in classes if any("Protocol" in ast.unparse(base) for base in each.bases)]
    methods = [
        (protocol.name, method)
        for protocol in protocols
        for method in protocol.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
    ]
    return [f"{name}.{method.name}" for name, method in methods if not ast.get_docstring(method)]


def test_every_method_of_a_protocol_is_described() -> None:
    lacking = {
        str(path.relative_to(ROOT)): names
        for folder in ("tasks", "workers")
        for path in (ROOT / folder).rglob("*.py")
        if (names := _undescribed(path.read_text()))
    }
    assert lacking == {}


def test_a_method_without_a_docstring_is_found() -> None:
    source = 'class Port(Protocol):\n    def a(self) -> int: ...\n    def b(self) -> int:\n        """Return it."""\n'
    assert _undescribed(source) == ["Port.a"]
