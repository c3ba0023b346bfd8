"""Images, sound and results become files: whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_image, check_integer, check_wave, describe
from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io.paths import atomic_path, format_path
from mien.labels import LabelSet
from mien.output.registry import FORMATS, Context, Format, Writer, kind_of
from mien.results import FusedResult, ImageResult, Result, SpeechResult, VideoResult
from mien.results.emotion import TIME_EPSILON_S

if TYPE_CHECKING:
    from mien.io.audio import AudioBlock

__all__ = [
    "SampleType",
    "WavWriter",
    "check_folder",
    "check_suffix",
    "encode_jpeg",
    "encode_png",
    "make_folder",
    "replace_atomically",
    "save_wav",
    "write",
    "write_bytes",
    "write_image",
    "write_in_place",
    "write_wav",
]

SampleType = Literal["int16", "float32"]
"""How samples of sound are stored."""

_SAMPLE_FORMATS = {"int16": ("pcm_s16le", "s16"), "float32": ("pcm_f32le", "flt")}
"""FFmpeg's names of the codecs and of their samples."""

_OLD_S = 24 * 3600.0
"""Temporary files that nobody has written to for so long are left over."""

_MAX_GAP_S = 3600.0
"""As in `mien.io.audio`: longer gaps are damaged times."""

_CHUNK_SAMPLES = 1 << 20

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),  # much less time than level 6, for a few more bytes
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),  # colored letters blur with subsampled chroma
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 92}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}


def write(
    results: Result | Iterable[Result],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - as pandas and Pillow call it
    table: str | None = None,
) -> None:
    """Write one result or several to a file, in the format of its suffix: see `mien.output.FORMATS`.

    Tables (``.csv``, ``.parquet``), ``.json`` and ``.jsonl`` take any results, all other formats one.  Formats that
    show the media read them again from the path of the result: ``.png`` and others draw an image, or a video or audio
    file over time; ``.mp4`` and others draw on a video; ``.html`` has thumbnails.

    Parameters
    ----------
    results : Result or iterable of Result
        Such as ImageResult, SpeechResult, VideoResult, FusedResult or FailedItem.
    path : str or os.PathLike
        Where to write, whole or not at all.
    format : str, optional
        Name of a format, instead of the suffix's.
    table : str, optional
        Which table of videos: see `mien.VideoResult.rows`.

    Raises
    ------
    InputError
        If there is no such format or table, or it does not fit the results.
    MediaNotFoundError, MediaError
        If the folder does not exist or the file cannot be written there; and what reading the media raises.
    MissingExtraError
        If the format needs a package that is not installed.

    Examples
    --------
    >>> import mien
    >>> result = mien.analyze("interview.mp4")  # doctest: +SKIP
    >>> mien.write(result, "interview.csv", table="segments")  # doctest: +SKIP
    """
    target = Path(os.fsdecode(path))
    items = [results] if isinstance(results, Result) else list(results)
    chosen = _choose_format(items, target, format)
    many = len(items) != 1
    if many and chosen.target in ("each", "folder"):
        raise InputError(f"{chosen.name} takes one result, but got {len(items)}: write one by one")
    context = Context(labels=_expected_labels(items, table), table=table, many=many)
    if chosen.target != "stream":
        with chosen.open(target, context) as writer:
            for item in items:
                _read_again(item, chosen.needs, writer)
                writer.write(item)
        return
    with replace_atomically(target) as temporary, temporary.open("x", encoding="utf-8", newline="") as stream:
        if chosen.name == "json" and many:
            from mien.output.tables import to_json

            stream.write(to_json(items) + "\n")
            return
        with chosen.open(stream, context) as writer:
            for item in items:
                writer.write(item)


def _choose_format(items: Sequence[Result], target: Path, name: str | None) -> Format:
    for item in items:
        if not isinstance(item, Result):
            raise InputError(f"expected results, such as ImageResult or FailedItem, but got {describe(item)}")
    kinds = {kind for item in items if (kind := kind_of(item))}
    formats = [FORMATS[name]] if name is not None else [FORMATS[one] for one in FORMATS]
    if name is None:
        suffix = target.suffix.lower()
        suffixes = dict.fromkeys(one for known in formats for one in known.suffixes)
        formats = [known for known in formats if suffix in known.suffixes]
        if not formats:
            raise InputError(f"results are written as {', '.join(suffixes)}, but the name is {target.name!a}")
    for known in formats:
        if kinds <= set(known.kinds):
            return known
    fitting = " and ".join(dict.fromkeys(kind for known in formats for kind in known.kinds))
    raise InputError(f"{formats[0].name} is for results of {fitting}, but got some of {' and '.join(sorted(kinds))}")


def _expected_labels(items: Sequence[Result], table: str | None) -> dict[str, LabelSet]:
    """Return the emotions of each kind of result: rather of one in which something was found."""
    labels: dict[str, LabelSet] = {}
    for item in sorted(items, key=lambda item: not any(getattr(item, n, ()) for n in ("faces", "segments", "tracks"))):
        if isinstance(item, VideoResult):
            labels.setdefault("video", item.labels_of(table or "frames"))
        elif isinstance(item, ImageResult | SpeechResult | FusedResult):
            labels.setdefault(kind_of(item), item.labels)
    return labels


def _read_again(result: Result, needs: str, writer: Writer) -> None:
    """Give a writer the images or the sound of a result, from its file."""
    path = getattr(result, "path", None)
    if needs not in ("images", "audio") or not isinstance(result, ImageResult | SpeechResult | VideoResult):
        return
    if path is None:
        raise InputError("the result does not name its file, which is needed to show it")
    if needs == "audio" and isinstance(result, SpeechResult):
        from mien.io.audio import iter_audio

        with iter_audio(path, channel=result.channel) as blocks:
            for block in blocks:
                writer.add_audio(block)
    elif needs == "images" and isinstance(result, ImageResult):
        from mien.io.image import read_image

        writer.add_image(read_image(path).pixels, result)
    elif needs == "images" and isinstance(result, VideoResult):
        from mien.io.video import iter_frames

        analyzed = result.frames()
        current = next(analyzed, None)
        with iter_frames(path, from_s=result.start_s) as frames:
            for frame in frames:
                if current is None:
                    break
                if frame.time_s >= current.time_s - TIME_EPSILON_S:
                    writer.add_image(frame.image, current)
                    current = next(analyzed, None)


# --- images -----------------------------------------------------------------------------------------------------------


def encode_png(image: NDArray[Any]) -> bytes:
    """Return an image as PNG.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    InputError
        If the image is none.
    """
    return _encode(image, ".png")


def encode_jpeg(image: NDArray[Any], *, quality: int = 92) -> bytes:
    """Return an image as JPEG without chroma subsampling.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.
    quality : int
        1 to 100.

    Raises
    ------
    InputError
        If the image is none, or the quality is out of range.
    MediaError
        If the image is larger than the format allows (65,500 pixels a side).
    """
    return _encode(image, ".jpg", quality=check_integer(quality, "quality", low=1, high=100))


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write an image; the suffix says in which format.

    It is written beside its place under another name and then moved there, so that nobody ever sees half an image and
    an older file survives a failure.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.png``, ``.jpg``, ``.jpeg``, ``.webp``, ``.bmp``, ``.tif`` or ``.tiff``.
    image : numpy.ndarray
        uint8 of shape (H, W, 3), RGB.

    Raises
    ------
    InputError
        If the suffix is another, or the image is none.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there, or the format does not allow an image so large.
    """
    target = Path(os.fsdecode(path))
    suffix = target.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"an image is written as {', '.join(_FORMATS)}, but the name is {target.name!a}")
    data = _encode(image, suffix, path=target)
    _put(target, data)


def save_wav(path: str | os.PathLike[str], blocks: Iterable[AudioBlock], *, sample_type: SampleType = "int16") -> float:
    """Write sound as WAV, block by block: mono, at the rate of its blocks.

    Gaps between blocks become silence, so that times stay true.  Files beyond 4 GB are RF64 (EBU Tech 3306).

    Parameters
    ----------
    path : str or os.PathLike
        Ends in ``.wav``.
    blocks : iterable of AudioBlock
        From `mien.io.audio.iter_audio`.
    sample_type : {"int16", "float32"}
        16-bit integers, which hold what recorders give, or floats, which hold everything.

    Returns
    -------
    float
        Seconds that were written.

    Raises
    ------
    InputError
        If the name ends otherwise, or there is no block.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there, or the times jump by more than an hour; and what reading raises.
    """
    target = check_suffix(path, ".wav")
    if sample_type not in _SAMPLE_FORMATS:
        raise InputError(f"sample_type must be 'int16' or 'float32', but got {sample_type!r}")
    wav: _WavFile | None = None
    with replace_atomically(target) as temporary, temporary.open("xb") as file:
        for block in blocks:
            wav = wav or _WavFile(file, block.rate_hz, sample_type)
            gap_s = block.start_s - wav.duration_s
            if gap_s > _MAX_GAP_S:
                raise MediaError(f"the audio file has damaged times: they jump by {gap_s:.0f} s")
            missing = round(gap_s * block.rate_hz)
            for begin in range(0, missing, _CHUNK_SAMPLES):
                wav.write(np.zeros(min(_CHUNK_SAMPLES, missing - begin), np.float32))
            wav.write(block.mono)
        if wav is None:
            raise InputError("a WAV file needs sound, but got none")
        wav.close()
    return wav.duration_s


def write_wav(target: str | os.PathLike[str] | IO[bytes], wave: NDArray[np.floating[Any]], rate_hz: int) -> None:
    """Write sound as WAV: mono, 16 bits, little-endian PCM.

    Parameters
    ----------
    target : str, os.PathLike or binary file object
        A name that ends in ``.wav``, or an open file, which need not be seekable and is not closed.
    wave : numpy.ndarray
        float of shape (n,), full scale at 1; what is beyond is clipped.
    rate_hz : int
        Samples per second.

    Raises
    ------
    InputError
        If the wave is not an array of finite floats, the rate is no integer from 1, or the suffix is another.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there.
    """
    samples, rate = check_wave(wave), check_integer(rate_hz, "rate_hz", low=1, high=(1 << 31) - 1)
    path = None if not isinstance(target, str | os.PathLike) else check_suffix(target, ".wav")
    stream = io.BytesIO()
    wav = _WavFile(stream, rate, "int16")
    wav.write(samples)
    wav.close()
    if path is None:
        target.write(stream.getvalue())  # type: ignore[union-attr]
    else:
        _put(path, stream.getvalue())


class WavWriter(Writer):
    """Writes the sound of what was analyzed, which is read again, as WAV; see `save_wav`."""

    def __init__(self, target: Path, context: Context) -> None:
        self._target, self._context = target, context

    def write(self, result: Result) -> None:
        """Read the sound and write it.

        Raises
        ------
        InputError
            If the result is not that of an audio file, or the file is not known.
        """
        from mien.io.audio import iter_audio

        if not isinstance(result, SpeechResult):
            raise InputError(f"sound is saved of a SpeechResult, but got {describe(result)}")
        source = result.path if self._context.source is None else self._context.source
        if source is None:
            raise InputError("the result does not name its file: use mien.write_wav")
        with iter_audio(source, rate_hz=self._context.sample_rate_hz, channel=result.channel) as blocks:
            save_wav(self._target, blocks, sample_type=self._context.sample_type)


class _WavFile:
    """A mono WAV file, written by PyAV."""

    def __init__(self, file: IO[bytes], rate_hz: int, sample_type: SampleType) -> None:
        import av

        codec, self._format = _SAMPLE_FORMATS[sample_type]
        options = {"rf64": "auto", "fflags": "+bitexact"}
        self._container = av.open(file, "w", format="wav", container_options=options)
        add: Any = self._container.add_stream  # typed by the literal name of the codec
        self._stream = add(codec, rate=rate_hz, layout="mono")
        self._container.start_encoding()
        self._rate_hz, self._count = rate_hz, 0

    @property
    def duration_s(self) -> float:
        """Length of what was written."""
        return self._count / self._rate_hz

    def write(self, wave: NDArray[np.float32]) -> None:
        """Append float32 (n,)."""
        import av

        for begin in range(0, len(wave), _CHUNK_SAMPLES):
            part = wave[begin : begin + _CHUNK_SAMPLES]
            if self._format == "s16":
                # Full scale is 32768, as for decoders: samples that were read are written back bit by bit.
                part = np.clip(np.rint(part * np.float32(32768)), -32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part)[None], format=self._format, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, self._count, Fraction(1, self._rate_hz)
            self._container.mux(self._stream.encode(frame))
            self._count += len(part)

    def close(self) -> None:
        """Write what is left and the lengths in the header."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


# --- files ------------------------------------------------------------------------------------------------------------


def write_bytes(path: str | os.PathLike[str], suffix: str, make: Callable[[], bytes]) -> None:
    """Write a file whose content is made when its name and folder are known to be good.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in the suffix, in any case.
    suffix : str
        Such as ``".png"``.
    make : callable
        Returns the content.

    Raises
    ------
    InputError
        If the name ends otherwise.
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        If the file cannot be written there.
    """
    target = check_suffix(path, suffix)
    check_folder(target)
    _put(target, make())


def check_suffix(path: str | os.PathLike[str], suffix: str) -> Path:
    """Return a path that ends in a suffix, in any case, or raise `InputError`."""
    target = Path(os.fsdecode(path))
    if target.suffix.lower() != suffix:
        raise InputError(f"expected a name that ends in {suffix}, but got {target.name!a}")
    return target


@contextmanager
def replace_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file; what was written there replaces the file, or is removed after an error.

    Raises
    ------
    MediaNotFoundError
        If the folder does not exist.
    MediaError
        For any `OSError` on the way.
    """
    check_folder(target)
    _remove_old_temporaries(target.parent)
    with atomic_path(target, error=partial(MediaError, path=target)) as temporary:
        yield temporary


@functools.cache
def _remove_old_temporaries(folder: Path) -> None:
    """Remove what processes that were killed left in a folder; once a process, since folders may be large."""
    for path in folder.glob(".mien-*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _OLD_S:
                path.unlink()


@contextmanager
def write_in_place(target: Path) -> Iterator[Path]:
    """Yield the file itself: what was written stays, whatever happens.

    Raises
    ------
    MediaNotFoundError, MediaError
        As for `replace_atomically`.
    """
    check_folder(target)
    try:
        yield target
    except OSError as error:
        kept = "; what was written before is kept" if target.is_file() and target.stat().st_size else ""
        raise MediaError(f"cannot write {format_path(target)}: {error.strerror or error}{kept}", path=target) from error


def make_folder(folder: Path) -> None:
    """Make a folder with those above it, where there is none.

    Raises
    ------
    MediaError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the folder {format_path(folder)}: {error.strerror or error}"
        raise MediaError(message, path=folder) from error


def check_folder(target: Path) -> None:
    """Raise `MediaNotFoundError` where the folder of a file does not exist."""
    if not target.parent.is_dir():
        raise MediaNotFoundError(f"no such folder to write to: {str(target.parent)!a}", path=target)


def _put(target: Path, data: bytes) -> None:
    with replace_atomically(target) as temporary, temporary.open("xb") as file:
        file.write(data)


def _encode(image: NDArray[Any], suffix: str, *, path: Path | None = None, **options: Any) -> bytes:
    from PIL import Image

    pixels = check_image(image)
    name, defaults = _FORMATS[suffix]
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, name, **{**defaults, **options})
    except (OSError, ValueError) as error:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise MediaError(f"an image of {size} pixels cannot be written as {name}: {error}", path=path) from error
    return stream.getvalue()
