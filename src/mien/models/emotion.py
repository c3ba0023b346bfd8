"""What the analyzers of faces and of voices share: a model that reads emotions, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.labels import LABEL_SETS, LabelSet
from mien.models import registry, runtime
from mien.models.spec import ModelSpec, Output
from mien.options import ModelOptions

__all__ = ["EmotionModel", "output_logits", "softmax"]

_LEAST = 1e-30
"""Probabilities below this count as this: the logarithm of zero has no mean."""


class EmotionModel:
    """A model that reads emotions.  It pickles as its options: another process loads the model with its first use.

    Attributes
    ----------
    options : ModelOptions
        As it was made.
    spec : ModelSpec
        The model's record.
    output : Output
        The output that is read.
    labels : LabelSet
        The emotions of the predictions: those of the output, or a set that they are mapped to.
    """

    task: ClassVar[str]
    """What the model must be for, see `mien.models.spec.TASKS`."""

    subject: ClassVar[str]
    """What it reads, in messages."""

    option: ClassVar[str]
    """Which of the options names the model."""

    parts: ClassVar[tuple[str, ...]] = ("session",)
    """Attributes that are loaded with their first use."""

    options: ModelOptions
    spec: ModelSpec
    output: Output
    labels: LabelSet

    def _configure(self, options: ModelOptions, *_more: Any) -> None:
        """Take options and the model's record; nothing is loaded yet."""
        spec = registry.get(getattr(options, self.option))
        if spec.task != self.task:
            need = f"reading {self.subject} needs one for {self.task}"
            raise ModelError(f"model {spec.name!r} is for {spec.task}: {need}")
        self.options, self.spec = options, spec
        name = options.output
        if name in LABEL_SETS and all(name != output.name for output in spec.outputs):
            self.output, self.labels = spec.default_output, LABEL_SETS[name]
        else:
            self.output = spec.output(name)
            self.labels = self.output.labels

    @cached_property
    def session(self) -> runtime.Session:
        """The model's graph, loaded with its first use."""
        options = self.options
        return runtime.load(
            self.spec,
            threads=options.threads,
            device=options.device,
            engine=options.engine,
            precision=options.precision,
        )

    def _pickled(self) -> tuple[Any, ...]:
        """Return what `_configure` takes."""
        return (self.options,)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), *self._pickled())

    @classmethod
    def _from(cls, *options: Any) -> Self:
        analyzer = cls.__new__(cls)
        analyzer._configure(*options)
        return analyzer

    def load(self) -> None:
        """Load the model now, not with its first use."""
        for name in self.parts:
            getattr(self, name)


def _restore(cls: Any, options: ModelOptions, *more: Any) -> EmotionModel:
    spec = registry.get(getattr(options, cls.option))
    try:
        hash((options, *more))
    except TypeError:  # a detector of one's own need not be hashable
        return cls._from(options, *more)  # type: ignore[no-any-return]
    return _shared(cls, spec, options, *more)


@lru_cache(maxsize=4)
def _shared(cls: Any, _spec: ModelSpec, *options: Any) -> EmotionModel:
    # A process that is sent the same analyzer again and again loads its model once.
    analyzer: EmotionModel = cls._from(*options)
    return analyzer


def output_logits(spec: ModelSpec, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return the logits of all outputs of a model, those that are means of others too, each less its bias.

    Parameters
    ----------
    spec : ModelSpec
        The model's record.
    tensors : mapping of str to numpy.ndarray
        float32 (..., k) for each head, by the name of the graph's output.

    Returns
    -------
    dict of str to numpy.ndarray
        float32 (..., labels), by the name of the output.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for output in spec.outputs:
        logits = _mean_logits(spec, output, tensors) if output.mean_of else tensors[output.tensor]
        found[output.name] = logits - np.array(output.bias, np.float32) if output.bias else logits
    return found


def _mean_logits(spec: ModelSpec, output: Output, tensors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the logarithms of an output that is the geometric mean of heads, float32 (..., labels)."""
    heads = [spec.output(name) for name in output.mean_of]
    shares = [softmax(tensors[head.tensor], head.temperature) for head in heads]
    common = [emotion for emotion in output.labels if all(emotion in head.labels for head in heads)]
    columns = [[head.labels.index(emotion) for emotion in common] for head in heads]
    logs = [np.log(np.maximum(p[..., at], _LEAST)) for p, at in zip(shares, columns, strict=True)]
    # What only the first head can answer keeps its probability there; the others share the rest.
    found = shares[0][..., [heads[0].labels.index(emotion) for emotion in output.labels]]
    places = [output.labels.index(emotion) for emotion in common]
    found[..., places] = found[..., places].sum(axis=-1, keepdims=True) * softmax(np.mean(logs, axis=0))
    return np.log(np.maximum(found, _LEAST)).astype(np.float32)


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return distributions, float64 (..., k), from logits at a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True)) if scaled.size else scaled
    shares: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return shares
