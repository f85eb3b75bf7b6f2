"""No registry leads its client inward from the outside."""

import pytest

from tasks.errors import AddressForbidden
from tasks.registry.http.addresses import forbid_inward, is_inward, is_never_asked

INWARD = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "::127.0.0.1",
    "::10.1.2.3",
    "::ffff:0:7f00:1",
    "fec0::1",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "printer.local",
    "metadata.google.internal",
    "redis",
    "kubernetes.default.svc",
    "registry.corp",
    "nas.lan.",
]
PUBLIC = [
    "quay.io",
    "64:ff9b::8.8.8.8",
    "8.8.8.8",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "::8.8.8.8",
    "svc.example.com",
    "local.example.com",
    "10.example.com",
]


@pytest.mark.parametrize("host", INWARD)
def test_an_inward_host_is_known(host: str) -> None:
    assert is_inward(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_host_is_not_inward(host: str) -> None:
    assert not is_inward(host)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/token",
        "https://127.1:8443/token",
        "http://[::1]:5000/token",
        "http://[::ffff:169.254.169.254]/latest",
        "https://localhost:5001/token",
        "HTTPS://Redis:6379",
    ],
)
def test_a_public_registry_leads_nowhere_inward(url: str) -> None:
    with pytest.raises(AddressForbidden):
        forbid_inward("quay.io", url)


@pytest.mark.parametrize("origin", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000", "registry:5000", "10.0.0.1"])
def test_an_inward_registry_may_lead_inward(origin: str) -> None:
    forbid_inward(origin, "http://127.0.0.1:5001/token")


@pytest.mark.parametrize("origin", ["127.0.0.1:5000", "10.0.0.1", "registry:5000", "quay.io"])
@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "2852039166", "0xa9.254.0xa9fe", "[fe80::1]", "100.100.100.200", "metadata.google.internal"],
)
def test_no_registry_leads_to_where_no_registry_is(origin: str, host: str) -> None:
    """Not even one within."""
    with pytest.raises(AddressForbidden, match=r"where no registry is|only this side can reach"):
        forbid_inward(origin, f"http://{host}/latest/token")


@pytest.mark.parametrize("origin", ["quay.io", "quay.io:443", "127.0.0.1:5000"])
def test_any_registry_may_lead_outside(origin: str) -> None:
    forbid_inward(origin, "https://auth.example.com/token?x=1")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1\\@quay.io/",
        "https://user:password@quay.io/",
        "https://user@quay.io/",
        "https://①②⑦.0.0.1/",
        "https://qu ay.io/",
        "https://quay.io/\n",
        "https:///token",
        "https://[::1/",
        "https://quay.io:99999/",
        "token",
        "",
    ],
)
def test_a_url_that_two_parsers_could_read_differently_is_refused(url: str) -> None:
    with pytest.raises(AddressForbidden) as refused:
        forbid_inward("127.0.0.1:5000", url)
    assert "password" not in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0xa9fea9fe",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "::a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "FD00:EC2::254",
        "fd20:ce::254",
        "fd00:ec2::23",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:0:ffff::169.254.0.1",
        "metadata.tencentyun.com",
        "Metadata.Google.Internal.",
        "metadata.goog",
    ],
)
def test_the_metadata_of_a_cloud_are_asked_by_nobody(host: str) -> None:
    assert is_never_asked(host)


@pytest.mark.parametrize("host", [*PUBLIC, "127.0.0.1", "10.0.0.1", "::1", "::", "registry.internal", "fd00::1"])
def test_a_registry_of_a_company_may_be_asked(host: str) -> None:
    assert not is_never_asked(host)
