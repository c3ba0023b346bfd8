"""``mien data``: everything that happens to data before training.

To add a subcommand, write a module with a click command named ``command`` and name it in `COMMANDS`.
"""

from __future__ import annotations

import importlib

import click

__all__ = ["COMMANDS", "command"]

COMMANDS: dict[str, str] = {
    "inspect": "Count a dataset by split, class, subject and size; draw a sheet of samples.",
    "preview": "Draw what a recipe's augmentation does to the images.",
    "audit": "Find copies, leaks between splits, label conflicts and empty images.",
    "join": "Join several datasets into one, with mapped labels.",
    "spectrograms": "Turn a corpus of speech into spectrograms: arrays, a table, images.",
    "augment-audio": "Write changed copies of a corpus of speech, each with its origin.",
    "frames": "Cut the faces of a corpus of videos, some frames of each, as data for training.",
    "list": "List the clips of a corpus of videos, or their frames, with emotion and subject.",
    "prepare": "Find faces, turn them upright, cut them and write them as data for training.",
    "extend": "Ask an image service for faces of rare emotions (sends prompts; may cost money).",
}
"""The subcommands with the one line that ``mien data --help`` shows; each is the module of that name in here."""


class _Group(click.Group):
    """A group that imports its subcommands when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        found = module.command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(name="data", cls=_Group)
def command() -> None:
    """Inspect, audit, join and prepare datasets."""
