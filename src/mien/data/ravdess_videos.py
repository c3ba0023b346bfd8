"""Videos of RAVDESS (Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391), told by their names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from mien.data._clips import Clip, clips_below, video_clips
from mien.data._files import check_folder
from mien.data._sounds import Wrong
from mien.data.ravdess import _CHANNELS, _NAME, _agree, _fields, _wanted
from mien.data.videos import VideoClips
from mien.errors import DatasetError
from mien.io.paths import format_path
from mien.labels import RAVDESS8

__all__ = ["index"]

_EXPECTED = "videos named like 01-01-05-02-01-01-12.mp4"


def index(path: str | Path, *, channel: str = "speech") -> VideoClips:
    """List the videos of RAVDESS in a folder and in all folders in it.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder, such as the published ``Video_Speech_Actor_01`` or one that holds several.
    channel : {"speech", "song", "both"}
        Which to take.

    Returns
    -------
    VideoClips
        With `RAVDESS8`; subjects ``"01"`` to ``"24"``, clips the name without its first field (one recording is
        published with and without its sound: the first that is found is taken), no splits.  Videos with another name
        are among its ``problems``, songs and second copies are counted there.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no video of RAVDESS.
    InputError
        If the channel is none.
    """
    wanted = _wanted("channel", channel, _CHANNELS | {"both": "both"})
    root = check_folder(path, _EXPECTED)
    problems: list[str] = []
    found: dict[str, Clip] = {}
    others = copies = 0
    for place, files in clips_below(root, root, problems):
        try:
            clip, kind = _clip(place, files)
        except Wrong as error:
            problems.append(f"{format_path(place)}: {error}")
            continue
        if wanted not in (kind, "both"):
            others += 1
        elif found.setdefault(clip.name, clip) is not clip:
            copies += 1
    left = "songs" if wanted == "speech" else "speech"
    problems += [f"{n} left out: {what}" for n, what in ((others, left), (copies, "second copies of a recording")) if n]
    if not found:
        why = f": {problems[0]}" if problems else ""
        raise DatasetError(f"{format_path(root)} must hold {_EXPECTED}, but has none{why}")
    return video_clips("ravdess_videos", root, list(found.values()), RAVDESS8, problems)


def _clip(place: str, files: tuple[str, ...]) -> tuple[Clip, str]:
    """Return what a video's name tells, and whether it is speech or song."""
    match = _NAME.search(PurePosixPath(place).name)
    if match is None or files != (place,):
        raise Wrong(f"expected {_EXPECTED}")
    fields = _fields(match)
    if fields["modality"] == "audio":
        raise Wrong("the name says that it holds sound alone (first field 03)")
    _agree(place, fields)
    return Clip("-".join(match.groups()[1:]), files, True, fields["emotion"], fields["actor"]), fields["channel"]
