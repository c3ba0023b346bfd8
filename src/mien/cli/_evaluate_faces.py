"""``mien evaluate`` on labeled faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.cli import _shell
from mien.cli._evaluate_show import called_apart, report_places, show
from mien.cli.data.options import Choice, open_images
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.evaluate import EvaluationResult
    from mien.evaluate.answers import Answers
    from mien.evaluate.paired import PairedResult
    from mien.face.analyzer import FaceAnalyzer

__all__ = ["evaluate_faces", "face_analyzers"]


class _Done(NamedTuple):
    called: str
    analyzer: FaceAnalyzer
    choice: Choice
    answers: Answers
    result: EvaluationResult
    forced: bool


def face_analyzers(words: list[str], **how: Any) -> list[FaceAnalyzer]:
    """Load the models that are named, before any data is read: a wrong name must not wait for that."""
    from mien.evaluate.models import find_model
    from mien.face.analyzer import FaceAnalyzer

    return [FaceAnalyzer(find_model(word), **how) for word in words]


def evaluate_faces(
    words: list[str],
    analyzers: list[FaceAnalyzer],
    choices: list[Choice],
    options: dict[str, Any],
    *,
    report: Path | None,
    as_json: bool,
    told: str,
) -> int:
    """Measure face models on data sets, and show it; return the exit code.

    Parameters
    ----------
    words : list of str
        The models as the caller named them.
    analyzers : list of FaceAnalyzer
        The same, loaded.
    choices : list of Choice
        The data sets.
    options : dict
        What `mien.evaluate.answers.answer` takes.
    report : Path, optional
        Folder for tables, charts and mistakes.
    as_json : bool
        Write JSON instead of text.
    told : str
        Options about the runtime that were given, as they stand in the command that a report names.
    """
    from mien.evaluate.examine import compare_all
    from mien.evaluate.report import to_text

    called = called_apart(words, [analyzer.spec.name for analyzer in analyzers])
    several = len(choices) * len(words) > 1
    done: list[_Done] = []
    comparisons: list[PairedResult] = []
    failed = 0
    for choice in choices:
        some, wrong = _examine(choice, list(zip(called, analyzers, strict=True)), options, several=several)
        comparisons += compare_all([(d.called, d.answers) for d in some])
        done += some
        failed += wrong
    if not done:
        return _shell.FAILED
    if report is not None:
        _write(report, done, comparisons, several=several, how=told)
        _shell.note(f"wrote {report}")
    found = [(d.called, d.result) for d in done]
    show(found, comparisons, text=to_text, unit="images", as_json=as_json, several=several)
    return _shell.SOME_FAILED if failed else 0


def _examine(
    choice: Choice, models: list[tuple[str, FaceAnalyzer]], options: dict[str, Any], *, several: bool
) -> tuple[list[_Done], int]:
    """Let all models answer about one data set; where there is more to do, what fails is noted and passed over."""
    from mien.evaluate.answers import answer
    from mien.evaluate.protocols import measure

    done: list[_Done] = []
    failed = 0
    # Models of one input size share the images, read at that size.
    loaded: dict[int | None, tuple[Samples, Samples | None]] = {}
    for called, analyzer in models:
        try:
            rows, training = _load(choice, analyzer.size, loaded)
            count = int((rows.labels >= 0).sum())
            what = f"evaluating {called}" if several else "evaluating"
            with _shell.progress(count, what, unit="images") as advance:
                answers = answer(analyzer, rows, progress=advance, **options)
            result = measure(answers, training=training)
            done.append(_Done(called, analyzer, choice, answers, result, options["labels_as"] is not None))
        except MienError as error:
            if not several:
                raise
            _shell.note(f"{called} on {choice.name}: {error}")
            failed += 1
    return done, failed


def _load(
    choice: Choice, size: int, loaded: dict[int | None, tuple[Samples, Samples | None]]
) -> tuple[Samples, Samples | None]:
    from mien.data import DATASETS
    from mien.evaluate.examine import take_split

    key = None if DATASETS[choice.name].in_memory else size
    if key not in loaded:
        # All splits are read: copies of Training's images can be told only where those are at hand.
        whole = Choice(choice.name, choice.path, None, choice.options)
        loaded[key] = take_split(open_images(whole, size=key), choice.split)
    return loaded[key]


def _write(folder: Path, done: list[_Done], comparisons: list[PairedResult], *, several: bool, how: str) -> None:
    from mien.evaluate.examine import attention
    from mien.evaluate.folder import write_folder

    found = [(d.called, d.result) for d in done]
    places = report_places(folder, found, comparisons, unit="images", several=several)
    for d, place in zip(done, places, strict=True):
        command = f"mien evaluate {d.called} {d.choice.name} --data DATA --split {d.result.split}"
        command += f" --labels-as {d.result.output}" if d.forced else ""
        command += " --flip" if d.result.views == 2 else ""
        command += how
        heated = attention(d.analyzer, d.answers)
        write_folder(place, d.result, d.answers, heated=heated, command=command)
