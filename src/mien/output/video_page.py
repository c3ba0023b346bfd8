"""A video as one page: a file that needs nothing else, and that a browser shows without a network.

Nothing in it is loaded, and its own policy forbids that anything could be.  It is whole without scripts; a small one
tells what is under the pointer.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING

from mien._checks import describe
from mien.errors import InputError
from mien.output import _page_about, _page_short
from mien.output._bands import Band
from mien.output._cells import printable
from mien.output._page_parts import legend, section, words
from mien.output._svg import axis, band_image, columns_for, share_bar
from mien.output._times import length, minutes
from mien.output.palette import COLORS
from mien.output.video_plot import sound_bands, video_bands, video_segment
from mien.output.video_summary import LEAST_SHARE, people_left, shares_of, sides_of
from mien.output.write import write_encoded

if TYPE_CHECKING:
    from mien.models import ModelSpec
    from mien.results import Moment, PersonSummary, VideoResult

    Thumbs = Mapping[int, Sequence[tuple[Moment, bytes]]]

__all__ = ["MOST_PEOPLE", "video_page", "write_video_page"]

MOST_PEOPLE = 50
"""People with bands, cards and rows: those who are in view longest."""

_HEIGHTS_PX = {1: 110, 2: 80, 4: 60}
"""Height of a band's shares by the number of bands up to which it holds; of more they are `_LEAST_PX` high."""

_LEAST_PX = 44

_REGION = '<div class="wide-table" role="region" aria-label="Shares of time by person" tabindex="0">'
"""Wide tables are scrolled by themselves, also with keys."""


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
        What was seen.
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
    style, script = (_part(name) for name in ("_page.css", "_page.js"))
    style += "".join(_color(name, rgb) for name, rgb in COLORS.items())
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    name = _name(video)
    heading = html.escape(printable(title, ascii_only=False) if title else name)
    people = video.summary.people[:MOST_PEOPLE]
    sections = (
        _page_short.short(video),
        _odd(video),
        _over_time(video, bands),
        _people(video, people, thumbnails or {}),
        _numbers(video, people),
        _page_about.about(video, spec),
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


def write_video_page(
    path: str | os.PathLike[str],
    video: VideoResult,
    thumbnails: Thumbs | None = None,
    *,
    title: str | None = None,
    spec: ModelSpec | None = None,
) -> None:
    """Write `video_page` to a file, whole or not at all.

    Raises
    ------
    InputError
        If the name does not end in ``.html``, or a thumbnail is neither JPEG nor PNG.
    MediaNotFoundError, MediaError
        If the folder does not exist, or the file cannot be written there.
    """
    write_encoded(path, ".html", lambda: video_page(video, thumbnails, title=title, spec=spec).encode())


def _part(name: str) -> str:
    return resources.files("mien.output").joinpath(name).read_text(encoding="utf-8")


def _color(name: str, rgb: tuple[int, int, int]) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*rgb)
    return f".{name}{{fill:{color};background-color:{color}}}\n"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _name(video: VideoResult) -> str:
    # os.path.basename takes any string, also one with a NUL, which no Path does.
    return "video" if video.path is None else printable(os.path.basename(video.path), ascii_only=False)  # noqa: PTH119


def _lead(video: VideoResult, name: str | None) -> str:
    summary = video.summary
    count = len(summary.people)
    people = "nobody in view" if not count else "1 person" if count == 1 else f"{count} people"
    told = [length(video.duration_s), people]
    if count:
        told.append(f"faces in view for {length(summary.seen_s)}")
    if video.speech is not None:
        told.append(f"speech for {length(summary.speech_s)}" if summary.speech_s else "no speech")
    return html.escape(", ".join([*([name] if name else []), *told]))


def _over_time(video: VideoResult, more: Sequence[Band]) -> str:
    sound, sides = sound_bands(video), sides_of(video)
    bands = [*video_bands(video, MOST_PEOPLE), *sound, *more]
    if not bands:
        return ""
    segment_s, columns = video_segment(video), columns_for(len(bands))
    height = next((high for upto, high in _HEIGHTS_PX.items() if len(bands) <= upto), _LEAST_PX)
    people = video.summary.people[:MOST_PEOPLE]
    told = [words(list(shares_of(person).items())) for person in people]
    told += [words(side.shares) for side in sides[: len(sound)]] + ["" for _ in more]
    links = [f'<a href="#person-{person.track}">person {person.track}</a>' for person in people]
    rows = []
    for number, band in enumerate(bands):
        name = links[number] if number < len(links) else html.escape(band.title)
        label = f"{band.title}, {band.note}: {told[number]}" if told[number] else band.title
        image = band_image(band, segment_s, columns=columns, height=height, told=label, cuts=video.cuts)
        note = f'<span class="quiet">{html.escape(band.note)}</span>'
        rows.append(f'<div class="row"><div class="name">{name}{note}</div>{image}</div>\n')
    rows.append(f'<div class="row"><div class="name"></div>{axis(segment_s)}</div>\n')
    emotions = list(dict.fromkeys(name for band in bands for name in band.labels.emotions))
    notes = ["Each band: how probable each emotion is, and below it the one that leads."]
    if people:
        notes.append("Triangles: strongest moments.")
    if video.cuts:
        notes.append("1 cut." if len(video.cuts) == 1 else f"{len(video.cuts)} cuts.")
    if left := people_left(video.summary.people, MOST_PEOPLE):
        notes.append(f"Not shown: {left}.")
    return section(
        "time",
        "Over time",
        f'<div class="bands" data-segment="{segment_s[0]:.3f} {segment_s[1]:.3f}">\n{"".join(rows)}</div>\n',
        legend(((name, None) for name in emotions), away="not in view, no speech" if sound else "not in view"),
        f'<p class="quiet">{" ".join(notes)}</p>\n',
    )


def _people(video: VideoResult, people: Sequence[PersonSummary], thumbnails: Thumbs) -> str:
    if not people:
        return ""
    warnings = {track.number: track.warnings for track in video.tracks}
    cards = [_card(person, video.end_s, thumbnails.get(person.track, ()), warnings[person.track]) for person in people]
    return section("people", "People", f'<div class="people">\n{"".join(cards)}</div>\n')


def _card(person: PersonSummary, end_s: float, images: Sequence[tuple[Moment, bytes]], warnings: Sequence[str]) -> str:
    first, last, seen = (minutes(second, end_s) for second in (person.start_s, person.end_s, person.seen_s))
    shares = list(shares_of(person).items())
    told = [(name, share) for name, share in shares if share >= LEAST_SHARE]
    shots = "".join(_shot(person.track, moment, data, end_s) for moment, data in images)
    odd = f'<p class="quiet">{html.escape("; ".join(warnings))}</p>' if warnings else ""
    return (
        f'<article class="person" id="person-{person.track}"><header><h3>Person {person.track}</h3>'
        f'<span class="quiet">{first}\N{EN DASH}{last}, {seen} in view</span></header>'
        f"{share_bar(shares, words(told))}{legend(told)}"
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
    when, how = minutes(moment.time_s, end_s), f"{moment.emotion} {100 * moment.probability:.0f}%"
    return (
        f'<figure><img alt="Person {number} at {when}: {how}" src="data:image/{kind};base64,'
        f'{base64.b64encode(data).decode()}"><figcaption><b>{when}</b><i class="dot {moment.emotion}"></i>{how}'
        "</figcaption></figure>"
    )


def _moments(person: PersonSummary, end_s: float) -> str:
    if not person.moments:
        return ""
    told = [f"{minutes(m.time_s, end_s)} {m.emotion} {100 * m.probability:.0f}%" for m in person.moments]
    return f'<p class="quiet">Strongest: {", ".join(told)}</p>'


def _numbers(video: VideoResult, people: Sequence[PersonSummary]) -> str:
    if not people:
        return ""
    emotions = video.tracks[0].labels.emotions
    head = "".join(f'<th scope="col">{name}</th>' for name in ("person", "first", "last", "in view", *emotions))
    rows = []
    for person in people:
        shares = shares_of(person)
        times = [minutes(second, video.end_s) for second in (person.start_s, person.end_s, person.seen_s)]
        cells = [f"<td>{time}</td>" for time in times]
        for name in emotions:
            share = shares.get(name, 0.0)
            cells.append(f"<td>{100 * share:.0f}%</td>" if share >= 0.005 else '<td class="none">0%</td>')
        rows.append(f'<tr><th scope="row">{person.track}</th>{"".join(cells)}</tr>\n')
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table>"
    return section("numbers", "In numbers", f"{_REGION}{table}</div>\n")


def _odd(video: VideoResult) -> str:
    if not video.warnings:
        return ""
    items = "".join(f"<li>{html.escape(printable(warning, ascii_only=False))}</li>" for warning in video.warnings)
    return section("warnings", "Warnings", f'<div class="warnings"><ul>{items}</ul></div>\n')
