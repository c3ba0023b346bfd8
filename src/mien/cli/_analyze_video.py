"""The videos of ``mien analyze``: watched frame by frame, drawn and shown afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli import _shell
from mien.cli._analyze_options import VIDEO_SUFFIXES, Options
from mien.cli._analyze_places import Guard, Names, Target
from mien.cli._analyze_sources import Source
from mien.cli._analyze_video_progress import video_progress
from mien.errors import InputError
from mien.io.paths import format_path
from mien.output.summary import format_minutes

if TYPE_CHECKING:
    from mien.io.video import VideoReader
    from mien.output.faces import FaceSaver, Thumbnails
    from mien.results import VideoFrame, VideoResult
    from mien.video.analyzer import VideoAnalyzer

__all__ = ["OneVideo", "VideoFiles", "Watching"]

Told = Callable[["str | None", "VideoFrame"], None]


class Watching:
    """One video on its way from a file to frames, in constant memory.

    Parameters
    ----------
    source : Source
        What is watched.
    analyzer : VideoAnalyzer
        What answers.
    options : Options
        Which frames are taken.
    files : OneVideo
        What is made of the images on the way.
    told : callable
        Gets the path of the video and each frame as soon as it is settled.
    """

    def __init__(self, source: Source, analyzer: VideoAnalyzer, options: Options, files: OneVideo, told: Told) -> None:
        from mien.api import _watching

        self.source = source
        self._told = told
        self._options = options
        self._watched = _watching.Watching(
            analyzer,
            source.data,
            step_s=_watching.step_of(options.step, options.fps),
            from_s=options.from_ or 0.0,
            to_s=options.to,
            method=options.method or "timeline",
            seen=files.seen,
            max_pixels=options.max_pixels,
            called=source.told,
        )

    def run(self, what: str) -> VideoResult:
        """Watch all of it; ``what`` stands before how far it is.

        Raises
        ------
        MienError
            If it cannot be read.
        """
        with ExitStack() as stack:
            reached: list[Callable[[float], None]] = []

            def opened(video: VideoReader) -> None:
                ends = [end for end in (video.duration_s, self._options.to) if end is not None]
                display = video_progress(what, self._options.from_ or 0.0, min(ends, default=None))
                reached.append(stack.enter_context(display))

            for frame in self._watched.frames(opened=opened):
                self._told(self._watched.path, frame)
                for reach in reached:
                    reach(self._watched.reached_s)
        return self._watched.result()

    @property
    def has_sound(self) -> bool:
        """Whether the video has sound, too."""
        return self._watched.has_sound

    def interrupted(self) -> VideoResult | None:
        """Return what was watched until Ctrl-C, or None where that was not a single frame."""
        self._tell(self._watched.close())
        reached_s = self._watched.reached_s
        try:
            return self._watched.result((), f"interrupted: watched only up to {format_minutes(reached_s, reached_s)}")
        except InputError:
            return None

    def _tell(self, frames: Iterable[VideoFrame]) -> None:
        for frame in frames:
            self._told(self._watched.path, frame)


class VideoFiles:
    """What is made of videos beside tables.

    Parameters
    ----------
    options : Options
        What is wanted, and where it goes.
    plot : Target or None
        Where timelines go.
    guard : Guard
        Knows what must not be written over.
    many : bool
        Whether several items are read: then each video's faces have a folder of their own.
    """

    def __init__(self, options: Options, plot: Target | None, guard: Guard, *, many: bool) -> None:
        self._plot, self._guard = plot, guard
        self._out = None if options.out is None else Target(options.out, *VIDEO_SUFFIXES)
        self._page = None if options.html is None else Target(options.html, ".html")
        self._faces = options.save_faces
        self._faces_names = Names(lambda name: name) if many else None
        self.twice = options.out is not None or not options.timed

    def begin(self, source: Source) -> OneVideo:
        """Return the files of a video, in the order of the videos.

        Raises
        ------
        MienError
            If one would be written over something that is read.
        """
        # A video's own suffix does not belong to what is a video, or a folder, of its own.
        plain = str(Path(source.name).with_suffix(""))
        out, plot, page = (
            None if target is None else self._guard.ready(target.give(name), "a video")
            for target, name in ((self._out, plain), (self._plot, source.name), (self._page, source.name))
        )
        faces = self._faces
        if faces is not None:
            faces = faces if self._faces_names is None else faces / self._faces_names.give(plain)
            self._guard.free(faces)
        return OneVideo(source, out=out, plot=plot, page=page, faces=faces)


class OneVideo:
    """The files of one video.

    Parameters
    ----------
    source : Source
        The video.
    out, plot, page, faces : Path or None
        Where the annotated video, the timeline, the page and the faces go.
    """

    def __init__(
        self, source: Source, *, out: Path | None, plot: Path | None, page: Path | None, faces: Path | None
    ) -> None:
        self._source, self._out, self._plot, self._page = source, out, plot, page
        self._thumbnails: Thumbnails | None = None
        self._faces: FaceSaver | None = None
        if page is not None:
            from mien.output.faces import Thumbnails

            self._thumbnails = Thumbnails()
        if faces is not None:
            from mien.output.faces import FaceSaver

            self._faces = FaceSaver(faces)

    @property
    def seen(self) -> Callable[[Any, VideoFrame], None] | None:
        """What gets the images of the video on the way, if anything needs them."""
        takers = [
            *([] if self._thumbnails is None else [self._thumbnails.add]),
            *([] if self._faces is None else [self._faces.save]),
        ]
        if not takers:
            return None

        def see(image: Any, frame: VideoFrame) -> None:
            for take in takers:
                take(image, frame)

        return see

    def write(self, video: VideoResult, spec: Any) -> None:
        """Write the timeline and the page, which take a second.

        Raises
        ------
        MienError
            If one cannot be written.
        """
        from mien.output.page import write_video_page
        from mien.output.timeline import write_timeline

        if self._plot is not None:
            write_timeline(self._plot, video)
        if self._page is not None and self._thumbnails is not None:
            write_video_page(self._page, video, self._thumbnails.pick(video), spec=spec)

    def not_drawn(self) -> None:
        """Tell that there is no annotated video, if one was wanted."""
        if self._out is not None:
            _shell.note(f"{format_path(self._out)}: not drawn, because the video was not read to its end")

    def draw(self, video: VideoResult, what: str) -> None:
        """Write the annotated video, for which the video is read again.

        Raises
        ------
        MienError
            If it cannot be written.
        """
        if self._out is None:
            return
        from mien.output.video import draw_video

        drawn_s: float | None = None

        def reached(time_s: float) -> None:
            nonlocal drawn_s
            drawn_s = time_s
            reach(time_s)

        with video_progress(what, video.start_s, video.end_s) as reach:
            try:
                draw_video(self._source.data, video, self._out, on_progress=reached)
            except KeyboardInterrupt:
                if drawn_s is not None:
                    _shell.note(f"{format_path(self._out)}: drawn only up to {format_minutes(drawn_s, video.end_s)}")
                raise
