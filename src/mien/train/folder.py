"""The run folder: who may write there, and what can be read back from it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mien.errors import DatasetError, InputError, ModelError
from mien.labels import FER7, FERPLUS8
from mien.train.nets import EmotionNet, build_any
from mien.train.recipe import Recipe

__all__ = ["best_net", "claim", "heads_of", "load_net", "read_config"]


def claim(folder: Path, recipe: Recipe) -> None:
    """Write ``config.toml``, or make sure that the one which is there is of the same recipe.

    Raises
    ------
    InputError
        If the folder holds a run of another recipe.
    DatasetError
        If it cannot be written to.
    """
    path = folder / "config.toml"
    if path.is_file():
        if read_config(folder) != Recipe.from_dict(recipe.to_dict()):
            raise InputError(f"{folder} holds a run of another recipe: choose another folder, or remove it")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(tomli_w.dumps(recipe.to_dict()), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise DatasetError(f"cannot write to the run folder {folder}: {error.strerror or error}") from error


def read_config(folder: Path) -> Recipe:
    """Return the recipe that a run folder was made with.

    Raises
    ------
    ModelError
        If there is no readable ``config.toml``.
    """
    path = folder / "config.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} is no run folder: it has no config.toml") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    try:
        return Recipe.from_dict(data, source=str(path))
    except InputError as error:
        raise ModelError(str(error)) from error


def heads_of(state: dict[str, Tensor]) -> dict[str, int]:
    """Return the number of classes of each head, by the weights of a net."""
    found = {}
    for key, value in state.items():
        first, _, rest = key.partition(".")
        name, _, last = rest.rpartition(".")
        if first == "heads" and last == "weight":
            found[name] = len(value)
    # Files of weights are sorted by name; the order of the outputs is not.
    first_ones = [name for name in (FERPLUS8.name, FER7.name) if name in found]
    return {name: found[name] for name in (*first_ones, *(n for n in found if n not in first_ones))}


def best_net(folder: Path, recipe: Recipe, *, epoch: str = "best") -> EmotionNet:
    """Return the averaged weights of the best epoch of a run, or of the last.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    recipe : Recipe
        What was trained.
    epoch : {"best", "last"}
        Which weights.

    Raises
    ------
    ModelError
        If there is no checkpoint yet, or it is damaged.
    """
    path = folder / "checkpoints" / f"{epoch}.ckpt"
    if not path.is_file():
        raise ModelError(f"{folder} has no checkpoint yet")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = {k.removeprefix("net."): v for k, v in content["state_dict"].items() if k.startswith("net.")}
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, AttributeError) as error:
        raise ModelError(f"cannot read the checkpoint {path}: {error}") from error
    return _filled(recipe, state, path)


def load_net(folder: Path) -> EmotionNet:
    """Return the trained net of a run folder.

    Parameters
    ----------
    folder : pathlib.Path
        A finished or unfinished run; of an unfinished one the best epoch so far.

    Raises
    ------
    ModelError
        If the folder is no run, or has no weights yet, or they are damaged.
    """
    recipe = read_config(folder)
    path = folder / "model.safetensors"
    if not path.is_file():
        return best_net(folder, recipe)
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read the weights {path}: {error}") from error
    return _filled(recipe, state, path)


def _filled(recipe: Recipe, state: dict[str, Tensor], path: Path) -> EmotionNet:
    net = build_any(recipe.net, heads_of(state), **recipe.net_options)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:  # torch lists every tensor, a line each
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ModelError(f"{path} does not fit the net of its config.toml: {reason}") from error
    return net.eval()
