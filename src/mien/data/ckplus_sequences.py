"""Sequences of CK+ (Lucey et al. 2010, doi:10.1109/CVPRW.2010.5543262), from the neutral face to the peak.

The same files as the data set `mien.data.ckplus`, which takes single frames of them.
"""

from __future__ import annotations

from pathlib import Path

from mien.data._clips import Clip, video_clips
from mien.data._files import check_folder
from mien.data.ckplus import _EXPECTED, _image_folder, _Label, _label_folder, _read_labels, _sequences
from mien.data.videos import VideoClips
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import BAUM8

__all__ = ["index"]


def index(path: str | Path, *, labels: str | Path | None = None) -> VideoClips:
    """List the labeled sequences of CK+, each from its first frame to the one that its label is named for.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder that holds ``cohn-kanade-images`` and ``Emotion``, or ``cohn-kanade-images`` itself.
    labels : str or pathlib.Path, optional
        The folder of labels; by default ``Emotion`` (or ``Emotion_labels``) in or beside the folder of images.

    Returns
    -------
    VideoClips
        Labels in ``BAUM8``, whose order is that of CK+'s codes; subjects like ``S010``, clips like ``S010/006``, no
        splits.  Sequences without a label (266 of the published 593) are left out and counted; those with a wrong one,
        or without the frame that it is named for, are named in ``problems``.

    Raises
    ------
    DatasetError
        If a folder is missing, or there is no labeled sequence.
    """
    root = _image_folder(check_folder(path, _EXPECTED))
    problems: list[str] = []
    known = _read_labels(_label_folder(root, labels), problems)
    sequences = _sequences(root, problems)
    found = [clip for name, frames in sequences.items() if (clip := _clip(name, frames, known.get(name), problems))]
    problems += [
        f"{label.place}: there are no frames of {name}"
        for name, label in known.items()
        if label is not None and name not in sequences
    ]
    unlabeled = sum(name not in known for name in sequences)
    if unlabeled:
        problems.append(f"{unlabeled} left out: sequences without a label")
    if not found:
        what = "; ".join(problems[:3])
        raise DatasetError(
            f"{format_path(root)} has no labeled sequence: expected {_EXPECTED}{f': {what}' if what else ''}"
        )
    return video_clips("ckplus_sequences", root, found, BAUM8, problems)


def _clip(name: str, frames: dict[int, str], label: _Label | None, problems: list[str]) -> Clip | None:
    if label is None:
        return None
    if label.last not in frames:
        # A copy that was cut short need not reach the emotion.
        problems.append(f"{name}: frame {label.last}, for which its label is named, is missing")
        return None
    files = tuple(file for number, file in frames.items() if number <= label.last)
    return Clip(name, files, False, BAUM8.emotions[label.code], name.split("/")[0])
