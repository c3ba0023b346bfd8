"""``mien evaluate`` on corpora of speech."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mien.cli import _shell
from mien.cli._evaluate_show import called_apart, report_places, show
from mien.cli.data.options import Choice
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data import Samples
    from mien.evaluate.paired import PairedResult
    from mien.evaluate.speech_answers import SpeechAnswers
    from mien.evaluate.speech_result import NoiseFigures, SpeechEvaluation
    from mien.speech.analyzer import SpeechAnalyzer

__all__ = ["evaluate_speech", "is_speech"]

_SHOWN = 10
"""Clips that could not be read that are named on stderr; the report names them all."""


class _Done(NamedTuple):
    called: str
    choice: Choice
    answers: SpeechAnswers
    result: SpeechEvaluation


def is_speech(names: Sequence[str], models: Sequence[str]) -> bool:
    """Tell whether data are recordings: by a corpus among them, or, for paths, by what the first model is for."""
    from mien.data import dataset_names
    from mien.evaluate.models import find_model

    if not set(names).isdisjoint(dataset_names("audio")):
        return True
    if not models or not any(name not in dataset_names() and Path(name).is_dir() for name in names):
        return False
    try:
        return find_model(models[0]).task == "speech-emotion"
    except MienError:
        return False  # what is wrong with it is said where it is needed


def evaluate_speech(
    models: list[str],
    choices: list[Choice],
    *,
    labels_as: str | None,
    threads: int | None,
    noise: bool,
    report: Path | None,
    as_json: bool,
) -> int:
    """Measure speech models on corpora, show and write what comes of it, and return the exit code."""
    from mien.evaluate.models import find_model
    from mien.evaluate.speech_report import speech_text
    from mien.speech.analyzer import SpeechAnalyzer

    # The models first: a wrong name must not wait for the data to be read.
    analyzers = [SpeechAnalyzer(find_model(word), threads=threads) for word in models]
    called = called_apart(models, [analyzer.spec.name for analyzer in analyzers])
    several = len(choices) * len(models) > 1
    done: list[_Done] = []
    comparisons: list[PairedResult] = []
    failed = 0
    for choice in choices:
        some, wrong = _examine(
            choice, list(zip(called, analyzers, strict=True)), labels_as=labels_as, noise=noise, several=several
        )
        comparisons += _compared(some)
        done += some
        failed += wrong
    if not done:
        return _shell.FAILED
    if report is not None:
        _write(report, done, comparisons, forced=labels_as is not None, several=several)
        _shell.note(f"wrote {report}")
    found = [(d.called, d.result) for d in done]
    show(found, comparisons, text=speech_text, unit="clips", as_json=as_json, several=several)
    return _shell.SOME_FAILED if failed or any(d.result.n_unreadable for d in done) else 0


def _examine(
    choice: Choice,
    models: list[tuple[str, SpeechAnalyzer]],
    *,
    labels_as: str | None,
    noise: bool,
    several: bool,
) -> tuple[list[_Done], int]:
    """Let all models answer about one corpus; where there is more to do, what fails is noted and passed over."""
    from mien.data import load_dataset
    from mien.evaluate.examine import take_clips
    from mien.evaluate.speech import measure_clips
    from mien.evaluate.speech_answers import answer_clips

    done: list[_Done] = []
    failed = 0
    clips: Samples | None = None
    for called, analyzer in models:
        try:
            if clips is None:
                clips, split = take_clips(load_dataset(choice.name, choice.path, **choice.options), choice.split)
            what = f"evaluating {called}" if several else "evaluating"
            with _shell.progress(len(clips), what, unit="clips") as advance:
                answers = answer_clips(analyzer, clips, labels_as=labels_as, split=split, progress=advance)
            curve = _noise(analyzer, answers, called if several else "") if noise else ()
            result = measure_clips(answers, noise=curve)
        except MienError as error:
            if not several:
                raise
            _shell.note(f"{called} on {choice.name}: {error}")
            failed += 1
            continue
        _warn(result, answers)
        done.append(_Done(called, choice, answers, result))
    return done, failed


def _noise(analyzer: SpeechAnalyzer, answers: SpeechAnswers, called: str) -> tuple[NoiseFigures, ...]:
    from mien.evaluate.noise import KINDS, can_babble
    from mien.evaluate.speech_noise import noise_of

    kinds = KINDS if can_babble(answers.clips) else ("white",)
    if kinds != KINDS:
        _shell.note(f"no babble: all clips of {answers.clips.name} are of one speaker")
    what = f"evaluating {called} in noise" if called else "evaluating in noise"
    with _shell.progress(len(answers.clips), what, unit="clips") as advance:
        return noise_of(analyzer, answers, kinds=kinds, progress=advance)


def _warn(result: SpeechEvaluation, answers: SpeechAnswers) -> None:
    """Say on stderr what must not be overlooked."""
    if result.caveat:
        _shell.note(f"caution: {result.caveat}")
    for line in answers.unreadable[:_SHOWN]:
        _shell.note(f"left out {line}")
    if len(answers.unreadable) > _SHOWN:
        _shell.note(f"and {len(answers.unreadable) - _SHOWN} more clips that could not be read")


def _compared(done: list[_Done]) -> list[PairedResult]:
    from mien.evaluate.paired import compare_clips

    return [compare_clips(a.answers, b.answers, names=(a.called, b.called)) for a, b in combinations(done, 2)]


def _write(folder: Path, done: list[_Done], comparisons: list[PairedResult], *, forced: bool, several: bool) -> None:
    from mien.evaluate.speech_folder import write_speech_folder

    found = [(d.called, d.result) for d in done]
    places = report_places(folder, found, comparisons, unit="clips", several=several)
    for d, place in zip(done, places, strict=True):
        command = f"mien evaluate {d.called} {d.choice.name} --data DATA"
        command += f" --split {d.choice.split}" if d.choice.split else ""
        command += "".join(f" --option {key}={value}" for key, value in d.choice.options.items())
        command += f" --labels-as {d.result.output}" if forced else ""
        command += " --noise" if d.result.noise else ""
        write_speech_folder(place, d.result, d.answers, command=command)
