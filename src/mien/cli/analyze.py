"""``mien analyze``: the emotions of the faces in images and videos, and of the voices in videos and recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mien.cli._analyze_help import GroupedCommand, GroupedOption
from mien.cli._analyze_options import TimeOfVideo

__all__ = ["command"]

_PATH = click.Path(path_type=Path)
_OUTPUT, _FACES, _VIDEOS, _VOICES, _HOW = "Output", "Faces", "Videos", "Recordings", "Models and limits"


def _option(group: str, *names: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(*names, cls=GroupedOption, group=group, **more)


_EXAMPLES = (
    "mien analyze team.jpg",
    "mien analyze photos/ --csv > faces.csv",
    "mien analyze team.jpg --out drawn/ --save-faces faces/",
    "mien analyze interview.mp4",
    "mien analyze interview.mp4 --html interview.html --out annotated.mp4",
    "mien analyze call.wav --plot call.png",
)


@click.command(name="analyze", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_option(_OUTPUT, "--json", "as_json", is_flag=True, help="A JSON document for one item, a line each for many.")
@_option(_OUTPUT, "--jsonl", "as_jsonl", is_flag=True, help="A line an item; of videos a line a frame, as they come.")
@_option(_OUTPUT, "--csv", "as_csv", is_flag=True, help="A row a face, a segment of speech, or what --table says.")
@_option(_OUTPUT, "--parquet", type=_PATH, metavar="FILE", help="Write the rows there, as Parquet.")
@_option(_OUTPUT, "--plot", type=_PATH, metavar="FILE.png|DIR", help="Draw videos and recordings over time.")
@_option(_FACES, "--out", type=_PATH, metavar="FILE|DIR", help="Write drawn images to a folder, a video to a .mp4.")
@_option(_FACES, "--save-faces", type=_PATH, metavar="DIR", help="Write each face as a PNG there.")
@_option(_FACES, "--explain", is_flag=True, help="Lay over each drawn face a map of what spoke for its emotion.")
@_option(
    _FACES,
    "--explain-by",
    type=click.Choice(("cam", "occlusion")),
    help="How: class activation maps, or hiding parts.  [default: cam where the model has them]",
)
@_option(_FACES, "--detector", default="mtcnn", show_default=True, help="mtcnn, haar or yunet.")
@_option(_FACES, "--min-face", type=float, metavar="PX", help="Width of the smallest face.  [default: by image size]")
@_option(
    _VIDEOS,
    "--only",
    type=click.Choice(("face", "voice")),
    help="Read videos for faces alone, or as recordings.  [default: both, where there is sound]",
)
@_option(_VIDEOS, "--step", type=float, metavar="S", help="Seconds from frame to frame.  [default: 0.2]")
@_option(_VIDEOS, "--fps", type=float, metavar="N", help="The same as frames a second.")
@_option(_VIDEOS, "--from", "from_", type=TimeOfVideo(), metavar="T", help="Begin there: seconds, m:ss or h:mm:ss.")
@_option(_VIDEOS, "--to", type=TimeOfVideo(), metavar="T", help="End there.")
@_option(_VIDEOS, "--max-faces", type=click.IntRange(min=1), metavar="N", help="Only the largest N faces of a frame.")
@_option(
    _VIDEOS,
    "--smooth",
    type=float,
    metavar="S",
    help="Time constant of the smoothing; 0 smooths nothing.  [default: 0.4]",
)
@_option(
    _VIDEOS,
    "--method",
    type=click.Choice(("timeline", "middle-frame", "every-nth", "majority-vote")),
    help="How a video gets its one answer.  [default: timeline]",
)
@_option(
    _VIDEOS,
    "--fusion",
    type=click.Choice(("experts", "average", "most_confident", "rule_table")),
    help="How face and voice become one answer.  [default: experts]",
)
@_option(
    _VIDEOS,
    "--table",
    type=click.Choice(("frames", "tracks", "segments", "speech", "fused")),
    help="What --csv and --parquet write.  [default: frames]",
)
@_option(_VIDEOS, "--html", type=_PATH, metavar="FILE.html|DIR", help="Write a page: summary, timeline, moments.")
@_option(_VOICES, "--window", type=float, metavar="S", help="Seconds of speech of one answer.  [default: the model's]")
@_option(_VOICES, "--hop", type=float, metavar="S", help="Seconds from answer to answer.  [default: half a window]")
@_option(_VOICES, "--save-audio", type=_PATH, metavar="FILE.wav|DIR", help="Write the sound there, mono.")
@_option(
    _VOICES, "--audio-rate", type=click.IntRange(1000, 384_000), metavar="HZ", help="Its rate.  [default: its own]"
)
@_option(_VOICES, "--audio-float", is_flag=True, help="Write floats instead of 16-bit integers.")
@_option(
    _HOW,
    "--model",
    "models",
    multiple=True,
    help="A shipped model, a model.toml or a run folder; one for each task.  [default: face-base, speech-base]",
)
@_option(_HOW, "--labels-as", metavar="OUTPUT", help="Which output of the model answers, or a label set such as fer7.")
@_option(_HOW, "--threads", type=click.IntRange(min=1), help="Items or computations at once.  [default: cores]")
@_option(_HOW, "--device", default="cpu", show_default=True, help="cpu or cuda.")
@_option(
    _HOW,
    "--engine",
    type=click.Choice(("onnxruntime", "openvino")),
    default="onnxruntime",
    show_default=True,
    help="What reads the emotions; openvino needs that extra. Faces are found by onnxruntime, the faster there.",
)
@_option(
    _HOW,
    "--precision",
    type=click.Choice(("float32", "bfloat16", "int8")),
    default="float32",
    show_default=True,
    help="bfloat16 is for openvino; int8 for faces, where the model has it.",
)
@_option(_HOW, "--max-pixels", type=click.IntRange(min=1), default=200_000_000, show_default=True, help="Size limit.")
def command(paths: tuple[str, ...], **options: Any) -> int:
    """Read the emotions of the faces in images and videos, and of the voices in videos and recordings.

    PATH is an image, a video, a recording, a folder (with all its folders), a pattern such as 'photos/*.jpg', or - for
    standard input.  What a file is, its content says.  A bad file becomes a row with its error and stops nothing; the
    exit code is then 3, or 1 if nothing at all could be read.
    """
    from mien.cli._analyze_options import Options
    from mien.cli._analyze_run import Run
    from mien.cli._analyze_sources import FIRST_LOOK, plan, standard_input

    chosen = Options(**options)
    chosen.check()
    stdin = standard_input(paths)
    there = plan(paths, stdin, chosen.only, at_most=None if chosen.by_kind else FIRST_LOOK)
    chosen.fit(there)
    return Run(paths, stdin, there, chosen).run()
