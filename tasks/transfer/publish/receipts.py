"""Attach a signed receipt to each image that a push gave a tag, after the tag moved (BEHAVIOUR 9.7)."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError, ReceiptMissing, Side
from tasks.oci import media_types
from tasks.oci.artifact import EMPTY, EMPTY_CONFIG, layer_of
from tasks.oci.carried import carried
from tasks.oci.descriptor import Descriptor
from tasks.oci.receipt import Receipt, at_time, receipt_artifact, sign_receipt
from tasks.oci.reference import Reference
from tasks.oci.signatures import BUNDLE
from tasks.oci.signing import SigningKey
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.plan import ResolvedItem
from tasks.transfer.plan.selected_referrers import MadeList, parted
from tasks.transfer.ports import KeptReceipt, MadeReceipt, MayRetry, PublishLedger, TagLocks
from tasks.transfer.publish.referrers import ReferrerPublisher
from tasks.transfer.publish.small_blobs import store_blob

LOG: Final = logging.getLogger(__name__)


class ReceiptWriter(msgspec.Struct, frozen=True, kw_only=True):
    """The writer of the receipts of one push."""

    push_id: str
    key: SigningKey
    ledger: PublishLedger
    locks: TagLocks
    referrers: ReferrerPublisher
    may_retry: MayRetry
    clock: Callable[[], float]

    def receipted(
        self, item: ResolvedItem, repository: Repository, report: contract.TagReport, held: Current
    ) -> contract.TagReport:
        """Attach the receipt of a tag that moved and holds `held`; return its report.

        A tag that lacks its receipt has moved all the same: its report gets a warning. Raises only errors that are
        worth another try.
        """
        if report.action not in {"copied", "merged"} or Reference.parse(report.reference).digest is not None:
            return report
        # A repeated delivery attaches the receipt of the first one: a new one would have another time and signature.
        name = f"{report.reference} {report.old_digest} {report.new_digest}"

        def attach() -> None:
            kept = self.ledger.receipt(self.push_id, name)
            if kept is None:
                kept = self._sign(name, item, repository, report, held)
                self.ledger.keep_receipt(self.push_id, kept)
            self._attach(repository, kept)

        return self._warned(report, attach)

    def _warned(self, report: contract.TagReport, attach: Callable[[], None]) -> contract.TagReport:
        """Return the report of a tag with a warning if it has no receipt."""
        try:
            if not self.ledger.is_undone(self.push_id):
                attach()
        except ImagePusherError as error:
            if error.gives_back or (error.passes and self.may_retry(error)):
                raise
            reason = str(error.on(Side.DESTINATION))
        except Exception as error:
            LOG.exception("Push %s: the receipt of %s broke", self.push_id, report.reference)
            reason = f"Making it broke ({type(error).__name__}): see the worker's log."
        else:
            return report
        message = (
            f"{report.reference} has moved, but its receipt is not at the destination: {reason}"
            f" `imagepusher receipt {self.push_id} -o json` prints the receipt, if it was made."
        )
        LOG.warning("%s", message)
        notice = contract.Notice(ReceiptMissing.code, message)
        return msgspec.structs.replace(report, warnings=[*report.warnings, notice])

    def _attach(self, repository: Repository, kept: KeptReceipt) -> None:
        if kept.attached:
            return
        planned = kept.planned
        # Before the write, as with tags: an undo knows what it may take away.
        self._note(kept, MadeReceipt(planned.digest, kept.subject, [each.digest for each in kept.referrers]), [])
        store_blob(repository, EMPTY, EMPTY_CONFIG)
        store_blob(repository, kept.bundle, layer_of(kept.bundle, BUNDLE))
        manifest = FetchedManifest(kept.manifest, media_types.OCI_MANIFEST, planned.digest)
        self._note(kept, None, self.referrers.attach(repository, planned, manifest, self.locks))
        self.ledger.keep_receipt(self.push_id, msgspec.structs.replace(kept, attached=True))

    def _sign(
        self, name: str, item: ResolvedItem, repository: Repository, report: contract.TagReport, held: Current
    ) -> KeptReceipt:
        now = at_time(self.clock())
        left = {each.digest for each in report.referrers_left}
        came = [each for each in parted(item, held.digest)[0] if each.digest not in left]
        receipt = Receipt(
            push_id=self.push_id,
            source=str(item.wanted.source),
            source_digest=item.digest,
            destination=report.reference,
            action=report.action,
            old_digest=report.old_digest,
            new_digest=held.digest,
            kept_platforms=report.kept_platforms,
            referrers=carried((each.digest, each.referrer.artifact_type) for each in came),
            producer=self.ledger.producer(self.push_id),
            time=now,
        )
        bundle = sign_receipt(receipt, self.key)
        subject = repository.resolve(held.digest) if not held.content else None
        described = subject or Descriptor(held.media_type, held.digest, len(held.content))
        return KeptReceipt(
            name=name,
            reference=report.reference,
            subject=held.digest,
            manifest=receipt_artifact(bundle, described, now),
            bundle=bundle,
            referrers=receipt.referrers,
        )

    def _note(self, kept: KeptReceipt, receipt: MadeReceipt | None, lists: Sequence[MadeList]) -> None:
        """Add what this push writes at the destination to the intent of the tag, by which an undo knows it."""
        intent = self.ledger.intent(self.push_id, kept.reference)
        if intent is None or (receipt is None and not lists):
            return
        made = [each for each in intent.receipts if receipt is None or each.digest != receipt.digest]
        intent = msgspec.structs.replace(
            intent,
            receipts=made if receipt is None else [*made, receipt],
            lists=list(dict.fromkeys([*intent.lists, *lists])),
        )
        self.ledger.record_intent(self.push_id, kept.reference, intent)
