"""What the sections of a video's page share."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["legend", "section", "words"]


def section(name: str, heading: str, *parts: str) -> str:
    """Return a section of the page."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2>\n{"".join(parts)}</section>\n'


def legend(shares: Iterable[tuple[str, float | None]], *, away: str = "") -> str:
    """Return what the colors mean, with shares where there are any; ``away`` is where there is nothing."""
    items = [
        f'<li><i class="dot {name}"></i>{name}{"" if share is None else f" <b>{100 * share:.0f}%</b>"}</li>'
        for name, share in shares
    ]
    if away:
        items.append(f'<li><i class="dot out"></i>{away}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>\n'


def words(shares: Iterable[tuple[str, float]]) -> str:
    """Return shares in words."""
    return ", ".join(f"{name} {100 * share:.0f}%" for name, share in shares)
