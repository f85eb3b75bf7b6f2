"""Masking of credentials in any text, as the last line of defence: none should get this far (BEHAVIOUR 6.7)."""

from typing import Final

from tasks.patterns import late

# Quotes may be escaped: the text may be JSON inside JSON.
_QUOTES: Final = r"""["'\\]*"""
_VALUE: Final = r"""[^\s"'\\,;&}\])]+"""
_SECRETS: Final = "password|passwd|secret|client_secret|(?:access|refresh|identity)_?token"
_SIGNED: Final = "x-amz-(?:signature|security-token|credential)|signature|sig|token"

# Each pattern begins with a rare string, so that long texts cost little.
_PATTERNS: Final = (
    # RFC 3986, 3.2.1: the user information, before the last `@` of an authority.
    (late(r"""(://)[^\s/"'<>\\]+(?=@)"""), r"\1***"),
    # RFC 9110, 11.6.2: a header line, or an entry of a dictionary.
    (
        late(
            rf"""((?i:authorization){_QUOTES}\s*[:=,]\s*(?:b(?=["'\\]))?{_QUOTES})(?:[A-Za-z]+\s+)?{_VALUE}""",
        ),
        r"\1***",
    ),
    # The same without the header's name; excludes words of a sentence and the parameters of a challenge.
    (late(rf"\b((?:Bearer|Basic)\s+)(?![a-z_]+=)(?=\S*[0-9A-Z=]){_VALUE}"), r"\1***"),
    # Also at the end of longer names, `dest_quay_password`. A remark on a key, `password: is a secret`, is not a value,
    # and neither is advice, `it holds a secret: run chmod`.
    (
        late(
            rf"(?<![A-Za-z])((?i:{_SECRETS}){_QUOTES}\s*[:=]\s*{_QUOTES})"
            rf"(?!is (?:a|not) |(?:(?<=\ba secret: )|(?<=\ba password: )|(?<=\ba token: ))[a-z]+ ){_VALUE}"
        ),
        r"\1***",
    ),
    (late(rf"""([?&](?i:{_SIGNED})=)[^\s&"'<>\\]+"""), r"\1***"),
)


def mask(text: str) -> str:
    """Return the text with everything that looks like a credential replaced by `***`."""
    for pattern, replacement in _PATTERNS:
        text = pattern().sub(replacement, text)
    return text
