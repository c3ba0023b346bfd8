"""mien reads emotion from faces and voices: offline, fast, and honest about its numbers.

>>> import mien
>>> result = mien.analyze("team.jpg")  # doctest: +SKIP
>>> [face.emotion.top for face in result.faces]  # doctest: +SKIP
['happiness', 'neutral']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "BAUM8",
    "FER7",
    "FERPLUS8",
    "RAVDESS8",
    "Audio",
    "DatasetError",
    "DecodeError",
    "Emotion",
    "EmotionSegment",
    "Face",
    "FaceAnalyzer",
    "FaceStream",
    "FaceTrack",
    "FailedItem",
    "Frame",
    "FusedResult",
    "FusedSegment",
    "ImageResult",
    "InputError",
    "LabelSet",
    "MediaError",
    "MediaNotFoundError",
    "MienError",
    "MienWarning",
    "MissingExtraError",
    "ModelError",
    "Moment",
    "PersonSummary",
    "SpeechAnalyzer",
    "SpeechResult",
    "SpeechSegment",
    "SpeechStream",
    "SpeechSummary",
    "TrackedFace",
    "UnknownModelError",
    "UnsupportedMediaError",
    "VideoAnalyzer",
    "VideoFrame",
    "VideoResult",
    "VideoSummary",
    "WeightsError",
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
    "iter_frames",
    "iter_live",
    "iter_speech",
    "iter_video",
    "plot_timeline",
    "prepare_faces",
    "read_audio",
    "read_image",
    "write",
    "write_wav",
]

if TYPE_CHECKING:
    from mien.api import analyze as analyze
    from mien.api import analyze_image as analyze_image
    from mien.api import analyze_images as analyze_images
    from mien.api import analyze_recordings as analyze_recordings
    from mien.api import analyze_speech as analyze_speech
    from mien.api import analyze_video as analyze_video
    from mien.api import draw as draw
    from mien.api import draw_video as draw_video
    from mien.api import fuse as fuse
    from mien.api import iter_live as iter_live
    from mien.api import iter_speech as iter_speech
    from mien.api import iter_video as iter_video
    from mien.api import plot_timeline as plot_timeline
    from mien.api import prepare_faces as prepare_faces
    from mien.api import read_image as read_image
    from mien.errors import DatasetError as DatasetError
    from mien.errors import DecodeError as DecodeError
    from mien.errors import InputError as InputError
    from mien.errors import MediaError as MediaError
    from mien.errors import MediaNotFoundError as MediaNotFoundError
    from mien.errors import MienError as MienError
    from mien.errors import MienWarning as MienWarning
    from mien.errors import MissingExtraError as MissingExtraError
    from mien.errors import ModelError as ModelError
    from mien.errors import UnknownModelError as UnknownModelError
    from mien.errors import UnsupportedMediaError as UnsupportedMediaError
    from mien.errors import WeightsError as WeightsError
    from mien.face.analyzer import FaceAnalyzer as FaceAnalyzer
    from mien.io.audio import Audio as Audio
    from mien.io.audio import iter_audio as iter_audio
    from mien.io.audio import read_audio as read_audio
    from mien.io.video import Frame as Frame
    from mien.io.video import iter_frames as iter_frames
    from mien.labels import BAUM8 as BAUM8
    from mien.labels import FER7 as FER7
    from mien.labels import FERPLUS8 as FERPLUS8
    from mien.labels import RAVDESS8 as RAVDESS8
    from mien.labels import LabelSet as LabelSet
    from mien.output.write import write as write
    from mien.output.write import write_wav as write_wav
    from mien.results import Emotion as Emotion
    from mien.results import EmotionSegment as EmotionSegment
    from mien.results import Face as Face
    from mien.results import FaceTrack as FaceTrack
    from mien.results import FailedItem as FailedItem
    from mien.results import FusedResult as FusedResult
    from mien.results import FusedSegment as FusedSegment
    from mien.results import ImageResult as ImageResult
    from mien.results import Moment as Moment
    from mien.results import PersonSummary as PersonSummary
    from mien.results import SpeechResult as SpeechResult
    from mien.results import SpeechSegment as SpeechSegment
    from mien.results import SpeechSummary as SpeechSummary
    from mien.results import TrackedFace as TrackedFace
    from mien.results import VideoFrame as VideoFrame
    from mien.results import VideoResult as VideoResult
    from mien.results import VideoSummary as VideoSummary
    from mien.speech.analyzer import SpeechAnalyzer as SpeechAnalyzer
    from mien.speech.analyzer import SpeechStream as SpeechStream
    from mien.video.analyzer import FaceStream as FaceStream
    from mien.video.analyzer import VideoAnalyzer as VideoAnalyzer

_HOME = {
    **dict.fromkeys(("analyze", "analyze_image", "analyze_images", "draw", "prepare_faces", "read_image"), "mien.api"),
    **dict.fromkeys(("analyze_recordings", "analyze_speech", "iter_speech"), "mien.api"),
    "iter_live": "mien.api",
    **dict.fromkeys(("BAUM8", "FER7", "FERPLUS8", "RAVDESS8", "LabelSet"), "mien.labels"),
    **dict.fromkeys(("Emotion", "Face", "FailedItem", "ImageResult"), "mien.results"),
    **dict.fromkeys(("SpeechResult", "SpeechSegment", "SpeechSummary"), "mien.results"),
    **dict.fromkeys(("EmotionSegment", "FaceTrack", "Moment", "PersonSummary", "TrackedFace"), "mien.results"),
    **dict.fromkeys(("FusedResult", "FusedSegment"), "mien.results"),
    **dict.fromkeys(("VideoFrame", "VideoResult", "VideoSummary"), "mien.results"),
    "FaceAnalyzer": "mien.face.analyzer",
    **dict.fromkeys(("SpeechAnalyzer", "SpeechStream"), "mien.speech.analyzer"),
    **dict.fromkeys(("FaceStream", "VideoAnalyzer"), "mien.video.analyzer"),
    **dict.fromkeys(("Audio", "iter_audio", "read_audio"), "mien.io.audio"),
    **dict.fromkeys(("Frame", "iter_frames"), "mien.io.video"),
    **dict.fromkeys(("analyze_video", "draw_video", "fuse", "iter_video", "plot_timeline"), "mien.api"),
    "write": "mien.output.write",
    "write_wav": "mien.output.write",
}


def __getattr__(name: str) -> Any:
    # Names are imported when they are first used: `import mien` stays light.
    if name not in __all__:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME.get(name, "mien.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
