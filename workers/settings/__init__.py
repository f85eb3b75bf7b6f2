"""The settings of a worker or a command, read from a TOML file and the environment."""

from workers.settings.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
