"""The libraries of vendors, which are extras of this project and imported only on use."""

from importlib import import_module
from typing import Any

from tasks.errors import SettingsInvalid


def need(module: str, *, extra: str, purpose: str) -> Any:
    """Import a module of an extra; raises SettingsInvalid, which says how to install it."""
    try:
        return import_module(module)
    except ImportError:
        raise SettingsInvalid(
            f"{purpose} needs the extra `{extra}` of this project, which is not installed here: install it by"
            f" pip install '.[{extra}]' in the project's folder, or with the path of its wheel before [{extra}]."
        ) from None
