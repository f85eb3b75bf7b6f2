"""Refuse compressed messages: kombu would decompress them before any check."""

from typing import Any, NoReturn

from kombu import compression


def refuse_compressed() -> None:
    """Make kombu fail on each compressed message, whatever the method."""
    for method in compression.encoders():
        encoder: Any = compression.get_encoder(method)
        compression.register(encoder[0], _refuse, method)


def _refuse(_: bytes) -> NoReturn:
    raise ValueError("compressed messages are not taken")
