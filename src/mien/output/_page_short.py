"""A video in short, at the top of its page: what faces, voice and both say, side by side."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.output._page_parts import legend, section, words
from mien.output._svg import share_bar
from mien.output._times import length
from mien.output.video_summary import LEAST_SHARE, Side, shares_of_video, sides_of

if TYPE_CHECKING:
    from mien.results import VideoResult

__all__ = ["short"]

_NAMES = {"voice": "Voice", "both": "Face and voice"}


def short(video: VideoResult) -> str:
    """Return the section."""
    shares, sides = shares_of_video(video), sides_of(video)
    if not shares and not any(side.shares for side in sides):
        return section("short", "In short", "<p>No face was found.</p>\n")
    what = "Shares of the time in view, all people together, by the emotion that leads."
    if video.method != "timeline":
        what = f"The video's one answer by the method {video.method}."
    if not sides:
        return section("short", "In short", _answer(shares), f'<p class="quiet">{what}</p>\n')
    seen = _answer(shares) if shares else "<p>No face was found.</p>"
    cards = [_side("Faces", f"{length(video.summary.seen_s)} in view" if shares else "", seen)]
    for side in sides:
        heard = _answer(side.shares) if side.shares else "<p>Nobody speaks.</p>"
        note = ""
        if side.shares and side.seconds is not None:
            note = f"{length(side.seconds)} {'of speech' if side.name == 'voice' else 'together'}"
        cards.append(_side(_NAMES[side.name], note, heard))
    if video.method == "timeline":
        either = ", and with either" if len(sides) > 1 else ""
        what = f"Shares of the time with a face, with speech{either}, by the emotion that leads."
    return section("short", "In short", _columns(cards), f'<p class="quiet">{what}{_assumed(video, sides)}</p>\n')


def _answer(shares: Sequence[tuple[str, float]]) -> str:
    told = [(name, share) for name, share in shares if share >= LEAST_SHARE]
    return share_bar(shares, words(told)) + legend(told)


def _side(name: str, note: str, content: str) -> str:
    quiet = f'<span class="quiet">{note}</span>' if note else ""
    return f"<div><h3>{name}{quiet}</h3>{content}</div>\n"


def _columns(cards: Sequence[str]) -> str:
    return f'<div class="sides">\n{"".join(cards)}</div>\n'


def _assumed(video: VideoResult, sides: Sequence[Side]) -> str:
    """Say what the fusion assumes, where there is one."""
    if len(sides) < 2 or video.fused is None:
        return ""
    return html.escape("".join(f" {note[:1].upper()}{note[1:]}." for note in video.fused.notes[:1]))
