"""Let this process decompress no message: kombu would do so before anyone may look at it."""

from typing import Any, NoReturn

from kombu import compression


def refuse_compressed() -> None:
    """Let kombu fail on each compressed message that it is given, whatever the method."""
    for method in compression.encoders():
        encoder: Any = compression.get_encoder(method)
        compression.register(encoder[0], _refuse, method)


def _refuse(_: bytes) -> NoReturn:
    raise ValueError("compressed messages are not taken")
