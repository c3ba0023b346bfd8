"""What differs between training on faces, speech and clips; runs, folds, export and reports are the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from mien.data import DATASETS, load_dataset
from mien.data.samples import Samples
from mien.data.splits import TRAINING, VALIDATION, is_split
from mien.errors import DatasetError, InputError
from mien.models import runtime
from mien.train.corpus import Corpus, make_corpus, split_corpus
from mien.train.data import Augment, Batch, TrainingBatches, training_loader, validation_loader
from mien.train.export import Deployed, check_parity, export_graph, round_weights
from mien.train.nets import NETWORKS, EmotionNetwork, build_network
from mien.train.recipe import BOTH, Recipe

__all__ = ["Kind", "Logits", "build_for", "kind_of", "list_training", "load_corpus", "load_split"]

N = TypeVar("N", bound=EmotionNetwork)

_CHECKED = 12
"""Rows on which network and graph are compared."""

Logits = dict[str, NDArray[np.float32]]
"""By head: float32 (n, classes)."""


class Kind(ABC, Generic[N]):
    """One kind of samples and networks."""

    noun: ClassVar[str]
    """What rows are called."""

    batch: ClassVar[int]
    """Rows that are computed at once where nothing is learned."""

    def list_samples(self, recipe: Recipe, path: str | Path, options: dict[str, Any]) -> tuple[Samples, ...]:
        """Return the rows of the recipe's dataset, once for each head.

        Parameters
        ----------
        recipe : Recipe
            Names the dataset.
        path : str or pathlib.Path
            Its file or folder.
        options : dict
            What the dataset takes.
        """
        return (load_dataset(recipe.dataset, path, **options),)

    def make_corpus(self, recipe: Recipe, parts: Sequence[Samples]) -> Corpus:
        """Read what the recipe's network takes of some samples, and say what it is to learn."""
        return make_corpus(parts, self.read_inputs(recipe, parts[0]), recipe.labels)

    @abstractmethod
    def read_inputs(self, recipe: Recipe, samples: Samples) -> dict[str, NDArray[Any]]:
        """Read what the recipe's network takes of each sample, before any augmentation."""

    @abstractmethod
    def augment(self, recipe: Recipe, net: N, corpus: Corpus) -> Augment:
        """Return what makes the inputs of a training batch."""

    @abstractmethod
    def inputs(self, net: N, corpus: Corpus, index: Tensor) -> tuple[Tensor, ...]:
        """Return the inputs of some rows, int64 (N,), as at use."""

    @abstractmethod
    def graph_inputs(self, deployed: Deployed, corpus: Corpus) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the inputs of the graph for all rows in their order, some at a time."""

    @abstractmethod
    def record(self, recipe: Recipe, deployed: Deployed) -> dict[str, Any]:
        """Return what only records of this kind have: the task, and how inputs are made."""

    @abstractmethod
    def with_copies(self, recipe: Recipe, corpus: Corpus) -> tuple[Corpus, Recipe]:
        """Return a corpus with changed copies of all its rows behind them, and the recipe to train on them by."""

    def extend(
        self, recipe: Recipe, training: Corpus, folder: Path, *, report: Callable[[str], object] = str
    ) -> Corpus:
        """Return the rows for training with those of the recipe's second dataset, and what its teachers say of them.

        Parameters
        ----------
        recipe : Recipe
            Names the second dataset and the teachers.
        training : Corpus
            The rows of the first dataset.
        folder : pathlib.Path
            The run folder, which keeps the teachers' probabilities.
        report : callable
            Gets progress lines.

        Raises
        ------
        InputError
            If rows of this kind have neither.
        """
        raise InputError(f"recipe {recipe.name!r}: {recipe.kind} has neither domain nor distillation.fixed")

    def prepare(self, net: N, corpus: Corpus) -> None:
        """Give a new network what it takes from all training rows at once; here nothing."""

    def loaders(
        self, recipe: Recipe, net: N, training: Corpus, validation: Corpus | None, *, workers: int = 0
    ) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
        """Return the batches of both sides; those for training are made by so many processes."""
        batches = TrainingBatches(
            training,
            self.augment(recipe, net, training),
            seed=recipe.seed,
            draw_labels=recipe.labels == "probability",
        )
        balanced = recipe.loss.balance == "sampling"
        training_batches = training_loader(batches, batch=recipe.batch, balanced=balanced, workers=workers)
        return training_batches, None if validation is None else self._plain(net, validation)

    def _plain(self, net: N, corpus: Corpus) -> DataLoader[Batch]:
        return validation_loader(corpus, lambda index: self.inputs(net, corpus, index), batch=self.batch)

    def predict(self, net: N, corpus: Corpus) -> Logits:
        """Return a trained network's logits of rows as they are."""
        parts: dict[str, list[NDArray[np.float32]]] = {}
        for batch in self._plain(net, corpus):
            with torch.no_grad():
                logits = net.eval()(*batch.inputs)
            for head, values in logits.items():
                parts.setdefault(head, []).append(values.float().numpy())
        return {head: np.concatenate(values) for head, values in parts.items()}

    def export_graph(self, deployed: Deployed, corpus: Corpus) -> tuple[bytes, runtime.Session]:
        """Return a network's graph and a session of it.

        The weights of the network are rounded to what the graph holds.

        Raises
        ------
        ModelError
            If network and graph differ by more than `PARITY` on some rows of the corpus.
        """
        if deployed.is_rounded:
            round_weights(deployed)
        graph = export_graph(deployed)
        session = runtime.Session(graph, name="the graph", threads=runtime.default_threads(), device="cpu")
        some = np.linspace(0, len(corpus) - 1, min(len(corpus), _CHECKED)).astype(np.int64)
        check_parity(deployed, session, self.graph_inputs(deployed, corpus.take(some)))
        return graph, session

    def predict_by_graph(self, deployed: Deployed, session: runtime.Session, corpus: Corpus) -> Logits:
        """Return a graph's logits of rows as they are at use."""
        names = {head: f"logits_{head}" for head in deployed.heads}
        found = [session.run(feed, list(names.values())) for feed in self.graph_inputs(deployed, corpus)]
        return {head: np.concatenate([part[name] for part in found]) for head, name in names.items()}


def kind_of(recipe: Recipe) -> Kind[Any]:
    """Return the kind of a recipe's dataset and network."""
    # Imported here, because each is one of the kinds that this module describes.
    from mien.train.faces import Faces
    from mien.train.speech import Speech
    from mien.train.videos import Videos

    kinds: dict[str, Kind[Any]] = {"image": Faces(), "audio": Speech(), "video": Videos()}
    return kinds[recipe.kind]


def build_for(recipe: Recipe, heads: dict[str, int]) -> Any:
    """Build the network of a recipe.

    Raises
    ------
    InputError
        If it is of another kind than the dataset, or see `build_network`.
    """
    kind = NETWORKS[recipe.net].kind
    if kind != recipe.kind:
        raise InputError(f"recipe {recipe.name!r}: {recipe.net} is for {kind}, but {recipe.dataset} is {recipe.kind}")
    return build_network(recipe.net, heads, **recipe.net_options)


def list_training(
    recipe: Recipe, path: str | Path, *, labels: str | Path | None = None, report: Callable[[str], object] = str
) -> tuple[Samples, ...]:
    """List everything of a dataset that may be learned from: no split for final tests.

    Parameters
    ----------
    recipe : Recipe
        Names the dataset and how its labels are used.
    path : str or pathlib.Path
        File or folder of the dataset.
    labels : str or pathlib.Path, optional
        File of labels, for datasets that take one, such as FER+'s votes.
    report : callable
        Gets a line on rows that are left out; the default, `str`, drops it.

    Returns
    -------
    tuple of Samples
        Rows of the splits `mien.data.splits.TRAINING` and `mien.data.splits.VALIDATION`, or of a dataset without splits
        all; once for each head. Where the dataset does not fix its labels, the classes are those that occur.

    Raises
    ------
    DatasetError
        If the data is missing or wrong, or nothing of it is for training.
    InputError
        If the dataset does not take an option.
    """
    kind = kind_of(recipe)
    options = {**({} if labels is None else {"labels": labels}), **recipe.dataset_options}
    parts = kind.list_samples(recipe, path, options)
    keep = is_split(parts[0].splits, ("", "all", *TRAINING, *VALIDATION))
    if unread := sorted(set(parts[0].splits[~keep].tolist())):
        report(f"left out: {int((~keep).sum())} {kind.noun} of the split {', '.join(unread)}, kept for final tests")
    if recipe.kind != "image":
        keep &= parts[0].labels >= 0
    if not keep.any():
        have = ", ".join(filter(None, parts[0].split_names()))
        raise DatasetError(
            f"{path} has nothing to train on: expected rows with labels of the splits {', '.join(TRAINING)}, "
            f"or of none, but got {have or 'no labels'}"
        )
    kept = tuple(part.take(keep) for part in parts)
    fixed = recipe.dataset == BOTH or DATASETS[recipe.dataset].fixed_labels
    return kept if fixed else tuple(part.with_present_classes() for part in kept)


def load_corpus(recipe: Recipe, path: str | Path, *, labels: str | Path | None = None) -> Corpus:
    """List and read everything of a dataset that may be learned from; see `list_training`."""
    return kind_of(recipe).make_corpus(recipe, list_training(recipe, path, labels=labels))


def load_split(recipe: Recipe, path: str | Path, *, labels: str | Path | None = None) -> tuple[Corpus, Corpus]:
    """Read what a recipe trains on and what it is validated on; see `load_corpus` and `split_corpus`."""
    return split_corpus(load_corpus(recipe, path, labels=labels), recipe)
