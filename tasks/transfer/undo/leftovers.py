"""Delete what a push made beside its tags: lists of referrers, and receipts (BEHAVIOUR 9.3, 9.7)."""

from collections import defaultdict
from collections.abc import Callable, Container, Sequence

from tasks.oci.digest import Digest
from tasks.oci.referrers import fallback_tag
from tasks.registry.repository import Repository
from tasks.transfer.plan.selected_referrers import MadeList
from tasks.transfer.ports import MadeReceipt
from tasks.transfer.undo.mark import Mark
from tasks.transfer.undo.needs import Needs


class Leftovers:
    """What a push made in one repository beside tags that are undone.

    All other referrers stay: they may be another signer's.
    """

    def __init__(self, repository: Repository, undone: Sequence[Mark], needs: Needs) -> None:
        self._repository = repository
        self._undone = undone
        self._needs = needs

    def delete(self, delete_tag: Callable[[Mark], None]) -> None:
        """Delete the lists to which nobody added, and the receipts, if no tag holds their image."""
        lists: defaultdict[str, list[MadeList]] = defaultdict(list)
        for each in (each for mark in self._undone for each in mark.intent.lists):
            lists[each.tag].append(each)
        held = self._needs.of_tags(but=lists.keys())
        for tag, made in lists.items():
            if made[-1].root not in held:
                delete_tag(self._undone[0].beside(tag, _state_of_list(self._repository, made)))
        self._delete_receipts(held)

    def _delete_receipts(self, held: Container[str]) -> None:
        """Delete receipts of images that no tag holds, unless something that is not of this push refers to them too."""
        by_subject: defaultdict[Digest, list[MadeReceipt]] = defaultdict(list)
        for each in (each for mark in self._undone for each in mark.intent.receipts):
            by_subject[each.subject].append(each)
        for subject, ours in by_subject.items():
            own = {digest for each in ours for digest in (each.digest, *each.beside)}
            if subject not in held and _refer_alone(self._repository, subject, own):
                for each in ours:
                    self._repository.delete_manifest(each.digest)


def _state_of_list(repository: Repository, made: Sequence[MadeList]) -> Digest:
    """Return the digest of a list: the present one if nobody but the push has added to the list, else the last."""
    held = repository.digest_at(made[-1].tag)
    return held if held is not None and held in {each.digest for each in made} else made[-1].digest


def _refer_alone(repository: Repository, subject: Digest, own: Container[str]) -> bool:
    """Tell whether a client of the registry finds nothing that refers to a digest but `own`."""
    listed = repository.referrers(subject)
    if listed is not None:
        return all(each.digest in own for each in listed)
    held = repository.digest_at(fallback_tag(subject))
    # GitLab answers for an absent list with the manifest of the digest in its name.
    return held in {None, subject}
