"""Plug-ins: functions of the entry point group `imagepusher.tag_moved`, called for each moved tag."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tasks.contract import TagMoved

PLUGINS: Final = "imagepusher.tag_moved"
LOG: Final = logging.getLogger(__name__)

Plugin = Callable[[dict[str, Any]], None]


class PluginAnnouncer:
    """An announcer that calls the plug-ins for each moved tag; it logs their errors and continues."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._plugins = plugins
        self.listens = bool(plugins)

    def tag_moved(self, moved: TagMoved) -> None:
        """Announce one tag."""
        for plugin in self._plugins:
            try:
                plugin(msgspec.to_builtins(moved))
            except Exception:
                LOG.exception("A plug-in failed to take the event of %s", moved.reference)


def load_plugins() -> list[Plugin]:
    """Return the installed plug-ins by name; log and omit any that cannot be loaded."""
    if not _may_be_installed():
        return []
    from importlib.metadata import entry_points  # noqa: PLC0415 - loading and asking it takes as long as many requests

    loaded: list[Plugin] = []
    for entry in sorted(entry_points(group=PLUGINS), key=lambda entry: entry.name):
        try:
            loaded.append(entry.load())
        except Exception:
            LOG.exception("The plug-in %s (%s) cannot be loaded: it is told nothing", entry.name, entry.value)
    return loaded


def _may_be_installed() -> bool:
    """Tell whether an installed distribution may have plug-ins; True where only importlib knows, as in an archive."""
    return any(map(_may_hold, sys.path))


def _may_hold(folder: str) -> bool:
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - pathlib takes thrice as long for a folder of distributions
    except NotADirectoryError:
        return True
    except OSError:
        return False
    return any(_names_group(os.path.join(folder, name)) for name in names if name.endswith("-info"))  # noqa: PTH118


def _names_group(distribution: str) -> bool:
    try:
        return PLUGINS.encode() in Path(distribution, "entry_points.txt").read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True
