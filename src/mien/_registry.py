"""One registry for everything that is chosen by name: detectors, data sets, networks, formats, fusion methods."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from mien.errors import InputError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects by name, imported when they are first asked for.

    Other packages add entries by an entry point of the registry's group; their names may not be those of mien's own.

    Parameters
    ----------
    noun : str
        What an entry is called in messages, such as ``"detector"``.
    entries : mapping of str to str or object
        The objects, or where each is: ``"package.module:name"``.
    group : str, optional
        Group of entry points, such as ``"mien.detectors"``; see `importlib.metadata.entry_points`.

    Examples
    --------
    >>> numbers = Registry("constant", {"pi": "math:pi"})
    >>> f"{numbers['pi']:.2f}"
    '3.14'
    """

    def __init__(self, noun: str, entries: Mapping[str, str | T], *, group: str | None = None) -> None:
        self.noun, self.group = noun, group
        self._entries: dict[str, Any] = dict(entries)
        self._is_complete = group is None

    def register(self, name: str, target: str | T) -> None:
        """Add an object, or where it is as ``"package.module:name"``.

        Raises
        ------
        InputError
            If there is an entry of that name.
        """
        if name in self._entries:
            raise InputError(f"there is already a {self.noun} called {name!r}")
        self._entries[name] = target

    def unregister(self, name: str) -> None:
        """Remove an entry; a name without one is passed over."""
        self._entries.pop(name, None)

    def known(self) -> tuple[str, ...]:
        """Return the names that are known without looking for other packages."""
        return tuple(self._entries)

    def names(self) -> tuple[str, ...]:
        """Return all names: mien's own in their order, then those of other packages."""
        if not self._is_complete:
            # Imported here: it takes as long as a tenth of reading an image from the command line.
            from importlib.metadata import entry_points

            for point in entry_points(group=str(self.group)):
                self._entries.setdefault(point.name, point.value)
            self._is_complete = True
        return tuple(self._entries)

    def __getitem__(self, name: str) -> T:
        """Return the object of a name.

        Raises
        ------
        InputError
            If there is none; the message lists the names.
        """
        if name not in self._entries and name not in self.names():
            close = difflib.get_close_matches(str(name), self._entries, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"unknown {self.noun} {name!r}: expected one of {', '.join(self.names())}{hint}")
        target = self._entries[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = self._entries[name] = getattr(importlib.import_module(module), attribute)
        found: T = target
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())
