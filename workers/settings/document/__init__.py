"""The settings file and environment, parsed strictly: an unknown key, variable or type is a fault."""

from workers.settings.document.paths import expand, is_there, working_folder
from workers.settings.document.reading import nearest, read, under
from workers.settings.document.registry import CredentialsTable, RegistryTable
from workers.settings.document.tables import (
    BrokerTable,
    Document,
    EventsTable,
    HttpTable,
    LimitsTable,
    LogsTable,
    MetricsTable,
    PageTable,
    PolicyTable,
    ProducerTable,
    PubtoolsTable,
    ReceiptsTable,
    SignaturesTable,
    TracingTable,
    WorkerTable,
)
from workers.settings.document.target import IdentityTable, TargetTable
from workers.settings.document.values import (
    LABEL_VALUES,
    Count,
    LogFormat,
    Seconds,
    SecondsOrNone,
    Text,
    Variable,
    WholeSeconds,
)
from workers.settings.document.variables import PREFIX, VARIABLES, check_variables, overlay

__all__ = [
    "LABEL_VALUES",
    "PREFIX",
    "VARIABLES",
    "BrokerTable",
    "Count",
    "CredentialsTable",
    "Document",
    "EventsTable",
    "HttpTable",
    "IdentityTable",
    "LimitsTable",
    "LogFormat",
    "LogsTable",
    "MetricsTable",
    "PageTable",
    "PolicyTable",
    "ProducerTable",
    "PubtoolsTable",
    "ReceiptsTable",
    "RegistryTable",
    "Seconds",
    "SecondsOrNone",
    "SignaturesTable",
    "TargetTable",
    "Text",
    "TracingTable",
    "Variable",
    "WholeSeconds",
    "WorkerTable",
    "check_variables",
    "expand",
    "is_there",
    "nearest",
    "overlay",
    "read",
    "under",
    "working_folder",
]
