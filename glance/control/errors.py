"""The one error of this package."""


class ControlError(Exception):
    """What was asked cannot be done; the text is the one line to print, with the remedy (exit code 1)."""
