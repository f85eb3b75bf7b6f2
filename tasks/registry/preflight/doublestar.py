"""The patterns of Harbor's rules: `*` and `?` stand for anything but a slash, `**` for anything, `{a,b}` for a or b."""

import re
from typing import Final

from tasks.registry.preflight.bounded_pattern import is_bounded

_PIECE: Final = re.compile(r"\*\*/|\*\*|\*|\?|\{|\}|,|\[\^?[^\]]+\]|\\.|.", re.DOTALL)
_SIMPLE: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern describes a whole text; one that cannot be read, or takes too long, describes none."""
    expression = _regex(pattern)
    if not is_bounded(expression):
        return False
    try:
        return re.fullmatch(expression, text, re.DOTALL) is not None
    except re.error:
        return False


def _regex(pattern: str) -> str:
    made, depth = [], 0
    for piece in _PIECE.findall(pattern):
        if piece in _SIMPLE:
            made.append(_SIMPLE[piece])
        elif piece == "{":
            depth += 1
            made.append("(?:")
        elif piece == "}" and depth:
            depth -= 1
            made.append(")")
        elif piece == "," and depth:
            made.append("|")
        elif piece.startswith("[") and len(piece) > 1:
            made.append(piece)
        else:
            made.append(re.escape(piece.removeprefix("\\") or piece))
    return "".join(made)
