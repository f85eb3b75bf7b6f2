"""Challenges are read after RFC 9110 section 11.6.1 (BEHAVIOUR 8.1)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.registry.auth.challenge import LONGEST_HEADER, Challenge, parse_challenges

TOKENS = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARAMETERS = st.dictionaries(TOKENS.map(str.lower), VALUES, min_size=1, max_size=4)
CHALLENGES = st.lists(st.builds(Challenge, TOKENS.map(str.lower), PARAMETERS), max_size=4)
SPACES = st.text(" \t", max_size=3)


def quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ("BASIC REALM=x", [("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "registry.example",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (
            'Basic realm="a, b=c", Bearer realm="d",service=e',
            [("basic", {"realm": "a, b=c"}), ("bearer", {"realm": "d", "service": "e"})],
        ),
        ('Bearer realm = "x" ,\tservice\t=\ty', [("bearer", {"realm": "x", "service": "y"})]),
        (',, , Basic ,, realm="x",,', [("basic", {"realm": "x"})]),
        (r'Basic realm="say \"hi\\you\""', [("basic", {"realm": r'say "hi\you"'})]),
        ('Negotiate YII/abc+==, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("Negotiate, NTLM", [("negotiate", {}), ("ntlm", {})]),
        ("Basic, Bearer realm=x", [("basic", {}), ("bearer", {"realm": "x"})]),
        ('Bearer realm="x" service="y"', [("bearer", {"realm": "x", "service": "y"})]),
        (
            "Bearer realm=https://a.example/token?x=1,service=b",
            [
                ("bearer", {"realm": "https://a.example/token?x=1", "service": "b"}),
            ],
        ),
        ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
        ('Bearer realm="never closed, service=x', [("bearer", {"realm": "never closed, service=x"})]),
        ('Bearer realm="ends in a backslash\\', [("bearer", {"realm": "ends in a backslash"})]),
        ('Bearer realm="",service=', [("bearer", {"realm": "", "service": ""})]),
        # By the grammar "realm=" is a token68 here.
        ("Bearer realm=,service=x", [("bearer", {"service": "x"})]),
        ('realm="of no scheme", Basic realm="x"', [("basic", {"realm": "x"})]),
    ],
)
def test_a_header_says_its_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(header) == [Challenge(*each) for each in expected]


@given(CHALLENGES, st.data())
def test_what_is_written_by_the_grammar_is_read_back(challenges: list[Challenge], data: st.DataObject) -> None:
    def space() -> str:
        return data.draw(SPACES)

    written = f"{space()},{space()}".join(
        f"{each.scheme} "
        + f"{space()},{space()}".join(
            f"{name}{space()}={space()}{quoted(value)}" for name, value in each.parameters.items()
        )
        for each in challenges
    )
    assert parse_challenges(written) == challenges


@given(st.text() | st.text('ab=",\\ \t/', max_size=60))
def test_garbage_never_raises(header: str) -> None:
    for each in parse_challenges(header):
        assert each.scheme == each.scheme.lower() != ""
        assert all(name == name.lower() != "" for name in each.parameters)


@pytest.mark.parametrize("piece", ['"', "a ", "a=", 'a="', "a\t\t", "\\", 'a="\\', ",", "a =", "a b="])
def test_the_longest_header_of_one_piece_ends(piece: str) -> None:
    parse_challenges("x " + piece * LONGEST_HEADER)


def test_nothing_beyond_the_longest_header_counts() -> None:
    beyond = "Basic " + " " * LONGEST_HEADER + "realm=x"
    assert parse_challenges(beyond) == [Challenge("basic", {})]
