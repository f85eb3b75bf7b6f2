"""The equality of two indexes, whatever the order and the white space (BEHAVIOUR 4.6). Pure."""

import json
from collections import Counter
from typing import Final

from tasks.oci.descriptor import Descriptor
from tasks.oci.index import Index


def same_entries(one: Index, other: Index) -> bool:
    """Tell whether both indexes have the same entries, equal in every member and equally often."""
    if len(one.entries) != len(other.entries):
        return False
    return Counter(map(_said, one.entries)) == Counter(map(_said, other.entries))


def _said(entry: Descriptor) -> str:
    """Return a text that is equal for entries that differ only in white space, order, or escapes."""
    try:
        return json.dumps(_decoder.decode(entry.raw.decode()), sort_keys=True)
    except RecursionError:
        return entry.raw.decode()


# Numbers keep their text: not every reader takes 1.10 as 1.1.
_decoder: Final = json.JSONDecoder(parse_int=lambda text: {"number": text}, parse_float=lambda text: {"number": text})
