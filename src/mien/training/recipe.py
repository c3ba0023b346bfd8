"""A recipe: everything that a run depends on, as one checked record read from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from mien.errors import DatasetError, InputError
from mien.training.augment import Augmentation

__all__ = ["Distillation", "Loss", "Optimiser", "Recipe", "load_recipe", "recipe_names"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Stochastic gradient descent with Nesterov momentum, linear warm-up and a cosine to zero.

    Parameters
    ----------
    rate : float
        Highest learning rate.
    momentum, weight_decay : float
        As in SGD; norms and biases are not decayed.
    warmup_epochs : float
        Length of the linear rise.
    average : float
        Decay of the exponential moving average of weights, a step.
    """

    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 2.0
    average: float = 0.999


@dataclass(frozen=True, slots=True)
class Loss:
    """Weights of the parts of the loss.

    Parameters
    ----------
    fer7, ferplus8 : float
        Cross-entropy against FER2013's label and against the distribution of FER+ votes.
    label_smoothing : float
        Share of FER2013's label spread over all classes (its single labels are noisy; the votes are not smoothed).
    mixup : float
        Alpha of mixup's beta distribution (Zhang et al. 2018, arXiv:1710.09412); 0 turns it off.
    """

    fer7: float = 1.0
    ferplus8: float = 1.0
    label_smoothing: float = 0.1
    mixup: float = 0.0


@dataclass(frozen=True, slots=True)
class Distillation:
    """Learning from trained nets (Hinton et al. 2015, arXiv:1503.02531).

    The teachers see the very same augmented crops as the student (Beyer et al. 2022, arXiv:2106.05237).

    Parameters
    ----------
    teachers : tuple of str
        Run folders; their probabilities are averaged.
    weight : float
        Share of the teachers' answer in the target; the rest is the labels'.
    temperature : float
        Softens the teachers' answers before they are mixed into the target; 1 leaves them as they are.
    """

    teachers: tuple[str, ...] = ()
    weight: float = 0.6
    temperature: float = 1.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    Parameters
    ----------
    name : str
        Name of the run and of the model that it makes.
    description : str
        One line for people.
    net : str
        Architecture (see `mien.training.nets.NETS`).
    net_options : dict
        Options of the architecture.
    epochs, batch, seed : int
        Length, pictures a step, and the seed that fixes order, augmentation and initial weights.
    drop_overlap : bool
        Drop the Training rows whose pixels also occur in PublicTest.
    init : str
        Run folder to start the weights from; empty for random weights.
    calm_epochs : int
        Last epochs without the augmentations other than half-strength geometry and mirroring.
    optimiser, loss, augmentation, distillation
        See their classes.
    """

    name: str
    description: str = ""
    net: str = "face_resnet"
    net_options: dict[str, Any] = field(default_factory=dict)
    epochs: int = 60
    batch: int = 128
    seed: int = 1
    drop_overlap: bool = True
    init: str = ""
    calm_epochs: int = 0
    optimiser: Optimiser = field(default_factory=Optimiser)
    loss: Loss = field(default_factory=Loss)
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation = field(default_factory=Distillation)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise InputError(f"recipe {self.name!r}: epochs must be at least 1 and batch at least 2")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that TOML can hold."""
        data = asdict(self)
        data["distillation"]["teachers"] = list(self.distillation.teachers)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, source: str = "recipe") -> Recipe:
        """Build from plain data.

        Raises
        ------
        InputError
            If a key is unknown or a value has the wrong type; the message names it.
        """
        parts: dict[str, Any] = dict(data)
        for key, kind in _PARTS.items():
            if key in parts:
                parts[key] = _build(kind, parts[key], f"{source}, [{key}]")
        return _build(cls, parts, source)


_PARTS: dict[str, type] = {
    "optimiser": Optimiser,
    "loss": Loss,
    "augmentation": Augmentation,
    "distillation": Distillation,
}


def _build(kind: type[T], data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise InputError(f"{where} must be a table, but got {data!r}")
    known = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise InputError(f"{where} has the unknown key {', '.join(unknown)}: expected {', '.join(known)}")
    values: dict[str, Any] = {}
    for key, value in data.items():
        values[key] = _value(value, known[key], f"{where}, {key}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from None


def _value(value: Any, kind: str, where: str) -> Any:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("tuple"):
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            raise InputError(f"{where} must be a list of words, but got {value!r}")
        return tuple(value)
    if kind.startswith("dict") and not isinstance(value, dict):
        raise InputError(f"{where} must be a table, but got {value!r}")
    expected: dict[str, type] = {"float": float, "int": int, "str": str, "bool": bool}
    wanted = expected.get(kind)
    if wanted is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
        raise InputError(f"{where} must be of type {kind}, but got {value!r}")
    return value


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with mien."""
    folder = resources.files("mien.training") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by name or from a file.

    Parameters
    ----------
    name_or_path : str
        One of `recipe_names`, or a path to a TOML file.

    Raises
    ------
    InputError
        If there is no such recipe, or it is wrong.
    DatasetError
        If the file cannot be read.
    """
    if name_or_path in recipe_names():
        text = (resources.files("mien.training") / "recipes" / f"{name_or_path}.toml").read_text("utf-8")
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise InputError(f"unknown recipe {name_or_path!r}: expected a file or one of {', '.join(recipe_names())}")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"cannot read the recipe {path}: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"recipe {name_or_path}: {error}") from None
    return Recipe.from_dict(data, source=f"recipe {name_or_path}")
