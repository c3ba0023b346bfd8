"""The short way: a file in, a result out.  The only place where media, models, analyzers and output meet."""

from __future__ import annotations

from mien.api.anything import analyze
from mien.api.pictures import analyze_image, analyze_images, prepare_faces, read_image
from mien.api.recordings import analyze_recordings, analyze_speech, iter_speech
from mien.api.videos import analyze_video, draw_video, fuse, iter_video, plot_timeline
from mien.media.audio import iter_audio, read_audio
from mien.output.draw import draw
from mien.output.write import write_wav

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
    "iter_speech",
    "iter_video",
    "plot_timeline",
    "prepare_faces",
    "read_audio",
    "read_image",
    "write_wav",
]
