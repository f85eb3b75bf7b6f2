"""The page of pushes without a broker: it reads the local ledger, and does the work of an action itself."""

from pathlib import Path

import requests

from tests.support import commands
from tests.support.images import image, index
from tests.support.page import PASSWORD, USER, Page
from tests.support.processes import wait_until
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload


def act(page: Page, push_id: str, action: str) -> None:
    token = page.get(f"/pushes/{push_id}/{action}").json()["token"]
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(
            f"{page.url}/pushes/{push_id}/{action}",
            data={"token": token},
            auth=(USER, PASSWORD),
            headers={"Origin": page.url, "Accept": "application/json"},
            timeout=30,
        )
    assert answer.status_code == requests.codes.accepted, answer.text


def test_a_local_push_is_listed_undone_and_sent_again(
    tmp_path: Path, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    upload(registry_a.host, f"{name}/app", index([image("linux/amd64")]), "1")
    settings = {"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state")}
    source, destination = f"{registry_a.host}/{name}/app:1", f"{registry_b.host}/{name}/app:1"
    assert commands.run("copy", source, destination, "--push-id", "local", settings=settings).code == 0
    stored = Stored(registry_b.host)
    with Page(settings) as page:
        (listed,) = page.get("/pushes").json()["pushes"]
        assert (listed["push_id"], listed["state"], listed["source"]) == ("local", "succeeded", source)
        act(page, "local", "undo")
        wait_until(lambda: page.get("/pushes/local").json()["state"] == "undone", "the push was not undone")
        wait_until(lambda: page.get("/pushes/local").json()["interventions"][0]["outcome"] != "", "no outcome")
        assert stored.digest(f"{name}/app", "1") is None
        act(page, "local", "retry")
        wait_until(lambda: page.get("/pushes/local").json()["state"] == "succeeded", "the push was not sent again")
        assert stored.digest(f"{name}/app", "1") is not None


def test_without_a_login_the_page_is_for_looking(tmp_path: Path) -> None:
    with Page({"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state")}, login=False) as page:
        assert page.get("/pushes", password=None).json()["pushes"] == []
        refused = page.get("/pushes/any/undo", password=None)
    assert refused.status_code == requests.codes.forbidden
    assert "page.login_file" in refused.json()["error"]["message"]


def test_the_page_ends_in_order_when_told(tmp_path: Path) -> None:
    with Page({"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state")}) as page:
        assert page.get("/pushes").ok
        page.stop()
        assert page.process.popen.returncode == 0
