"""Verify the receipts of a push. Pure (BEHAVIOUR 9.7)."""

from collections.abc import Iterable, Sequence

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, ReceiptInvalid, ReceiptMissing
from tasks.oci.digest import digest_of
from tasks.oci.receipt import read_receipt, read_statement
from tasks.oci.signatures import bundle_signs
from tasks.transfer.ports import KeptReceipt


def check_receipts(report: contract.PushReport, kept: Iterable[KeptReceipt], keys: Sequence[str]) -> contract.Receipts:
    """Return each receipt with the result of its verification by one of the keys; each tag that moved needs one."""
    kept = list(kept)
    checked = [_check(report.push_id, each, keys) for each in kept]
    there = {(each.reference, each.subject) for each in kept}
    for tag in (tag for item in report.items for tag in item.tags):
        # What is stored under a digest is no tag.
        moved = tag.action in {"copied", "merged"} and "@" not in tag.reference
        if moved and (tag.reference, tag.new_digest) not in there:
            error = ReceiptMissing(f"{tag.reference} moved to {tag.new_digest}, and no receipt says so.")
            checked.append(contract.Receipt(reference=tag.reference, error=contract.Fault.of(error)))
    broken = any(each.error is not None for each in checked)
    return contract.Receipts(push_id=report.push_id, state="broken" if broken else "verified", receipts=checked)


def _check(push_id: str, kept: KeptReceipt, keys: Sequence[str]) -> contract.Receipt:
    error = _fault(push_id, kept, keys)
    return contract.Receipt(
        reference=kept.reference,
        digest=digest_of(kept.manifest),
        attached=kept.attached,
        statement=read_statement(kept.bundle),
        bundle=msgspec.json.decode(kept.bundle),
        error=None if error is None else contract.Fault.of(error),
    )


def _fault(push_id: str, kept: KeptReceipt, keys: Sequence[str]) -> ImagePusherError | None:
    if not bundle_signs(kept.bundle, kept.subject, keys):
        return ReceiptInvalid(f"No given key signed the receipt of {kept.reference} on {kept.subject}.")
    said = read_receipt(kept.bundle)
    if said is None or (said.push_id, said.destination, said.new_digest) != (push_id, kept.reference, kept.subject):
        return ReceiptInvalid(f"The receipt of {kept.reference} tells of something else than of this push to that tag.")
    return None
