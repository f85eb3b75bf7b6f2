r"""Authentication challenges of a registry (RFC 9110 section 11.6.1).

    WWW-Authenticate = [ challenge *( OWS "," OWS challenge ) ]        empty elements are allowed (5.6.1)
    challenge        = auth-scheme [ 1*SP ( token68 / [ auth-param *( OWS "," OWS auth-param ) ] ) ]
    auth-scheme      = token
    auth-param       = token BWS "=" BWS ( token / quoted-string )
    token            = 1*( "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
                           / DIGIT / ALPHA )
    token68          = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
    quoted-string    = DQUOTE *( qdtext / "\" any ) DQUOTE
    OWS = BWS        = *( SP / HTAB )

The comma that ends a challenge and the one between its parameters are the same: a token is a parameter if "=" follows
it, else a scheme. The parser is more lenient than the grammar: an unquoted value may hold the characters of a URL, a
quoted string may lack its end, commas may be missing, and text that fits nowhere is skipped.
"""

import re
from typing import Final

import msgspec

LONGEST_HEADER: Final = 16 * 1024

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# Possessive quantifiers: each character is read a bounded number of times, whatever the header holds.
_PARAMETER: Final = re.compile(
    rf'({_WORD})[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)(?:\\?\Z|")|([^ \t,"]*+))',
    re.DOTALL,
)
_SCHEME: Final = re.compile(rf"({_WORD})(?:[ \t]++[0-9A-Za-z\-._~+/]++=*+(?=[ \t]*+(?:,|\Z)))?")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class Challenge(msgspec.Struct, frozen=True):
    """One scheme, in lower case, with its parameters, their names in lower case; a token68 is not kept."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Parse the challenges of a header in their order; several header lines come joined by commas.

    Never raises, takes linear time and reads the first `LONGEST_HEADER` characters. If a parameter occurs twice, the
    first one counts. RFC 9110 section 11.6.1.
    """
    text = header[:LONGEST_HEADER]
    challenges: list[Challenge] = []
    position = 0
    while position < len(text):
        if parameter := _PARAMETER.match(text, position):
            name, quoted, plain = parameter.groups()
            if challenges:
                value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
                challenges[-1].parameters.setdefault(name.lower(), value)
            position = parameter.end()
        elif scheme := _SCHEME.match(text, position):
            challenges.append(Challenge(scheme[1].lower(), {}))
            position = scheme.end()
        else:
            position += 1
    return challenges
