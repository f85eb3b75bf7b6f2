"""Patterns that a registry tells: one whose match could take too long is not asked, for it would stop the worker."""

import re
from typing import Final

# An escaped character, and a class of characters, match one character whatever stands in them.
_ONE: Final = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)
_GROUP_KIND: Final = re.compile(r"\(\?(?:P?<\w+>|[:=!])")
_REPEATED_GROUP: Final = re.compile(r"\)[*+{]")
_LONGEST: Final = 1000
# Each repetition multiplies the ways to match by the length of the text, each group by its alternatives.
_MOST_CHOICES: Final = 4
_MOST_ALTERNATIVES: Final = 16


def is_bounded(pattern: str) -> bool:
    """Tell whether a regular expression matches a tag, which has at most 128 characters, in a bounded time."""
    if len(pattern) > _LONGEST:
        return False
    bare = _GROUP_KIND.sub("(", _ONE.sub("x", pattern))
    choices = sum(bare.count(each) for each in "*+?{(")
    return not _REPEATED_GROUP.search(bare) and choices <= _MOST_CHOICES and bare.count("|") < _MOST_ALTERNATIVES
