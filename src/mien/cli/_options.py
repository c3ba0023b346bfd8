"""Options of commands: made from the fields of options classes, under headings, with times as people write them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.errors import InputError
from mien.io.paths import expand_home
from mien.options import ModelOptions

if TYPE_CHECKING:
    _Type = click.ParamType[float]
else:
    # Not generic before click 8.2.
    _Type = click.ParamType

__all__ = [
    "ENGINE_OPTIONS",
    "GroupedCommand",
    "PathType",
    "TimeType",
    "add_options",
    "choose_specs",
    "engine_options",
    "flag_of",
    "models_option",
    "only_option",
    "option",
]

ENGINE_OPTIONS = ("device", "engine", "precision")
"""The options that say what computes, and in what."""

_LAST = "Options"

Decorator = Callable[[Any], Any]


class PathType(click.Path):
    """A path to write to, with the home folder for a leading ``~``: shells leave ``--out=~/drawn`` as it is."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a `pathlib.Path`."""
        return super().convert(expand_home(os.fsdecode(value)), param, ctx)


class TimeType(_Type):
    """A time in a video: seconds, or minutes and seconds as ``12:05``, or hours as ``1:02:05.5``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if not re.fullmatch(r"(?:(?:\d+:)?\d+:)?(?:\d+\.?\d*|\.\d+)", text, re.ASCII):
            self.fail(f"expected seconds, m:ss or h:mm:ss, but got {value!r}", param, ctx)
        *above, last = text.split(":")
        seconds = float(last)
        if above and (seconds >= 60 or any(int(part) >= 60 for part in above[1:])):
            self.fail(f"a minute has 60 seconds and an hour 60 minutes, but got {value!r}", param, ctx)
        for power, part in enumerate(reversed(above), 1):
            seconds += int(part) * 60.0**power
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is too long", param, ctx)
        return seconds


class _TimeOrFile(TimeType):
    """A time, or else the path of a file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return seconds as a float, or the path as a string."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            return expand_home(value)


class _CheckedType(_Type):
    """Text that a function checks, such as `mien.options.check_channel`."""

    name = "text"

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what the function does."""
        try:
            return self._check(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


def option(*names: str, group: str = _LAST, **more: Any) -> Decorator:
    """Return a `click.option` that stands under a heading."""
    return click.option(*names, cls=_GroupedOption, group=group, **more)


def add_options(kind: type, *names: str, group: str = _LAST) -> Decorator:
    """Add fields of an options class to a command, as options of the same names.

    Parameters
    ----------
    kind : type
        Such as `mien.ModelOptions`.
    *names : str
        Which fields.
    group : str
        The heading that they stand under.
    """
    chosen = {entry.name: entry for entry in fields(kind)}

    def decorate(command: Any) -> Any:
        for name in reversed(names):
            command = _from_field(chosen[name], group)(command)
        return command

    return decorate


def only_option(group: str) -> Decorator:
    """Return the option ``--only``: what is read of videos."""
    return option(
        "--only",
        group=group,
        type=click.Choice(("face", "voice")),
        help="Read only the faces of videos, or only their sound.  [default: both]",
    )


def models_option(group: str) -> Decorator:
    """Return the option ``--model``, as the parameter ``models``: a model for each task."""
    return option(
        "--model",
        "models",
        group=group,
        multiple=True,
        help="A shipped model, a model.toml or a run folder; at most one per task.  [default: face-base, speech-base]",
    )


def choose_specs(names: Sequence[str], check: Callable[[Any], None]) -> dict[str, tuple[str, Any]]:
    """Return name and record of each model that was named, by the field of `ModelOptions` that it is for.

    Parameters
    ----------
    names : sequence of str
        What `models_option` gave.
    check : callable
        Called with each record; raises `click.UsageError` where a model of its task is not needed.

    Raises
    ------
    click.UsageError
        If two are for the same task.
    MienError
        If there is no such model, or its record is wrong.
    """
    from mien.models import registry

    fields_of_tasks = {"face-emotion": "model", "speech-emotion": "speech_model"}
    chosen: dict[str, tuple[str, Any]] = {}
    for name in names:
        spec = registry.get(name)
        check(spec)
        place = fields_of_tasks[spec.task]
        if place in chosen:
            raise click.UsageError(f"two models for {spec.task}: {chosen[place][1].name!r} and {spec.name!r}")
        chosen[place] = name, spec
    return chosen


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--device``, ``--engine`` and ``--precision`` to a command."""
    decorated: Callable[..., Any] = add_options(ModelOptions, *ENGINE_OPTIONS)(command)
    return decorated


def flag_of(entry: Any) -> str:
    """Return the name of the option that is made from a field, such as ``"--labels-as"``."""
    return f"--{entry.metadata['flag'] or entry.name.replace('_', '-')}"


def _from_field(entry: Any, group: str) -> Decorator:
    more = entry.metadata
    text, default = more["help"], more.get("default_text")
    if entry.type == "bool":
        return option(flag_of(entry), entry.name, group=group, is_flag=True, default=entry.default, help=text)
    if more.get("choices"):
        kind: Any = click.Choice(more["choices"])
    elif more.get("check"):
        kind = _CheckedType(more["check"])
    elif more.get("is_time"):
        kind = TimeType() if entry.type.startswith("float") else _TimeOrFile()
    elif entry.type.startswith("int"):
        kind = click.IntRange(min=more.get("low"))
    else:
        kind = float if entry.type.startswith("float") else str
    return option(
        flag_of(entry),
        entry.name,
        group=group,
        type=kind,
        default=entry.default,
        show_default=default is None and entry.default is not None,
        metavar=more.get("metavar"),
        help=text if default is None else f"{text}  [default: {default}]",
    )


class _GroupedOption(click.Option):
    """An option that stands under a heading."""

    def __init__(self, *names: Any, group: str = _LAST, **more: Any) -> None:
        super().__init__(*names, **more)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose options stand under their headings, in the order in which they are declared.

    Parameters
    ----------
    *arguments
        As of `click.Command`.
    examples : sequence of str
        Commands as they run, which stand before the options.
    **more
        As of `click.Command`.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.examples = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the options."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(param, "group", _LAST), []).append(record)
        # What stands under no heading, such as --help, comes last.
        for heading in sorted(groups, key=lambda name: name == _LAST):
            with formatter.section(heading):
                formatter.write_dl(groups[heading])
