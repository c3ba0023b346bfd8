"""The formats that results are written in, by name: what the command line offers and `mien.write` chooses from."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Self

from mien._registry import Registry
from mien.labels import LabelSet
from mien.results import FusedResult, ImageResult, Result, SpeechResult, SpeechSegment, VideoFrame, VideoResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.io.audio import AudioBlock
    from mien.models import ModelSpec

__all__ = ["FORMATS", "KINDS", "Context", "Format", "Result", "Writer", "kind_of"]

KINDS = ("image", "audio", "video")
"""What results are of."""


_KINDS: dict[type, str] = {ImageResult: "image", SpeechResult: "audio", VideoResult: "video", FusedResult: "fused"}


def kind_of(result: Result) -> str:
    """Return the kind of a result, of a failed item what it was taken for; empty where that is not known."""
    return str(getattr(result, "kind", _KINDS.get(type(result), "")))


@dataclass(frozen=True)
class Context:
    """What a writer has to know before the first result comes; most writers need little of it.

    Parameters
    ----------
    labels : mapping of str to LabelSet
        By kind, the emotions of the results that are expected: columns do not change after the first row.
    table : str, optional
        Which table of videos is written; by default the first (see `mien.VideoResult.rows`).
    many : bool
        Whether several results go to the same target.
    source : object
        The image, audio file or video itself, for formats that read it again: a path or bytes.
    spec : ModelSpec, optional
        The model that read the faces, for what is said about it.
    explain : callable, optional
        ``explain(image, faces)`` returns an image with maps laid over the faces, to be drawn on.
    sample_rate_hz : int, optional
        Rate of saved sound; by default that of the source.
    sample_type : {"int16", "float32"}
        How samples of saved sound are stored.
    on_progress : callable, optional
        Called with the seconds of the video that are done, by formats that take their time.
    """

    labels: Mapping[str, LabelSet] = field(default_factory=dict)
    table: str | None = None
    many: bool = False
    source: Any = None
    spec: ModelSpec | None = None
    explain: Callable[..., Any] | None = None
    sample_rate_hz: int | None = None
    sample_type: Literal["int16", "float32"] = "int16"
    on_progress: Callable[[float], None] | None = None


class Writer:
    """Writes results to one target; a context manager, which discards half a file after an error.

    A subclass needs `write`.  The hooks do nothing by default; they are called, in this order, while an item is still
    analyzed: `add_image` or `add_audio` where the format says that it needs them, and `write_frame` or `write_segment`
    as soon as a frame or segment is settled.  `write` follows in any case, with the whole item.
    """

    def write(self, result: Result) -> None:
        """Write one result.

        Raises
        ------
        InputError
            If the format does not fit results of this kind.
        """
        raise NotImplementedError

    def write_frame(self, path: str | None, frame: VideoFrame) -> None:
        """Take a frame of a video that is still analyzed."""

    def write_segment(self, path: str | None, number: int, segment: SpeechSegment) -> None:
        """Take a segment of an audio file that is still analyzed; they are counted from 1."""

    def add_image(self, image: NDArray[np.uint8], found: ImageResult | VideoFrame) -> None:
        """Take the pixels of an image or of an analyzed frame, uint8 (H, W, 3), RGB, with what was found in it."""

    def add_audio(self, block: AudioBlock) -> None:
        """Take a block of the sound that is analyzed."""

    def close(self) -> None:
        """Finish: nothing follows."""

    def discard(self, error: BaseException) -> None:
        """Give up after an error: a file that was not finished does not appear."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard(error)


@dataclass(frozen=True)
class Format:
    """A format of results.

    Parameters
    ----------
    name : str
        Such as ``"csv"``.
    writer : str or callable
        Makes a writer from a target and a `Context`; ``"package.module:name"`` is imported when it is first used.
    help : str
        One line for the command line.
    kinds : tuple of str
        Which of `KINDS` it fits.
    suffixes : tuple of str
        Of its files, the first of them where a name is made; empty where it has no file of its own.
    target : {"stream", "file", "each", "folder"}
        What it is written to.  ``"stream"``: a text stream, all results one after the other; on the command line
        standard output.  ``"file"``: one file (its path) for all results.  ``"each"``: a file for each result.
        ``"folder"``: several files for each result, whose names begin with the target.
    flag : str, optional
        The option of the command line; by default the name, as ``"--csv"``.  Formats with the same flag fit different
        kinds.  None for the format that is shown when no other goes to standard output.
    group : str
        The heading under which the command line shows it.
    needs : {"", "images", "audio", "source"}
        What of the media it needs beside results: the images or the sound as they are read (see `Writer.add_image`,
        `Writer.add_audio`), or the source to read it again.
    replaces_suffix : bool
        Whether the name of a file is that of the source with another suffix, and not with a further one: true for what
        is a video itself.
    """

    name: str
    writer: str | Callable[[Any, Context], Writer]
    help: str
    kinds: tuple[str, ...] = KINDS
    suffixes: tuple[str, ...] = ()
    target: Literal["stream", "file", "each", "folder"] = "each"
    flag: str | None = ""
    group: str = "Output"
    needs: Literal["", "images", "audio", "source"] = ""
    replaces_suffix: bool = False

    def __post_init__(self) -> None:
        if self.flag == "":
            object.__setattr__(self, "flag", f"--{self.name}")

    @property
    def metavar(self) -> str | None:
        """What follows the flag: None, a file or a folder."""
        file = f"FILE{self.suffixes[0]}" if len(self.suffixes) == 1 else "FILE"
        return {"stream": None, "file": "FILE", "each": f"{file}|DIR", "folder": "DIR"}[self.target]

    def open(self, target: IO[str] | Path, context: Context | None = None) -> Writer:
        """Return a writer.

        Parameters
        ----------
        target : text file object or Path
            A stream or a path, as `target` says.  A stream is not closed.
        context : Context, optional
            What will come.

        Raises
        ------
        InputError
            If the name of the file does not end in one of `suffixes`.
        MediaNotFoundError, MediaError
            If the folder does not exist, or nothing can be written there.
        MissingExtraError
            If the format needs a package that is not installed.
        """
        make: Any = self.writer
        if isinstance(make, str):
            module, _, attribute = make.partition(":")
            make = getattr(importlib.import_module(module), attribute)
        writer: Writer = make(target, context or Context())
        return writer


_ANY = (*KINDS, "fused")
_AUDIO_VIDEO = ("audio", "video")
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
_LINES = (".jsonl", ".ndjson")
_OUT = "Draw the faces on the image or video; several go to a folder."


def _own(name: str, writer: str, *more: Any, **options: Any) -> Format:
    return Format(name, f"mien.output.{writer}", *more, **options)


_FORMATS = (
    _own("console", "console:ConsoleWriter", "Tables to read.", target="stream", flag=None),
    _own(
        "json",
        "tables:JsonWriter",
        "Write JSON: one document for one item, a line per item for many.",
        _ANY,
        (".json",),
        "stream",
    ),
    _own(
        "jsonl",
        "tables:JsonLinesWriter",
        "Write JSON Lines: a line per item, or per frame of a video, as they come.",
        _ANY,
        _LINES,
        "stream",
    ),
    _own(
        "csv",
        "tables:CsvWriter",
        "Write CSV: a row per face, per segment of speech, or as --table says.",
        _ANY,
        (".csv",),
        "stream",
    ),
    _own("parquet", "tables:ParquetWriter", "Write the rows of --csv to a Parquet file.", _ANY, (".parquet",), "file"),
    _own("vtt", "subtitles:VttWriter", "Write emotions as subtitles (WebVTT).", _AUDIO_VIDEO, (".vtt",)),
    _own("plot", "timeline:PlotWriter", "Plot videos and audio over time.", _AUDIO_VIDEO, (".png",), needs="audio"),
    _own(
        "annotated-image",
        "draw:AnnotatedImageWriter",
        _OUT,
        ("image",),
        _IMAGES,
        flag="--out",
        group="Faces",
        needs="images",
    ),
    _own(
        "annotated-video",
        "video:AnnotatedVideoWriter",
        _OUT,
        ("video",),
        _VIDEOS,
        flag="--out",
        group="Faces",
        needs="source",
        replaces_suffix=True,
    ),
    _own(
        "faces",
        "faces:FaceWriter",
        "Save each face as a PNG.",
        ("image", "video"),
        target="folder",
        flag="--save-faces",
        group="Faces",
        needs="images",
    ),
    _own(
        "html",
        "page:PageWriter",
        "Write a web page with summary, timeline and moments.",
        ("video",),
        (".html",),
        group="Videos",
        needs="images",
    ),
    _own(
        "wav",
        "write:WavWriter",
        "Save the sound, mono.",
        ("audio",),
        (".wav",),
        flag="--save-audio",
        group="Audio",
        needs="source",
    ),
)

FORMATS: Registry[Format] = Registry("format", {entry.name: entry for entry in _FORMATS}, group="mien.formats")
"""All formats; an entry point of the group ``mien.formats`` adds one of another package."""
