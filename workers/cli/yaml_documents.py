"""YAML requests: JSON types only, no duplicate keys, and no name misread as another type."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import yaml

# YAML 1.1 would read the tag 2024-01-01 as a date, `on` as a boolean, and 12:30 as a number of base 60.
_CORE_SCHEMA: Final = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)

_NULL: Final = "tag:yaml.org,2002:null"
_MISREAD: Final = {
    _NULL: "null",
    "tag:yaml.org,2002:bool": "a boolean",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
}
# The keys of a request that hold names (single, in lists, or by repository), and the keys that hold any value.
_NAMES: Final = {
    "push_id": "push_id",
    "target": "target",
    "source": "source",
    "pull_url": "source",
    "platforms": "platform",
    "destinations": "tag",
    "tags": "tag",
}
_FREE: Final = frozenset({"target_settings", "build"})
_SHOWN_FAULTS: Final = 10


def parse_yaml(text: str) -> Any:
    """Return the value of one YAML document of JSON types; raises ValueError with the place of a fault.

    An unquoted number, boolean or null in place of a name is a fault: the tag 1.10 would become 1.1.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{error.problem or error.context}{place}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _unquoted(node: yaml.Node) -> Iterator[str]:
    """Yield a message for each scalar that is meant as a name but is another type in YAML."""
    seen: set[int] = set()
    waiting = [(node, "")]
    while waiting:
        node, due = waiting.pop()
        if due and _is_misread(node):
            yield _quote(node, due)
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        # The parts are reversed: the first one is examined next, so faults are in the order of their lines.
        waiting += reversed(list(_parts(node, due)))


def _parts(node: yaml.Node, due: str) -> Iterator[tuple[yaml.Node, str]]:
    """Yield the parts of a list or mapping, each with the kind of name that it must be ("" for any value)."""
    if isinstance(node, yaml.SequenceNode):
        yield from ((entry, due) for entry in node.value)
        return
    for key, value in node.value:
        if due:
            yield key, "repository"
            yield value, due
        elif isinstance(key, yaml.ScalarNode) and key.value not in _FREE:
            yield value, _NAMES.get(key.value, "")


def _is_misread(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.tag in _MISREAD


def _quote(node: yaml.Node, due: str) -> str:
    place = f"in line {node.start_mark.line + 1}"
    if not node.value:
        return f"a {due} is missing {place}"
    return f'the {due} {node.value} {place} is {_MISREAD[node.tag]} for YAML: quote it, "{node.value}"'


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML declares it so

    def construct_document(self, node: yaml.Node) -> Any:
        if faults := list(islice(_unquoted(node), _SHOWN_FAULTS)):
            raise ValueError("; ".join(faults))
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the signature is PyYAML's
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {_text_of(key_node)} is not a string: put it into quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _text_of(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else f"({node.tag})"


for _tag, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first])
