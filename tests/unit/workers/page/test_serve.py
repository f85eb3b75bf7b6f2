"""Where the page listens."""

import socket

import pytest

from tasks.errors import SettingsInvalid
from workers.page.serve import _listen
from workers.settings.observability import Address


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_listens_on_loopback_in_every_spelling(host: str) -> None:
    with _listen(Address(host, 0)) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_an_address_that_is_taken_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = f"The page cannot listen on 127.0.0.1:{port}: Address already in use. Let page.address"
        with pytest.raises(SettingsInvalid) as refused:
            _listen(Address("127.0.0.1", port))
    assert refused.value.message.startswith(told)
