"""Where models are kept: the only place of the inference path that opens, downloads and writes records and weights.

Weights are handed out only when their content is what the record declares.  Nothing is downloaded unless somebody calls
`download`.  Proxies are those of the environment (``https_proxy``, ``no_proxy``), as `urllib.request` reads them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import io
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError, UnknownModelError, WeightsError
from mien.models.spec import ModelFile, ModelSpec, parse_record

__all__ = [
    "HttpsRedirects",
    "download",
    "download_folder",
    "install",
    "is_installed",
    "read_arrays",
    "read_record",
    "read_weights",
    "verify",
    "write_record",
]

CACHE_VARIABLE = "MIEN_CACHE_DIR"
"""Environment variable that names the folder of all that mien keeps, parsed tables of data sets too."""

_LARGEST_RECORD = 1 << 20
"""Bytes of a record at most: fifty times the largest of mien's own."""

_CHUNK_BYTES = 1 << 16

_TIMEOUT_S = 30.0
"""Longest silence of a server."""

_TRIES, _PAUSE_S = 4, 1.0
"""How often a download whose connection breaks is tried, and the pause before it is tried again."""

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
        The model; its weights are not looked at.  They lie beside the record, but in `download_folder` where the record
        says from where to download them.

    Raises
    ------
    UnknownModelError
        If there is no such file.
    ModelError
        If the record cannot be read or is wrong; the message names file and key.
    """
    where = Path(path)
    try:
        text = _read_regular(where, _LARGEST_RECORD).decode("utf-8")
    except FileNotFoundError as error:
        raise UnknownModelError(f"no model record at {where}") from error
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a zero byte in the name
        raise ModelError(f"{where}: cannot read the model record: {error}") from error
    spec = parse_record(text, where)
    return dataclasses.replace(spec, path=download_folder() / where.name) if spec.is_download else spec


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
    import tomli_w

    where = Path(path)
    try:
        text = tomli_w.dumps(record.to_dict() if isinstance(record, ModelSpec) else record)
    except TypeError as error:
        raise ModelError(f"{where}: {error}") from error
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


def _read_regular(path: Path, most: int) -> bytes:
    """Return the content of a file, a byte more than ``most`` of a larger one; of pipes and devices nothing is read."""
    if not path.is_file() and path.exists():
        raise OSError(f"{path} is no regular file")
    with path.open("rb") as stream:
        return stream.read(most + 1)


def _read(spec: ModelSpec, entry: ModelFile, *, trust_earlier: bool) -> bytes:
    path = spec.path.parent / entry.file
    try:
        changed_ns = path.stat().st_mtime_ns
        content = _read_regular(path, entry.bytes)
    except FileNotFoundError as error:
        hint = f"; get them by: mien models get {spec.name}" if entry.url else ""
        raise WeightsError(f"the weights of model {spec.name!r} are missing: expected {path}{hint}") from error
    except OSError as error:
        raise WeightsError(f"the weights of model {spec.name!r} cannot be read: {error}") from error
    if len(content) != entry.bytes:
        raise WeightsError(
            f"the weights of model {spec.name!r} are damaged: {path} should have {entry.bytes} bytes, "
            f"but has {path.stat().st_size}"
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


# --- downloads --------------------------------------------------------------------------------------------------------


def download_folder() -> Path:
    """Return where downloaded models are kept: ``models`` in ``MIEN_CACHE_DIR``, else in the user's cache folder.

    Unlike parsed tables they are kept when the variable is empty, too: they were requested.
    """
    given = os.environ.get(CACHE_VARIABLE, "")
    if given.strip():
        return Path(given).absolute() / "models"
    import platformdirs

    return Path(platformdirs.user_cache_dir("mien", appauthor=False)) / "models"


def is_installed(spec: ModelSpec) -> bool:
    """Return whether a model's files lie in their places; their content is not looked at."""
    return all((spec.path.parent / entry.file).is_file() for entry in spec.files)


def download(
    spec: ModelSpec,
    *,
    on_progress: Callable[[int], None] | None = None,
    opener: urllib.request.OpenerDirector | None = None,
) -> None:
    """Download the files of a model whose record says where they are, unless they are there and whole.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    on_progress : callable, optional
        Called with the number of bytes of a file received so far.
    opener : urllib.request.OpenerDirector, optional
        Opens requests; by default that of `urllib.request` with `HttpsRedirects`.

    Raises
    ------
    ModelError
        If the server cannot be reached, refuses, or breaks off again and again, or a file cannot be written.
    WeightsError
        If what came is not what the record says; nothing of it is kept.
    """
    opener = opener or urllib.request.build_opener(HttpsRedirects())
    for entry in spec.files:
        with contextlib.suppress(WeightsError):
            _read(spec, entry, trust_earlier=False)
            continue
        for attempt in range(1, _TRIES + 1):
            try:
                _receive(spec, entry, _request(spec, entry, opener), source=entry.url, on_progress=on_progress)
                break
            except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
                if attempt == _TRIES:
                    server = urlsplit(entry.url).hostname
                    raise ModelError(f"model {spec.name!r}: {server} broke off {_TRIES} times ({error})") from error
                time.sleep(_PAUSE_S)


def install(spec: ModelSpec, path: str | Path) -> None:
    """Copy the one file of a downloadable model from a file that the user has, after checking it.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    path : str or pathlib.Path
        The file; its name does not matter.

    Raises
    ------
    WeightsError
        If the file is not what the record says.
    ModelError
        If it cannot be read, or the copy cannot be written.
    """

    def chunks() -> Iterator[bytes]:
        try:
            with Path(path).open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error

    _receive(spec, spec.file(), chunks(), source=str(path))


class HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as `urllib.request` does, but to https alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Raise `ModelError` where a redirect leads to anything but https."""
        if urlsplit(newurl).scheme != "https":
            raise ModelError(f"{urlsplit(req.full_url).hostname} redirects to {newurl}: only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _request(spec: ModelSpec, entry: ModelFile, opener: urllib.request.OpenerDirector) -> Iterator[bytes]:
    """Yield the content of a file from its address."""
    headers = {"User-Agent": "mien", "Accept-Encoding": "identity"}
    server = urlsplit(entry.url).hostname
    hint = f"if you have the file: mien models get {spec.name} --from FILE (it is {entry.url})"
    try:
        # That the address is https was checked with the record.
        response = opener.open(urllib.request.Request(entry.url, headers=headers), timeout=_TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        with error:
            raise ModelError(f"model {spec.name!r}: {server} says {error.code} {error.reason}; {hint}") from error
    except urllib.error.URLError as error:
        raise ModelError(f"model {spec.name!r}: cannot reach {server}: {error.reason}; {hint}") from error
    with response:
        size = response.headers.get("Content-Length", "")
        if size.isdecimal() and int(size) != entry.bytes:
            raise WeightsError(f"model {spec.name!r}: expected {entry.bytes} bytes, but {entry.url} has {size}")
        received = 0
        while chunk := response.read(_CHUNK_BYTES):
            received += len(chunk)
            yield chunk
        if received < entry.bytes:
            raise ConnectionError(f"the connection ended after {received} of {entry.bytes} bytes")


def _receive(
    spec: ModelSpec,
    entry: ModelFile,
    chunks: Iterable[bytes],
    *,
    source: str,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Write a file beside its place, check it, and move it there."""
    target = spec.path.parent / entry.file
    digest, size = hashlib.sha256(), 0
    with _explain_write_errors(spec, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{entry.file}.", delete=False)  # noqa: SIM115
    try:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            if size > entry.bytes:
                break
            with _explain_write_errors(spec, target):
                stream.write(chunk)
            if on_progress is not None:
                on_progress(size)
        if size != entry.bytes or digest.hexdigest() != entry.sha256:
            came = "more" if size > entry.bytes else f"{size} bytes with sha256 {digest.hexdigest()}"
            raise WeightsError(
                f"model {spec.name!r}: expected {entry.bytes} bytes with sha256 {entry.sha256}, but {source} has {came}"
            )
        with _explain_write_errors(spec, target):
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            Path(stream.name).replace(target)
    finally:
        with contextlib.suppress(OSError):  # closing writes what is buffered: a full disk was reported before
            stream.close()
        Path(stream.name).unlink(missing_ok=True)


@contextlib.contextmanager
def _explain_write_errors(spec: ModelSpec, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"model {spec.name!r}: cannot write {target}: {error.strerror}") from error
