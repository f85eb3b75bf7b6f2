"""Text from elsewhere, as it is shown to people. Pure."""


def printable(text: str) -> str:
    """Return text as one line, with control and format characters in visible form.

    They would command a terminal, begin a line that looks like ours, or turn the reading direction in a browser.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
