"""Errors of what refers to an image: signatures, SBOMs, attestations, receipts."""

from tasks.errors.destination import DestinationError
from tasks.errors.source import SourceError


class SignatureMissing(SourceError):
    """The image lacks a required signature."""

    code = "signature_missing"
    advice = "Nothing of it was copied. Sign that digest, or push the one that is signed."


class SignatureInvalid(SourceError):
    """No signature of the image is by a required key."""

    code = "signature_invalid"
    advice = "Nothing of it was copied. Check the keys of `verify`, and who signed the image."


class ReferrersUnreadable(SourceError):
    """The source does not list or serve the referrers of the image."""

    code = "referrers_unreadable"
    advice = (
        "Signatures and SBOMs may be missing at the destination: push again when the source serves them, or set"
        " `referrers` of the item to none."
    )


class ReferrersRefused(DestinationError):
    """The registry refuses the referrers of the image."""

    code = "referrers_refused"
    advice = (
        "Signatures and SBOMs are missing there: use a registry that takes them, or set the item's `referrers` to none."
    )


class ReceiptMissing(DestinationError):
    """A tag that moved has no receipt."""

    code = "receipt_missing"
    advice = (
        "The tag is right all the same. `imagepusher receipt` prints the receipt if one was made; none is made later."
    )


class ReceiptInvalid(DestinationError):
    """A receipt does not say what the push did, or is not signed by a given key."""

    code = "receipt_invalid"
    advice = "Was it signed with another key? Else somebody has changed what the ledger keeps."
