"""What a worker lacks of what is set here, as a table; names only, never values."""

import pytest

from tasks.registry.settings import Credentials, RegistryConfiguration, RegistrySettings
from workers.doctor.equipment import judge_equipment
from workers.process.roster import Worker
from workers.settings.equipment import Equipment, equipment_of

HOST = "registry.example"
BOTH = ["credentials of the source", "credentials of the destination"]
ME = Credentials("me", "geheim")


def worker(name: str, registries: Equipment | None) -> Worker:
    return Worker(name=name, version="1", queues=[], pid=1, started=0, time=0, seen=0, registries=registries)


@pytest.mark.parametrize(
    ("own", "there", "level", "told"),
    [
        ({HOST: ["ca_file"]}, [{HOST: ["ca_file"]}], "ok", "every worker has the settings that are set here"),
        ({HOST: ["ca_file"]}, [{HOST: ["ca_file", *BOTH]}], "ok", "every worker has the settings that are set here"),
        ({HOST: ["ca_file"]}, [{}], "error", "worker w0 lacks what is set here: ca_file"),
        ({HOST: ["ca_file", *BOTH]}, [{HOST: ["ca_file"]}], "error", "worker w0 lacks what is set here: credentials"),
        ({HOST: ["ca_file"]}, [{}, {}], "error", "worker w0 and 1 more lacks"),
        ({}, [{HOST: BOTH}], "ok", "every worker has settings of its own"),
        ({}, [{}], "unknown", "is unknown"),
        ({}, [{HOST: BOTH}, {}], "unknown", "is unknown"),
        ({HOST: ["ca_file"]}, [None], "unknown", "an older version"),
    ],
)
def test_the_settings_of_a_worker_are_compared_with_those_here(
    own: Equipment, there: list[Equipment | None], level: str, told: str
) -> None:
    workers = [worker(f"w{number}", registries) for number, registries in enumerate(there)]
    (finding,) = judge_equipment([HOST], own, workers)
    assert (finding.check, finding.where, finding.level) == ("workers.registry", HOST, level)
    assert told in finding.found
    assert finding.advice or level == "ok"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (RegistrySettings(), []),
        (
            RegistrySettings(ca_file="/ca.pem", certificates="/d", plain_http=True),
            ["ca_file", "certificates", "plain_http"],
        ),
        (RegistrySettings(client_certificate="/c", tls_verify=False), ["client_certificate", "tls_verify = false"]),
        (RegistrySettings(credentials=ME), BOTH),
        (RegistrySettings(source_credentials=ME, destination_credentials=ME), BOTH),
        (RegistrySettings(source_credentials=ME), BOTH[:1]),
        (RegistrySettings(destination_credentials=ME), BOTH[1:]),
    ],
)
def test_only_names_are_told(settings: RegistrySettings, names: list[str]) -> None:
    """Rule 6.7."""
    assert equipment_of(RegistryConfiguration({HOST: settings})) == {HOST: names}
