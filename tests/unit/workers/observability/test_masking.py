"""What looks like a credential does not get into a log, and what does not stays as it is."""

import pytest

from tasks import errors
from workers.observability.masking import mask

SECRET = "Gehe1m"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"no answer from redis://:{SECRET}@host:6379/0", "no answer from redis://***@host:6379/0"),
        (f"https://me:{SECRET}@registry.example/v2/", "https://***@registry.example/v2/"),
        (f"amqp://me:{SECRET}@one;amqp://me:{SECRET}@two", "amqp://***@one;amqp://***@two"),
        (f"https://me:a@{SECRET}@host/", "https://***@host/"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        (f"authorization: {SECRET}", "authorization: ***"),
        (f"{{'Authorization': 'Basic {SECRET}', 'Accept': '*/*'}}", "{'Authorization': '***', 'Accept': '*/*'}"),
        (f"(b'Authorization', b'Basic {SECRET}')", "(b'Authorization', b'***')"),
        (f'{{"a": "{{\\"Authorization\\": \\"Bearer {SECRET}\\"}}"}}', '{"a": "{\\"Authorization\\": \\"***\\"}"}'),
        (f"Proxy-Authorization: Basic {SECRET}", "Proxy-Authorization: ***"),
        (f"sent Bearer {SECRET}.a-b_c", "sent Bearer ***"),
        (f"sent Basic {SECRET}==", "sent Basic ***"),
        (f'{{"username":"me","password":"{SECRET}"}}', '{"username":"me","password":"***"}'),
        (f"{{'dest_quay_password': '{SECRET}', 'x': 1}}", "{'dest_quay_password': '***', 'x': 1}"),
        (
            f'{{"access_token": "{SECRET}", "identitytoken": "{SECRET}"}}',
            '{"access_token": "***", "identitytoken": "***"}',
        ),
        (f"grant_type=refresh&refresh_token={SECRET}&x=1", "grant_type=refresh&refresh_token=***&x=1"),
        (f"a secret: {SECRET}", "a secret: ***"),
        (f"a password: {SECRET.lower()}", "a password: ***"),
        (f"https://store/x?X-Amz-Signature={SECRET}&part=1", "https://store/x?X-Amz-Signature=***&part=1"),
    ],
)
def test_a_credential_is_masked_and_what_stands_around_it_is_not(text: str, masked: str) -> None:
    """Rule 6.7."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:5001/src/app@sha256:ab12cd → 3 repositories",
        "copying docker://quay.io/ns/app@sha256:ab12cd",
        "GET https://registry.example/v2/ns/app/manifests/1.2 answered 401",
        'answered 401 with Bearer realm="https://auth.example/token",service="registry"',
        "Basic authentication is not offered, a Bearer token is",
        "set password_file, or passwordless access",
        "mail someone@example.com",
        "target_settings.dest_quay_password: is a secret; put it into the settings of the workers",
        "items[0].password: is not a known key",
        "Every user may read robot.secret, which holds a secret: run chmod o-r robot.secret",
        "it holds a password: run chmod o-r robot.secret",
        *dict.fromkeys(
            kind.advice for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "advice")
        ),
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("piece", ["x", "://", "Bearer ", "authorization", "Basic" + " " * 1000, "password=", "a://b"])
def test_a_long_text_is_masked_in_one_go(piece: str) -> None:
    """Two million characters take a tenth of a second, and hours where a pattern looks back at what it has seen."""
    mask(piece * (2_000_000 // len(piece)))
