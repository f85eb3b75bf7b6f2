"""Text from elsewhere, as it is shown to people."""


def printable(text: str) -> str:
    """Return text with control and format characters, except newlines, in visible form.

    They would command a terminal, and turn the reading direction in a browser.
    """
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
