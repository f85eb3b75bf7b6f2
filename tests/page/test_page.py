"""The page of pushes in a real browser, beside real workers: what is seen, live, and what it does when told."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.page.conftest import Scene
from tests.support.browser import Browser
from tests.support.images import image, index
from tests.support.page import PASSWORD, USER
from tests.support.processes import wait_until
from tests.support.stored import Stored, upload

TAB, ENTER = ("Tab", 9), ("Enter", 13)
VIOLATIONS = """
return axe.run(document).then(found => found.violations.map(
    each => `${each.id}: ${each.nodes.map(node => node.html).join(' ')}`))
"""


@pytest.fixture(autouse=True)
def as_on_a_desk(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "scene" in request.fixturenames:
        browser: Browser = request.getfixturevalue("scene").browser
        browser.tell("Emulation.clearDeviceMetricsOverride")
        browser.tell("Emulation.setEmulatedMedia", features=[])


def rows(scene: Scene) -> dict[str, list[str]]:
    """Return the cells of each row of the list, by push id."""
    found: list[list[str]] = scene.browser.run(
        "const cells = row => [...row.cells].map(cell => cell.innerText.trim());"
        "return [...document.querySelectorAll('tbody tr')].map(cells)"
    )
    return {cells[1]: cells for cells in found}


def press(scene: Scene, text: str) -> None:
    """Click the link or button of a text."""
    scene.browser.run(
        "[...document.querySelectorAll('a, button')].find(each => each.innerText.trim() === arguments[0]).click()", text
    )


def click(scene: Scene, text: str) -> None:
    """Click the link or button of a text, and wait for the page that it leads to."""
    scene.browser.run("window.left = true")
    press(scene, text)
    wait_until(lambda: scene.browser.run("return !window.left"), f"{text} leads nowhere")


def show_narrow_and_dark(browser: Browser, *, narrow: bool, dark: bool) -> None:
    if narrow:
        browser.tell("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    scheme = "dark" if dark else "light"
    browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def test_the_list_shows_each_push_and_the_search_finds_one(scene: Scene) -> None:
    scene.open("/pushes")
    listed = rows(scene)
    assert list(listed).index(scene.good) < list(listed).index("release-1.3")
    assert listed[scene.good][0] == "succeeded"
    assert listed[scene.good][2] == f"{scene.a.host}/{scene.name}/app:1.4 and 1 more"
    assert listed[scene.good][4] == "4/4"
    assert listed[scene.failed][0] == "partial"
    assert listed[scene.failed][4] == "1/2"
    scene.browser.run("document.querySelector('[name=q]').value = 'proxy:1.4'")
    click(scene, "Show")
    assert list(rows(scene)) == [scene.good]


def test_a_push_shows_its_matrix_its_tags_and_the_push_before(scene: Scene) -> None:
    scene.open(f"/pushes/{scene.good}")
    matrix = scene.browser.texts("section[aria-labelledby=matrix] tbody td")
    assert [cell.split()[0] for cell in matrix] == ["copied", "merged", "copied", "copied"]
    assert re.fullmatch(r"merged \w{12} → \w{12} kept linux/arm64", matrix[1])
    assert "linux/arm64" in scene.browser.text("main")
    compared = scene.browser.text("section[aria-labelledby=comparison]")
    assert "release-1.3" in compared
    assert "changed" in compared


def test_a_push_that_failed_says_what_to_do(scene: Scene) -> None:
    scene.open(f"/pushes/{scene.failed}")
    told = scene.browser.text("section[aria-labelledby=failures]")
    assert "source_missing" in told
    assert f"{scene.b.host}/{scene.name}/gone:nightly" in told


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    "path",
    [
        "/pushes", "/pushes/{0}", "/pushes/{1}", "/pushes/{1}/retry", "/pushes/{0}/undo", "/pushes/{0}/hold",
        "/tags/{2}", "/tags/{2}/hold", "/tags/{3}", "/tags/{3}/release-hold", "/holds", "/no",
    ],
)  # fmt: skip
def test_axe_finds_no_violation(scene: Scene, axe: str, path: str, *, narrow: bool, dark: bool) -> None:
    show_narrow_and_dark(scene.browser, narrow=narrow, dark=dark)
    scene.open(path.format(scene.good, scene.failed, f"{scene.b.host}/{scene.name}/app:latest", scene.held))
    assert scene.browser.run(f"{axe};{VIOLATIONS}") == []


@pytest.mark.parametrize(
    "path",
    ["/pushes", "/pushes/{0}", "/pushes/{0}/undo", "/pushes/{0}/hold", "/tags/{1}", "/tags/{1}/release-hold", "/holds"],
)
def test_a_phone_needs_no_scrolling_to_the_side(scene: Scene, path: str) -> None:
    show_narrow_and_dark(scene.browser, narrow=True, dark=False)
    scene.open(path.format(scene.good, scene.held))
    width, shown = scene.browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert (width, shown) == (390, 390)


def test_a_very_long_name_leaves_the_other_columns_their_room(scene: Scene) -> None:
    longest = "x" * 128
    scene.push(longest, scene.item(f"{scene.a.host}/{scene.name}/{'long-name/' * 14}app:1", "1", repository="long"))
    wait_until(lambda: scene.state(longest) == "failed", "the push of no image did not fail")
    scene.open("/pushes")
    widths = scene.browser.run(
        "return [...document.querySelectorAll('td.reference')].map(cell => cell.getBoundingClientRect().width)"
    )
    # A host and its port stand on one line.
    assert min(widths) > 150, widths
    assert scene.browser.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_keyboard_is_enough(scene: Scene) -> None:
    scene.open("/pushes")
    scene.browser.press(*TAB)
    assert scene.browser.run("return document.activeElement.innerText") == "Skip to the content"
    reached = []
    while scene.failed not in reached:
        scene.browser.press(*TAB)
        reached.append(scene.browser.run("return document.activeElement.innerText"))
        assert len(reached) < 40, reached
    # The list was renewed meanwhile, or is now: the focus stays.
    scene.browser.run("return look()")
    assert scene.browser.run("return document.activeElement.innerText") == scene.failed


def test_a_running_push_is_shown_live_and_can_be_cancelled(scene: Scene) -> None:
    source = f"{scene.slow.host}/{scene.name}/big:1"
    scene.open("/pushes")
    scene.browser.run("window.sameDocument = true")
    scene.push("live", scene.item(source, "1", repository="big"))
    wait_until(lambda: rows(scene).get("live", [""])[0] == "copying", "the list never shows the push")
    scene.open("/pushes/live")
    scene.browser.run("window.sameDocument = true")
    wait_until(lambda: "progress" in scene.browser.run("return document.body.innerHTML"), "no progress is shown")
    click(scene, "Cancel…")
    assert "stay as it is" in scene.browser.text("table")
    click(scene, "Cancel this push")
    scene.browser.run("window.sameDocument = true")
    scene.slow.released.set()
    wait_until(lambda: "cancelled" in scene.browser.text(".badge"), "the push is never cancelled")
    wait_until(lambda: scene.state("live") == "cancelled", "the push goes on")
    wait_until(lambda: scene.browser.text(".badge") == "cancelled", "the page does not follow")
    assert scene.browser.run("return window.sameDocument === true")
    assert f"cancel by {USER}" in scene.browser.text("section[aria-labelledby=interventions]")
    assert Stored(scene.b.host).tags(f"{scene.name}/big") == []


def test_a_push_is_retried_when_its_cause_is_mended(scene: Scene) -> None:
    scene.push("to-retry", scene.item(f"{scene.a.host}/{scene.name}/absent:1", "1", repository="retried"))
    wait_until(lambda: scene.state("to-retry") == "failed", "the push did not fail")
    upload(scene.a.host, f"{scene.name}/absent", index([image("linux/amd64")]), "1")
    scene.open("/pushes/to-retry")
    click(scene, "Retry…")
    assert "be pushed again" in scene.browser.text("table")
    click(scene, "Retry this push")
    wait_until(lambda: scene.browser.text(".badge") == "succeeded", "the page never shows the success")
    assert scene.page.get("/pushes/to-retry").json()["interventions"][0]["user"] == USER


def test_a_push_is_undone_after_a_question_that_lists_all_of_it(scene: Scene) -> None:
    source, stored = f"{scene.a.host}/{scene.name}/app", Stored(scene.b.host)
    scene.push("before-it", scene.item(f"{source}:1.3", "latest", repository="undone"))
    wait_until(lambda: scene.state("before-it") == "succeeded", "the push before did not succeed")
    before = stored.digest(f"{scene.name}/undone", "latest")
    scene.push("to-undo", scene.item(f"{source}:1.4", "1.4", "latest", repository="undone"))
    wait_until(lambda: scene.state("to-undo") == "succeeded", "the push did not succeed")
    scene.open("/pushes/to-undo")
    click(scene, "Undo…")
    assert scene.browser.texts("tbody td[data-label='The tag will']") == ["be deleted", "be restored"]
    click(scene, "Undo this push")
    wait_until(
        lambda: "1 restored, 1 deleted" in scene.browser.text("section[aria-labelledby=interventions]"),
        "the page never shows how the undo ended",
    )
    assert scene.browser.text(".badge") == "undone"
    assert stored.digest(f"{scene.name}/undone", "latest") == before
    scene.open(f"/tags/{scene.b.host}/{scene.name}/undone:latest")
    assert [text.split("\n")[0].split()[-1] for text in scene.browser.texts("tbody th")] == ["to-undo", "before-it"]
    assert scene.browser.texts(".badge") == ["merged", "undone", "copied"]


def test_the_tags_of_a_push_are_put_on_hold_and_released(scene: Scene) -> None:
    """Rule 10.5, as a person who clicks and types."""
    source = f"{scene.a.host}/{scene.name}/app"
    scene.push("to-hold", scene.item(f"{source}:1.3", "1.3", "latest", repository="held"))
    wait_until(lambda: scene.state("to-hold") == "succeeded", "the push did not succeed")
    scene.open("/pushes/to-hold")
    click(scene, "Hold…")
    assert scene.browser.texts("tbody td[data-label='The tag will']") == ["be on hold", "be on hold"]
    press(scene, "Hold these tags")
    assert scene.browser.run("return document.querySelector('[name=why]:invalid') !== null"), "no reason was due"
    scene.browser.run("document.querySelector('[name=why]').value = 'audit 7'")
    click(scene, "Hold these tags")
    assert "audit 7" in scene.browser.text("section[aria-labelledby=holds]")
    assert f"hold by {USER}" in scene.browser.text("section[aria-labelledby=interventions]")
    scene.push("refused-by-hold", scene.item(f"{source}:1.4", "latest", repository="held"))
    wait_until(lambda: scene.state("refused-by-hold") == "failed", "the push moved a tag on hold")
    scene.open("/pushes/refused-by-hold")
    assert "audit 7" in scene.browser.text("section[aria-labelledby=failures]")
    scene.open("/pushes/to-hold")
    click(scene, "Release hold…")
    click(scene, "Release hold of these tags")
    assert scene.browser.text("section[aria-labelledby=holds]") == ""
    scene.open("/pushes/refused-by-hold")
    click(scene, "Retry…")
    click(scene, "Retry this push")
    wait_until(lambda: scene.browser.text(".badge") == "succeeded", "the released tag does not move")


def test_one_tag_is_put_on_hold_on_its_own_page(scene: Scene) -> None:
    """Rule 10.5."""
    tag = f"{scene.b.host}/{scene.name}/proxy:1.4"
    scene.open(f"/tags/{tag}")
    click(scene, "Hold…")
    scene.browser.run("document.querySelector('[name=why]').value = 'audit 8'")
    click(scene, "Hold this tag")
    assert "audit 8" in scene.browser.text("section[aria-labelledby=hold]")
    click(scene, "Tags on hold")
    assert tag in scene.browser.texts("tbody th a")
    click(scene, tag)
    click(scene, "Release hold…")
    click(scene, "Release hold of this tag")
    assert scene.browser.text("section[aria-labelledby=hold]") == ""
    told = scene.browser.text("section[aria-labelledby=interventions]")
    assert "audit 8" in told
    assert f"release hold by {USER}" in told


def test_a_refused_login_shows_nothing(scene: Scene) -> None:
    for password in (None, "wrong"):
        refused = scene.page.get("/pushes", password=password)
        assert refused.status_code == 401
        assert scene.good not in refused.text
    with Browser() as stranger:
        stranger.open(f"http://{USER}:wrong@127.0.0.1:{scene.page.port}/pushes")
        assert scene.good not in stranger.text()


def test_another_site_cannot_act_in_the_name_of_who_is_logged_in(scene: Scene) -> None:
    token = scene.page.get("/pushes/release-1.3/undo").json()["token"]
    form = f"""<form method="post" action="{scene.page.url}/pushes/release-1.3/undo">
        <input name="token" value="{token}"></form><script>document.forms[0].submit()</script>"""

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(form.encode())

        def log_message(self, *_: object) -> None: ...

    scene.open("/pushes")
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scene.browser.open(f"http://localhost:{server.server_port}/")
        wait_until(lambda: "was not made by this page" in scene.browser.text(), "the form was not refused")
        server.shutdown()
    assert scene.page.get("/pushes/release-1.3").json()["interventions"] == []
    assert PASSWORD not in scene.page.process.log()
