"""Where ``mien analyze`` puts the files that it makes: under their sources' names, never over a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mien.cli._analyze_sources import identities, identity
from mien.errors import MediaError, MienError

__all__ = ["Guard", "Names", "Target"]


class Names:
    """Gives each source a name that no other has, in the order of the sources.

    Parameters
    ----------
    made : callable
        Turns a source's name into that of its file; two sources whose files would be one get numbers.
    """

    def __init__(self, made: Callable[[Path], Path]) -> None:
        self._made = made
        # Text takes a third of the memory of paths.
        self._taken: set[str] = set()

    def give(self, name: str) -> Path:
        """Return the name of a source's file, with a number where it is taken."""
        path = Path(name)
        chosen, number = path, 2
        while str(self._made(chosen)) in self._taken:
            chosen = path.with_name(f"{path.stem}_{number}{path.suffix}")
            number += 1
        self._taken.add(str(self._made(chosen)))
        return chosen


class Guard:
    """Keeps what is read from being written over.

    Parameters
    ----------
    paths : sequence of str
        The arguments that name what is read.
    places : sequence of Path
        Files and folders to be written to: where nothing lies there yet, nothing can be written over.
    """

    def __init__(self, paths: Sequence[str], places: Sequence[Path]) -> None:
        used = any(any(place.iterdir()) if place.is_dir() else place.exists() for place in places)
        self._inputs = set(identities(paths)) if used else set()

    def ready(self, target: Path, what: str = "an image") -> Path:
        """Return a place to write to, with its folder made, or raise."""
        from mien.io.paths import format_path

        if self._inputs and identity(target) in self._inputs:
            raise MienError(f"will not write over {what} to be read: {format_path(target)}: choose another folder")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make the folder {format_path(target.parent)}: {error.strerror or error}"
            raise MediaError(message, path=target) from error
        return target

    def free(self, folder: Path) -> None:
        """Raise where a folder that is written to holds images, in its folders, that are to be read."""
        from mien.io.paths import format_path

        if self._inputs and any(identity(path) in self._inputs for path in folder.glob("*/*.png")):
            raise MienError(f"will not write over images to be read, in {format_path(folder)}: choose another folder")


class Target:
    """One file for one item, or a folder with a file each.

    Parameters
    ----------
    path : Path
        A name with one of the suffixes is a file, any other a folder.
    *suffixes : str
        Such as ``".png"``; files in a folder have the first.
    """

    def __init__(self, path: Path, *suffixes: str) -> None:
        self.path, self._suffix = path, suffixes[0]
        self._one = path.suffix.lower() in suffixes and not path.is_dir()
        if not self._one:
            path.mkdir(parents=True, exist_ok=True)
        self._names = Names(lambda name: name)

    def give(self, name: str) -> Path:
        """Return the place for a source of this name."""
        if self._one:
            return self.path
        return self.path / self._names.give(f"{name}{self._suffix}")
