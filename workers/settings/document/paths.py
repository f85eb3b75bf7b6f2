"""Paths that the settings name."""

from pathlib import Path


def working_folder() -> Path:
    """Return the folder for relative paths of the environment; "." if that folder has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def is_there(path: Path, *, folder: bool = False) -> bool:
    """Tell whether a file or folder exists; False for an impossible file name."""
    try:
        return path.is_dir() if folder else path.is_file()
    except (OSError, ValueError):
        return False


def expand(text: str) -> Path:
    """Return a path with `~` replaced, if that home folder is known."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
