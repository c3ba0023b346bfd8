"""The datasets that mien reads, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import warn
from mien._registry import Registry
from mien.data.samples import Samples
from mien.errors import DatasetError, InputError
from mien.io.paths import format_path

__all__ = ["DATASETS", "Dataset", "dataset_names", "load_dataset", "load_images"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset, or a form in which datasets are passed on.

    Parameters
    ----------
    kind : {"image", "audio", "video"}
        What its samples are.
    about : str
        One line for help pages: its name, source and what is in it.
    list_samples : callable
        Takes a path and the options of the dataset as keywords, and returns `Samples`: in files, or in memory where the
        dataset is a table. With the parameters ``split`` and ``progress`` it gets those of `load_dataset`.
    in_memory : bool
        Whether the dataset is a table, of which all images are read.
    fixed_labels : bool
        Whether the labels are those of a publication; else a network is trained for the classes that occur.
    is_cut : bool
        Whether its images are cut to the face already; of others, `load_images` finds and cuts the largest face.
    """

    kind: str
    about: str
    list_samples: Callable[..., Samples]
    in_memory: bool = False
    fixed_labels: bool = True
    is_cut: bool = True

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(name for name in inspect.signature(self.list_samples).parameters if name not in _COMMON)


_COMMON = ("path", "split", "progress")

DATASETS: Registry[Dataset] = Registry(
    "dataset",
    {
        "fer2013": "mien.data.fer2013:FER2013",
        "ferplus": "mien.data.fer2013:FERPLUS",
        "folder": "mien.data.images:FOLDER",
        "jaffe": "mien.data.images:JAFFE",
        "ckplus": "mien.data.ckplus:CKPLUS",
        "ckplus48": "mien.data.ckplus:CKPLUS48",
        "iefdb": "mien.data.images:IEFDB",
        "photographs": "mien.data.images:PHOTOGRAPHS",
        "baum2_frames": "mien.data.baum2:BAUM2_FRAMES",
        "table": "mien.data.table:TABLE",
        "ravdess": "mien.data.speech:RAVDESS",
        "emodb": "mien.data.speech:EMODB",
        "crema_d": "mien.data.speech:CREMA_D",
        "tess": "mien.data.speech:TESS",
        "savee": "mien.data.speech:SAVEE",
        "nemo": "mien.data.speech:NEMO",
        "speech_folder": "mien.data.speech:SPEECH_FOLDER",
        "baum2": "mien.data.baum2:BAUM2",
        "ckplus_sequences": "mien.data.ckplus:CKPLUS_SEQUENCES",
        "ravdess_videos": "mien.data.videos:RAVDESS_VIDEOS",
        "video_folder": "mien.data.videos:VIDEO_FOLDER",
    },
    group="mien.datasets",
)
"""All datasets, of every kind."""


def dataset_names(*kinds: str) -> list[str]:
    """Return the names of the datasets of some kinds; of all without any."""
    return [name for name in DATASETS if not kinds or DATASETS[name].kind in kinds]


def load_dataset(
    name: str,
    path: str | Path,
    *,
    split: str | None = None,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> Samples:
    """List the samples of a dataset; tables are read into memory, files are not read.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    path : str or pathlib.Path
        Its file or folder, as published.
    split : str, optional
        Keep only this split.
    progress : callable, optional
        Called with the number of rows read since the last call, by tables.
    **options : object
        What the dataset takes; see the functions in its module.

    Raises
    ------
    InputError
        If there is no such dataset, or it does not take an option.
    DatasetError
        If the data is missing or wrong; the message names the row or file.
    """
    dataset = DATASETS[name]
    for key in options:
        if key not in dataset.options:
            raise InputError(f"dataset {name!r} has no option {key!r}: it takes {', '.join(dataset.options) or 'none'}")
    common = {"split": split, "progress": progress}
    taken = {key for key in common if key in inspect.signature(dataset.list_samples).parameters}
    samples = dataset.list_samples(path, **{key: common[key] for key in taken}, **options)
    return samples if split is None or "split" in taken else samples.split(split)


def load_images(
    name: str,
    path: str | Path,
    *,
    split: str | None = None,
    size: int = 48,
    problems: str = "raise",
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> Samples:
    """Read a dataset of images into memory, as gray squares cut to the face.

    Of photographs the largest face is cut as for the shipped models; one in which no face is found is taken whole.

    Parameters
    ----------
    name, path, split, **options
        See `load_dataset`.
    size : int
        Side of the squares, for images in files.
    problems : {"raise", "skip"}
        What to do with a file that cannot be read. What the listing left out is named in one `MienWarning`.
    progress : callable, optional
        Called with the number of images read since the last call.

    Returns
    -------
    Samples
        With ``images``, uint8 (n, size, size).

    Raises
    ------
    InputError, DatasetError
        See `load_dataset`; also if the dataset is no dataset of images, or an image cannot be read.
    """
    if DATASETS[name].kind != "image":
        raise DatasetError(f"{name} is a dataset of {DATASETS[name].kind} files, not of images")
    samples = load_dataset(name, path, split=split, progress=progress, **options)
    if samples.problems:
        more = len(samples.problems) - 1
        also = f" (and {more} more: `mien data inspect` lists them)" if more else ""
        warn(f"{format_path(samples.source)}: left out {samples.problems[0]}{also}")
    cut = None if DATASETS[name].is_cut else _face_cutter(size)
    return samples.faces(size, problems=problems, progress=progress, cut=cut)


def _face_cutter(size: int) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Return what cuts the largest face of an image, uint8 (H, W, 3), as FER2013's images are cut."""
    # Not above: most datasets need no detector.
    from mien.face.align import Crop
    from mien.face.detect import get_detector
    from mien.face.prepare import FaceCut, cut_faces
    from mien.models import registry

    table = dict(registry.get("face-base").crop)
    points = np.array(table["points"]) * size / table["size"]
    cut = FaceCut(geometry=Crop.from_dict(table | {"size": size, "points": points.tolist()}), gray=False)
    detector = get_detector("mtcnn")

    def largest_face(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        faces, _ = cut_faces(image, detector, cut, most=1)
        return faces[0].pixels if faces else image

    return largest_face
