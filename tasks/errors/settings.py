"""The error of settings that cannot be used."""

from tasks.errors.base import ImagePusherError, Side


class SettingsInvalid(ImagePusherError):
    """The settings break a rule."""

    code = "settings_invalid"
    side = Side.SETTINGS
