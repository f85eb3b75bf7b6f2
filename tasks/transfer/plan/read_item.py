"""Read the source of an item, resolved once (BEHAVIOUR section 2)."""

from typing import TYPE_CHECKING

import msgspec

from tasks.errors import ImagePusherError, Side
from tasks.oci.merge import MergeRules
from tasks.registry.repository import Registries
from tasks.transfer.plan.default_image import pick_image
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.image_age import read_age
from tasks.transfer.plan.read_image import read_source
from tasks.transfer.request.valid import ValidItem, ValidRequest

if TYPE_CHECKING:
    from tasks.transfer.plan.keyless import TrustRoot


def read_item(
    item: ValidItem,
    request: ValidRequest,
    registries: Registries,
    rules: MergeRules,
    trust: "TrustRoot | None" = None,
) -> SourceImage | ImagePusherError:
    """Return the source of an item, or the error against pushing it."""
    repository = registries.repository(*item.source.place, "source")
    try:
        image = read_source(
            repository,
            pick_image(repository, item.source, item.platforms) if item.kind == "image" else item.source,
            kind=item.kind,
            single_arch=item.single_arch,
            eligible=request.eligible(item),
            rules=rules,
            platform_matters=item.conditions.need_platform,
        )
        if item.verify:
            # Few pushes ask for signatures.
            from tasks.transfer.plan.required_signatures import require_signature  # noqa: PLC0415

            require_signature(repository, image, item.verify, trust)
        by = item.conditions.forward_only
        if by is None:
            return image
        return msgspec.structs.replace(image, age=read_age(repository, image.original_content, image.media_type, by))
    except ImagePusherError as error:
        return error.on(Side.SOURCE)
