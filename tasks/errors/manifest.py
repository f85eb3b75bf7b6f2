"""Errors of manifests that cannot be read."""

from tasks.errors.source import SourceError


class ManifestInvalid(SourceError):
    """The manifest breaks the OCI specification."""

    code = "manifest_invalid"
    # A destination may hold such a manifest, too.
    side = None
    advice = "Rebuild the image or push it to its registry again."


class ManifestAmbiguous(ManifestInvalid):
    """Other clients may read the manifest in another way."""

    code = "manifest_ambiguous"
    advice = "Nothing of it is pushed. Find out who wrote the manifest. Push the image to its registry again."


class SchemaUnsupported(SourceError):
    """The image has a manifest of docker schema 1."""

    code = "schema_unsupported"
    advice = "Docker schema 1 images cannot be copied. Rebuild the image with a current tool."


class IndexEmpty(SourceError):
    """The index has no entries."""

    code = "index_empty"
    advice = "An index without entries holds nothing to push."
