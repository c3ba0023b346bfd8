"""Options of a command under headings, so that its help stays readable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

__all__ = ["GroupedCommand", "GroupedOption"]

_LAST = "Options"


class GroupedOption(click.Option):
    """An option that stands under a heading.

    Parameters
    ----------
    *names
        As of `click.Option`.
    group : str
        The heading.
    **more
        As of `click.Option`.
    """

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
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        groups: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(option, "group", _LAST), []).append(record)
        # What stands under no heading, such as --help, comes last.
        for heading in sorted(groups, key=lambda name: name == _LAST):
            with formatter.section(heading):
                formatter.write_dl(groups[heading])
