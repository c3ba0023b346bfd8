"""``mien live``: the faces before a camera and what they show, as it changes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli import shell
from mien.cli._options import PathType, add_options, engine_options, option
from mien.options import ModelOptions, VideoOptions

if TYPE_CHECKING:
    from mien.live import LiveSession, LiveUpdate
    from mien.results.speech import SpeechSegment
    from mien.video.analyzer import VideoAnalyzer

__all__ = ["command"]

_PATH = PathType()
_SIZE = (1280, 720)


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int]:
    if value is None:
        return _SIZE
    found = re.fullmatch(r"([0-9]{2,5})[xX]([0-9]{2,5})", value, re.ASCII)
    if found is None:
        raise click.BadParameter(f"expected WIDTHxHEIGHT such as 1280x720, but got {value!r}", ctx=ctx, param=param)
    return int(found[1]), int(found[2])


@click.command(name="live")
@option("--source", default="0", show_default=True, metavar="N|FILE|URL", help="Camera, video, rtsp:// or http://.")
@option("--no-window", "windowless", is_flag=True, help="Write JSON Lines to stdout instead: a line per image.")
@option("--log", type=_PATH, metavar="FILE.csv", help="Log a row per face of every analyzed image.")
@option("--record", type=_PATH, metavar="FILE.mp4", help="Record from the start: the video, and a CSV beside it.")
@option("--no-draw", "plain", is_flag=True, help="Record the images as they come, without boxes and emotions.")
@option("--sound", is_flag=True, help="Listen to the microphone, too.")
@option("--mirror", is_flag=True, help="Mirror the image.")
@option("--size", callback=_size, metavar="WxH", help="Size to request from a camera.  [default: 1280x720]")
@add_options(ModelOptions, "detector", "flip")
@option("--model", default="face-base", show_default=True, help="A shipped model, a model.toml or a run folder.")
@add_options(VideoOptions, "max_faces", "baseline", "baseline_strength")
@option(
    "--step", type=float, metavar="S", help="Analyze at most one image every S seconds.  [default: as many as possible]"
)
@option("--fps", type=float, metavar="N", help="The same, as images per second.")
@engine_options
def command(
    source: str,
    windowless: bool,
    log: Path | None,
    record: Path | None,
    plain: bool,
    sound: bool,
    mirror: bool,
    size: tuple[int, int],
    detector: str,
    step: float | None,
    fps: float | None,
    **options: Any,
) -> int:
    """Show the faces before a camera with their emotions, as they change.

    Keys: q or Esc quits, space freezes, s saves a snapshot (image and JSON), r records (video and CSV), d switches the
    detector, m mirrors, h shows this list.  Files go to the current folder.  A video is played in its own time.

    A camera that is lost is looked for until it is back.  Ctrl-C ends everything, and recordings are whole; one that
    cannot be written any more (a full disk) keeps what it has, and the exit status is 3.
    """
    if step is not None and fps is not None:
        raise click.UsageError("--step and --fps say the same: give one of them")
    for name, value in (("step", step), ("fps", fps)):
        if value is not None and not 0 < value <= 1000:
            raise click.UsageError(f"--{name} must be above 0 and at most 1000, but got {value:g}")
    step_s = step if fps is None else 1 / fps
    messages = _Messages()

    def make_analyzer(name: str) -> VideoAnalyzer:
        from mien.video.analyzer import VideoAnalyzer

        return VideoAnalyzer(detector=name, **options)

    with shell.terminable(ignore_repeats=True), ExitStack() as stack:
        screen = None
        if not windowless:
            from mien.live_window import Screen

            # First, because it takes least and is the likeliest to be missing.
            screen = stack.enter_context(Screen("mien live", size))
        from mien.live import LiveSession, LiveStream, LiveVoice

        analyzer = make_analyzer(detector)
        voice = None
        if sound:
            from mien.speech.analyzer import SpeechAnalyzer

            voice = LiveVoice(SpeechAnalyzer(), analyzer.labels, on_message=messages)
        stream = LiveStream(
            source, analyzer, size=size, step_s=step_s, make_analyzer=make_analyzer, on_message=messages
        )
        if screen is None and voice is not None:
            stack.callback(lambda: _write_segments(voice.segments()))  # what was still being said at the end
        session = stack.enter_context(LiveSession(stream, voice=voice, log=log, record=record, draw=not plain))
        if screen is None:
            session.run(lambda update: _write_lines(session, update))
        else:
            from mien.live_window import LiveWindow

            window = LiveWindow(screen, session, mirror=mirror)
            messages.show = window.show_message
            window.run()
    return shell.SOME_FAILED if session.failures else 0


class _Messages:
    """Messages go to stderr, and to the window where there is one."""

    def __init__(self) -> None:
        self.show: Callable[[str], None] = lambda _: None

    def __call__(self, text: str) -> None:
        shell.note(text)
        self.show(text)


def _write_lines(session: LiveSession, update: LiveUpdate) -> None:
    """Write results as JSON Lines."""
    for result in update.results:
        clock = result.clock.isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"kind": "frame", "path": session.stream.name, "clock": clock, **result.frame.to_dict()}
        if session.voice is not None:
            for name, emotion in zip(("voice", "together"), session.voice.current(result.frame), strict=True):
                line[name] = None if emotion is None else emotion.to_dict()
        shell.write(json.dumps(line, allow_nan=False))
    _write_segments(update.segments)


def _write_segments(segments: list[SpeechSegment]) -> None:
    for segment in segments:
        shell.write(json.dumps({"kind": "speech", **segment.to_dict()}, allow_nan=False))
    sys.stdout.flush()
