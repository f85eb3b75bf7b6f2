"""Commands that are imported on first use, so that the program starts fast."""

from collections.abc import Iterator, Mapping
from importlib import import_module

import click


class LazyCommands(Mapping[str, click.Command]):
    """The commands of one package by name: command `NAME` is the object `NAME` in the module `NAME`.

    A hyphen in the name of a command is an underscore in the name of its module.
    """

    def __init__(self, package: str, names: tuple[str, ...]) -> None:
        self._package = package
        self._names = names

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._names:
            raise KeyError(name)
        module = name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{self._package}.{module}"), module)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
