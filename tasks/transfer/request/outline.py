"""The sources and destinations in a request, valid or not. Pure."""

from collections.abc import Iterator
from typing import Any


def outlined(request: object) -> Iterator[tuple[object, dict[Any, Any]]]:
    """Yield the source and the destinations of each item with destinations, in either form of a request."""
    document = request if isinstance(request, dict) else {}
    for form, source, destinations in (("items", "source", "destinations"), ("push_items", "pull_url", "tags")):
        entries = document.get(form)
        for entry in entries if isinstance(entries, list) else []:
            item = entry.get("metadata", entry) if isinstance(entry, dict) else {}
            if isinstance(item, dict) and isinstance(item.get(destinations), dict):
                yield item.get(source), item[destinations]
