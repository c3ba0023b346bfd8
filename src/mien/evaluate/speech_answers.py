"""What a speech model answers to the clips of a corpus, and which of their speakers it has heard before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.data.samples import Samples
from mien.errors import DatasetError, InputError, MediaError, ModelError
from mien.evaluate.answers import ALL, choose_output, mapping_to
from mien.evaluate.calibration import softmax
from mien.evaluate.figures import mapped_logits
from mien.io.audio import read_audio
from mien.io.paths import format_path
from mien.labels import LabelSet
from mien.metrics.arrays import distributions
from mien.models.spec import ModelSpec, Output

__all__ = ["SpeechAnswers", "SpeechClassifier", "answer_clips", "as_answers", "heard_speakers", "together"]


class SpeechClassifier(Protocol):
    """What can be evaluated: `mien.speech.analyzer.SpeechAnalyzer`, or anything that answers as it does."""

    @property
    def spec(self) -> ModelSpec:
        """The model's record."""

    def clip_logits(self, wave: NDArray[np.float32], *, rate_hz: int) -> dict[str, NDArray[np.float32]]:
        """Return float32 (k,) by output name for a whole recording, float32 (n,) at any rate."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechAnswers:
    """A model's answers to the clips of a corpus that it could answer about.

    Parameters
    ----------
    clips : Samples
        Those clips, all with a label.
    logits : numpy.ndarray
        float64 of shape (n, labels of the corpus); minus infinity for labels that are never answered.
    probabilities : numpy.ndarray
        float64 of shape (n, labels of the corpus), with the recorded temperature.
    model, version, output : str
        Which model, and which of its outputs.
    labels_mapping : str
        How its labels became those of the corpus.
    temperature : float
        The recorded one.
    split : str
        `mien.evaluate.answers.ALL`, or the split that the clips are of.
    heard : frozenset of str or None
        Speakers of this corpus that the model learned from; None where that is not known.
    protocol : str
        How training and these speakers are related, where the caller knows better than `heard` says.
    n_unlabeled, n_no_common_label : int
        Clips left out for want of a label, and for want of an answer that could be right.
    unreadable : tuple of str
        One line for every clip that could not be read or answered.
    """

    clips: Samples
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    model: str
    version: str
    output: str
    labels_mapping: str = "one to one"
    temperature: float = 1.0
    split: str = ALL
    heard: frozenset[str] | None = None
    protocol: str = ""
    n_unlabeled: int = 0
    n_no_common_label: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true class of each clip, int64 (n,)."""
        return self.clips.labels

    @property
    def answered(self) -> NDArray[np.int64]:
        """The most likely class of each clip, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def label_set(self) -> LabelSet:
        """The labels of the corpus."""
        return self.clips.label_set


def answer_clips(
    model: SpeechClassifier,
    clips: Samples,
    *,
    labels_as: str | None = None,
    split: str = ALL,
    progress: Callable[[int], None] | None = None,
) -> SpeechAnswers:
    """Let a model answer to every labeled clip, each read at its own rate and answered as a whole.

    Parameters
    ----------
    model : SpeechClassifier
        Usually a `mien.speech.analyzer.SpeechAnalyzer`.
    clips : Samples
        Those without a label, and those whose label the model cannot answer, are left out and counted.
    labels_as : str, optional
        The model's output that answers; by default the one that fits the corpus best.
    split : str
        What the clips are called in reports.
    progress : callable, optional
        Called with the number of clips done since the last call.

    Returns
    -------
    SpeechAnswers
        Every clip's answer.  A clip that cannot be read or answered is a line in ``unreadable``.

    Raises
    ------
    DatasetError
        If no clip is left, because of labels or because none can be read.
    InputError
        If the labels of the output and those of the corpus have none in common.
    ModelError
        If the model has no such output, or answers with another shape or with values that are not finite.
    """
    output = choose_output(model.spec, clips.label_set, labels_as)
    mapped = mapping_to(output.labels, clips.label_set)
    labeled = np.asarray(clips.labels >= 0)
    known = np.zeros(len(clips), dtype=bool)
    known[labeled] = np.asarray((mapped.weights > 0).any(axis=0))[clips.labels[labeled]]
    if not known.any():
        why = "has a label that the model can answer" if labeled.any() else "has a label"
        raise DatasetError(f"{format_path(clips.source)}: no clip of {clips.name} {why}")
    z, kept, unreadable = _run(model, clips, np.flatnonzero(known), output, progress)
    return SpeechAnswers(
        clips=clips.take(kept),
        logits=mapped_logits(z, mapped),
        probabilities=mapped.apply(softmax(z, temperature=output.temperature)),
        model=model.spec.name,
        version=model.spec.version,
        output=output.name,
        labels_mapping=mapped.note,
        temperature=output.temperature,
        split=split,
        heard=heard_speakers(model.spec.training, clips.name),
        n_unlabeled=int((~labeled).sum()),
        n_no_common_label=int((labeled & ~known).sum()),
        unreadable=unreadable,
    )


def _run(
    model: SpeechClassifier,
    clips: Samples,
    rows: NDArray[np.int64],
    output: Output,
    progress: Callable[[int], None] | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...]]:
    """Return logits (n, k), the rows that they answer, and a line for each other row."""
    found: list[NDArray[np.float64]] = []
    kept: list[int] = []
    unreadable: list[str] = []
    for row in rows.tolist():
        try:
            audio = read_audio(clips.where(row))
            found.append(_answer(model, audio.wave, audio.rate_hz, output))
            kept.append(row)
        except (MediaError, InputError) as error:
            unreadable.append(f"{format_path(clips.files[row])}: {error}")
        if progress is not None:
            progress(1)
    if not found:
        raise DatasetError(
            f"{format_path(clips.source)}: no clip of {clips.name} could be read, the first: {unreadable[0]}"
        )
    return np.stack(found), np.array(kept, dtype=np.int64), tuple(unreadable)


def _answer(model: SpeechClassifier, wave: NDArray[np.float32], rate_hz: int, output: Output) -> NDArray[np.float64]:
    z = np.asarray(model.clip_logits(wave, rate_hz=rate_hz)[output.name], dtype=np.float64)
    if z.shape != (len(output.labels),):
        raise ModelError(f"output {output.name!r} must answer with shape ({len(output.labels)},), but got {z.shape}")
    if not np.isfinite(z).all():
        raise ModelError(f"output {output.name!r} answered with values that are not finite")
    return z


def as_answers(
    clips: Samples,
    probabilities: ArrayLike,
    *,
    model: str = "out of fold",
    version: str = "",
    output: str = "",
    split: str = ALL,
    protocol: str = "out of fold: every speaker answered by a net that has not heard them",
    heard: Collection[str] | None = (),
) -> SpeechAnswers:
    """Return probabilities that somebody else computed, such as those of cross-validation, as answers to clips.

    Parameters
    ----------
    clips : Samples
        The clips; those without a label are left out and counted.
    probabilities : array_like of float
        Shape (n, k) in the labels of the corpus, rows summing to one; as the softmax gave them, at temperature 1.
    model, version, output, split, protocol : str
        What to say in reports.
    heard : collection of str or None
        Speakers that the answering nets had learned from; None where that is not known.

    Returns
    -------
    SpeechAnswers
        For `mien.evaluate.speech.measure_clips` and `mien.evaluate.speech_folder.write_speech_folder`.

    Raises
    ------
    InputError
        If the probabilities are none, or do not fit the clips.
    DatasetError
        If no clip has a label.
    """
    p = distributions(probabilities)
    expected = (len(clips), len(clips.label_set))
    if p.shape != expected:
        raise InputError(f"probabilities must be of shape {expected}, one row a clip, but got {p.shape}")
    labeled = clips.labels >= 0
    if not labeled.any():
        raise DatasetError(f"{format_path(clips.source)}: no clip of {clips.name} has a label")
    with np.errstate(divide="ignore"):
        z = np.log(p[labeled])
    return SpeechAnswers(
        clips=clips.take(labeled),
        logits=z,
        probabilities=p[labeled],
        model=model,
        version=version,
        output=output or clips.label_set.name,
        split=split,
        heard=None if heard is None else frozenset(heard),
        protocol=protocol,
        n_unlabeled=int((~labeled).sum()),
    )


def heard_speakers(training: Mapping[str, Any], dataset: str) -> frozenset[str] | None:
    """Return the speakers of a corpus that a model learned from, as the ``[training]`` table of its record says.

    Parameters
    ----------
    training : mapping
        Free content; ``dataset`` is the name of a corpus, ``subjects`` a list of speakers.
    dataset : str
        The corpus.

    Returns
    -------
    frozenset of str or None
        Empty for another corpus; None where the table does not say.
    """
    name, subjects = training.get("dataset"), training.get("subjects")
    if not isinstance(name, str) or not name:
        return None
    if name != dataset:
        return frozenset()
    if not isinstance(subjects, list | tuple) or not subjects:
        return None
    return frozenset(str(subject) for subject in subjects)


def together(clips: Samples) -> tuple[NDArray[np.int64], str]:
    """Return what a bootstrap draws together, int64 (n,), and what that is called: ``"speaker"`` or ``"clip"``.

    Clips of one speaker, and copies of one recording, are a group.  With one speaker alone it is recordings: an
    interval over a single group would have no width, and seem certain.
    """
    found = clips.groups()
    if (clips.subjects != "").any():
        if found.max(initial=0) > 0:
            return found, "speaker"
        names = np.where(clips.clips == "", clips.files, clips.clips)
        return np.unique(names, return_inverse=True)[1].astype(np.int64), "clip"
    return found, "clip"
