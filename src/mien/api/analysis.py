"""One video or audio file on its way through an analyzer, in constant memory: frame by frame, block by block.

`VideoAnalysis` reads the faces, `SpeechAnalysis` the voice; `VoiceAnalysis` adds its voice to a video that was read.
Each can be stopped at any time, and then knows what was read until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien._checks import check_number, count_of, describe
from mien._threads import defer_signals
from mien.errors import DecodeError, InputError, MediaError
from mien.fusion import METHODS, fuse
from mien.io.audio import Audio, AudioBlock, AudioReader, describe_gaps, iter_audio
from mien.io.paths import format_path
from mien.io.video import VideoReader, count_frames, iter_frames
from mien.options import MOST_FRAME_PIXELS, VideoOptions
from mien.results import (
    VIDEO_METHODS,
    FaceTrack,
    FusedResult,
    SpeechResult,
    SpeechSegment,
    VideoFrame,
    VideoResult,
)
from mien.speech.analyzer import SpeechAnalyzer
from mien.video.analyzer import FaceStream, VideoAnalyzer

__all__ = [
    "SOUND_SKIPPED",
    "SpeechAnalysis",
    "VideoAnalysis",
    "VoiceAnalysis",
    "check_range",
    "check_video_options",
    "without_voice",
]

SOUND_SKIPPED = "its sound was left out"

_FIRST, _NTH = 21, 7
"""Every 7th frame after the first 21: how the student project on FER2013 and RAVDESS sampled videos."""

_BLOCK_S = 1.0
"""Sound is read in blocks of this length: the first segments come after a few of them."""

_LATE_S = 1.0
"""Sound that begins or ends by more before or after the image is worth a warning: coders and cutters leave less."""

ImageCallback = Callable[[NDArray[np.uint8], VideoFrame], None]


def check_range(options: VideoOptions) -> float:
    """Return ``from_s`` after a check of the range that is read.

    Raises
    ------
    InputError
        If a time is negative or not finite, or the end is not after the beginning.
    """
    from_s = check_number(options.from_s, "from_s", low=0)
    if options.to_s is not None and check_number(options.to_s, "to_s", low=0) <= from_s:
        raise InputError(f"to_s must be after from_s, but got {from_s:g} to {options.to_s:g} s")
    return from_s


def check_video_options(options: VideoOptions) -> VideoOptions:
    """Return options that make sense together.

    Raises
    ------
    InputError
        If one is out of range, or two contradict each other.
    """
    if options.method not in VIDEO_METHODS:
        raise InputError(f"method must be one of {', '.join(VIDEO_METHODS)}, but got {describe(options.method)}")
    if options.fusion not in METHODS:
        raise InputError(f"fusion must be one of {', '.join(METHODS)}, but got {options.fusion!r}")
    check_number(options.step_s, "step_s", low=0)
    from_s = check_range(options)
    if options.method != "timeline" and (from_s or options.to_s is not None):
        raise InputError(
            f"the method {options.method} takes its frames from the whole video: leave out from_s and to_s"
        )
    if options.method != "timeline" and isinstance(options.baseline, float | int):
        raise InputError(f"the method {options.method} reads each frame by itself: give an image or video as baseline")
    return options


class VideoAnalysis:
    """Read the faces of one video, once; no image is kept.

    Parameters
    ----------
    analyzer : VideoAnalyzer
        The analyzer of the faces.
    source : str, os.PathLike, bytes, or binary file object
        The video.
    options : VideoOptions
        Which frames are read; but for the method ``timeline``, the method says which.
    keep : bool
        Whether there will be a `result`.
    max_pixels : int, optional
        Larger frames are rejected; by default those of more than `mien.options.MOST_FRAME_PIXELS`.
    name : str, optional
        What messages call the video; by default its path.
    on_open : callable, optional
        Called with the opened `VideoReader` before the first frame is read.
    on_image : callable, optional
        Called with images and their frames, see `VideoAnalyzer.stream`.

    Raises
    ------
    InputError
        If an option makes no sense.
    """

    def __init__(
        self,
        analyzer: VideoAnalyzer,
        source: Any,
        options: VideoOptions | None = None,
        *,
        keep: bool = True,
        max_pixels: int | None = None,
        name: str | None = None,
        on_open: Callable[[VideoReader], None] | None = None,
        on_image: ImageCallback | None = None,
    ) -> None:
        self._options = check_video_options(options or VideoOptions())
        self._source, self._name, self._max_pixels, self._on_open = source, name, max_pixels, on_open
        alone = self._options.method != "timeline"
        self._stream: FaceStream = analyzer.stream(alone=alone, keep=keep, on_frame=on_image)
        self._video: VideoReader | None = None
        self._notes: list[str] = []
        self._is_complete = False

    def frames(self) -> Iterator[VideoFrame]:
        """Yield each analyzed frame as soon as it is settled.

        Raises
        ------
        MienError
            If the source cannot be read.
        """
        options, numbers = self._options, self._frame_numbers()
        with iter_frames(
            self._source,
            step_s=options.step_s if numbers is None else None,
            from_s=options.from_s,
            to_s=options.to_s,
            numbers=numbers,
            max_pixels=self._max_pixels or MOST_FRAME_PIXELS,
        ) as video:
            self._video = video
            if self._on_open is not None:
                self._on_open(video)
            for frame in video:
                yield from self._stream.push(frame.image, frame.time_s)
        self._is_complete = True
        if self._stream.size is None:
            name = self._name or format_path(self.path or "the video")
            start = f"from {options.from_s:g} s on" if options.from_s else "that can be decoded"
            raise DecodeError(f"{name} has no frame {start}", path=video.path)
        yield from self.close()

    def close(self) -> tuple[VideoFrame, ...]:
        """Return the frames that are left of what was read so far; nothing is read after."""
        return self._stream.close()

    @property
    def path(self) -> str | None:
        """The file, once it is open; None for bytes and streams without a name."""
        return None if self._video is None else self._video.path

    @property
    def reached_s(self) -> float:
        """Time of the last frame that was analyzed."""
        return self._stream.reached_s

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd so far."""
        return (*(() if self._video is None else self._video.warnings), *self._notes)

    def result(self, *warnings: str) -> VideoResult:
        """Return what was read, with further warnings.

        Raises
        ------
        InputError
            If not a single frame was read.
        """
        video, to_s = self._video, self._options.to_s
        if video is None:
            raise InputError("no frame was read yet")
        end_s = self._end_s(video)
        return self._stream.result(
            duration_s=end_s if self._is_complete and to_s is None else video.duration_s,
            start_s=self._options.from_s,
            end_s=end_s if to_s is None else min(end_s, to_s),
            method=self._options.method,
            warnings=(*self.warnings, *warnings),
            path=video.path,
            frames_read=video.frames_read,
            frames_failed=video.frames_failed,
            frame_rate=None if video.frame_rate is None else float(video.frame_rate),
        )

    def _end_s(self, video: VideoReader) -> float:
        """Return when what was read ends: with its last frame."""
        if self._options.method != "timeline":
            # Reading ends with the last frame that the method takes.
            return max(video.reached_s, video.duration_s or 0.0)
        if self._is_complete:
            return max(video.reached_s, self.reached_s)
        return self.reached_s + (1 / float(video.frame_rate) if video.frame_rate else 0.0)

    def _frame_numbers(self) -> Sequence[int] | None:
        """Return which frames the method takes, or None where the time says."""
        method = self._options.method
        if method == "timeline":
            return None
        start = stream_position(self._source)
        count = count_frames(self._source)
        if start is not None:
            self._source.seek(start)
        if method != "middle-frame" and count > _FIRST:
            return range(_FIRST, count, _NTH)
        if method != "middle-frame":
            self._notes.append(f"the video has only {count_of(count, 'frame')}: only the middle one is read")
        return [count // 2]


class SpeechAnalysis:
    """Read the speech of one audio file, or of the sound of a video, once; of each channel, where the analyzer says so.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        The analyzer of the speech.
    source : str, os.PathLike, bytes, binary file object, or Audio
        The sound.
    from_s, to_s : float, optional
        What is read of it.  The time before is one segment without speech, with a warning.
    keep : bool
        Keep the segments for a `result`; without it, memory is constant.
    name : str, optional
        What messages call the file; by default its path.
    on_open : callable, optional
        Called with the opened `AudioReader` before its first block.
    on_block : callable, optional
        Called with each block after the segments that it settled.
    """

    def __init__(
        self,
        analyzer: SpeechAnalyzer,
        source: Any,
        *,
        from_s: float = 0.0,
        to_s: float | None = None,
        keep: bool = True,
        name: str | None = None,
        on_open: Callable[[AudioReader], None] | None = None,
        on_block: Callable[[AudioBlock], None] | None = None,
    ) -> None:
        self._source, self._name, self._analyzer = source, name, analyzer
        self._from_s, self._to_s, self._keep = from_s, to_s, keep
        self._on_open, self._on_block = on_open, on_block
        self._rate_hz = source.rate_hz if isinstance(source, Audio) else analyzer.sound.rate_hz
        self._open_channels((None,))
        self._sound: Audio | AudioReader | None = None
        self._gaps: list[float] = []
        self._segments: list[SpeechSegment] = []
        self._settled: deque[SpeechSegment] = deque()  # segments that were not handed out yet
        self.start_s: float | None = None

    def segments(self) -> Iterator[SpeechSegment]:
        """Yield each segment as soon as it is settled.

        Raises
        ------
        MienError
            If the source cannot be read, or ends before what is to be read; in the middle of a file after the segments
            before it.
        """
        if isinstance(self._source, Audio):
            self._sound = sound = self._source
            whole = AudioBlock(sound.wave, sound.start_s, sound.rate_hz)
            yield from self._read([whole] if len(sound.wave) else [])
        else:
            channel = self._analyzer.audio.channel
            with iter_audio(self._source, rate_hz=self._rate_hz, block_s=_BLOCK_S, channel=channel) as stream:
                self._sound = stream
                self._open_channels(stream.selected)
                if self._on_open is not None:
                    self._on_open(stream)
                yield from self._read(stream)
        if self.start_s is None and self._from_s:
            raise DecodeError(f"{self._label()} has no sound from {self._from_s:g} s on", path=self.path)
        yield from self.close()

    def close(self) -> tuple[SpeechSegment, ...]:
        """Return the segments that are left of what was read so far; nothing is read after."""
        with defer_signals():
            self._settle((stream.close() for stream in self._streams), last=True)
        return tuple(self._take())

    @property
    def path(self) -> str | None:
        """The file, once it is open; None for bytes and streams without a name."""
        return None if self._sound is None else self._sound.path

    @property
    def is_empty(self) -> bool:
        """Whether no sound was read so far."""
        return not self._streams[0].duration_s

    @property
    def duration_s(self) -> float:
        """Seconds up to where the sound was read."""
        return self._from_s + self._streams[0].duration_s

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd so far."""
        notes = () if self._sound is None else self._sound.warnings
        return (*notes, describe_gaps(self._gaps)) if self._gaps else notes

    def result(self, *warnings: str) -> SpeechResult:
        """Return the segments that were settled so far, with further warnings."""
        model, labels = self._analyzer.spec.name, self._analyzer.labels
        every = (*self.warnings, *warnings)
        return SpeechResult(self.duration_s, tuple(self._segments), self.path, model, every, labels)

    def _open_channels(self, channels: Sequence[int | None]) -> None:
        """Begin a stream for each channel that is read."""
        before = SpeechSegment(0.0, self._from_s, speech=False, warnings=("not read",)) if self._from_s else None
        with defer_signals():
            self._channels = channels
            self._streams = [self._analyzer.stream(rate_hz=self._rate_hz) for _ in channels]
            self._waiting = [deque([replace(before, channel=channel)] if before else []) for channel in channels]

    def _read(self, blocks: Iterable[AudioBlock]) -> Iterator[SpeechSegment]:
        for block in blocks:
            if self._to_s is not None and block.start_s >= self._to_s:
                return
            part = self._cut(block)
            if part is not None:
                if self.start_s is None:
                    self.start_s = part.start_s
                yield from self._fill_gap(part.start_s)
                yield from self._push(np.atleast_2d(part.wave))
            if self._on_block is not None:
                self._on_block(block)

    def _cut(self, block: AudioBlock) -> AudioBlock | None:
        """Return what is to be read of a block."""
        if not self._from_s and self._to_s is None:
            return block
        first = max(round((self._from_s - block.start_s) * block.rate_hz), 0)
        until = None if self._to_s is None else round((self._to_s - block.start_s) * block.rate_hz)
        wave = block.wave[..., first:until]
        return AudioBlock(wave, block.start_s + first / block.rate_hz, block.rate_hz) if wave.size else None

    def _push(self, waves: NDArray[np.float32]) -> Iterator[SpeechSegment]:
        """Push samples (channels, n), and yield the segments that they settle."""
        most = round(_BLOCK_S * self._rate_hz)
        for start in range(0, waves.shape[1], most):
            # Ctrl-C waits until all channels have as much: what was read is whole at any time.
            with defer_signals():
                parts = zip(self._streams, waves[:, start : start + most], strict=True)
                self._settle(stream.push(part) for stream, part in parts)
            yield from self._take()

    def _settle(self, settled: Iterable[Iterable[SpeechSegment]], *, last: bool = False) -> None:
        """Keep the segments of each channel, with the times of the file in the order of their starts."""
        for channel, waiting, segments in zip(self._channels, self._waiting, settled, strict=True):
            for segment in segments:
                moved = segment
                if self._from_s or channel is not None:
                    start_s, end_s = segment.start_s + self._from_s, segment.end_s + self._from_s
                    moved = replace(segment, start_s=start_s, end_s=end_s, channel=channel)
                waiting.append(moved)
        # The next segment of a channel of which none waits may begin before all others.
        while all(self._waiting) or (last and any(self._waiting)):
            segment = min(filter(None, self._waiting), key=lambda waiting: waiting[0].start_s).popleft()
            self._settled.append(segment)
            if self._keep:
                self._segments.append(segment)

    def _take(self) -> Iterator[SpeechSegment]:
        while self._settled:
            yield self._settled.popleft()

    def _fill_gap(self, start_s: float) -> Iterator[SpeechSegment]:
        """Fill a gap in the file, or the time before its sound begins, so that all times are the file's own."""
        gap_s = start_s - self.duration_s
        missing = max(round(gap_s * self._rate_hz), 0)
        if missing and self._streams[0].duration_s:
            self._gaps.append(gap_s)
        # Of one zero, repeated without a copy: a gap may be hours long.
        return self._push(np.broadcast_to(np.float32(0), (len(self._streams), missing)))

    def _label(self) -> str:
        return self._name or format_path(self.path or "the audio file")


class VoiceAnalysis:
    """Read the sound of a video after its images, and put both together.

    Sound that cannot be read costs the video nothing: a warning says what is missing.

    Parameters
    ----------
    analyzer : SpeechAnalyzer
        The analyzer of the speech.
    source : object
        The video once more, as for `SpeechAnalysis`.
    video : VideoResult
        What was read of its images; the sound is read from the same time on.
    fusion : str
        One of `mien.fusion.METHODS`.
    to_s : float, optional
        Where reading ends; by default with the sound.
    name : str, optional
        What messages call the video.
    on_block : callable, optional
        Called with each block of the sound.
    """

    def __init__(
        self,
        analyzer: SpeechAnalyzer,
        source: Any,
        video: VideoResult,
        *,
        fusion: str,
        to_s: float | None = None,
        name: str | None = None,
        on_block: Callable[[AudioBlock], None] | None = None,
    ) -> None:
        self._video, self._fusion, self._to_s = video, fusion, to_s
        self._reader = SpeechAnalysis(analyzer, source, from_s=video.start_s, to_s=to_s, name=name, on_block=on_block)

    def run(self) -> VideoResult:
        """Read all of the sound, and return the video with its voice, and both together."""
        try:
            for _ in self._reader.segments():
                pass
        except MediaError as error:
            return self.partial(str(error))
        return self._join(self._reader.result(*self._offsets()))

    def partial(self, why: str) -> VideoResult:
        """Return the video with what was read of its sound until now; nothing is read after."""
        self._reader.close()
        if self._reader.is_empty:
            return without_voice(self._video, why)
        warning = f"its sound was read only up to {self._reader.duration_s:.1f} s: {why}"
        return self._join(self._reader.result(warning), is_whole=False)

    def _offsets(self) -> list[str]:
        """Say where sound and image do not begin and end together."""
        video, notes = self._video, []
        start_s, end_s = self._reader.start_s, self._reader.duration_s
        if start_s is not None and start_s > video.start_s + _LATE_S:
            notes.append(f"the sound begins at {start_s:.1f} s")
        if abs(end_s - video.end_s) > _LATE_S:
            notes.append(f"the sound ends at {end_s:.1f} s, the image at {video.end_s:.1f} s")
        return notes

    def _join(self, speech: SpeechResult, *, is_whole: bool = True) -> VideoResult:
        video = self._video
        warnings = tuple(warning for warning in speech.warnings if warning not in video.warnings)
        fused = replace(self._fuse(speech, is_whole), path=video.path)
        return replace(video, speech=speech, fused=fused, warnings=(*video.warnings, *warnings))

    def _fuse(self, speech: SpeechResult, is_whole: bool) -> FusedResult:
        video = self._video
        if video.method != "timeline":
            return _fuse_means(video, speech, self._fusion)
        if is_whole and not video.start_s and self._to_s is None:
            return fuse(video, speech, method=self._fusion)
        # That sound and image of a part end together says nothing: the segments alone are handed over.
        end_s = max(video.end_s, speech.duration_s)
        return fuse(video, speech.segments, method=self._fusion, start_s=video.start_s, end_s=end_s)


def without_voice(video: VideoResult, why: str) -> VideoResult:
    """Return a video with the warning that its sound was left out."""
    return replace(video, warnings=(*video.warnings, f"{SOUND_SKIPPED}: {why}"))


def stream_position(source: Any) -> int | None:
    """Return where a file object stands, if it can be moved back there."""
    seekable = getattr(source, "seekable", None)
    return source.tell() if callable(seekable) and seekable() else None


def _fuse_means(video: VideoResult, speech: SpeechResult, fusion: str) -> FusedResult:
    """Fuse the one emotion that single frames gave a video with the mean of its voice."""
    face, voice = video.summary.emotion, speech.summary.emotion
    end_s = max(video.end_s, speech.duration_s)
    tracks, segments = [], []
    if end_s > 0:
        tracks = [] if face is None else [_constant_track(video, face.probabilities, end_s)]
        ratios = [segment.snr_db for segment in speech.segments if segment.snr_db is not None]
        snr_db = float(np.median(ratios)) if ratios else None
        segments = [] if voice is None else [SpeechSegment(0.0, end_s, True, voice, snr_db=snr_db)]
    return fuse(tracks, segments, method=fusion, start_s=0.0, end_s=end_s)


def _constant_track(video: VideoResult, probabilities: tuple[float, ...], duration_s: float) -> FaceTrack:
    """Return a track with one distribution all the time, and the medians of what is known of the largest face."""
    largest = max(video.tracks, key=lambda track: np.prod(track.boxes[:, 2:] - track.boxes[:, :2], axis=1).max())
    row = np.array([probabilities], np.float32)
    return FaceTrack(
        number=largest.number,
        labels=largest.labels,
        times_s=np.zeros(1),
        durations_s=np.full(1, duration_s),
        boxes=np.median(largest.boxes, axis=0, keepdims=True),
        scores=np.median(largest.scores, keepdims=True),
        probabilities=row,
        smoothed=row,
        detected=np.ones(1, bool),
        sharpness=None if largest.sharpness is None else np.median(largest.sharpness, keepdims=True),
    )
