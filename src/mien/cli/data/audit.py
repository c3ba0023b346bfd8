"""``mien data audit``: copies, leaks between splits, conflicts and empty images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import shell
from mien.cli._options import GroupedCommand
from mien.cli.data.options import Choice, choose_named, dataset_arguments, open_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data import Samples
    from mien.data.audit import Audit

__all__ = ["command"]

_MOST_LINES, _MOST_GROUPS, _MOST_FILES = 20, 5, 4
KINDS = ("image", "video", "audio")


@click.command(
    name="audit",
    cls=GroupedCommand,
    examples=(
        "mien data audit fer2013 --data fer2013.csv --sheet pairs.png",
        "mien data audit folder --data photos --against ckplus48=CK+48 --strict --out audit.json",
    ),
)
@dataset_arguments(*KINDS)
@click.option("--against", multiple=True, metavar="NAME=PATH", help="Another dataset: what both share is a leak.")
@click.option("--strict", is_flag=True, help="Exit with 1 if anything lies on both sides of a split.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: all groups with their rows or files.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.json", help="Write that JSON there.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="PAIRS.png", help="Draw copies beside each other.")
@click.option("--faces", is_flag=True, help="Look for images in which the detector finds no face (slow).")
@click.option("--no-near", is_flag=True, help="Look for identical images alone, not for near copies.")
def command(
    choice: Choice,
    against: tuple[str, ...],
    strict: bool,
    as_json: bool,
    out: Path | None,
    sheet: Path | None,
    faces: bool,
    no_near: bool,
) -> int:
    """Find copies and leaks: what makes a result on this data look better than it is.

    Looks for identical images and near copies (also mirrored), subjects and clips in several splits, identical
    images with different labels or subjects, empty images, unreadable files, and of FER+ rows that were voted not a
    face. Nothing is changed. Of videos, the middle frames are compared; of audio files, the sound, without near copies.

    Exit code 0 whatever is found, but 1 with --strict if a leak is.
    """
    from mien.data.audit import audit, pair_sheet, write_json

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise click.UsageError(f"--sheet must end in .png, but is {sheet.name!r}")
    parts = [open_samples(one) for one in (choice, *(choose_named(text, kinds=KINDS) for text in against))]
    with _Phases() as phases:
        no_faces = _voted(choice, parts[0])
        found = audit(parts[0], against=parts[1:], near=not no_near, no_faces=no_faces, faces=faces, progress=phases)
    shell.write(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if as_json else _text(found))
    if out is not None:
        write_json(found, out)
        shell.note(f"wrote all groups to {out}")
    if sheet is not None and not any(found.finding(kind).groups for kind in ("identical", "near")):
        shell.note(f"there are no copies to draw: {sheet} is not written")
    elif sheet is not None:
        from mien.output.write import write_image

        write_image(sheet, pair_sheet(found, parts))
        shell.note(f"drew {sheet}")
    return shell.FAILED if strict and found.leaks else 0


class _Phases(ExitStack):
    """Progress of one phase after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._what = ""
        self._advance: Callable[[int], None] = lambda _: None

    def __call__(self, what: str, count: int, total: int) -> None:
        if what != self._what:
            self.close()
            self._what = what
            self._advance = self.enter_context(shell.progress(total, what, unit="files"))
        self._advance(count)


def _voted(choice: Choice, data: Samples) -> NDArray[np.bool_] | None:
    from mien.data.fer2013 import voted_no_face

    return voted_no_face(data, choice.options.get("labels")) if choice.name == "ferplus" else None


def _text(found: Audit) -> str:
    from mien.data.audit import LEAKS

    rows = []
    for one in found.findings:
        together = one.kind in LEAKS or one.kind in ("conflict", "shared")
        pairwise = one.kind in ("identical", "near")
        rows.append(
            (
                found.title(one.kind),
                len(one.groups) if together else "",
                one.images,
                one.leaks if one.kind in LEAKS else "",
                one.differing if pairwise else "",
            )
        )
    unit = "files" if found.kind == "audio" else "images"
    lines = [
        f"{found.images} {unit} of {', '.join(found.data)}",
        "",
        shell.table(("finding", "groups", unit, "leaks", "labels differ"), rows, right=(1, 2, 3, 4)),
    ]
    if found.between:
        words = {"identical": "identical", "near": "a near copy", "subject": "subject", "clip": "clip"}
        between = [(count, split, words[kind], other) for kind, split, other, count in found.between]
        head = (unit, "of", "that have", "in")
        lines += ["", shell.table(head, between, right=(0,))]
    named = list(_name_groups(found))
    lines += ["", *map(shell.one_line, named)] if named else []
    told = [f"unreadable: {group.note}" for group in found.finding("unreadable").groups]
    told += [f"left out: {line}" for line in found.problems]
    lines += ["", *map(shell.one_line, told[:_MOST_LINES])] if told else []
    if len(told) > _MOST_LINES:
        lines.append(f"and {len(told) - _MOST_LINES} more: --json lists all")
    return "\n".join([*lines, "", _verdict(found)])


def _name_groups(found: Audit) -> Iterator[str]:
    """Name the first groups of each kind: files with split, label and subject, or who stands in which splits."""
    from mien.data.audit import sort_groups

    for kind in ("identical", "subject", "clip"):
        groups, title = sort_groups(found.finding(kind).groups), found.title(kind)
        for group in groups[:_MOST_GROUPS]:
            items = [
                f"{item.file or item.where} ({', '.join(filter(None, (item.split, item.emotion, item.subject)))})"
                for item in group.items[:_MOST_FILES]
            ]
            files = ", ".join(items) + f" and {len(group.items) - len(items)} more" * (len(group.items) > len(items))
            yield f"{title}: {files}" if kind == "identical" else f"{title}: {group.note} in {', '.join(group.splits)}"
        if len(groups) > _MOST_GROUPS:
            yield f"{title}: {len(groups) - _MOST_GROUPS} more groups: --json lists all"


def _verdict(found: Audit) -> str:
    if len(found.sides) < 2:
        return (
            f"no leak: there is only one side, {found.sides[0]}" if found.sides[0] else "no leak: there are no splits"
        )
    if found.leaks:
        return f"{found.leaks} {'groups lie' if found.leaks > 1 else 'group lies'} on both sides of a split"
    return f"no leak between {', '.join(found.sides)}"
