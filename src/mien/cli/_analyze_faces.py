"""The images of ``mien analyze``: what is drawn of them and cut out of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli import _shell
from mien.cli._analyze_places import Guard, Names

if TYPE_CHECKING:
    from mien.face.analyzer import FaceAnalyzer
    from mien.results import ImageResult

__all__ = ["ImageFiles", "maps"]


def maps(analyzer: FaceAnalyzer, method: str) -> Callable[..., Any]:
    """Return what lays maps over the faces of an image, and tell how they are made."""
    from mien.face.explain import choose_method
    from mien.output import heat

    chosen = choose_method(analyzer.spec, method)
    told = {"cam": "class activation maps", "occlusion": "hiding parts of the face (about 100 answers a face)"}
    _shell.note(f"explained by {told[chosen]}")
    return lambda image, faces: heat(image, analyzer.explain(image, faces, method=chosen))


class ImageFiles:
    """Where drawn images and faces go.  Names are given out in order, so that they do not depend on threads.

    Parameters
    ----------
    out, faces : Path or None
        Folders of drawn images and of faces.
    guard : Guard
        Knows what must not be written over.
    """

    def __init__(self, out: Path | None, faces: Path | None, guard: Guard) -> None:
        self.wanted = out is not None or faces is not None
        self.maps: Callable[..., Any] | None = None
        self._out, self._faces, self._guard = out, faces, guard
        self._names = Names(_drawable)
        # A source named twice is written twice: one name each time.
        self._given: dict[Any, deque[Path]] = {}
        self._lock = threading.Lock()

    def place(self, source: Any, name: str) -> None:
        """Choose the name of a source's files: its own, with a number where another image has it already."""
        if self.wanted:
            given = self._names.give(name)
            with self._lock:
                self._given.setdefault(_key(source), deque()).append(given)

    def _taken(self, source: Any) -> Path:
        """Return the name that was given to a source, and forget it: a million of them would fill the memory."""
        key = _key(source)
        with self._lock:
            names = self._given[key]
            name = names.popleft()
            if not names:
                del self._given[key]
        return name

    def write(self, source: Any, image: Any, result: ImageResult) -> None:
        """Write the files of one image."""
        from mien.output import write_image
        from mien.output.draw import draw
        from mien.output.faces import cut_face

        name = self._taken(source)
        if self._out is not None:
            shown = image if self.maps is None else self.maps(image, result.faces)
            write_image(self._guard.ready(_drawable(self._out / name)), draw(shown, result))
        if self._faces is not None:
            for number, face in enumerate(result.faces, 1):
                target = self._faces / name.with_name(f"{name.name}_face{number}.png")
                write_image(self._guard.ready(target), cut_face(image, face.box))


def _key(source: Any) -> Any:
    return source if isinstance(source, str) else id(source)


def _drawable(target: Path) -> Path:
    kept = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
    return target if target.suffix.lower() in kept else target.with_name(target.name + ".png")
