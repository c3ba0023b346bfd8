"""A video as one page: a file that needs nothing else, and that a browser shows without a network.

Nothing in it is loaded, and its own policy forbids that anything could be.  It is whole without scripts; a small one
says what is under the pointer.  Bands over time are SVG: shapes lie in inner drawings that stretch; words and marks lie
beside them at percents of the width, so that they keep their form on a phone and on a wide screen.  Colors are classes,
one an emotion.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien._checks import count_of, describe
from mien.errors import InputError
from mien.output.bands import Band, sound_bands, video_bands, video_range
from mien.output.canvas import COLORS, to_hex
from mien.output.faces import Thumbnails
from mien.output.registry import Context, Result, Writer
from mien.output.summary import (
    MIN_SHARE,
    describe_rest,
    format_duration,
    format_minutes,
    list_shares,
    person_shares,
    printable,
    sound_summaries,
    tick_label,
    tick_step,
    video_shares,
)
from mien.output.write import check_suffix, write_bytes
from mien.results import ImageResult, VideoFrame, VideoResult

if TYPE_CHECKING:
    from mien.models import ModelSpec
    from mien.results import Moment, PersonSummary

    Thumbs = Mapping[int, Sequence[tuple[Moment, bytes]]]

__all__ = ["PageWriter", "video_page"]

_MAX_PEOPLE = 50
"""People with bands, cards and rows: those who are in view longest."""

_HEIGHTS_PX = {1: 110, 2: 80, 4: 60}
"""Height of a band's shares by the number of bands up to which it holds; of more they are `_MIN_PX` high."""

_MIN_PX = 44

_REGION = '<div class="wide-table" role="region" aria-label="Shares of time by person" tabindex="0">'
"""Wide tables are scrolled by themselves, also with keys."""

_COLUMNS = (120, 600)
"""Fewest and most columns of a band: a crowd gets fewer, so that a page does not grow with it."""

_ALL_COLUMNS = 9000
"""Of all bands of a page together."""

_HEIGHT = 100
"""Steps of a band's height: finer than its pixels."""

_MARKS_PX, _RIBBON_PX = 14, 9
"""What is above the shares, and below."""

_MAX_CUTS = 60
_TICKS = (12, 4)
"""Ticks of the axis on a wide page, and on a narrow one."""

_SOUND_NAMES = {"voice": "Voice", "both": "Face and voice"}

_METHODS = {
    "timeline": "Every person is tracked, and the predictions of single frames are smoothed over time.",
    "middle-frame": "The video's one prediction is that of the largest face in the middle frame.",
    "every-nth": "The video's one prediction is the mean over the largest face of every 7th frame after the first 21.",
    "majority-vote": "The video's one prediction counts how often each emotion leads in every 7th frame after 21.",
}
_MEANS = (
    "A share of time says for how much of the time in view an emotion was the most probable one. A percentage at a "
    "moment is the model's probability then, smoothed over the frames around it.",
    "Where a band is lower than its full height, the person was in view for only a part of that time. Somebody who "
    "leaves and comes back may be counted as another person.",
)
_VOICE = (
    "The voice is read from how something is said, not from what is said. Where nobody speaks there is no "
    "prediction. Speech is distinguished from music and noise, but not without error."
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


class PageWriter(Writer):
    """Writes the page of a video, with thumbnails of its people (see `video_page`)."""

    def __init__(self, target: Path, context: Context) -> None:
        self._target, self._spec = check_suffix(target, ".html"), context.spec
        self._thumbnails = Thumbnails()

    def add_image(self, image: NDArray[np.uint8], found: ImageResult | VideoFrame) -> None:
        """Consider a frame for thumbnails."""
        if isinstance(found, VideoFrame):
            self._thumbnails.add(image, found)

    def write(self, result: Result) -> None:
        """Write the page.

        Raises
        ------
        InputError
            If the result is not that of a video.
        """
        if not isinstance(result, VideoResult):
            raise InputError(f"a page needs a VideoResult, but got {describe(result)}")
        thumbnails = self._thumbnails.pick(result)
        write_bytes(self._target, ".html", lambda: video_page(result, thumbnails, spec=self._spec).encode())


def video_page(
    video: VideoResult,
    thumbnails: Thumbs | None = None,
    *,
    title: str | None = None,
    spec: ModelSpec | None = None,
    bands: Sequence[Band] = (),
) -> str:
    """Return a page about a video.

    It has a summary (where there is sound: faces, voice and both side by side), a timeline, a card with images for
    each person, the shares as a table, warnings, and what the numbers come from and mean.  It follows the reader's
    light or dark setting, fits telephones and prints.  Its size depends on the number of people and images, not on
    the length of the video.

    Parameters
    ----------
    video : VideoResult
        Its result.
    thumbnails : mapping of int to sequence of (Moment, bytes), optional
        Images of the people, by number, as JPEG or PNG: see `mien.output.Thumbnails`.
    title : str, optional
        By default the name of the video.
    spec : ModelSpec, optional
        The record of the model, for what it was measured to do.
    bands : sequence of Band
        More bands, below all others.

    Returns
    -------
    str
        HTML, to be written as UTF-8.

    Raises
    ------
    InputError
        If a thumbnail is neither JPEG nor PNG.
    """
    style, script = (_part(name) for name in ("page.css", "page.js"))
    style += "".join(_color(name) for name in dict.fromkeys((*COLORS, *_emotions(video))))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    name = _name(video)
    heading = html.escape(printable(title) if title else name)
    people = video.summary.people[:_MAX_PEOPLE]
    sections = (
        _in_short(video),
        _warnings(video),
        _over_time(video, bands),
        _people(video, people, thumbnails or {}),
        _numbers(video, people),
        _about(video, spec),
    )
    return "".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{heading}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n",
            f'<header><h1>{heading}</h1><p class="lead">{_lead(video, name if title else None)}</p></header>\n',
            *sections,
            f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _part(name: str) -> str:
    return resources.files("mien.output").joinpath(name).read_text(encoding="utf-8")


def _emotions(video: VideoResult) -> list[str]:
    """Return all emotions that the page may show."""
    sets = (part.labels for part in (video, video.speech, video.fused) if part is not None)
    return [emotion for labels in sets for emotion in labels.emotions]


def _class(emotion: str) -> str:
    """Return the name of the style class of an emotion."""
    return emotion if emotion in COLORS else f"own-{zlib.crc32(emotion.encode()):x}"


def _color(name: str) -> str:
    color = to_hex(COLORS[name])
    return f".{_class(name)}{{fill:{color};background-color:{color}}}\n"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _name(video: VideoResult) -> str:
    # os.path.basename takes any string, also one with a NUL, which no Path does.
    return "video" if video.path is None else printable(os.path.basename(video.path))  # noqa: PTH119


# --- sections -------------------------------------------------------------------------------------------------------


def _section(name: str, heading: str, *parts: str) -> str:
    """Return a section of the page."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>\n{"".join(parts)}</section>\n'


def _legend(shares: Iterable[tuple[str, float | None]], *, away: str = "") -> str:
    """Return what the colors mean, with shares where there are any; ``away`` is where there is nothing."""
    items = []
    for name, share in shares:
        percent = "" if share is None else f" <b>{100 * share:.0f}%</b>"
        items.append(f'<li><i class="dot {_class(name)}"></i>{html.escape(name)}{percent}</li>')
    if away:
        items.append(f'<li><i class="dot out"></i>{away}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>\n'


def _lead(video: VideoResult, name: str | None) -> str:
    summary = video.summary
    count = len(summary.people)
    people = count_of(count, "person", "people") if count else "nobody in view"
    facts = [format_duration(video.duration_s), people]
    if count:
        facts.append(f"faces in view for {format_duration(summary.seen_s)}")
    if video.speech is not None:
        facts.append(f"speech for {format_duration(summary.speech_s)}" if summary.speech_s else "no speech")
    return html.escape(", ".join([*([name] if name else []), *facts]))


def _over_time(video: VideoResult, more: Sequence[Band]) -> str:
    sound, sounds = sound_bands(video), sound_summaries(video)
    bands = [*video_bands(video, _MAX_PEOPLE), *sound, *more]
    if not bands:
        return ""
    range_s, columns = video_range(video), _columns_for(len(bands))
    height = next((high for upto, high in _HEIGHTS_PX.items() if len(bands) <= upto), _MIN_PX)
    people = video.summary.people[:_MAX_PEOPLE]
    descriptions = [list_shares(person_shares(person), at_least=0) for person in people]
    descriptions += [list_shares(one.shares, at_least=0) for one in sounds[: len(sound)]] + ["" for _ in more]
    links = [f'<a href="#person-{person.track}">person {person.track}</a>' for person in people]
    rows = []
    for number, band in enumerate(bands):
        name = links[number] if number < len(links) else html.escape(band.title)
        label = f"{band.title}, {band.note}: {descriptions[number]}" if descriptions[number] else band.title
        image = _band_svg(band, range_s, columns=columns, height=height, description=label, cuts=video.cuts)
        note = f'<span class="quiet">{html.escape(band.note)}</span>'
        rows.append(f'<div class="row"><div class="name">{name}{note}</div>{image}</div>\n')
    rows.append(f'<div class="row"><div class="name"></div>{_axis(range_s)}</div>\n')
    emotions = list(dict.fromkeys(name for band in bands for name in band.labels.emotions))
    notes = ["Each band: how probable each emotion is, and below it the one that leads."]
    if people:
        notes.append("Triangles: strongest moments.")
    if video.cuts:
        notes.append(f"{count_of(len(video.cuts), 'cut')}.")
    if rest := describe_rest(video.summary.people, _MAX_PEOPLE):
        notes.append(f"Not shown: {rest}.")
    return _section(
        "time",
        "Over time",
        f'<div class="bands" data-segment="{range_s[0]:.3f} {range_s[1]:.3f}">\n{"".join(rows)}</div>\n',
        _legend(((name, None) for name in emotions), away="not in view, no speech" if sound else "not in view"),
        f'<p class="quiet">{" ".join(notes)}</p>\n',
    )


def _people(video: VideoResult, people: Sequence[PersonSummary], thumbnails: Thumbs) -> str:
    if not people:
        return ""
    warnings = {track.number: track.warnings for track in video.tracks}
    cards = [_card(person, video.end_s, thumbnails.get(person.track, ()), warnings[person.track]) for person in people]
    return _section("people", "People", f'<div class="people">\n{"".join(cards)}</div>\n')


def _card(person: PersonSummary, end_s: float, images: Sequence[tuple[Moment, bytes]], warnings: Sequence[str]) -> str:
    first, last, in_view = (format_minutes(second, end_s) for second in (person.start_s, person.end_s, person.seen_s))
    shares = person_shares(person)
    shots = "".join(_shot(person.track, moment, data, end_s) for moment, data in images)
    odd = f'<p class="quiet">{html.escape("; ".join(warnings))}</p>' if warnings else ""
    return (
        f'<article class="person" id="person-{person.track}"><header><h3>Person {person.track}</h3>'
        f'<span class="quiet">{first}\N{EN DASH}{last}, {in_view} in view</span></header>'
        f"{_describe_shares(shares)}"
        + (f'<div class="shots">{shots}</div>' if shots else _moments(person, end_s))
        + f"{odd}</article>\n"
    )


def _shot(number: int, moment: Moment, data: bytes, end_s: float) -> str:
    if data[:3] == b"\xff\xd8\xff":
        kind = "jpeg"
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        kind = "png"
    else:
        raise InputError(f"a thumbnail must be JPEG or PNG, but got {describe(data[:8])}")
    when, how = format_minutes(moment.time_s, end_s), f"{html.escape(moment.emotion)} {100 * moment.probability:.0f}%"
    return (
        f'<figure><img alt="Person {number} at {when}: {how}" src="data:image/{kind};base64,'
        f'{base64.b64encode(data).decode()}"><figcaption><b>{when}</b><i class="dot {_class(moment.emotion)}"></i>{how}'
        "</figcaption></figure>"
    )


def _moments(person: PersonSummary, end_s: float) -> str:
    if not person.moments:
        return ""
    moments = [f"{format_minutes(m.time_s, end_s)} {m.emotion} {100 * m.probability:.0f}%" for m in person.moments]
    return f'<p class="quiet">Strongest: {html.escape(", ".join(moments))}</p>'


def _numbers(video: VideoResult, people: Sequence[PersonSummary]) -> str:
    if not people:
        return ""
    emotions = video.tracks[0].labels.emotions
    head = "".join(
        f'<th scope="col">{html.escape(name)}</th>' for name in ("person", "first", "last", "in view", *emotions)
    )
    rows = []
    for person in people:
        shares = dict(person_shares(person))
        times = [format_minutes(second, video.end_s) for second in (person.start_s, person.end_s, person.seen_s)]
        cells = [f"<td>{time}</td>" for time in times]
        for name in emotions:
            share = shares.get(name, 0.0)
            cells.append(f"<td>{100 * share:.0f}%</td>" if share >= 0.005 else '<td class="none">0%</td>')
        rows.append(f'<tr><th scope="row">{person.track}</th>{"".join(cells)}</tr>\n')
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table>"
    return _section("numbers", "In numbers", f"{_REGION}{table}</div>\n")


def _warnings(video: VideoResult) -> str:
    if not video.warnings:
        return ""
    items = "".join(f"<li>{html.escape(printable(warning))}</li>" for warning in video.warnings)
    return _section("warnings", "Warnings", f'<div class="warnings"><ul>{items}</ul></div>\n')


def _in_short(video: VideoResult) -> str:
    shares, sounds = video_shares(video), sound_summaries(video)
    if not shares and not any(sound.shares for sound in sounds):
        return _section("short", "In short", "<p>No face was found.</p>\n")
    note = "Shares of the time in view, all people together, by the emotion that leads."
    if video.method != "timeline":
        note = f"The video's one prediction by the method {video.method}."
    if not sounds:
        return _section("short", "In short", _describe_shares(shares), f'<p class="quiet">{note}</p>\n')
    faces = _describe_shares(shares) if shares else "<p>No face was found.</p>"
    cards = [_column("Faces", f"{format_duration(video.summary.seen_s)} in view" if shares else "", faces)]
    for sound in sounds:
        content = _describe_shares(sound.shares) if sound.shares else "<p>Nobody speaks.</p>"
        length = ""
        if sound.shares and sound.seconds is not None:
            length = f"{format_duration(sound.seconds)} {'of speech' if sound.name == 'voice' else 'together'}"
        cards.append(_column(_SOUND_NAMES[sound.name], length, content))
    if video.method == "timeline":
        either = ", and with either" if len(sounds) > 1 else ""
        note = f"Shares of the time with a face, with speech{either}, by the emotion that leads."
    if len(sounds) > 1 and video.fused is not None:
        note += html.escape("".join(f" {_sentence(assumption)}" for assumption in video.fused.notes[:1]))
    columns = f'<div class="sides">\n{"".join(cards)}</div>\n'
    return _section("short", "In short", columns, f'<p class="quiet">{note}</p>\n')


def _column(name: str, note: str, content: str) -> str:
    quiet = f'<span class="quiet">{note}</span>' if note else ""
    return f"<div><h3>{name}{quiet}</h3>{content}</div>\n"


def _describe_shares(shares: Sequence[tuple[str, float]]) -> str:
    """Return shares as a bar with a legend."""
    return _share_bar(shares, list_shares(shares)) + _legend(item for item in shares if item[1] >= MIN_SHARE)


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def _about(video: VideoResult, spec: ModelSpec | None) -> str:
    """Return the section that says where numbers come from, what they mean and what they do not."""
    items = "".join(f"<dt>{name}</dt><dd>{_paragraphs(texts)}</dd>\n" for name, texts in _rows(video, spec) if texts)
    return (
        f'<section aria-labelledby="about"><h2 id="about">About these numbers</h2>\n<dl>\n{items}</dl></section>\n'
        '<footer class="quiet">Made by mien on the computer that holds the video. This page loads nothing.'
        "</footer>\n"
    )


def _paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{html.escape(printable(text))}</p>" for text in texts)


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
        notes = [_sentence(note) for note in video.fused.notes]
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
    segment = f"{format_minutes(video.start_s, video.end_s)} to {format_minutes(video.end_s, video.end_s)}"
    facts = f"{video.width} x {video.height}{rate}. Analyzed: {count_of(len(video.times_s), 'frame')} from {segment}."
    if video.frames_failed:
        were = "frame was" if video.frames_failed == 1 else "frames were"
        facts += f" {video.frames_failed:,} {were} damaged and skipped."
    return facts


def _measured(video: VideoResult, spec: ModelSpec) -> list[str]:
    """Return how often the model is right, where its record says so for the emotions on this page."""
    if not video.tracks:
        return []
    outputs = {output.name: output for output in spec.outputs if output.labels == video.tracks[0].labels}
    if spec.default_output.name in outputs:
        outputs = {spec.default_output.name: spec.default_output}
    lines = []
    for result in spec.results:
        if result.metric == "accuracy" and (result.output in outputs or not result.output):
            interval = ""
            if result.low is not None and result.high is not None:
                interval = f" (95 % interval {100 * result.low:.1f} to {100 * result.high:.1f})"
            rows = f"{result.n:,} images of {result.dataset} {result.split}, {result.protocol}"
            lines.append(f"{100 * result.value:.1f} % right{interval} on {rows}; not on this video.")
    return lines


# --- bands ----------------------------------------------------------------------------------------------------------


def _columns_for(bands: int) -> int:
    """Return how many columns each of so many bands has."""
    low, high = _COLUMNS
    return int(min(max(_ALL_COLUMNS // max(bands, 1), low), high))


def _band_svg(
    band: Band, range_s: tuple[float, float], *, columns: int, height: int, description: str, cuts: Sequence[float]
) -> str:
    """Return a band as an SVG element.

    Parameters
    ----------
    band : Band
        What is drawn.
    range_s : (float, float)
        Start and end of the axis, in seconds.
    columns : int
        How finely time is parted.
    height : int
        Of the stacked shares, in pixels; marks and the ribbon come above and below.
    description : str
        What the image shows, in words.
    cuts : sequence of float
        Where scenes begin; many are left out.
    """
    edges = np.linspace(*range_s, columns + 1)
    shares, led = band.columns(edges), band.leading(edges)
    ribbon = _MARKS_PX + height + 3
    lines = [
        f'<line class="cut" x1="{place}" x2="{place}" y1="{_MARKS_PX}" y2="{ribbon + _RIBBON_PX}"/>'
        for place in (_percent(cut, range_s) for cut in (cuts if len(cuts) <= _MAX_CUTS else ()))
    ]
    return "".join(
        [
            f'<svg class="band" role="img" height="{ribbon + _RIBBON_PX + 2}" aria-label="{html.escape(description)}" '
            f'data-names="{html.escape(json.dumps(band.labels.emotions))}" data-led="{_letters(led)}" '
            f'data-away="{html.escape(band.away)}">',
            _stretched(columns, _MARKS_PX, height, "".join(_areas(band, shares, edges))),
            _stretched(columns, ribbon, _RIBBON_PX, "".join(_ribbon(band, led, edges, range_s[1]))),
            *lines,
            *(_mark(moment.time_s, moment.emotion, moment.probability, range_s) for moment in band.moments),
            "</svg>",
        ]
    )


def _stretched(columns: int, top: int, height: int, shapes: str) -> str:
    return (
        f'<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 {2 * columns} {_HEIGHT}" '
        f'preserveAspectRatio="none"><rect class="away" width="100%" height="100%"/>{shapes}</svg>'
    )


def _areas(band: Band, shares: NDArray[np.float64], edges: NDArray[np.float64]) -> list[str]:
    """Return a path an emotion that reaches from the ground to where its share ends, the highest behind."""
    tops = np.rint(_HEIGHT * (1 - np.minimum(np.cumsum(shares, axis=1), 1))).astype(int)
    runs = band.runs(edges)
    paths = []
    for number in reversed(range(len(band.labels))):
        below = tops[:, number - 1] if number else np.full(len(tops), _HEIGHT)
        steps = "".join(_outline(tops[a:b, number], a) for a, b in runs if (tops[a:b, number] < below[a:b]).any())
        if steps:
            paths.append(f'<path class="e {_class(band.labels.emotions[number])}" d="{steps}"/>')
    return paths


def _outline(tops: NDArray[np.int64], first: int) -> str:
    """Return the outline of a run of columns, each two units wide, through the middles of their upper edges."""
    moves = [(1, 0), *((2, int(step)) for step in np.diff(tops)), (1, 0)]
    joined: list[tuple[int, int]] = []
    for across, down in moves:
        # Level pieces become one.
        if joined and down == 0 == joined[-1][1]:
            joined[-1] = (joined[-1][0] + across, 0)
        else:
            joined.append((across, down))
    drawn = "".join(f"h{across}" if down == 0 else f"l{across} {down}" for across, down in joined)
    return f"M{2 * first} {_HEIGHT}V{tops[0]}{drawn}V{_HEIGHT}z"


def _ribbon(band: Band, led: NDArray[np.int64], edges: NDArray[np.float64], end_s: float) -> list[str]:
    """Return a rectangle a stretch with one leading emotion, which says what it is when pointed at."""
    turns = np.flatnonzero(np.diff(led)) + 1
    pieces = []
    for a, b in zip([0, *turns.tolist()], [*turns.tolist(), len(led)], strict=True):
        if led[a] >= 0:
            name = band.labels.emotions[led[a]]
            words = f"{format_minutes(edges[a], end_s)}\N{EN DASH}{format_minutes(edges[b], end_s)} {html.escape(name)}"
            shape = f'<rect class="e {_class(name)}" x="{2 * a}" width="{2 * (b - a)}" height="{_HEIGHT}">'
            pieces.append(f"{shape}<title>{words}</title></rect>")
    return pieces


def _letters(led: NDArray[np.int64]) -> str:
    """Return a letter a column: which emotion leads, ``a`` for the first, ``-`` for none."""
    return "".join("-" if number < 0 else chr(ord("a") + number) for number in led.tolist())


def _mark(time_s: float, emotion: str, probability: float, range_s: tuple[float, float]) -> str:
    words = f"{format_minutes(time_s, range_s[1])} {html.escape(emotion)} {100 * probability:.0f}%"
    shape = f'<path class="mark {_class(emotion)}" d="M-5 2H5L0 11z"><title>{words}</title></path>'
    return f'<svg class="at" x="{_percent(time_s, range_s)}">{shape}</svg>'


def _axis(range_s: tuple[float, float]) -> str:
    """Return an axis of time as an SVG element: more ticks on wide pages than on narrow ones."""
    parts = []
    for name, most in zip(("wide", "narrow"), _TICKS, strict=True):
        step = tick_step(range_s[1] - range_s[0], most)
        first = int(np.ceil(range_s[0] / step - 1e-9))
        ticks = []
        for number in range(first, int(np.floor(range_s[1] / step + 1e-9)) + 1):
            at = number * step
            share = (at - range_s[0]) / (range_s[1] - range_s[0])
            # Words at the ends stay within the drawing.
            side = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
            place = _percent(at, range_s)
            label = tick_label(at, range_s[1], step, as_minutes=True)
            ticks.append(
                f'<line x1="{place}" x2="{place}" y1="0" y2="5"/><text x="{place}" y="19" class="{side}">{label}</text>'
            )
        parts.append(f'<g class="{name}">{"".join(ticks)}</g>')
    return f'<svg class="axis" aria-hidden="true" height="24">{"".join(parts)}</svg>'


def _share_bar(shares: Sequence[tuple[str, float]], description: str) -> str:
    """Return shares of a whole side by side, as an SVG element."""
    pieces, at = [], 0.0
    for name, share in shares:
        title = f"<title>{html.escape(name)} {100 * share:.0f}%</title>"
        pieces.append(
            f'<rect class="e {_class(name)}" x="{at:.2f}" width="{100 * share:.2f}" height="{_HEIGHT}">{title}</rect>'
        )
        at += 100 * share
    return (
        f'<svg class="shares" role="img" aria-label="{html.escape(description)}" viewBox="0 0 100 {_HEIGHT}" '
        f'preserveAspectRatio="none"><rect class="away" width="100" height="{_HEIGHT}"/>{"".join(pieces)}</svg>'
    )


def _percent(time_s: float, range_s: tuple[float, float]) -> str:
    return f"{100 * (time_s - range_s[0]) / (range_s[1] - range_s[0]):.2f}%"
