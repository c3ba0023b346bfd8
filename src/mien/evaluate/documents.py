"""What reports are written with: Markdown, text tables, numbers, files, and facts about the machine."""

from __future__ import annotations

import io
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from mien import __version__
from mien.errors import DatasetError
from mien.io.paths import atomic_path
from mien.metrics import Interval

__all__ = [
    "describe_machine",
    "escape",
    "format_figure",
    "format_interval",
    "format_percent",
    "join_parts",
    "make_folder",
    "section",
    "table",
    "text_table",
    "write_bytes",
    "write_charts",
    "write_text",
]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")

_WIDTH = 120

_PACKAGES = ("numpy", "onnxruntime", "torch", "lightning")


def escape(text: object) -> str:
    """Return text in one line that Markdown shows as it is."""
    words = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    return _SPECIAL.sub(r"\\\1", words)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Return a Markdown table; cells are escaped.

    Parameters
    ----------
    head : sequence of str
        Titles of the columns.
    rows : sequence of sequences
        As many values a row.
    right : sequence of int
        Columns of numbers.
    """
    rule = ["--:" if column in right else "---" for column in range(len(head))]
    lines = [[escape(title) for title in head], rule, *([escape(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def section(title: str, *parts: str, level: int = 2) -> str:
    """Return a Markdown heading with what stands under it; parts that are empty are left out."""
    return join_parts(f"{'#' * level} {escape(title)}", *parts)


def join_parts(*parts: str) -> str:
    """Return paragraphs with an empty line between them; those that are empty are left out."""
    return "\n\n".join(part for part in parts if part)


def text_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int]) -> str:
    """Return aligned columns without frames, those of numbers to the right."""
    # rich takes a tenth of a second to import: who asks for JSON does not pay for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column, title in enumerate(head):
        grid.add_column(Text(title), justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(str(cell)) for cell in row))
    stream = io.StringIO()
    Console(file=stream, width=_WIDTH, color_system=None, force_terminal=False).print(grid)
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n"))


def format_percent(share: float | None) -> str:
    """Return a share as text, a dash where it is not defined."""
    return "-" if share is None else f"{100 * share:.2f} %"


def format_figure(value: float | None) -> str:
    """Return a figure as text, a dash where it is not defined."""
    return "-" if value is None else f"{value:.4f}"


def format_interval(interval: Interval | None) -> str:
    """Return the ends of an interval in percent, or nothing."""
    return "" if interval is None else f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def make_folder(path: str | Path) -> Path:
    """Make a folder with its parents, where it is not there yet.

    Raises
    ------
    DatasetError
        If that is not possible.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    return folder


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that an older one survives a failure.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write text as UTF-8; what UTF-8 cannot hold (odd bytes of a file name) is written as an escape.

    Raises
    ------
    DatasetError
        If it cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_charts(folder: Path, charts: Mapping[str, bytes | None]) -> None:
    """Write images by their names; where there is none, what an older report left is removed.

    Raises
    ------
    DatasetError
        If one cannot be written.
    """
    for name, content in charts.items():
        if content is not None:
            write_bytes(folder / name, content)
        else:
            # What an older report left must not be taken for this one's.
            (folder / name).unlink(missing_ok=True)


def describe_machine() -> dict[str, str]:
    """Return facts about this machine by name, in the order to show them; what the system does not tell is left out."""
    facts = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "Python": platform.python_version(),
        "mien": __version__,
        **{package: _version(package) for package in _PACKAGES},
    }
    return {name: value for name, value in facts.items() if value}


def _processor() -> str:
    # platform.processor() is empty on most Linux systems.
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return ""
    return f"{size / 1e9:.0f} GB"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
