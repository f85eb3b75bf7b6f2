"""All errors of pushes, and the file in which each stands.

    ImagePusherError                 base.py
    ├── RequestInvalid               request.py
    ├── NotPermitted                 request.py
    ├── SettingsInvalid              settings.py
    ├── PushFailed                   push.py
    ├── PushUnknown                  push.py
    ├── PushUnfinished               push.py
    ├── PushStalled                  push.py
    ├── PushAbandoned                push.py
    ├── PushUndone                   push.py
    ├── PushCancelledByUser          push.py
    ├── Withheld                     release.py
    ├── StateUnavailable             state.py
    ├── StateFolderUnusable          state.py
    ├── SourceError                  source.py
    │   ├── SourceMissing            source.py
    │   ├── SourceChildMissing       source.py
    │   ├── ManifestInvalid          manifest.py
    │   │   └── ManifestAmbiguous    manifest.py
    │   ├── SchemaUnsupported        manifest.py
    │   ├── IndexEmpty               manifest.py
    │   ├── SingleArchRefused        source.py
    │   ├── PlatformMissing          source.py
    │   ├── SignatureMissing         referrers.py
    │   ├── SignatureInvalid         referrers.py
    │   ├── ReferrersUnreadable      referrers.py
    │   └── PlatformUnknown          source.py
    ├── DestinationError             destination.py
    │   ├── DestinationChildMissing  destination.py
    │   ├── DestinationAmbiguous     destination.py
    │   ├── ExpectationFailed        conditions.py
    │   ├── TagHeld                  conditions.py
    │   ├── PlatformRemovalRefused   conditions.py
    │   ├── OlderThanDestination     conditions.py
    │   ├── VersionUnknown           conditions.py
    │   ├── TagConflict              destination.py
    │   │   └── TagMovedSince        destination.py
    │   ├── LockUnavailable          state.py
    │   ├── LockLost                 state.py
    │   ├── Irreversible             release.py
    │   ├── RolledBack               release.py
    │   ├── ReleaseUnsettled         release.py
    │   ├── ReferrersRefused         referrers.py
    │   ├── ReceiptMissing           referrers.py
    │   ├── ReceiptInvalid           referrers.py
    │   └── CopyIncomplete           destination.py
    ├── PartBusy                     state.py
    ├── PushCancelled                push.py
    ├── SourceSlow                   source.py
    ├── DestinationSlow              destination.py
    └── RegistryError                registry.py
        ├── AuthenticationRefused    registry.py
        │   └── RightMissing         registry.py
        ├── NotFound                 registry.py
        │   ├── NamespaceMissing     registry.py
        │   └── RepositoryMissing    registry.py
        ├── RequestRefused           registry.py
        │   ├── NotDeletable         registry.py
        │   ├── QuotaExceeded        registry.py
        │   └── TagImmutable         registry.py
        ├── RateLimited              registry.py
        ├── RegistryUnavailable      registry.py
        │   └── RegistryReadOnly     registry.py
        ├── ResponseInvalid          registry.py
        │   └── AddressWrong         registry.py
        ├── ContentMismatch          registry.py
        └── AddressForbidden         registry.py

Each error knows its side, whether its task is tried again, and the seconds to wait before that. Every class takes
positional arguments only, so that Celery's JSON result rebuilds it from `args`.
"""

from tasks.errors.base import (
    ImagePusherError,
    Retry,
    Side,
    longest_wait,
)
from tasks.errors.conditions import (
    ExpectationFailed,
    OlderThanDestination,
    PlatformRemovalRefused,
    TagHeld,
    VersionUnknown,
)
from tasks.errors.destination import (
    CopyIncomplete,
    DestinationAmbiguous,
    DestinationChildMissing,
    DestinationError,
    DestinationSlow,
    TagConflict,
    TagMovedSince,
)
from tasks.errors.manifest import (
    IndexEmpty,
    ManifestAmbiguous,
    ManifestInvalid,
    SchemaUnsupported,
)
from tasks.errors.push import (
    PushAbandoned,
    PushCancelled,
    PushCancelledByUser,
    PushFailed,
    PushStalled,
    PushUndone,
    PushUnfinished,
    PushUnknown,
)
from tasks.errors.records import (
    from_record,
    may_pass,
    to_record,
)
from tasks.errors.referrers import (
    ReceiptInvalid,
    ReceiptMissing,
    ReferrersRefused,
    ReferrersUnreadable,
    SignatureInvalid,
    SignatureMissing,
)
from tasks.errors.registry import (
    AddressForbidden,
    AddressWrong,
    AuthenticationRefused,
    ContentMismatch,
    NamespaceMissing,
    NotDeletable,
    NotFound,
    QuotaExceeded,
    RateLimited,
    RegistryError,
    RegistryReadOnly,
    RegistryUnavailable,
    RepositoryMissing,
    RequestRefused,
    ResponseInvalid,
    RightMissing,
    TagImmutable,
)
from tasks.errors.release import (
    Irreversible,
    ReleaseUnsettled,
    RolledBack,
    Withheld,
)
from tasks.errors.request import (
    NotPermitted,
    RequestInvalid,
)
from tasks.errors.settings import (
    SettingsInvalid,
)
from tasks.errors.source import (
    PlatformMissing,
    PlatformUnknown,
    SingleArchRefused,
    SourceChildMissing,
    SourceError,
    SourceMissing,
    SourceSlow,
)
from tasks.errors.state import (
    LockLost,
    LockUnavailable,
    PartBusy,
    StateFolderUnusable,
    StateUnavailable,
)

__all__ = [
    "AddressForbidden",
    "AddressWrong",
    "AuthenticationRefused",
    "ContentMismatch",
    "CopyIncomplete",
    "DestinationAmbiguous",
    "DestinationChildMissing",
    "DestinationError",
    "DestinationSlow",
    "ExpectationFailed",
    "ImagePusherError",
    "IndexEmpty",
    "Irreversible",
    "LockLost",
    "LockUnavailable",
    "ManifestAmbiguous",
    "ManifestInvalid",
    "NamespaceMissing",
    "NotDeletable",
    "NotFound",
    "NotPermitted",
    "OlderThanDestination",
    "PartBusy",
    "PlatformMissing",
    "PlatformRemovalRefused",
    "PlatformUnknown",
    "PushAbandoned",
    "PushCancelled",
    "PushCancelledByUser",
    "PushFailed",
    "PushStalled",
    "PushUndone",
    "PushUnfinished",
    "PushUnknown",
    "QuotaExceeded",
    "RateLimited",
    "ReceiptInvalid",
    "ReceiptMissing",
    "ReferrersRefused",
    "ReferrersUnreadable",
    "RegistryError",
    "RegistryReadOnly",
    "RegistryUnavailable",
    "ReleaseUnsettled",
    "RepositoryMissing",
    "RequestInvalid",
    "RequestRefused",
    "ResponseInvalid",
    "Retry",
    "RightMissing",
    "RolledBack",
    "SchemaUnsupported",
    "SettingsInvalid",
    "Side",
    "SignatureInvalid",
    "SignatureMissing",
    "SingleArchRefused",
    "SourceChildMissing",
    "SourceError",
    "SourceMissing",
    "SourceSlow",
    "StateFolderUnusable",
    "StateUnavailable",
    "TagConflict",
    "TagHeld",
    "TagImmutable",
    "TagMovedSince",
    "VersionUnknown",
    "Withheld",
    "from_record",
    "longest_wait",
    "may_pass",
    "to_record",
]

# A stored result names the module of its error. This package is that module, whichever file the error stands in.
for _name in __all__:
    globals()[_name].__module__ = __name__
