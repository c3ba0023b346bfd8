"""What ``mien evaluate`` does with the figures of faces and of speech alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli import _shell

if TYPE_CHECKING:
    from mien.evaluate.paired import PairedResult
    from mien.evaluate.report import Measured

__all__ = ["called_apart", "report_places", "show"]


def called_apart(words: list[str], names: list[str]) -> list[str]:
    """Return what to call each model: as its record does, or, where two records have one name, as it was asked for."""
    if len(set(names)) == len(names):
        return names
    return words if len(set(words)) == len(words) else [f"{word} ({i})" for i, word in enumerate(words, start=1)]


def show(
    found: Sequence[tuple[str, Measured]],
    comparisons: Sequence[PairedResult],
    *,
    text: Callable[[Any], str],
    unit: str,
    as_json: bool,
    several: bool,
) -> None:
    """Write to stdout what the models are called and did, each as ``text`` of its figures or all as JSON."""
    from mien.evaluate import report

    if as_json and not several:
        _shell.write(report.to_json(found[0][1]))
    elif as_json:
        plain = {
            "results": [{"called": called, **result.to_dict()} for called, result in found],
            "comparisons": [comparison.to_dict() for comparison in comparisons],
        }
        _shell.write(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        parts = [text(result) for _, result in found]
        if len(found) > 1:
            parts.append(report.summary(found))
        parts += ["\n".join(report.paired_lines(comparison, unit=unit)) for comparison in comparisons]
        _shell.write("\n\n".join(parts))


def report_places(
    folder: Path,
    found: Sequence[tuple[str, Measured]],
    comparisons: Sequence[PairedResult],
    *,
    unit: str,
    several: bool,
) -> list[Path]:
    """Return the folder of each report; where there are several, write the overview that leads to them."""
    from mien.evaluate.examine import own_names
    from mien.evaluate.folder import write_overview

    if not several:
        return [folder]
    names = own_names([f"{called}-{result.dataset}-{result.split}" for called, result in found])
    listed = [(called, name, result) for (called, result), name in zip(found, names, strict=True)]
    write_overview(folder, listed, comparisons, unit=unit)
    return [folder / name for name in names]
