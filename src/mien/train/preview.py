"""A sheet of the images of a recipe under its augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import InputError
from mien.output.sheet import sheet
from mien.output.write import encode_png
from mien.train.corpus import Corpus
from mien.train.folder import write_file
from mien.train.kinds import kind_of, load_split
from mien.train.recipe import Recipe

__all__ = ["preview"]


def preview(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    votes: str | Path | None = None,
    rows: int = 8,
    columns: int = 10,
) -> NDArray[np.uint8]:
    """Draw a sheet with a training image in each row: as it is, then as augmentation changes it.

    Parameters
    ----------
    recipe : Recipe
        Its dataset, augmentation and seed are used.
    data : str or pathlib.Path
        File or folder of the dataset.
    out : str or pathlib.Path
        The PNG to write.
    votes : str or pathlib.Path, optional
        FER+ votes; by default beside FER2013's table.
    rows, columns : int
        Images, and augmented views of each.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W, 3): the sheet as it was written.

    Raises
    ------
    InputError
        If the recipe is for speech or clips.
    DatasetError
        If the data cannot be read or the sheet not be written.
    """
    if recipe.kind != "image":
        raise InputError(f"recipe {recipe.name!r} is for {kind_of(recipe).noun}: a preview shows images")
    training, _ = load_split(recipe, data, labels=votes)
    chosen = np.random.default_rng(recipe.seed).permutation(len(training))[:rows]
    generator = torch.Generator().manual_seed(recipe.seed)
    images: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    for row in chosen:
        plain = training.inputs["images"][row]
        gray = torch.from_numpy(np.repeat(plain[None, None], columns, axis=0)).to(torch.float32)
        changed = recipe.augmentation(gray, generator).round().clamp(0, 255).to(torch.uint8).numpy()
        images += [plain, *changed[:, 0]]
        captions += [_label(training, int(row)), *[""] * columns]
    drawn = sheet(images, captions, columns=columns + 1, title=f"{recipe.name}: as it is, and as in training")
    write_file(Path(out), encode_png(drawn))
    return drawn


def _label(corpus: Corpus, row: int) -> str:
    for head, truth in corpus.truth.items():
        if truth[row] >= 0:
            return str(corpus.label_sets[head].emotions[int(truth[row])])
    return ""
