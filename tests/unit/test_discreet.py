from typing import ClassVar

from rich.pretty import pretty_repr

from tasks.discreet import Discreet
from tasks.registry.settings import Credentials


class Login(Discreet, frozen=True):
    _hidden: ClassVar = frozenset({"password"})

    user: str
    password: str
    port: int = 443


def test_the_text_of_a_struct_leaves_out_hidden_fields() -> None:
    assert repr(Login("me", "secret")) == "Login(user='me', port=443)"


def test_rich_shows_no_hidden_field_either() -> None:
    assert "secret" not in pretty_repr(Login("me", "secret"))


def test_what_a_field_hides_is_hidden_in_the_text_of_the_whole() -> None:
    assert repr([Credentials("me", "secret")]) == "[Credentials()]"
