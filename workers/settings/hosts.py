"""The hosts of registries in the settings."""

from tasks.oci.reference import Reference, carries_registry, parse_registry


def read_host(place: str, text: str, faults: list[str]) -> str:
    """Return the host of a registry as in references; a wrong one becomes a fault and stays as it is."""
    try:
        return _parse_host(text)
    except ValueError as error:
        faults.append(f"{place}: {error}")
        return text


def _parse_host(text: str) -> str:
    """Return the host of a registry as in references; raises ValueError, whose message shows no password."""
    if "@" in text:
        raise ValueError("a host carries no credentials; they have keys of their own")
    parse_registry(text)
    if not carries_registry(f"{text}/"):
        raise ValueError(f"in references, {text!r} would be a part of a name, not a host; add the port")
    return Reference.parse(f"{text}/any").registry
