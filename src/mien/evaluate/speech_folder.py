"""The report of a speech model's examination as a folder: figures, charts, mistakes, and every single answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DatasetError
from mien.evaluate.files import make_folder, write_bytes, write_images, write_words
from mien.evaluate.machine import machine
from mien.evaluate.markdown import escaped, section, table
from mien.evaluate.noise import VOICES
from mien.evaluate.noise_chart import noise_chart
from mien.evaluate.parts import class_table, lowest_bars, mistakes_sheet, reliability, worst_first
from mien.evaluate.report import percent, to_json
from mien.evaluate.speech_answers import SpeechAnswers
from mien.evaluate.speech_report import calibration_rows, clips_line, ends, noise_rows, speech_headline
from mien.evaluate.speech_result import GroupFigures, SpeechEvaluation
from mien.output import plots
from mien.speech.activity import speech_bounds
from mien.speech.features import Settings, log_mel

__all__ = ["write_speech_folder"]

_ACROSS = 5
_CELL = 168
_SHEET_S = 3.0
"""What the sheet shows of a clip's speech: all of them to one scale of time."""

_SHEET_DB = 75.0
_SETTINGS = Settings(mels=64, top_db=_SHEET_DB)


def write_speech_folder(
    folder: str | Path, result: SpeechEvaluation, answers: SpeechAnswers, *, command: str = ""
) -> None:
    """Write the report of one speech model on one corpus.

    ``report.json``, ``report.md``, ``confusion.png`` (normalized and absolute), ``reliability.png``, ``speakers.png``,
    ``worst.png`` (spectrograms of the most confident mistakes), ``noise.png`` (where there is a noise curve) and
    ``predictions.csv``.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where to; it is made if need be, and files of an older report are replaced.
    result : SpeechEvaluation
        The figures.
    answers : SpeechAnswers
        What they were measured on.
    command : str
        What was run, for the report.

    Raises
    ------
    DatasetError
        If the folder cannot be written to.
    MissingExtraError
        If matplotlib is not installed.
    """
    where = make_folder(folder)
    worst = worst_first(answers.probabilities, answers.truth)
    write_words(where / "report.json", to_json(result) + "\n")
    write_words(where / "predictions.csv", _predictions(answers))
    confusion = plots.confusion_pair(result.confusion_matrix, result.labels, unit="recordings")
    write_bytes(where / "confusion.png", confusion)
    write_bytes(where / "reliability.png", reliability(result, answers.probabilities, answers.truth))
    speakers = [(part.name, part.uar) for part in result.by_speaker]
    images = {
        "worst.png": _spectrograms(answers, worst) if len(worst) else None,
        "speakers.png": lowest_bars(speakers, what="UAR by speaker"),
        "noise.png": noise_chart(result.noise) if result.noise else None,
    }
    write_images(where, images)
    write_words(where / "report.md", _markdown(result, answers, worst, command))


def _spectrograms(answers: SpeechAnswers, rows: NDArray[np.int64]) -> bytes:
    """Draw the mistakes as spectrograms of mel bands, low notes at the bottom."""
    images = [_spectrogram(answers, int(row)) for row in rows]
    return mistakes_sheet(answers, rows, images, across=_ACROSS, cell=_CELL)


def _spectrogram(answers: SpeechAnswers, row: int) -> NDArray[np.uint8] | None:
    try:
        wave = answers.clips.read_audio(row, _SETTINGS.rate_hz)
    except DatasetError:
        # It was there when it was answered: the square stays empty, and the table still names the file.
        return None
    begin, end = speech_bounds(wave, rate_hz=_SETTINGS.rate_hz)
    bands = log_mel(wave[begin : min(end, begin + round(_SHEET_S * _SETTINGS.rate_hz))], _SETTINGS)[::-1]
    gray = np.clip((bands - bands.max()) / _SHEET_DB + 1, 0, 1) * 255
    whole = np.zeros((len(gray), round(_SHEET_S * _SETTINGS.rate_hz / _SETTINGS.hop) + 1), dtype=np.uint8)
    whole[:, : gray.shape[1]] = gray[:, : whole.shape[1]]
    small = cv2.resize(whole, (_CELL, _CELL), interpolation=cv2.INTER_AREA)
    colored = cv2.applyColorMap(small, cv2.COLORMAP_INFERNO)
    return np.asarray(colored[..., ::-1], dtype=np.uint8)


def _predictions(answers: SpeechAnswers) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names, clips, said = answers.label_set.emotions, answers.clips, answers.answered
    head = ["file", "speaker", "sex", "intensity", "true", "answered", "right", "confidence"]
    writer.writerow([*head, *(f"p_{name}" for name in names)])
    for i, p in enumerate(answers.probabilities):
        truth, answer = int(answers.truth[i]), int(said[i])
        about = [str(part[i]) for part in (clips.subjects, clips.column("sex"), clips.column("intensity"))]
        values = [f"{value:.6f}" for value in (p[answer], *p)]
        writer.writerow([clips.files[i], *about, names[truth], names[answer], int(truth == answer), *values])
    return stream.getvalue()


def _markdown(result: SpeechEvaluation, answers: SpeechAnswers, worst: NDArray[np.int64], command: str) -> str:
    drawn = {"speaker": "speakers", "clip": "recordings"}[result.intervals_by]
    parts = [
        f"# {escaped(result.model)} on {escaped(result.dataset)} {escaped(result.split)}",
        "\n".join(escaped(line) for line in clips_line(result).splitlines()),
        f"**Caution**: {escaped(result.caveat)}." if result.caveat else "",
        f"Measured by `{command}`." if command and "`" not in command else "",
        section(
            "Result",
            table(("", "value", "95 % interval", ""), speech_headline(result), right=(1,)),
            f"Intervals: bootstrap over {result.n_groups} {drawn}.",
        ),
        section("Sexes", _parts("sex", result.by_sex)) if result.by_sex else "",
        section("Intensities", _parts("intensity", result.by_intensity)) if result.by_intensity else "",
        section("Classes", class_table(result)),
        section("Confusion", "![Confusion matrices: rows are the truth](confusion.png)"),
        section("Calibration", *_calibration(result)),
        section("Noise", *_noise(result)) if result.noise else "",
        section("Worst mistakes", *_worst(answers, worst)),
        section("Speakers", *_speakers(result)) if result.by_speaker else "",
        section("Problems", "\n".join(f"- {escaped(line)}" for line in result.problems)) if result.problems else "",
        section("Files", "`report.json`: all figures. `predictions.csv`: every clip's answer."),
        section("Machine", table(("what", "value"), list(machine().items()))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _calibration(result: SpeechEvaluation) -> list[str]:
    words = (
        f"Cross-fitted: the clips of each of {result.cross_fitting_folds} folds of {result.intervals_by}s are scaled "
        "by a temperature fitted on the others."
    )
    head = ("what", "recorded temperature", "cross-fitted")
    return [table(head, calibration_rows(result), right=(1, 2)), words, "![Reliability](reliability.png)"]


def _noise(result: SpeechEvaluation) -> list[str]:
    words = (
        f"Babble: up to {VOICES} other clips at once, none of the same speaker. The ratio is that of the powers over "
        "the part of the clip in which somebody speaks."
    )
    head = ("noise", "speech to noise", "accuracy", "95 %", "UAR", "95 %")
    return [table(head, noise_rows(result), right=(1, 2, 4)), words, "![Noise](noise.png)"]


def _worst(answers: SpeechAnswers, rows: NDArray[np.int64]) -> list[str]:
    if not len(rows):
        return ["There is no mistake."]
    names, clips = answers.label_set.emotions, answers.clips
    listed = [
        (
            clips.files[row],
            clips.subjects[row],
            names[answers.truth[row]],
            names[answers.answered[row]],
            percent(float(answers.probabilities[row].max())),
        )
        for row in rows.tolist()
    ]
    head = ("file", "speaker", "true", "answered", "confidence")
    return [table(head, listed, right=(4,)), "![The most confident mistakes as spectrograms](worst.png)"]


def _speakers(result: SpeechEvaluation) -> list[str]:
    shares = [part.uar for part in result.by_speaker]
    spread = (
        f"{len(shares)} speakers: UAR of the lowest {percent(min(shares))}, the median "
        f"{percent(float(np.median(shares)))}, the highest {percent(max(shares))}."
    )
    heard = frozenset(result.seen_speakers or ())
    rows = [
        (part.name, part.n, percent(part.accuracy), percent(part.uar), "yes" if part.name in heard else "")
        for part in result.by_speaker
    ]
    head = ("speaker", "clips", "accuracy", "UAR", "heard in training")
    return [spread, "![UAR by speaker](speakers.png)", table(head, rows, right=(1, 2, 3))]


def _parts(what: str, parts: Sequence[GroupFigures]) -> str:
    rows = [
        (
            part.name,
            part.n,
            part.speakers,
            percent(part.accuracy),
            ends(part.intervals.get("accuracy")),
            percent(part.uar),
            ends(part.intervals.get("uar")),
        )
        for part in parts
    ]
    return table((what, "clips", "speakers", "accuracy", "95 %", "UAR", "95 %"), rows, right=(1, 2, 3, 5))
