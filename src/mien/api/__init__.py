"""The short way: a file in, a result out.  The only place where media, models, analyzers and output meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien._lazy import lazy_getattr

if TYPE_CHECKING:
    from mien.api.anything import analyze as analyze
    from mien.api.audio import analyze_recordings as analyze_recordings
    from mien.api.audio import analyze_speech as analyze_speech
    from mien.api.audio import iter_speech as iter_speech
    from mien.api.images import analyze_image as analyze_image
    from mien.api.images import analyze_images as analyze_images
    from mien.api.images import prepare_faces as prepare_faces
    from mien.api.images import read_image as read_image
    from mien.api.live import iter_live as iter_live
    from mien.api.videos import analyze_video as analyze_video
    from mien.api.videos import draw_video as draw_video
    from mien.api.videos import fuse as fuse
    from mien.api.videos import iter_video as iter_video
    from mien.api.videos import plot_timeline as plot_timeline
    from mien.io.audio import iter_audio as iter_audio
    from mien.io.audio import read_audio as read_audio
    from mien.output.draw import draw as draw
    from mien.output.write import write_wav as write_wav

__all__ = [
    "analyze",
    "analyze_image",
    "analyze_images",
    "analyze_recordings",
    "analyze_speech",
    "analyze_video",
    "draw",
    "draw_video",
    "fuse",
    "iter_audio",
    "iter_live",
    "iter_speech",
    "iter_video",
    "plot_timeline",
    "prepare_faces",
    "read_audio",
    "read_image",
    "write_wav",
]

__getattr__ = lazy_getattr(
    __name__,
    {
        "analyze": "mien.api.anything",
        "analyze_image": "mien.api.images",
        "analyze_images": "mien.api.images",
        "analyze_recordings": "mien.api.audio",
        "analyze_speech": "mien.api.audio",
        "analyze_video": "mien.api.videos",
        "draw": "mien.output.draw",
        "draw_video": "mien.api.videos",
        "fuse": "mien.api.videos",
        "iter_audio": "mien.io.audio",
        "iter_live": "mien.api.live",
        "iter_speech": "mien.api.audio",
        "iter_video": "mien.api.videos",
        "plot_timeline": "mien.api.videos",
        "prepare_faces": "mien.api.images",
        "read_audio": "mien.io.audio",
        "read_image": "mien.api.images",
        "write_wav": "mien.output.write",
    },
)
