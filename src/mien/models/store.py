"""Where models lie: the only place of the inference path that opens records and weights.

Weights are handed out only when their content is what the record declares.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError, UnknownModelError, WeightsError
from mien.models.record import dump_toml, parse_record
from mien.models.spec import ModelFile, ModelSpec

__all__ = [
    "Offer",
    "Receiving",
    "file_parts",
    "is_there",
    "optional_folder",
    "read_arrays",
    "read_offer",
    "read_record",
    "read_weights",
    "verify",
    "write_record",
]

CACHE_VARIABLE = "MIEN_CACHE_DIR"
"""Environment variable that names the folder of all that mien keeps, parsed tables of data sets too."""

_PART_BYTES = 1 << 16

_verified: set[tuple[str, int, int, str]] = set()
"""Path, time of change, size and digest of files whose content was checked in this process."""

_lock = threading.Lock()


def read_record(path: str | Path) -> ModelSpec:
    """Read a model's record.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file.

    Returns
    -------
    ModelSpec
        The model; its weights are not looked at.

    Raises
    ------
    UnknownModelError
        If there is no such file.
    ModelError
        If the record cannot be read or is wrong; the message names file and key.
    """
    where = Path(path)
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UnknownModelError(f"no model record at {where}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{where}: cannot read the model record: {error}") from error
    return parse_record(text, where)


def write_record(record: ModelSpec | Mapping[str, Any], path: str | Path) -> ModelSpec:
    """Write a model's record, after checking it as `read_record` would.

    Parameters
    ----------
    record : ModelSpec or mapping
        The model, or its record as plain data.
    path : str or pathlib.Path
        The TOML file to write.

    Returns
    -------
    ModelSpec
        The model as it will be read back.

    Raises
    ------
    ModelError
        If the record is wrong, or the file cannot be written.
    """
    where = Path(path)
    text = dump_toml(record.to_dict() if isinstance(record, ModelSpec) else record)
    spec = parse_record(text, where)
    try:
        where.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ModelError(f"{where}: cannot write the model record: {error}") from error
    return spec


def read_weights(spec: ModelSpec, role: str = "graph") -> bytes:
    """Return the content of one of a model's files, checked against its record.

    The digest of a file is computed once a process, and again when its size or time of change differs.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    role : str
        Which of its files.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    WeightsError
        If the file is missing, or its size or sha256 is not the record's; the message says what was expected.
    ModelError
        If the model has no file with that role.
    """
    return _read(spec, spec.file(role), trust_earlier=True)


def read_arrays(spec: ModelSpec, role: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one of a model's ``.npz`` files, checked against its record.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    role : str
        Which of its files.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays by name.

    Raises
    ------
    WeightsError
        If the file is missing, not the record's, or not made of plain arrays.
    ModelError
        If the model has no file with that role.
    """
    content = read_weights(spec, role)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # on damaged archives, numpy and zipfile raise errors of eight kinds without a base
        file = spec.file(role).file
        raise WeightsError(f"model {spec.name!r}: {file} is no .npz of plain arrays: {error}") from error


def verify(spec: ModelSpec) -> None:
    """Check the content of all files of a model, anew.

    Parameters
    ----------
    spec : ModelSpec
        The model.

    Raises
    ------
    WeightsError
        If a file is missing or damaged.
    """
    for entry in spec.files:
        _read(spec, entry, trust_earlier=False)


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that does not ship with mien and can be downloaded.

    Parameters
    ----------
    spec : ModelSpec
        The model; its one file lies, or will lie, in `optional_folder`.
    url : str
        Where its file is, by https.
    """

    spec: ModelSpec
    url: str

    @property
    def file(self) -> ModelFile:
        """The one file."""
        return self.spec.files[0]

    @property
    def path(self) -> Path:
        """Where the file lies, or will lie."""
        return self.spec.path.parent / self.file.file


def optional_folder() -> Path:
    """Return where downloaded models are kept: ``models`` in ``MIEN_CACHE_DIR``, else in the user's cache folder.

    Unlike parsed tables they are kept when the variable is set to nothing, too: somebody asked for them.
    """
    given = os.environ.get(CACHE_VARIABLE, "")
    if given.strip():
        return Path(given).absolute() / "models"
    import platformdirs

    return Path(platformdirs.user_cache_dir("mien", appauthor=False)) / "models"


def read_offer(path: str | Path) -> Offer:
    """Read the record of a model that can be downloaded: a model's record with ``[download] url``.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file.

    Returns
    -------
    Offer
        The model; whether its file is there is not looked at.

    Raises
    ------
    ModelError
        If the record cannot be read or is wrong; the message names file and key.
    """
    where = Path(path)
    try:
        record = tomllib.loads(where.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{where}: cannot read the model record: {error}") from error
    download = record.pop("download", None)
    url = download.get("url") if isinstance(download, dict) else None
    if not isinstance(url, str) or not url.startswith("https://"):
        raise ModelError(f"{where}: download: key 'url' must be an address that begins with https://, but got {url!r}")
    parse_record(record, where)
    spec = parse_record(record, optional_folder() / where.name)
    if len(spec.files) != 1:
        raise ModelError(f"{where}: files: an optional model has one file, but got {len(spec.files)}")
    return Offer(spec, url)


def is_there(offer: Offer) -> bool:
    """Return whether the file of an optional model lies in its place; its content is not looked at."""
    return offer.path.is_file()


class Receiving:
    """The file of an optional model while it comes in: a temporary file beside its place, moved there when it is whole.

    What has come is kept when the work breaks off, so that it can be resumed.  Writing goes by place, so two processes
    that receive the same file at once write the same bytes and do not disturb each other.

    Parameters
    ----------
    offer : Offer
        The model.
    resumable : bool
        Whether to go on with what an earlier one has left, and to leave what has come.

    Attributes
    ----------
    have : int
        Bytes that are there.

    Raises
    ------
    ModelError
        If the temporary file cannot be made.
    """

    def __init__(self, offer: Offer, *, resumable: bool = True) -> None:
        self._offer = offer
        self._resumable = resumable
        mark = "part" if resumable else f"{os.getpid()}-{threading.get_ident()}"
        self._part = offer.path.with_name(f".{offer.file.file}.{offer.file.sha256[:12]}.{mark}")
        with self._told():
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._stream = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)), "r+b")
            self.have = self._stream.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # closing writes what is buffered: on a full disk that was told before
            self._stream.close()
        if not (self._resumable and self.have):
            self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ModelError(f"model {self._offer.spec.name!r}: cannot write {self._part}: {error.strerror}") from error

    def restart(self) -> None:
        """Begin anew: what comes next stands at the beginning."""
        with self._told():
            self.have = self._stream.seek(0)

    def write(self, data: bytes, *, source: str) -> None:
        """Take the next bytes; ``source`` says where from, for the message.

        Raises
        ------
        WeightsError
            If the file grows larger than the record says; then nothing of it is kept.
        ModelError
            If there is no room.
        """
        if self.have + len(data) > self._offer.file.bytes:
            self.discard()
            raise WeightsError(
                f"model {self._offer.spec.name!r}: expected {self._offer.file.bytes} bytes, but {source} has more"
            )
        with self._told():
            self._stream.write(data)
            self._stream.flush()
        self.have += len(data)

    def discard(self) -> None:
        """Throw away what has come."""
        with self._told():
            self.have = self._stream.seek(0)
            self._stream.truncate()

    def finish(self, source: str) -> Path:
        """Check what has come and move it to its place.

        Parameters
        ----------
        source : str
            Where it came from, for the message.

        Returns
        -------
        pathlib.Path
            The place.

        Raises
        ------
        WeightsError
            If size or sha256 are not those of the record; then nothing of it is kept.
        ModelError
            If it cannot be moved.
        """
        offer = self._offer
        with self._told():
            self._stream.truncate(self.have)
            self._stream.seek(0)
            found = hashlib.file_digest(self._stream, "sha256").hexdigest()
        if self.have != offer.file.bytes or found != offer.file.sha256:
            came = self.have
            self.discard()
            raise WeightsError(
                f"model {offer.spec.name!r}: expected {offer.file.bytes} bytes with sha256 {offer.file.sha256}, "
                f"but {source} has {came} bytes with sha256 {found}"
            )
        with self._told():
            os.fsync(self._stream.fileno())
            self._stream.close()
            try:
                self._part.replace(offer.path)
            except FileNotFoundError:
                # Another process that received the same file may have moved it already.
                if not is_there(offer):
                    raise
        return offer.path


def file_parts(path: str | Path) -> Iterator[bytes]:
    """Read a file piece by piece.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            while part := stream.read(_PART_BYTES):
                yield part
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _read(spec: ModelSpec, entry: ModelFile, *, trust_earlier: bool) -> bytes:
    path = spec.path.parent / entry.file
    try:
        with path.open("rb") as stream:
            changed_ns = path.stat().st_mtime_ns
            content = stream.read()
    except FileNotFoundError as error:
        optional = path.is_relative_to(optional_folder())
        hint = f"; get them by: mien models get {spec.name}" if optional else ""
        raise WeightsError(f"the weights of model {spec.name!r} are missing: expected {path}{hint}") from error
    except OSError as error:
        raise WeightsError(f"the weights of model {spec.name!r} cannot be read: {error}") from error
    if len(content) != entry.bytes:
        raise WeightsError(
            f"the weights of model {spec.name!r} are damaged: {path} should have {entry.bytes} bytes, "
            f"but has {len(content)}"
        )
    key = (str(path), changed_ns, len(content), entry.sha256)
    if trust_earlier and key in _verified:
        return content
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise WeightsError(
            f"the weights of model {spec.name!r} are not those of its record: {path} should have sha256 "
            f"{entry.sha256}, but has {found}"
        )
    with _lock:
        _verified.add(key)
    return content
