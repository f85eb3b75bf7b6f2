"""pubtools-quay's ManifestListMerger, with the same names and arguments, implemented by a push."""

from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import requests

from tasks import contract
from tasks.pusher import ContainerImagePusher
from tasks.quay_client import QuayClient

_ABSENT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED})


class ManifestListMerger:
    """Merge the manifest list of `src_image` into that of `dest_image`, both full references.

    The hosts are those of the references, whatever `src_quay_host` and `host` say.
    """

    def __init__(
        self,
        src_image: str,
        dest_image: str,
        src_quay_host: str | None = None,
        src_quay_username: str | None = None,
        src_quay_password: str | None = None,
        dest_quay_username: str | None = None,
        dest_quay_password: str | None = None,
        host: str | None = None,
    ) -> None:
        self.src_image = src_image
        self.dest_image = dest_image
        self._source: QuayClient | None = None
        self._destination: QuayClient | None = None
        if src_quay_username and src_quay_password:
            self._source = QuayClient(src_quay_username, src_quay_password, src_quay_host or host)
        if dest_quay_username and dest_quay_password:
            self._destination = QuayClient(dest_quay_username, dest_quay_password, host)

    def set_quay_clients(self, src_quay_client: QuayClient, dest_quay_client: QuayClient) -> None:
        """Use these clients: a push needs their users and passwords."""
        self._source = src_quay_client
        self._destination = dest_quay_client

    def merge_manifest_lists(self) -> contract.PushReport:
        """Merge, copy the missing manifests and blobs, and return the report; raises the errors of the pusher."""
        source, destination = self._clients()
        settings = {
            "source_quay_user": source.username,
            "source_quay_password": source.password,
            "dest_quay_user": destination.username,
            "dest_quay_password": destination.password,
        }
        return ContainerImagePusher([], settings).run_merge_workflow(self.src_image, [self.dest_image])

    def merge_manifest_lists_selected_architectures(self, eligible_archs: Collection[str]) -> dict[str, Any]:
        """Return the source's list with the eligible architectures only, plus the destination's other entries.

        Writes nothing. Raises requests' HTTPError.
        """
        source, destination = self._clients()
        merged: dict[str, Any] = source.get_manifest(self.src_image)
        try:
            held = destination.get_manifest(self.dest_image)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code not in _ABSENT:
                raise
            held = {}
        taken = [entry for entry in merged["manifests"] if _architecture(entry) in eligible_archs]
        return merged | {"manifests": taken + self.get_missing_architectures({"manifests": taken}, held)}

    @staticmethod
    def get_missing_architectures(
        src_manifest_list: Mapping[str, Any], dest_manifest_list: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the destination's entries whose architecture the source lacks."""
        there: Sequence[Mapping[str, Any]] = src_manifest_list["manifests"]
        architectures = {_architecture(entry) for entry in there}
        held = dest_manifest_list.get("manifests", ())
        return [dict(entry) for entry in held if _architecture(entry) not in architectures]

    def _clients(self) -> tuple[QuayClient, QuayClient]:
        if self._source is None or self._destination is None:
            raise RuntimeError("users and passwords are missing: give them to the merger, or call set_quay_clients")
        return self._source, self._destination


def _architecture(entry: Mapping[str, Any]) -> str | None:
    platform = entry.get("platform") or {}
    found: str | None = platform.get("architecture")
    return found
