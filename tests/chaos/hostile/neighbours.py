"""The pushes of others beside a hostile registry, and the server that such a registry is."""

from socketserver import BaseRequestHandler, ThreadingTCPServer

from tests.chaos.site import Site, item, small_index
from tests.support.serving import Serving

# The places of the worker.
PLACES = 4


def push_well(site: Site, name: str) -> None:
    """Push ten images, and see them arrive."""
    sources = [small_index(f"{name}-{number}", "amd64", "arm64", layers=2) for number in range(10)]
    repository = f"{site.b.host}/{name}/good"
    items = [
        item(site.put_a(f"{name}/good{number}", source), {repository: [str(number)]})
        for number, source in enumerate(sources)
    ]
    report = site.report(site.send({"items": items}))
    assert report["state"] == "succeeded"
    site.judge(report)


class HostileServer(Serving["_Server"]):
    """Serve on loopback while the context lasts, each connection by a handler that may never end."""

    def __init__(self, handler: type[BaseRequestHandler]) -> None:
        super().__init__(_Server(("127.0.0.1", 0), handler))


class _Server(ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that are gone."""
