"""What a network learns from: samples with targets for each head, some for training, some for validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.samples import Samples, content_hashes
from mien.data.splits import VALIDATION, holdout, is_split
from mien.errors import DatasetError
from mien.labels import LabelSet
from mien.train.recipe import FER2013, Recipe

__all__ = ["Corpus", "class_weights", "fingerprint_of", "make_corpus", "split_corpus"]


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Samples, what a network takes of them, and what it is to learn.

    Parameters
    ----------
    samples : Samples
        What the dataset says of each row.
    inputs : dict of str to numpy.ndarray
        What the network takes, see `mien.train.kinds.Kind.read_inputs`; each of length n.
    targets : dict of str to numpy.ndarray
        By head: float32 (n, classes), distributions to learn, all zero where there is none.
    truth : dict of str to numpy.ndarray
        By head: int64 (n,), labels to be measured against, -1 where there is none.
    label_sets : dict of str to LabelSet
        By head, which is named after it.
    group : numpy.ndarray
        int64 (n,): rows of one subject, clip or content share a number.
    voted : tuple of str
        Heads whose targets are distributions of votes rather than single labels.
    fingerprint : str
        `mien.data.samples.Samples.fingerprint` of all rows that were read, not of these alone.
    """

    samples: Samples
    inputs: dict[str, NDArray[Any]]
    targets: dict[str, NDArray[np.float32]]
    truth: dict[str, NDArray[np.int64]]
    label_sets: dict[str, LabelSet]
    group: NDArray[np.int64]
    voted: tuple[str, ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.group)

    @property
    def heads(self) -> dict[str, int]:
        """Number of classes of each head."""
        return {head: len(labels) for head, labels in self.label_sets.items()}

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the first head, int64 (n,)."""
        return next(iter(self.truth.values()))

    @property
    def subjects(self) -> list[str]:
        """The subjects that the dataset names, sorted."""
        return sorted(set(self.samples.subjects.tolist()) - {""})

    def take(self, index: NDArray[Any]) -> Corpus:
        """Return the rows that a boolean mask or an index array selects."""
        return replace(
            self,
            samples=self.samples.take(index),
            inputs={name: part[index] for name, part in self.inputs.items()},
            targets={head: part[index] for head, part in self.targets.items()},
            truth={head: part[index] for head, part in self.truth.items()},
            group=self.group[index],
        )

    def with_domain(self, other: Samples, inputs: dict[str, NDArray[Any]], *, smoothing: float) -> Corpus:
        """Return the rows with labeled samples of another dataset behind, which every head learns.

        Parameters
        ----------
        other : Samples
            Their labels, which all heads must have.
        inputs : dict of str to numpy.ndarray
            Their inputs, each of length m, of the shape that they have in this corpus.
        smoothing : float
            Share of a label that is spread over all classes by heads that learn from votes, whose targets the loss
            leaves as they are.
        """
        columns = {}
        for name in dict.fromkeys([*self.samples.columns, *other.columns]):
            columns[name] = np.concatenate([self.samples.column(name), other.column(name)])
        joined = replace(
            self.samples,
            labels=np.concatenate([self.samples.labels, np.full(len(other), -1)]),
            files=np.concatenate([self.samples.files, other.files]),
            frames=(),
            columns=columns,
            rows=np.zeros(0, np.int64),
        )
        truth, targets = {}, {}
        for head, labels in self.label_sets.items():
            index = np.array([labels.index(emotion) for emotion in other.label_set.emotions])
            own = index[other.labels]
            share = smoothing if head in self.voted else 0.0
            target = np.eye(len(labels), dtype=np.float32)[own] * (1 - share) + share / len(labels)
            truth[head] = np.concatenate([self.truth[head], own])
            targets[head] = np.concatenate([self.targets[head], target.astype(np.float32)])
        return replace(
            self,
            samples=joined,
            inputs={name: np.concatenate([part, inputs[name]]) for name, part in self.inputs.items()},
            targets=targets,
            truth=truth,
            group=np.concatenate([self.group, self.group.max(initial=-1) + 1 + np.arange(len(other))]),
        )

    def with_teachers(self, probabilities: Mapping[str, NDArray[Any]], weight: float) -> Corpus:
        """Return the rows with a share of teachers' probabilities, by head float (n, classes), in all targets.

        Where a row has no target of its own, they are all of it.
        """
        targets = {}
        for head, own in self.targets.items():
            share = np.where(own.sum(axis=1, keepdims=True) > 0, weight, 1.0)
            targets[head] = (share * probabilities[head] + (1 - share) * own).astype(np.float32)
        return replace(self, targets=targets)

    def with_copies(self, methods: Sequence[str], inputs: dict[str, NDArray[Any]]) -> Corpus:
        """Return the rows with changed copies of all of them behind, in the groups of their originals.

        Parameters
        ----------
        methods : sequence of str
            How they were changed, one for each copy of a row; all rows have their first copy before any has its second.
        inputs : dict of str to numpy.ndarray
            Of the copies; those of the originals are put before them.
        """
        n = len(self)
        index = np.tile(np.arange(n), 1 + len(methods))
        method = np.concatenate([self.samples.column("method"), np.repeat(methods, n)])
        columns = {name: values[index] for name, values in self.samples.columns.items()} | {"method": method}
        if self.samples.kind == "video":  # whose names differ
            columns["clip"] = np.array(
                [", ".join(filter(None, names)) for names in zip(columns["clip"], method, strict=True)]
            )
        samples = replace(
            self.samples,
            labels=self.samples.labels[index],
            files=self.samples.files[index],
            frames=tuple(self.samples.frames[row] for row in index),
            columns=columns,
            distribution=None,
            rows=self.samples.rows[index],
        )
        return replace(
            self,
            samples=samples,
            inputs={name: np.concatenate([part, inputs[name]]) for name, part in self.inputs.items()},
            targets={head: part[index] for head, part in self.targets.items()},
            truth={head: part[index] for head, part in self.truth.items()},
            group=self.group[index],
        )


def make_corpus(parts: Sequence[Samples], inputs: dict[str, NDArray[Any]], labels: str) -> Corpus:
    """Return the corpus of samples.

    Parameters
    ----------
    parts : sequence of Samples
        The same rows once for each head, with its labels.
    inputs : dict of str to numpy.ndarray
        See `Corpus`.
    labels : {"soft", "hard", "probability"}
        See `mien.train.recipe.Recipe`.
    """
    targets: dict[str, NDArray[np.float32]] = {}
    voted: list[str] = []
    for part in parts:
        head = part.label_set.name
        if part.distribution is not None and labels != "hard":
            targets[head] = part.distribution
            voted.append(head)
        else:
            known = np.flatnonzero(part.labels >= 0)
            targets[head] = np.zeros((len(part), len(part.label_set)), dtype=np.float32)
            targets[head][known, part.labels[known]] = 1
    return Corpus(
        # Images in memory are among the inputs; once is enough.
        samples=replace(parts[0], pixels=None, distribution=None),
        inputs=inputs,
        targets=targets,
        truth={part.label_set.name: part.labels for part in parts},
        label_sets={part.label_set.name: part.label_set for part in parts},
        group=parts[0].groups(),
        voted=tuple(voted),
        fingerprint=fingerprint_of(parts),
    )


def fingerprint_of(parts: Sequence[Samples]) -> str:
    """Return the fingerprint of the same rows once for each head, see `mien.data.samples.Samples.fingerprint`."""
    return "-".join(part.fingerprint() for part in parts)


def split_corpus(corpus: Corpus, recipe: Recipe) -> tuple[Corpus, Corpus]:
    """Divide rows into those for training and those for validation.

    The dataset's own split is used; without one, a share is held out by groups.  Changed copies are never for
    validation.

    Parameters
    ----------
    corpus : Corpus
        All rows.
    recipe : Recipe
        Says which share is held out, and whether images that are copies of one for validation are left out.

    Returns
    -------
    training, validation : Corpus
        The two sides; disjoint in subject and clip where the dataset names them.

    Raises
    ------
    DatasetError
        If a side would be empty.
    """
    source = corpus.samples.source
    chosen = is_split(corpus.samples.splits, VALIDATION)
    if not chosen.any():
        if recipe.dataset in FER2013:
            raise DatasetError(f"{source} lacks the split PublicTest: training needs both Training and PublicTest")
        chosen = holdout(corpus.samples, recipe.validation_share, group=corpus.group, seed=recipe.seed)
    training = corpus.take(~chosen)
    validation = corpus.take(chosen & (corpus.samples.column("method") == ""))
    if not len(training) or not len(validation):
        side = "training" if not len(training) else "validation"
        raise DatasetError(f"{source} has no rows for {side}: training needs some for training and some for validation")
    if corpus.samples.kind == "image" and recipe.drop_overlap:
        seen = set(content_hashes(validation.inputs["images"]))
        keep = [digest not in seen for digest in content_hashes(training.inputs["images"])]
        if not any(keep):
            raise DatasetError(f"{source}: every training image is a copy of one for validation")
        training = training.take(np.array(keep, dtype=bool))
    return training, validation


def class_weights(corpus: Corpus) -> dict[str, NDArray[np.float32]]:
    """Return weights of the classes of each head in inverse proportion to their mass, 1 on average over the rows.

    Parameters
    ----------
    corpus : Corpus
        The training rows.

    Returns
    -------
    dict of str to numpy.ndarray
        By head: float32 (classes,); 0 for a class that does not occur.
    """
    result = {}
    for head, target in corpus.targets.items():
        mass = target.sum(axis=0, dtype=np.float64)
        present = mass > 0
        weights = np.where(present, mass.sum() / (present.sum() * np.where(present, mass, 1)), 0.0)
        result[head] = weights.astype(np.float32)
    return result
