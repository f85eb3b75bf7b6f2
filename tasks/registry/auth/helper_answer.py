"""The answers of a credential helper to `get` (the protocol of docker-credential-helpers). Pure.

| status | stdout, else stderr                                                      | means                          |
|--------|--------------------------------------------------------------------------|--------------------------------|
| 0      | {"Username": USER, "Secret": SECRET}, the keys in any case               | a user and a password          |
| 0      | the same with the user `<token>`                                         | an identity token              |
| 0      | no Secret, nothing at all                                                | the helper knows nothing       |
| any    | credentials not found [in native keychain], no credentials server URL,   | the helper knows nothing       |
|        | no credentials username, in any case                                     |                                |
| 0      | anything else                                                            | a failure                      |
| other  | anything else                                                            | a failure, its first line said |
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tasks.registry.auth.helper_process import LONGEST_OUTPUT, Said
from tasks.registry.settings import IDENTITY_TOKEN_USER, Credentials

_NOT_FOUND: Final = (b"credentials not found", b"no credentials server url", b"no credentials username")
_LONGEST_REASON: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_USER_INFO: Final = re.compile(r"(://)[^\s/]*@")
_VALUE: Final = re.compile(r"""(?i)((?:password|passwd|secret|token|key|authorization)["']*\s*[:=]\s*)\S.*""")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_HEX: Final = re.compile(r"[0-9a-f]{32,}")


class HelperAnswer(msgspec.Struct, frozen=True):
    """Credentials, no credentials, or a fault."""

    credentials: Credentials | None = None
    fault: str = ""


def read_answer(program: str, said: Said, secrets: Iterable[str] = ()) -> HelperAnswer:
    """Interpret the output of `program`; `secrets` are values that a fault must not show (BEHAVIOUR 6.7)."""
    if len(said.stdout) > LONGEST_OUTPUT:
        return HelperAnswer(fault=f"{program} says more than {LONGEST_OUTPUT} bytes")
    members = _members(said.stdout)
    if said.status == 0 and (members is not None or not said.stdout.strip()):
        return _credentials(program, members or {})
    if any(words in output.lower() for words in _NOT_FOUND for output in (said.stdout, said.stderr)):
        return HelperAnswer()
    if said.status == 0:
        return HelperAnswer(fault=f"{program} did not answer with credentials")
    known = [*secrets, *_texts(members or {})]
    reason = next((line for output in (said.stdout, said.stderr) if (line := _first_line(output, known))), "")
    told = f": {reason}" if reason else " and says nothing of why"
    return HelperAnswer(fault=f"{program} ended with status {said.status}{told}")


def _members(output: bytes) -> dict[str, Any] | None:
    try:
        said = msgspec.json.decode(output.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return None
    return {key.lower(): value for key, value in said.items()} if isinstance(said, dict) else None


def _texts(members: dict[str, Any]) -> Iterator[str]:
    return (value for value in members.values() if isinstance(value, str))


def _credentials(program: str, members: dict[str, Any]) -> HelperAnswer:
    username, secret = members.get("username") or "", members.get("secret") or ""
    if not isinstance(username, str) or not isinstance(secret, str):
        return HelperAnswer(fault=f"{program} did not answer with credentials")
    if not secret:
        return HelperAnswer()
    if username == IDENTITY_TOKEN_USER:
        return HelperAnswer(Credentials(identity_token=secret))
    return HelperAnswer(Credentials(username, secret))


def _first_line(output: bytes, secrets: Iterable[str]) -> str:
    """Return the first line that is a sentence, secrets concealed: JSON or a single word may be the secret itself."""
    for line in output.decode(errors="replace").splitlines():
        text = _CONTROL.sub(" ", line).strip()
        if " " in text and text[0] not in "{[\"'":
            return _conceal(text, secrets)[:_LONGEST_REASON]
    return ""


def _conceal(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _VALUE.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))
    return _HEX.sub("***", _LONG_WORD.sub(_conceal_word, text))


def _conceal_word(match: re.Match[str]) -> str:
    """Conceal a word that looks random: digits among capital letters, which are rare in names and paths."""
    word = match[0]
    looks_random = any(map(str.isdigit, word)) and any(map(str.isupper, word)) and not word.startswith("/")
    return "***" if looks_random else word
