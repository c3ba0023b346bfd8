"""A recipe: everything that a run depends on, as one checked record read from TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from mien.data import DATASETS
from mien.errors import DatasetError, InputError
from mien.models.spec import MODEL_NAME
from mien.train.augment import Augmentation, SoundAugmentation

__all__ = [
    "BOTH",
    "FER2013",
    "Distillation",
    "Domain",
    "Loss",
    "Optimizer",
    "Recipe",
    "Video",
    "check_members",
    "load_recipe",
    "member_recipes",
    "override",
    "recipe_names",
]

T = TypeVar("T")

_FORMER = {
    "optimiser": "optimizer",
    "film": "video",
    "equalise": "equalize",
    "film_folder": "video_folder",
    "ravdess_films": "ravdess_videos",
}
"""Keys and datasets by the names that recipes of mien 0.1 have for them."""

BOTH = "fer2013+ferplus"
"""FER2013's images with FER2013's labels and FER+'s votes: two heads learn together."""

FER2013 = (BOTH, "fer2013", "ferplus")
"""Names of the datasets with FER2013's images, whose validation rows are the split PublicTest."""


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> None:
    if value not in allowed:
        raise InputError(f"{what} must be one of {', '.join(allowed)}, but got {value!r}")


@dataclass(frozen=True, slots=True)
class Optimizer:
    """How weights are updated: the method, its rate over time, and averaging.

    Parameters
    ----------
    kind : {"sgd", "adamw"}
        Stochastic gradient descent with Nesterov momentum, or AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
    rate : float
        Highest learning rate.
    momentum : float
        Momentum of SGD.
    weight_decay : float
        Norms and biases are not decayed.
    schedule : {"cosine", "plateau", "constant"}
        A half cosine to zero over the run; or the rate times ``factor`` whenever the score that chooses the checkpoint
        has not risen for ``patience`` epochs; or one rate throughout.
    warmup_epochs : float
        Length of the linear rise at the start.
    factor : float
        See ``schedule``.
    patience : int
        See ``schedule``.
    average : float
        Decay of the exponential moving average of weights, a step; 0 turns it off.  After t steps it is at most
        (1 + t) / (10 + t), so that runs of few steps average few.
    """

    kind: str = "sgd"
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup_epochs: float = 2.0
    factor: float = 0.3
    patience: int = 4
    average: float = 0.999

    def __post_init__(self) -> None:
        _one_of(self.kind, ("sgd", "adamw"), "kind of optimizer")
        _one_of(self.schedule, ("cosine", "plateau", "constant"), "schedule")
        if not self.rate >= 0 or not 0 <= self.average < 1:
            raise InputError(f"rate must not be below 0 and average in [0, 1), but got {self.rate} and {self.average}")


@dataclass(frozen=True, slots=True)
class Loss:
    """Weights of the parts of the loss.

    Parameters
    ----------
    fer7, ferplus8 : float
        Weights of these two heads, where the data has labels for both; any other head weighs 1.
    label_smoothing : float
        Share of a single label that is spread over all classes; distributions of votes are not smoothed.
    balance : {"none", "weights", "sampling"}
        Against unequal classes: weights in inverse proportion to their counts, or batches that draw every class
        equally often.
    mixup : float
        Alpha of mixup's beta distribution (Zhang et al. 2018, arXiv:1710.09412); 0 turns it off.
    """

    fer7: float = 1.0
    ferplus8: float = 1.0
    label_smoothing: float = 0.1
    balance: str = "none"
    mixup: float = 0.0

    def __post_init__(self) -> None:
        _one_of(self.balance, ("none", "weights", "sampling"), "balance")
        if not 0 <= self.label_smoothing < 1 or self.mixup < 0:
            raise InputError(
                f"label_smoothing must be in [0, 1) and mixup not below 0, but got {self.label_smoothing}, {self.mixup}"
            )


@dataclass(frozen=True, slots=True)
class Distillation:
    """Learning from trained networks (Hinton et al. 2015, arXiv:1503.02531).

    The teachers get the very same augmented crops as the student (Beyer et al. 2022, arXiv:2106.05237), or, where that
    costs too much or their crops are of another size, plain ones.

    Parameters
    ----------
    teachers : tuple of str
        Run folders; also shipped face models, where ``fixed``.  Their probabilities are averaged.
    fixed : bool
        Images: compute the teachers' probabilities once, of each image and its mirror image, as large as they take it.
    weight : float
        Share of the teachers' probabilities in the target; the rest is the labels'.
    temperature : float
        Softens the teachers' probabilities before they are mixed into the target; 1 leaves them as they are.
    """

    teachers: tuple[str, ...] = ()
    fixed: bool = False
    weight: float = 0.6
    temperature: float = 1.5


@dataclass(frozen=True, slots=True)
class Domain:
    """A second dataset of faces or of speech to train on, of another kind than the first.

    Validation stays the first's, which cannot choose the epoch for both: the last is kept.

    Parameters
    ----------
    dataset : str
        One of `mien.data.DATASETS`, read like the first; empty for none.
    path : str
        Its file or folder.
    repeat : int
        How often each of its rows for training comes in an epoch.  Of speech, the first dataset's rows are repeated
        until there are about as many.
    """

    dataset: str = ""
    path: str = ""
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Video:
    """How clips are read.

    Parameters
    ----------
    frames : int
        Frames of a clip, evenly spaced; of a shorter clip all.
    size : int
        Side of the faces in pixels.
    model : str
        The face model whose probabilities and embedding some networks take in place of images: a shipped one, or the
        path of a record or run folder.
    drop : float
        Share of a clip's frames that are left out while training, another choice each time.
    """

    frames: int = 16
    size: int = 48
    model: str = "face-base"
    drop: float = 0.3

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size < 1 or not 0 <= self.drop < 1:
            got = f"{self.frames}, {self.size} and {self.drop}"
            raise InputError(f"frames and size must be at least 1 and drop in [0, 1), but got {got}")


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
        Architecture (see `mien.train.nets.NETWORKS`).
    net_options : dict
        Options of the architecture.
    dataset : str
        ``fer2013+ferplus`` (FER2013's images with both kinds of labels, one head each), or one of
        `mien.data.DATASETS`.
    dataset_options : dict
        Options of the dataset.
    labels : {"soft", "hard", "probability"}
        Where annotators voted: train against their distribution (FER+'s cross-entropy mode), against the one label that
        the protocol makes of it (majority), or against a label drawn from it anew in every epoch (probability mode).
    validation_share : float
        Share of the training rows held out for validation where the data has no split for it; whole subjects, clips
        and copies.
    crop : str
        How the training images were cut, so that images at use are cut alike, where the data does not say so itself:
        ``"fer2013"``, as FER2013 and all shipped models, or ``"eye-distance"``, as `mien data prepare` does without a
        model; with its factors as ``"eye-distance-2.1x3.2"``.
    epochs, batch, seed : int
        Length, images a step, and the seed that fixes order, augmentation and initial weights.  With ``members``,
        epochs are for each of them; 0, the default there, leaves them theirs.
    accumulate : int
        Batches whose gradients are averaged before a step, for large batches in little memory.
    early_stopping : int
        Stop after so many epochs without a better score; 0 never does.
    drop_overlap : bool
        Drop the training rows whose pixels also occur in the validation rows.
    init : str
        Where the weights start: a shipped model, a run folder or a file (see `mien.train.init`); empty for random.
    init_share : float
        Share of the weights of ``init`` in the result; the rest is what training made of them.  Halfway, a fine-tuned
        network keeps what it could do and does most of what it learned (Wortsman et al. 2022, arXiv:2109.01903).
    freeze : tuple of str
        Parts of the network that stay as they start (see `mien.train.init.freeze`).
    calm_epochs : int
        Last epochs without the augmentations other than half-strength geometry and mirroring.
    inner_folds : int
        Parts of the training rows among which settings and epoch are chosen (nested cross-validation, see
        `mien.train.nested`); 0 holds out one share of them that chooses the epoch alone.
    choices : tuple of str
        Settings to choose from on the inner folds, each some ``KEY=VALUE`` between semicolons, as `override` takes
        them; the empty text is the recipe as it stands.
    members : tuple of str
        Recipes whose networks are trained alone, and whose probabilities are added (see `mien.train.nested`); data,
        seed, and how clips are read are this recipe's.
    optimizer, loss, augmentation, sound, video, distillation, domain
        See their classes; ``augmentation`` is for faces, ``sound`` for speech, ``video`` for clips.
    """

    name: str
    description: str = ""
    net: str = "face_resnet"
    net_options: dict[str, Any] = field(default_factory=dict)
    dataset: str = "fer2013+ferplus"
    dataset_options: dict[str, Any] = field(default_factory=dict)
    labels: str = "soft"
    validation_share: float = 0.15
    crop: str = "fer2013"
    epochs: int = 60
    batch: int = 128
    accumulate: int = 1
    seed: int = 1
    early_stopping: int = 0
    drop_overlap: bool = True
    init: str = ""
    init_share: float = 0.0
    freeze: tuple[str, ...] = ()
    calm_epochs: int = 0
    inner_folds: int = 0
    choices: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    optimizer: Optimizer = field(default_factory=Optimizer)
    loss: Loss = field(default_factory=Loss)
    augmentation: Augmentation = field(default_factory=Augmentation)
    sound: SoundAugmentation = field(default_factory=SoundAugmentation)
    video: Video = field(default_factory=Video)
    distillation: Distillation = field(default_factory=Distillation)
    domain: Domain = field(default_factory=Domain)

    def __post_init__(self) -> None:
        if not re.fullmatch(MODEL_NAME, self.name):
            raise InputError(f"a recipe's name must consist of letters, digits and . _ -, but got {self.name[:80]!r}")
        if self.epochs < (0 if self.members else 1) or self.batch < 2:
            raise InputError(f"recipe {self.name!r}: epochs must be at least 1 and batch at least 2")
        if self.accumulate < 1:
            raise InputError(f"recipe {self.name!r}: accumulate must be at least 1, but is {self.accumulate}")
        if not 0 <= self.init_share < 1 or (self.init_share and not self.init):
            raise InputError(f"recipe {self.name!r}: init_share must be in [0, 1), and 0 without init")
        _one_of(self.labels, ("soft", "hard", "probability"), "labels")
        if not re.fullmatch(r"fer2013|eye-distance(-[\d.]+x[\d.]+)?", self.crop):
            raise InputError(f"crop must be one of fer2013, eye-distance, but got {self.crop!r}")
        if self.kind == "video" and (self.loss.mixup > 0 or self.distillation.teachers):
            raise InputError(f"recipe {self.name!r}: clips take neither mixup nor teachers")
        self._check_inner_folds()

    def _check_inner_folds(self) -> None:
        if self.inner_folds < 0 or self.inner_folds == 1:
            raise InputError(f"recipe {self.name!r}: inner_folds must be 0 or at least 2, but is {self.inner_folds}")
        if (self.choices or self.members) and not self.inner_folds:
            raise InputError(f"recipe {self.name!r}: choices and members need inner_folds to choose on")
        if self.inner_folds and self.optimizer.schedule == "plateau":
            # The last training, on all rows, has none to measure the plateau on.
            raise InputError(f"recipe {self.name!r}: with inner_folds the schedule must be cosine or constant")

    @property
    def kind(self) -> str:
        """What it trains on: ``"image"``, ``"audio"`` or ``"video"``."""
        return "image" if self.dataset == BOTH else DATASETS[self.dataset].kind

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that TOML can hold."""
        data = asdict(self)
        for key in ("choices", "members"):
            data[key] = list(data[key])
        data["distillation"]["teachers"] = list(self.distillation.teachers)
        data["freeze"] = list(self.freeze)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, source: str = "recipe") -> Recipe:
        """Build from plain data.

        Raises
        ------
        InputError
            If a key is unknown or a value has the wrong type; the message names it.
        """
        parts = {_FORMER.get(key, key): value for key, value in data.items()}
        if parts.get("members"):
            parts.setdefault("epochs", 0)
        if parts.get("dataset") in _FORMER:
            parts["dataset"] = _FORMER[parts["dataset"]]
        for key, kind in _PARTS.items():
            if key in parts:
                parts[key] = _build(kind, parts[key], f"{source}, [{key}]")
        return _build(cls, parts, source)


_PARTS: dict[str, type] = {
    "optimizer": Optimizer,
    "loss": Loss,
    "augmentation": Augmentation,
    "sound": SoundAugmentation,
    "video": Video,
    "distillation": Distillation,
    "domain": Domain,
}


def _build(kind: type[T], data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise InputError(f"{where} must be a table, but got {data!r}")
    data = {_FORMER.get(key, key): value for key, value in data.items()}
    types = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(types))
    if unknown:
        raise InputError(f"{where} has the unknown key {', '.join(unknown)}: expected {', '.join(types)}")
    values: dict[str, Any] = {}
    for key, value in data.items():
        values[key] = _check_value(value, types[key], f"{where}, {key}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from None


def _check_value(value: Any, kind: str, where: str) -> Any:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("tuple"):
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            raise InputError(f"{where} must be a list of strings, but got {value!r}")
        return tuple(value)
    if kind.startswith("dict") and not isinstance(value, dict):
        raise InputError(f"{where} must be a table, but got {value!r}")
    expected: dict[str, type] = {"float": float, "int": int, "str": str, "bool": bool}
    if kind in expected and (not isinstance(value, expected[kind]) or (kind == "int" and isinstance(value, bool))):
        raise InputError(f"{where} must be of type {kind}, but got {value!r}")
    return value


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Return a recipe with some of its values replaced.

    Parameters
    ----------
    recipe : Recipe
        Where to start from.
    settings : sequence of str
        ``KEY=VALUE`` or ``TABLE.KEY=VALUE``, the value as in TOML; a value that is no TOML is a string:
        ``epochs=10``, ``optimizer.kind=adamw``, ``net_options.widths=[32, 64]``.

    Raises
    ------
    InputError
        If a setting has no ``=``, or names what no recipe has.
    """
    data = recipe.to_dict()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"a setting must be KEY=VALUE, but got {setting!r}")
        *tables, last = (_FORMER.get(part, part) for part in key.strip().split("."))
        target = data
        for table in tables:
            target = target.setdefault(table, {})
            if not isinstance(target, dict):
                raise InputError(f"{setting}: {table!r} is no table")
        target[last] = _toml_value(text.strip())
    return Recipe.from_dict(data, source=f"recipe {recipe.name} with {', '.join(settings)}")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with mien."""
    folder = resources.files("mien.train") / "recipes"
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
        text = (resources.files("mien.train") / "recipes" / f"{name_or_path}.toml").read_text("utf-8")
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
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and deep nesting
        raise InputError(f"recipe {name_or_path}: {str(error)[:200]}") from None
    return Recipe.from_dict(data, source=f"recipe {name_or_path}")


_OF_ALL_MEMBERS = ("dataset", "dataset_options", "seed", "inner_folds", "video")


def check_members(before: Recipe, after: Recipe) -> None:
    """Raise an `InputError` if a recipe with members was given a setting that each member has of its own."""
    taken = (*_OF_ALL_MEMBERS, "name", "description", "epochs", "members")
    changed = [f.name for f in fields(Recipe) if getattr(before, f.name) != getattr(after, f.name)]
    ignored = [name for name in changed if name not in taken]
    if after.members and ignored:
        names = ", ".join(after.members)
        raise InputError(f"recipe {after.name!r} takes {', '.join(ignored)} from its members: change {names}")


def member_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipes of all members by their names; of a recipe without any, itself.

    Raises
    ------
    InputError
        If a member is unknown or there twice, has no inner folds, or has members itself.
    """
    if not recipe.members:
        return {recipe.name: recipe}
    found = {}
    for name in recipe.members:
        member = load_recipe(name)
        if member.members or not member.inner_folds:
            raise InputError(f"recipe {recipe.name!r}: the member {name!r} must have inner_folds and no members")
        common = {key: getattr(recipe, key) for key in _OF_ALL_MEMBERS}
        found[member.name] = replace(member, **common | {"epochs": recipe.epochs or member.epochs})
    if len(found) < len(recipe.members):
        raise InputError(f"recipe {recipe.name!r}: two members have the same name")
    return found
