"""The interfaces of pubtools-quay to other programs: its log events and its hook."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from tasks import contract

LOG: Final = logging.getLogger("pubtools.quay")
_WRITTEN: Final = frozenset({"copied", "merged", "unchanged"})


@contextmanager
def logged_step(name: str) -> Iterator[None]:
    """Log the start and the end of a step; the type in the record's `event` tells which."""
    _log(logging.INFO, name, "start")
    try:
        yield
    except Exception:
        _log(logging.ERROR, name, "error")
        raise
    _log(logging.INFO, name, "end")


def tell_tagged(report: contract.PushReport) -> None:
    """Call the hook `quay_images_tagged`, if pubtools is installed, for each source that was pushed."""
    try:
        plugins: Any = import_module("pubtools.pluggy").pm
    except ImportError:
        # pubtools is not one of our dependencies.
        return
    hook: Callable[..., Any] | None = getattr(plugins.hook, "quay_images_tagged", None)
    for item in report.items:
        tagged = sorted(tag.reference for tag in item.tags if tag.action in _WRITTEN)
        if tagged and hook is not None:
            hook(source_ref=item.source, dest_refs=tagged)


def _log(level: int, name: str, moment: str) -> None:
    LOG.log(level, "%s-%s", name, moment, extra={"event": {"type": f"{name}-{moment}"}})
