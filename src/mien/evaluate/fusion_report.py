"""The examination of fusions as text and as a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mien.evaluate.files import make_folder, write_words
from mien.evaluate.fusion_result import Contradiction, Difference, FusionEvaluation, SideFigures
from mien.evaluate.machine import machine
from mien.evaluate.markdown import section, table
from mien.evaluate.report import percent, text_table

__all__ = ["SIMULATION", "fusion_json", "fusion_text", "write_fusion_folder"]

SIMULATION = (
    "A simulation: images and recordings of one emotion by different people are put together. Given the emotion, "
    "their errors are independent of each other, which those of a video are not; emotions are acted, and about equally "
    "frequent. The figures compare fusions and conditions; they do not tell what to expect of videos."
)

_SIDES = ("face", "voice", "experts", "average", "most_confident", "rule_table")
_RIGHT = tuple(range(1, 1 + len(_SIDES)))


def fusion_json(result: FusionEvaluation) -> str:
    """Return the examination as one JSON document."""
    return json.dumps({"note": SIMULATION, **result.to_dict()}, indent=2, allow_nan=False)


def fusion_text(result: FusionEvaluation, *, method: str = "experts") -> str:
    """Return the examination as text: accuracies by condition, what one method does in particular, contradictions.

    Parameters
    ----------
    result : FusionEvaluation
        The figures.
    method : str
        The fusion whose intervals and calibration are shown.

    Returns
    -------
    str
        Lines without colors, without a line break at the end.
    """
    parts = [_about(result), SIMULATION]
    for length in result.lengths:
        parts.append(text_table((_called(length), *_SIDES), _accuracies(result, length), right=_RIGHT))
        head = _head(method)
        parts.append(text_table(head, _method(result, length, method), right=(1, 3, 4)))
        parts.append(text_table(_FOLLOWS, _contradictions(result, length), right=(1, 2, 3, 4)))
    return "\n\n".join(parts)


def write_fusion_folder(folder: str | Path, result: FusionEvaluation, *, command: str = "") -> None:
    """Write ``report.json`` and ``report.md``.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where to; it is made if need be, and files of an older report are replaced.
    result : FusionEvaluation
        The figures.
    command : str
        What was run.

    Raises
    ------
    DatasetError
        If a file cannot be written.
    """
    where = make_folder(folder)
    write_words(where / "report.json", fusion_json(result) + "\n")
    lines = [f"# Faces and voices together\n\n{SIMULATION}\n\n{_about(result)}."]
    for length in result.lengths:
        lines.append(
            section(f"Accuracy, {_called(length)}", table(("", *_SIDES), _accuracies(result, length), right=_RIGHT))
        )
        rows = _calibrations(result, length)
        lines.append(section(f"ECE above its floor, {_called(length)}", table(("", *_SIDES), rows, right=_RIGHT)))
        head = _head("experts")
        rows = _method(result, length, "experts")
        lines.append(section(f"The experts, {_called(length)}", table(head, rows, right=(1, 3, 4))))
        rows = _contradictions(result, length)
        lines.append(section(f"Contradicting sides, {_called(length)}", table(_FOLLOWS, rows, right=(1, 2, 3, 4))))
    lines.append(section("Weights of the experts, for use", _weights(result)))
    lines.append(section("Made by", f"`{command}`" if command else "", table(("", ""), list(machine().items()))))
    write_words(where / "report.md", "\n\n".join(lines) + "\n")


_FOLLOWS = ("face and voice differ", "says the face's", "says the voice's", "confidence", "unsure")


def _head(method: str) -> tuple[str, ...]:
    return method, "accuracy", "95 % interval", "ECE", "above", "over the better side", "over average"


def _about(result: FusionEvaluation) -> str:
    return (
        f"{result.clips} recordings of {result.speakers} speakers with {result.images} images, in {result.folds} "
        "folds: weights fitted on the other folds' speakers and images; 95 % intervals over speakers"
    )


def _called(length: int) -> str:
    return f"{length} image{'s' * (length != 1)} a pair"


def _conditions(result: FusionEvaluation, length: int) -> list[str]:
    return [figures.condition for figures in result.figures if figures.length == length]


def _accuracies(result: FusionEvaluation, length: int) -> list[tuple[str, ...]]:
    def cell(side: SideFigures | None) -> str:
        return "" if side is None else percent(side.accuracy)

    return [
        (name, *(cell(result.of(name, length).side(side)) for side in _SIDES)) for name in _conditions(result, length)
    ]


def _calibrations(result: FusionEvaluation, length: int) -> list[tuple[str, ...]]:
    def cell(side: SideFigures | None) -> str:
        return "" if side is None else f"{side.ece_above_floor:.3f}"

    return [
        (name, *(cell(result.of(name, length).side(side)) for side in _SIDES)) for name in _conditions(result, length)
    ]


def _method(result: FusionEvaluation, length: int, method: str) -> list[tuple[str, ...]]:
    rows = []
    for name in _conditions(result, length):
        side = result.of(name, length).side(method)
        if side is None:
            continue
        low, high = side.interval
        told = (
            percent(side.accuracy),
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{side.ece:.3f}",
            f"{side.ece_above_floor:.3f}",
        )
        beats = (result.difference(name, length, than) for than in ((None, "average") if method == "experts" else ()))
        rows.append((name, *told, *map(_points, beats)) if method == "experts" else (name, *told, "", ""))
    return rows


def _points(found: Difference | None) -> str:
    if found is None:
        return ""
    low, high = found.interval
    side = f" {found.than}" if found.than in ("face", "voice") else ""
    return f"{100 * found.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]{side}"


def _contradictions(result: FusionEvaluation, length: int) -> list[tuple[str, ...]]:
    groups: Sequence[Contradiction] = next(g for g in result.contradictions if g and g[0].length == length)
    return [
        (c.name, percent(c.follows_face), percent(c.follows_voice), f"{c.confidence:.2f}", percent(c.unsure))
        for c in groups
    ]


def _weights(result: FusionEvaluation) -> str:
    return "```json\n" + json.dumps(result.weights.to_dict(), indent=2) + "\n```"
