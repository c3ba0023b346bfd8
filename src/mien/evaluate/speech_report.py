"""The examination of a speech model as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from mien.evaluate.report import absent, class_text, confusion_text, drawn, figure, interval, percent, text_table
from mien.evaluate.speech_result import GroupFigures, SpeechEvaluation
from mien.metrics import Interval

__all__ = ["calibration_rows", "clips_line", "ends", "noise_rows", "speech_headline", "speech_text"]

_MOST_LINES = 10
"""Speakers and problems that the text names; the report folder names them all."""


def speech_text(result: SpeechEvaluation) -> str:
    """Return the examination as text: what was measured, the headline, every part, calibration, noise, problems.

    Parameters
    ----------
    result : SpeechEvaluation
        The figures.

    Returns
    -------
    str
        Lines without colors, without a line break at the end.
    """
    head = "\n".join(part for part in (clips_line(result), result.caveat and f"CAUTION: {result.caveat}.") if part)
    parts = [
        head,
        text_table(("", "value", "95 % interval", ""), speech_headline(result), right=(1,)),
        _parts("sex", result.by_sex),
        _parts("intensity", result.by_intensity),
        class_text(result),
        confusion_text(result),
        text_table(("calibration", "value", "cross-fitted"), calibration_rows(result), right=(1, 2)),
        _parts("speaker", result.by_speaker),
        _noise(result),
        _problems(result),
    ]
    return "\n\n".join(part for part in parts if part)


def clips_line(result: SpeechEvaluation) -> str:
    """Return what was measured on what, in two lines."""
    answer = f"output {result.output}"
    if result.labels_mapping != "one to one":
        answer += f" ({result.labels_mapping})"
    left = [
        (result.n_unlabeled, "for want of a label"),
        (result.n_no_common_label, "with a label that the model does not have"),
        (result.n_unreadable, "that could not be read"),
    ]
    out = "".join(f", {count} left out {why}" for count, why in left if count)
    of = f" of {result.speakers} speaker{'s' * (result.speakers != 1)}" if result.speakers else ""
    called = f"{result.model} {result.model_version}".strip()
    return (
        f"{called} on {result.dataset} {result.split}, {answer}; {result.protocol}\n"
        f"{result.n} clips{of}{out}. Measured {result.date} with mien {result.mien_version}."
    )


def speech_headline(result: SpeechEvaluation) -> list[tuple[str, str, str, str]]:
    """Return the rows of the headline: name, value, interval, note."""
    rows = [
        ("accuracy", percent(result.accuracy), interval(result, "accuracy"), drawn(result)),
        ("UAR", percent(result.uar), interval(result, "uar"), absent(result)),
    ]
    if result.seen_speakers:
        note = f"{result.n_unseen} clips of speakers not heard in training"
        for name, value, key in (
            ("accuracy, unseen speakers", result.accuracy_unseen, "accuracy_unseen"),
            ("UAR, unseen speakers", result.uar_unseen, "uar_unseen"),
        ):
            rows.append((name, percent(value), interval(result, key), note))
    rows += [("macro F1", percent(result.macro_f1), "", ""), ("AUC", figure(result.auc), "", "")]
    return rows


def calibration_rows(result: SpeechEvaluation) -> list[tuple[str, str, str]]:
    """Return the rows of the calibration: what, with the recorded temperature, with cross-fitted ones."""
    return [
        ("ECE", figure(result.ece), figure(result.ece_cross_fitted)),
        ("floor: ECE by chance", figure(result.ece_floor), figure(result.ece_cross_fitted_floor)),
        ("ECE above floor", figure(result.ece_above_floor), figure(result.ece_cross_fitted_above_floor)),
        ("Brier", figure(result.brier), figure(result.brier_cross_fitted)),
        ("NLL", figure(result.nll), figure(result.nll_cross_fitted)),
        ("temperature (recorded; best here)", figure(result.temperature), figure(result.temperature_fitted)),
    ]


def noise_rows(result: SpeechEvaluation) -> list[tuple[str, str, str, str, str, str]]:
    """Return the rows of the noise curve: kind, ratio, and both figures with their intervals."""
    return [
        (
            entry.kind,
            "" if entry.ratio_db is None else f"{entry.ratio_db:g} dB",
            percent(entry.accuracy),
            ends(entry.intervals.get("accuracy")),
            percent(entry.uar),
            ends(entry.intervals.get("uar")),
        )
        for entry in result.noise
    ]


def ends(values: Interval | None) -> str:
    """Return the ends of an interval in percent, or nothing."""
    return "" if values is None else f"{100 * values.low:.2f} to {100 * values.high:.2f}"


def _parts(what: str, parts: Sequence[GroupFigures]) -> str:
    if not parts:
        return ""
    columns = [
        [part.name for part in parts],
        [str(part.n) for part in parts],
        [percent(part.accuracy) for part in parts],
        [ends(part.intervals.get("accuracy")) for part in parts],
        [percent(part.uar) for part in parts],
        [ends(part.intervals.get("uar")) for part in parts],
    ]
    head = [what, "clips", "accuracy", "95 %", "UAR", "95 %"]
    # One speaker has no interval over speakers: columns without a word are left out.
    shown = [place for place, column in enumerate(columns) if any(column)]
    rows = [[columns[place][row] for place in shown] for row in range(min(len(parts), _MOST_LINES))]
    right = [new for new, place in enumerate(shown) if place in (1, 2, 4)]
    table = text_table([head[place] for place in shown], rows, right=right)
    more = len(parts) - _MOST_LINES
    return table if more <= 0 else f"{table}\nand {more} more with a higher UAR"


def _noise(result: SpeechEvaluation) -> str:
    if not result.noise:
        return ""
    head = ("noise", "speech to noise", "accuracy", "95 %", "UAR", "95 %")
    return text_table(head, noise_rows(result), right=(1, 2, 4))


def _problems(result: SpeechEvaluation) -> str:
    if not result.problems:
        return ""
    lines = ["problems", *result.problems[:_MOST_LINES]]
    more = len(result.problems) - _MOST_LINES
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)
