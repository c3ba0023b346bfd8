"""``mien evaluate`` on corpora of clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli import _shell
from mien.cli.data.options import Choice
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.evaluate.video import VideoEvaluation

__all__ = ["evaluate_videos", "is_videos"]


def is_videos(names: Sequence[str]) -> bool:
    """Tell whether a corpus of clips is among the names of data sets."""
    from mien.data import dataset_names

    return not set(names).isdisjoint(dataset_names("video"))


def evaluate_videos(models: list[str], choices: list[Choice], *, report: Path | None, as_json: bool) -> int:
    """Let every model answer to every corpus; where there is more to do, what fails is noted and passed over."""
    from mien.evaluate.video import HEAD, figures_rows, figures_text

    several = len(models) * len(choices) > 1
    done: list[VideoEvaluation] = []
    failed = 0
    for choice in choices:
        for model in models:
            try:
                done.append(_examined(model, choice))
            except MienError as error:
                if not several:
                    raise
                _shell.note(f"{model} on {choice.name}: {error}")
                failed += 1
            else:
                _tell(done[-1])
                if report is not None:
                    _write(report / f"{len(done)}" if several else report, done[-1], choice, model)
    if not done:
        return _shell.FAILED
    found = [one.figures for one in done]
    if as_json:
        _shell.write(figures_text(found))
    else:
        rows = [(one.samples.name, *row) for one, row in zip(done, figures_rows(found), strict=True)]
        _shell.write(_shell.table(("corpus", *HEAD), rows, right=(2, 3)))
    return _shell.SOME_FAILED if failed else 0


def _examined(model: str, choice: Choice) -> VideoEvaluation:
    from mien.evaluate import video

    _shell.note(f"{model}: reading {choice.path}")
    return video.evaluate_videos(model, choice.name, choice.path, split=choice.split or "all", options=choice.options)


def _tell(one: VideoEvaluation) -> None:
    if one.seen:
        _shell.note(
            f"{one.figures.net} learned from {len(one.seen)} of these subjects: "
            "this is no measure of how it does on strangers"
        )


def _write(folder: Path, one: VideoEvaluation, choice: Choice, model: str) -> None:
    from mien.evaluate.markdown import escaped
    from mien.evaluate.video import write_video_report

    lines = [
        f"Measured by `mien evaluate {model} {choice.name} --data DATA`, 95 % intervals by bootstrap over subjects."
    ]
    if one.seen:
        lines.append(
            f"The model learned from {len(one.seen)} of these subjects: no measure of how it does on strangers."
        )
    title = f"{escaped(one.figures.net)} on {escaped(one.samples.name)}"
    write_video_report(folder, one.samples, [one.figures], one.probabilities, title=title, lines=lines)
    _shell.note(f"wrote {folder}")
