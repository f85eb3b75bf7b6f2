"""Errors of what refers to an image: signatures, SBOMs, attestations, receipts."""

from tasks.errors.destination import DestinationError
from tasks.errors.source import SourceError


class SignatureMissing(SourceError):
    """The image lacks a required signature."""

    code = "signature_missing"
    advice = "Nothing of it was copied. Sign that digest, or push a digest that is signed."


class SignatureInvalid(SourceError):
    """No signature of the image was made with a required key."""

    code = "signature_invalid"
    advice = "Nothing of it was copied. Check the keys of `verify`, and who signed the image."


class ReferrersUnreadable(SourceError):
    """The source does not list or serve the referrers of the image."""

    code = "referrers_unreadable"
    advice = (
        "Signatures and SBOMs may be missing at the destination. Push again when the source serves them, or set"
        " `referrers` of the item to none."
    )


class ReferrersRefused(DestinationError):
    """The registry refuses the referrers of the image."""

    code = "referrers_refused"
    advice = "Signatures and SBOMs are missing there. Use a registry that takes them, or set `referrers` to none."


class ReceiptMissing(DestinationError):
    """A tag that moved has no receipt."""

    code = "receipt_missing"
    advice = "The tag is right all the same, and no receipt is made later."


class ReceiptInvalid(DestinationError):
    """A receipt does not say what the push did, or no given key signed it."""

    code = "receipt_invalid"
    advice = "It was signed with another key, or somebody has changed what the ledger keeps."
