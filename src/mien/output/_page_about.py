"""What the numbers of a video's page come from, and what they mean."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mien.output._cells import printable
from mien.output._times import minutes

if TYPE_CHECKING:
    from mien.models import ModelSpec
    from mien.results import VideoResult

__all__ = ["about"]

_METHODS = {
    "timeline": "Every person is followed, and the answers to single frames are smoothed over time.",
    "middle-frame": "The video's one answer is that to the largest face of the frame in the middle.",
    "every-nth": "The video's one answer is the mean over the largest face of every 7th frame after the first 21.",
    "majority-vote": "The video's one answer counts how often each emotion leads in every 7th frame after 21.",
}
_MEANS = (
    "A share of time says for how much of the time in view an emotion was the most probable one. A percentage at a "
    "moment is the model's probability then, smoothed over the frames around it.",
    "Where a band is lower than its full height, the person was in view for only a part of that time. Somebody who "
    "leaves and comes back may be counted as another person.",
)
_VOICE = (
    "The voice is read from how something is said, not from what is said. Where nobody speaks there is no answer. "
    "Music and noise are told from speech, but not without error."
)
_FUSIONS = {
    "experts": "The distributions of face and voice are multiplied, each weighted by how reliable it is by what can be "
    "measured: the size and sharpness of the face, the length of the speech and the noise around it.",
    "average": "The distributions of face and voice are averaged.",
    "most_confident": "Of face and voice the one counts whose most probable emotion is more probable.",
    "rule_table": "Where face and voice agree, that counts. A voice that sounds like anger, fear, surprise, disgust or "
    "sadness overrules the face; otherwise the face counts.",
}
_NOT = (
    "The model says what a facial expression looks like to people who label images. It does not know what anybody "
    "feels: people smile without joy and grieve without frowning, and expressions differ between people and cultures."
)


def about(video: VideoResult, spec: ModelSpec | None) -> str:
    """Return the section that says where numbers come from, what they mean and what they do not."""
    items = "".join(f"<dt>{name}</dt><dd>{_paragraphs(texts)}</dd>\n" for name, texts in _rows(video, spec) if texts)
    return (
        f'<section aria-labelledby="about"><h2 id="about">About these numbers</h2>\n<dl>\n{items}</dl></section>\n'
        '<footer class="quiet">Made by mien on the computer where the video lies. This page loads nothing.'
        "</footer>\n"
    )


def _paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{html.escape(printable(text, ascii_only=False))}</p>" for text in texts)


def _rows(video: VideoResult, spec: ModelSpec | None) -> Iterator[tuple[str, list[str]]]:
    yield "Video", [_video(video)]
    yield "Method", [_METHODS[video.method]]
    model = video.model or "not stated"
    yield "Model", [model if spec is None else f"{model}, version {spec.version}. {spec.description}."]
    if video.detector:
        yield "Faces found by", [video.detector]
    if video.speech is not None:
        yield "Voice", [f"Read by {video.speech.model or 'a model that is not stated'}.", _VOICE]
    if video.fused is not None and video.fused.both_s > 0:
        notes = [f"{note[:1].upper()}{note[1:]}." for note in video.fused.notes]
        yield "Face and voice", [f"Method {video.fused.method}. {_FUSIONS.get(video.fused.method, '')}".strip(), *notes]
    yield "What the numbers mean", list(_MEANS)
    card = {} if spec is None else spec.card
    yield "What they do not", [str(card.get("what_it_reads", _NOT))]
    if "not_for" in card:
        yield "Not for", [str(card["not_for"])]
    if spec is not None:
        measured = _measured(video, spec)
        chosen = [str(card["selection"])] if measured and "selection" in card else []
        yield "Measured", measured + chosen
        yield "Limits", [str(card["limits"])] if "limits" in card else []
        yield "License", [f"Weights: {spec.license.weights}.", f"Data: {spec.license.data}."]


def _video(video: VideoResult) -> str:
    rate = "" if video.frame_rate is None else f", {video.frame_rate:.5g} frames/s"
    segment = f"{minutes(video.start_s, video.end_s)} to {minutes(video.end_s, video.end_s)}"
    told = f"{video.width} x {video.height}{rate}. Analyzed: {len(video.times_s):,} frames from {segment}."
    if video.frames_failed:
        were = "frame was" if video.frames_failed == 1 else "frames were"
        told += f" {video.frames_failed:,} {were} damaged and skipped."
    return told


def _measured(video: VideoResult, spec: ModelSpec) -> list[str]:
    """Return how often the model is right, where its record says so for the emotions that are shown."""
    if not video.tracks:
        return []
    shown = {output.name for output in spec.outputs if output.labels == video.tracks[0].labels}
    told = []
    for result in spec.results:
        if result.metric == "accuracy" and (result.output in shown or not result.output):
            between = (
                ""
                if result.low is None or result.high is None
                else (f" (95 % interval {100 * result.low:.1f} to {100 * result.high:.1f})")
            )
            rows = f"{result.n:,} images of {result.dataset} {result.split}, {result.protocol}"
            told.append(f"{100 * result.value:.1f} % right{between} on {rows}; not on this video.")
    return told
