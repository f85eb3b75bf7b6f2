"""Faults that are planted in the program, one line each: the search must find every one of them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Final


@dataclass(frozen=True)
class Fault:
    """A text of a module, and what stands there instead. `seeds` bounds the search for it."""

    name: str
    module: str
    old: str
    new: str
    seeds: int = 1500


FAULTS: Final = ()


def find(name: str) -> Fault:
    """Return the fault of a name."""
    return next(fault for fault in FAULTS if fault.name == name)


def plant(fault: Fault) -> None:
    """Let the module of a fault be loaded with it; nothing of the program is loaded yet."""
    if fault.module in sys.modules:
        raise RuntimeError(f"{fault.module} is loaded already")
    sys.meta_path.insert(0, _Planting(fault))


class _Planting(MetaPathFinder):
    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._fault.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        spec.loader = _Loader(fullname, spec.origin, self._fault)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, fault: Fault) -> None:
        super().__init__(fullname, path)
        self._fault = fault

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname) or ""
        if source.count(self._fault.old) != 1:
            raise ValueError(f"{fullname} does not hold exactly once: {self._fault.old}")
        return compile(source.replace(self._fault.old, self._fault.new), self.path, "exec", dont_inherit=True)
