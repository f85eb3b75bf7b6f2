"""Mask what looks like a credential in any text: the last line of defence, none should get this far (BEHAVIOUR 6.7)."""

import re
from typing import Final

# Quotes may be escaped: the text may be JSON inside of JSON.
_QUOTES: Final = r"""["'\\]*"""
_VALUE: Final = r"""[^\s"'\\,;&}\])]+"""
_SECRETS: Final = "password|passwd|secret|client_secret|(?:access|refresh|identity)_?token"
_SIGNED: Final = "x-amz-(?:signature|security-token|credential)|signature|sig|token"

# Each begins with something rare, so that long texts cost little.
_PATTERNS: Final = (
    # RFC 3986, 3.2.1: what stands before the last `@` of an authority.
    (re.compile(r"""(://)[^\s/"'<>\\]+(?=@)"""), r"\1***"),
    # RFC 9110, 11.6.2: a header line, or an entry of a dictionary.
    (
        re.compile(
            rf"""((?i:authorization){_QUOTES}\s*[:=,]\s*(?:b(?=["'\\]))?{_QUOTES})(?:[A-Za-z]+\s+)?{_VALUE}""",
        ),
        r"\1***",
    ),
    # The same without the header's name; neither words of a sentence nor the parameters of a challenge.
    (re.compile(rf"\b((?:Bearer|Basic)\s+)(?![a-z_]+=)(?=\S*[0-9A-Z=]){_VALUE}"), r"\1***"),
    # Also at the end of longer names, `dest_quay_password`. What is said of a key is no value, `password: is a secret`,
    # and neither is advice, `it holds a secret: run chmod`.
    (
        re.compile(
            rf"(?<![A-Za-z])((?i:{_SECRETS}){_QUOTES}\s*[:=]\s*{_QUOTES})"
            rf"(?!is (?:a|not) |(?:(?<=\ba secret: )|(?<=\ba password: )|(?<=\ba token: ))[a-z]+ ){_VALUE}"
        ),
        r"\1***",
    ),
    (re.compile(rf"""([?&](?i:{_SIGNED})=)[^\s&"'<>\\]+"""), r"\1***"),
)


def mask(text: str) -> str:
    """Return the text with what looks like a credential replaced by `***`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
