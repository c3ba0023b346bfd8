"""What a model predicts for the samples of a dataset: one class for images, audio and videos."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien._checks import check_integer, warn
from mien.data.files import own_label_set
from mien.data.samples import Samples, content_hashes
from mien.data.splits import TRAINING, is_split
from mien.errors import DatasetError, InputError, MediaError, ModelError
from mien.evaluate.calibration import softmax
from mien.face.align import Crop
from mien.face.prepare import crop_name
from mien.io.audio import read_audio
from mien.io.paths import format_path
from mien.labels import LabelSet, mapping
from mien.labels import Mapping as LabelMapping
from mien.metrics.arrays import distributions
from mien.models.spec import ModelSpec, Output

if TYPE_CHECKING:
    from mien.video.clips import ClipModel, FaceFeatures

__all__ = [
    "ALL",
    "UNITS",
    "AudioModel",
    "ImageModel",
    "Predictions",
    "choose_output",
    "mapping_to",
    "predict",
    "resampling_groups",
    "take_split",
    "training_subjects",
]

ALL = "all"
"""The split of data that has none, or is taken whole."""

UNITS = {"image": "images", "audio": "clips", "video": "clips"}
"""What the samples of a kind are called in reports."""

FRAMES, FRAME_PX = 16, 48
"""Frames of a clip, and their side in pixels, over which the predictions of a face model are averaged."""


_FORMS = {"folder", "table"}
"""Forms in which one dataset of faces may be passed on, of whatever people."""


class ImageModel(Protocol):
    """A model of faces: `mien.face.analyzer.FaceAnalyzer`, or anything with the same methods."""

    @property
    def spec(self) -> ModelSpec:
        """The model's record."""

    def logits(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return float32 (n, k) by output name for uint8 crops (n, H, W)."""


class AudioModel(Protocol):
    """A model of speech: `mien.speech.analyzer.SpeechAnalyzer`, or anything with the same methods."""

    @property
    def spec(self) -> ModelSpec:
        """The model's record."""

    def clip_logits(self, wave: NDArray[np.float32], *, rate_hz: int) -> dict[str, NDArray[np.float32]]:
        """Return float32 (k,) by output name for a whole clip, float32 (n,) at any rate."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """A model's predictions for labeled samples.

    Parameters
    ----------
    samples : Samples
        The samples, all with a label.
    logits : numpy.ndarray
        float64 of shape (n, labels of the samples), at temperature 1; minus infinity for labels that are never
        predicted.
    probabilities : numpy.ndarray
        float64 of shape (n, labels of the samples), with the recorded temperature.
    model, version, output : str
        Which model, and which of its outputs.
    labels_mapping : str
        How its labels became those of the samples.
    temperature : float
        The recorded one.
    split : str
        `ALL`, or the split that the samples are of.
    views : int
        1, or 2 where the logits of each image and its mirror image were averaged.
    training_subjects : frozenset of str or None
        Subjects of this dataset that the model learned from; None where that is not known.
    training_note : str
        How training and these subjects are related, where the caller knows better than ``training_subjects`` says.
    n_unlabeled, n_no_common_label : int
        Samples left out: without a label, and with one that the model does not have.
    unreadable : tuple of str
        One line for every sample that could not be read.
    """

    samples: Samples
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    model: str
    version: str = ""
    output: str
    labels_mapping: str = "one to one"
    temperature: float = 1.0
    split: str = ALL
    views: int = 1
    training_subjects: frozenset[str] | None = None
    training_note: str = ""
    n_unlabeled: int = 0
    n_no_common_label: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true class of each sample, int64 (n,)."""
        return self.samples.labels

    @property
    def classes(self) -> NDArray[np.int64]:
        """The most likely class of each sample, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def label_set(self) -> LabelSet:
        """The labels of the samples."""
        return self.samples.label_set

    @property
    def unit(self) -> str:
        """What the samples are called."""
        return UNITS[self.samples.kind]

    def most_confident_mistakes(self, count: int = 40) -> NDArray[np.int64]:
        """Return the rows that are wrong, the most confident first, ``count`` at most."""
        wrong = np.flatnonzero(self.classes != self.truth)
        confidence = self.probabilities[wrong].max(axis=1)
        return wrong[np.argsort(-confidence, kind="stable")][:count]

    def restrict(self, classes: Sequence[str]) -> Predictions:
        """Return the predictions for samples of some classes, as if there were no others.

        What a model with more classes can tell of a dataset with fewer: probabilities are divided by their sum over the
        classes; samples of other classes are left out and counted in ``n_no_common_label``.

        Parameters
        ----------
        classes : sequence of str
            At least two labels of the samples (synonyms understood), in any order.

        Raises
        ------
        InputError
            If there are fewer, one stands twice, or one is no label of the samples.
        DatasetError
            If no sample is of these classes.
        """
        index = np.array([self.label_set.index(word) for word in classes], dtype=np.int64)
        if len(index) < 2 or len(set(index.tolist())) < len(index):
            raise InputError(f"classes must be at least two different ones, but got {', '.join(classes) or 'none'}")
        index.sort()
        kept = np.isin(self.truth, index)
        if not kept.any():
            raise DatasetError(_none_with(self.samples, f"is of {', '.join(classes)}"))
        own = own_label_set(tuple(self.label_set.emotions[k] for k in index.tolist()))
        samples = self.samples.take(kept)
        labels = np.searchsorted(index, samples.labels)
        votes = samples.distribution
        p = self.probabilities[kept][:, index]
        total = p.sum(axis=1, keepdims=True)
        return replace(
            self,
            samples=replace(
                samples, label_set=own, labels=labels, distribution=None if votes is None else votes[:, index]
            ),
            logits=self.logits[kept][:, index],
            probabilities=np.where(total > 0, p / np.where(total > 0, total, 1), 1 / len(index)),
            labels_mapping=f"{self.labels_mapping}; among {', '.join(own.emotions)}",
            n_no_common_label=self.n_no_common_label + int((~kept).sum()),
        )

    @classmethod
    def from_probabilities(
        cls,
        samples: Samples,
        probabilities: ArrayLike,
        *,
        model: str,
        version: str = "",
        output: str = "",
        split: str = ALL,
        training_note: str = "",
        training_subjects: Collection[str] | None = None,
    ) -> Predictions:
        """Return probabilities that somebody else computed, such as those of cross-validation, as predictions.

        Parameters
        ----------
        samples : Samples
            The samples; those without a label are left out and counted.
        probabilities : array_like of float
            Shape (n, k) in the labels of the samples, rows summing to one; as the softmax gave them, at temperature 1.
        model, version, output, split, training_note : str
            What to say in reports.
        training_subjects : collection of str, optional
            Subjects that the model learned from; empty for out-of-fold predictions, None where that is not known.

        Raises
        ------
        InputError
            If the probabilities are none, or do not fit the samples.
        DatasetError
            If no sample has a label.
        """
        p = distributions(probabilities)
        expected = (len(samples), len(samples.label_set))
        if p.shape != expected:
            raise InputError(f"probabilities must be of shape {expected}, one row a sample, but got {p.shape}")
        labeled = samples.labels >= 0
        if not labeled.any():
            raise DatasetError(_none_with(samples, "has a label"))
        with np.errstate(divide="ignore"):
            logits = np.log(p[labeled])
        return cls(
            samples=samples.take(labeled),
            logits=logits,
            probabilities=p[labeled],
            model=model,
            version=version,
            output=output or samples.label_set.name,
            split=split,
            training_subjects=None if training_subjects is None else frozenset(training_subjects),
            training_note=training_note,
            n_unlabeled=int((~labeled).sum()),
        )


def predict(
    model: ImageModel | AudioModel | ClipModel | FaceFeatures,
    samples: Samples,
    *,
    labels_as: str | None = None,
    flip: bool = False,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Let a model predict the labeled samples of one split.

    Images are given to the model in batches; audio files one by one, each whole and at its own rate; of clips, so many
    frames as the model takes, or 16 whose predictions by a face model are averaged.

    Parameters
    ----------
    model : ImageModel, AudioModel, ClipModel or FaceFeatures
        What fits the samples: usually a `mien.face.analyzer.FaceAnalyzer` or a `mien.speech.analyzer.SpeechAnalyzer`;
        for clips a `mien.video.clips.ClipModel`, or `mien.video.clips.FaceFeatures` of a face model.
    samples : Samples
        Images in memory, audio files, or clips that are cut to the face. Those without a label are left out and
        counted, and so are audio files whose label the model does not have.
    labels_as : str, optional
        The model's output to use; by default the one whose labels are those of the data, else the one that maps to them
        with the least loss (see `choose_output`).
    flip : bool
        Images: average the logits of each image and its mirror image.
    batch_size : int
        Images given to the model at once.
    progress : callable, optional
        Called with the number of samples done since the last call.

    Raises
    ------
    DatasetError
        If the samples are of several splits, none is left, or none can be read. A single audio file that cannot be read
        is a line in ``unreadable``.
    InputError
        If the labels of the output cannot be mapped to those of the samples.
    ModelError
        If the model has no such output, or returns another shape or values that are not finite.
    """
    names = samples.split_names()
    if len(names) != 1:
        raise DatasetError(f"evaluate takes samples of one split, but got {', '.join(names) or 'none'}")
    labeled = samples.labels >= 0
    if not labeled.any():
        raise DatasetError(_none_with(samples, "has a label"))
    if samples.kind == "video":
        return _predict_clips(model, samples, labeled, progress)
    output = choose_output(model.spec, samples.label_set, labels_as, dataset=samples.name)
    mapped = mapping_to(output.labels, samples.label_set)
    known = labeled.copy()
    if samples.kind == "audio":
        known[labeled] = np.asarray((mapped.weights > 0).any(axis=0))[samples.labels[labeled]]
    if not known.any():
        raise DatasetError(_none_with(samples, "has a label that the model knows"))
    rows = np.flatnonzero(known)
    unreadable: tuple[str, ...] = ()
    if samples.kind == "audio":
        z, rows, unreadable = _run_audio(model, samples, rows, output, progress)
    else:
        _check_crop(model.spec, samples)
        z = _run_images(model, samples.take(rows).images, output, flip, batch_size, progress)
    return Predictions(
        samples=samples.take(rows),
        logits=_mapped_logits(z, mapped),
        probabilities=mapped.apply(softmax(z, temperature=output.temperature)),
        model=model.spec.name,
        version=model.spec.version,
        output=output.name,
        labels_mapping=mapped.note,
        temperature=output.temperature,
        split=names[0] or ALL,
        views=2 if flip and samples.kind != "audio" else 1,
        training_subjects=training_subjects(model.spec.training, samples.name),
        n_unlabeled=int((~labeled).sum()),
        n_no_common_label=int((labeled & ~known).sum()),
        unreadable=unreadable,
    )


def _predict_clips(
    model: Any, samples: Samples, labeled: NDArray[np.bool_], progress: Callable[[int], None] | None
) -> Predictions:
    from mien.face.align import fit_crop
    from mien.video.clips import FaceFeatures, average_frames

    spec: ModelSpec = model.spec
    output = spec.default_output
    clips = samples.take(labeled)
    averaged = isinstance(model, FaceFeatures)
    count, size = (FRAMES, FRAME_PX) if averaged else (model.input.frames, model.input.size)
    found: list[NDArray[np.floating]] = []
    for row in range(len(clips)):
        images = clips.read_frames(row, count, size=size)
        found.append(model(np.stack([fit_crop(i, model.size) for i in images])) if averaged else model.logits(images))
        if progress is not None:
            progress(1)
    common: dict[str, Any] = {
        "version": spec.version,
        "output": output.name,
        "split": samples.split_names()[0] or ALL,
    }
    if averaged:
        mask = (np.arange(FRAMES) < np.array([len(features) for features in found])[:, None]).astype(np.float32)
        padded = np.zeros((len(clips), FRAMES, found[0].shape[1]), np.float32)
        padded[mask > 0] = np.concatenate(found)
        p = average_frames(padded, mask, spec, samples.label_set)
        name = f"{spec.name}, averaged over frames"
        predictions = Predictions.from_probabilities(clips, p, model=name, training_subjects=(), **common)
        return replace(predictions, n_unlabeled=int((~labeled).sum()))
    mapped = mapping_to(output.labels, samples.label_set)
    z = np.stack(found).astype(np.float64)
    return Predictions(
        samples=clips,
        logits=_mapped_logits(z, mapped),
        probabilities=mapped.apply(softmax(z, temperature=output.temperature)),
        model=spec.name,
        labels_mapping=mapped.note,
        temperature=output.temperature,
        training_subjects=training_subjects(spec.training, samples.name),
        n_unlabeled=int((~labeled).sum()),
        **common,
    )


def _none_with(samples: Samples, what: str) -> str:
    names = [name for name in samples.split_names() if name]
    return f"{format_path(samples.source)}: no sample of {' '.join([samples.name, *names[:1]])} {what}"


def _run_images(
    model: Any,
    images: NDArray[np.uint8],
    output: Output,
    flip: bool,
    batch_size: int,
    progress: Callable[[int], None] | None,
) -> NDArray[np.float64]:
    def logits(batch: NDArray[np.uint8]) -> NDArray[np.float64]:
        z = model.logits(np.ascontiguousarray(batch))[output.name]
        return _checked(z, output, (len(batch), len(output.labels)))

    size = check_integer(batch_size, "batch_size", low=1)
    parts = []
    for begin in range(0, len(images), size):
        batch = images[begin : begin + size]
        z = logits(batch)
        parts.append((z + logits(batch[:, :, ::-1])) / 2 if flip else z)
        if progress is not None:
            progress(len(batch))
    return np.concatenate(parts)


def _check_crop(spec: ModelSpec, samples: Samples) -> None:
    """Warn of faces that were cut in another way than the model's, where both say how."""
    found = sorted(set(samples.column("crop").tolist()) - {""})
    if found and spec.crop and found != [own := crop_name(Crop.from_dict(spec.crop))]:
        warn(
            f"{spec.name} takes faces cut as {own}, but those of {format_path(samples.source)} were cut as "
            f"{', '.join(found)}: cut them by `mien data prepare --crop {spec.name}`"
        )


def _run_audio(
    model: Any,
    samples: Samples,
    rows: NDArray[np.int64],
    output: Output,
    progress: Callable[[int], None] | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...]]:
    """Return logits (n, k), the rows that they are of, and a line for each other row."""
    logits: list[NDArray[np.float64]] = []
    read: list[int] = []
    unreadable: list[str] = []
    for row in rows.tolist():
        try:
            audio = read_audio(samples.where(row))
            z = model.clip_logits(audio.wave, rate_hz=audio.rate_hz)[output.name]
            logits.append(_checked(z, output, (len(output.labels),)))
            read.append(row)
        except (MediaError, InputError) as error:
            unreadable.append(f"{format_path(samples.files[row])}: {error}")
        if progress is not None:
            progress(1)
    if not logits:
        raise DatasetError(
            f"{format_path(samples.source)}: no sample of {samples.name} could be read, the first: {unreadable[0]}"
        )
    return np.stack(logits), np.array(read, dtype=np.int64), tuple(unreadable)


def _checked(logits: ArrayLike, output: Output, shape: tuple[int, ...]) -> NDArray[np.float64]:
    z = np.asarray(logits, dtype=np.float64)
    if z.shape != shape:
        raise ModelError(f"output {output.name!r} must have shape {shape}, but got {z.shape}")
    if not np.isfinite(z).all():
        raise ModelError(f"output {output.name!r} has values that are not finite")
    return z


def _mapped_logits(z: NDArray[np.float64], mapped: LabelMapping) -> NDArray[np.float64]:
    """Return logits in the labels of the data: merged labels add up as probabilities, missing ones are impossible."""
    result = np.full((len(z), len(mapped.target)), -np.inf)
    for column in range(len(mapped.target)):
        sources = mapped.weights[:, column] > 0
        if sources.any():
            result[:, column] = np.logaddexp.reduce(z[:, sources], axis=1)
    return result


def choose_output(spec: ModelSpec, label_set: LabelSet, name: str | None = None, *, dataset: str = "") -> Output:
    """Return the output of a model for data with these labels.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    label_set : LabelSet
        Labels of the data.
    name : str, optional
        Name of the output; by default the one with the labels of the data, in whatever order, else the one that maps
        to them with the least loss: first counted are labels of the data that it does not have, then labels of its own
        that the data does not have. Of equals, a head goes before a mean of heads.
    dataset : str
        Name of the dataset. Where the model did not learn from it, and its default output is a mean of heads that knows
        all labels of the data, it is that: no head is made for such data.

    Returns
    -------
    Output
        One of ``spec.outputs``.

    Raises
    ------
    ModelError
        If there is no such output, or none that has a label of the data.
    """
    if name is not None:
        return spec.output(name)
    wanted = set(label_set.emotions)
    learned = str(spec.training.get("dataset", "")).split("+")
    for output in spec.outputs if dataset and dataset not in learned else ():
        if output.default and output.mean_of and wanted <= set(output.labels.emotions):
            return output

    def loss(output: Output) -> tuple[int, int, bool, bool]:
        have = set(output.labels.emotions)
        return len(wanted - have), len(have - wanted), bool(output.mean_of), not output.default

    fitting = [output for output in spec.outputs if wanted & set(output.labels.emotions)]
    if not fitting:
        have = ", ".join(o.name for o in spec.outputs) or "none"
        raise ModelError(
            f"model {spec.name!r} has no output that knows one of {', '.join(label_set.emotions)}: it has {have}"
        )
    return min(fitting, key=loss)


def mapping_to(source: LabelSet, target: LabelSet) -> LabelMapping:
    """Return how predictions in one label set become predictions for data with another.

    As `mien.labels.mapping`; where that has no place for a label, it is dropped and the rest renormalized: for data in
    which nobody is neutral, a model is asked which of the others it is. A label of the data that the output does not
    have is never predicted. The note says all of it.

    Parameters
    ----------
    source, target : LabelSet
        Labels of the output, and of the data.

    Raises
    ------
    InputError
        If the two have no label in common.
    """
    kept = tuple(e for e in source.emotions if e in target.emotions or _has_rule(e, target))
    lost = [e for e in source.emotions if e not in kept]
    if not set(kept) & set(target.emotions):
        raise InputError(f"no mapping from {source.name} to {target.name}: they have no label in common")
    own = mapping(replace(source, emotions=kept), target)
    weights = np.zeros((len(source), len(target)))
    weights[[source.emotions.index(e) for e in kept]] = own.weights
    notes = [own.note] if own.note != "one to one" else []
    if lost:
        notes.append(f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} dropped and the rest renormalized")
    never = [target.emotions[column] for column in np.flatnonzero(~weights.any(axis=0))]
    if never:
        notes.append(f"{' and '.join(never)} {'is' if len(never) == 1 else 'are'} never predicted")
    return LabelMapping(source, target, weights, "; ".join(notes) or "one to one")


def _has_rule(emotion: str, target: LabelSet) -> bool:
    """Return whether `mien.labels.mapping` knows what becomes of a label that the target does not have."""
    return emotion == "contempt" or (emotion == "calm" and "neutral" in target.emotions)


def training_subjects(training: Mapping[str, Any], dataset: str) -> frozenset[str] | None:
    """Return the subjects of a dataset that a model learned from, as the ``[training]`` table of its record says.

    Parameters
    ----------
    training : mapping
        Free content; ``dataset`` is the name of a dataset, ``subjects`` a list of subjects.
    dataset : str
        The dataset.

    Returns
    -------
    frozenset of str or None
        Empty for another dataset; None where the table does not say.  A folder and a table may hold the same people.
    """
    name, subjects = training.get("dataset"), training.get("subjects")
    if not isinstance(name, str) or not name:
        return None
    if name != dataset and not {name, dataset} <= _FORMS:
        return frozenset()
    if not isinstance(subjects, list | tuple) or not subjects:
        return None
    return frozenset(str(subject) for subject in subjects)


def resampling_groups(samples: Samples) -> tuple[NDArray[np.int64], str]:
    """Return what a bootstrap draws together, and what that is called.

    Samples of one subject or clip, and copies of one image, are no independent evidence. With one subject alone, clips
    are drawn, and with one clip alone images: an interval over a single group would have no width, and seem certain.

    Returns
    -------
    groups : numpy.ndarray
        int64 of shape (n,).
    by : str
        ``"subject"``, ``"clip"`` or, for images, ``"image"``.
    """
    for by in ("subject", "clip"):
        if samples.has(by):
            groups = samples.groups()
            if groups.max(initial=0) > 0:
                return groups, by
    if samples.pixels is not None:
        names, by = np.array(content_hashes(samples.images)), "image"
    else:
        names, by = np.where(samples.clips == "", samples.files, samples.clips), "clip"
    return np.unique(names, return_inverse=True)[1].astype(np.int64), by


def take_split(samples: Samples, split: str | None) -> tuple[Samples, Samples | None]:
    """Return the samples to measure on and, where they are at hand and are not those themselves, Training's.

    Parameters
    ----------
    samples : Samples
        All samples.
    split : str or None
        Which of the splits; ``"all"`` takes every sample, and so does None where there are no splits, or just one.

    Returns
    -------
    chosen : Samples
        Of one split; an empty name stands for all.
    training : Samples or None
        For finding copies.

    Raises
    ------
    DatasetError
        If there is no such split, or none was chosen of several.
    """
    names = samples.split_names()
    if split == ALL and ALL not in names:
        return samples.with_columns(split=np.full(len(samples), "")), None
    if split is None:
        if len(names) > 1:
            present = ", ".join(name or "(none)" for name in names)
            raise DatasetError(f"{samples.source} has the splits {present}: choose one of them, or all")
        return samples, None
    training = next((name for name in names if is_split(name, TRAINING) and name.lower() != split.lower()), None)
    return samples.split(split), None if training is None else samples.split(training)
