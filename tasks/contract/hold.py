"""The hold on a tag."""

import msgspec


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The hold on a tag that an operator froze: no push moves the tag until its release. Seconds since the epoch.

    `by` is the user of the page who froze the tag, or the account that ran the command.
    """

    reference: str
    why: str
    since: float
    by: str | None = None
