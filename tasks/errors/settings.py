"""The error of a broken configuration."""

from tasks.errors.base import ImagePusherError, Side


class SettingsInvalid(ImagePusherError):
    """The configuration breaks a rule."""

    code = "settings_invalid"
    side = Side.SETTINGS
