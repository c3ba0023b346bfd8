"""``mien evaluate`` on corpora of clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien._extras import need
from mien.cli import _shell
from mien.cli.data._options import Choice
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.training.film_evaluate import FilmExamined

__all__ = ["evaluate_films", "is_films"]


def is_films(names: Sequence[str]) -> bool:
    """Tell whether a corpus of clips is among the names of data sets."""
    from mien.datasets.films import FILM_DATASETS

    return any(name in FILM_DATASETS for name in names)


def evaluate_films(models: list[str], choices: list[Choice], *, report: Path | None, as_json: bool) -> int:
    """Let every model answer to every corpus; where there is more to do, what fails is noted and passed over."""
    need("torch", extra="train", purpose="evaluating nets for clips")
    from mien.training.film_report import HEAD, figures_rows, figures_text

    several = len(models) * len(choices) > 1
    done: list[FilmExamined] = []
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
        rows = [(one.corpus.name, *row) for one, row in zip(done, figures_rows(found), strict=True)]
        _shell.write(_shell.table(("corpus", *HEAD), rows, right=(2, 3)))
    return _shell.SOME_FAILED if failed else 0


def _examined(model: str, choice: Choice) -> FilmExamined:
    from mien.training.film_evaluate import examine_films

    _shell.note(f"{model}: reading {choice.path}")
    return examine_films(model, choice.name, choice.path, split=choice.split or "all", options=choice.options)


def _tell(one: FilmExamined) -> None:
    if one.seen:
        _shell.note(
            f"{one.figures.net} learnt from {len(one.seen)} of these subjects: "
            "this is no measure of how it does on strangers"
        )


def _write(folder: Path, one: FilmExamined, choice: Choice, model: str) -> None:
    from mien.evaluation.markdown import escaped
    from mien.training.film_report import write_film_report

    lines = [
        f"Measured by `mien evaluate {model} {choice.name} --data DATA`, 95 % intervals by bootstrap over subjects."
    ]
    if one.seen:
        lines.append(f"The net learnt from {len(one.seen)} of these subjects: no measure of how it does on strangers.")
    title = f"{escaped(one.figures.net)} on {escaped(one.corpus.name)}"
    write_film_report(folder, one.corpus, [one.figures], one.answers, title=title, lines=lines)
    _shell.note(f"wrote {folder}")
