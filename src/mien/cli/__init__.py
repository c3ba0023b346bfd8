"""The command line: a thin shell around `mien.api` and the rooms below it.

Subcommands are imported when they are run, so that ``mien --help`` is quick.  To add one, write a module with a
click command named ``command`` and name it in `COMMANDS`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from mien import __version__
from mien.cli.shell import FAILED, INTERRUPTED, guard, note, open_closed_streams, set_matplotlib_cache

__all__ = ["COMMANDS", "Shell", "main"]

COMMANDS = {
    "adapt": "Adapt a face model to your own images, without labels.",
    "analyze": "Read the emotions of faces in images and videos, and of voices.",
    "batch": "Read millions of files into a dataset; can be resumed.",
    "cameras": "List the cameras that give images.",
    "compare": "Compare training runs: a table and a chart.",
    "data": "Inspect, audit, join and prepare data sets.",
    "demo": "Analyze a sample image: see that everything works.",
    "evaluate": "Measure a model on a data set.",
    "live": "Show the faces before a camera with their emotions, in real time.",
    "models": "List, show and verify models.",
    "serve": "Serve the analysis over HTTP and WebSocket, with a page.",
    "train": "Train a model from a recipe.",
    "web": "Write the in-browser app as a static site.",
}
"""The subcommands with the one line that ``mien --help`` shows; each is the module of that name in this package."""


_CHARTS = ("compare", "data", "evaluate", "train")
"""Commands that draw charts; analyze does where it is asked for a plot."""


class Shell(click.Group):
    """A group that imports its subcommands when they are needed, and turns errors into one line and an exit code.

    A subcommand's function returns its exit code (``None`` means 0) or raises; see `mien.cli.shell.guard`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the subcommands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a subcommand, or return None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in _CHARTS:
            set_matplotlib_cache()
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; Ctrl-C gives the same line and exit code wherever it strikes.

        Click's own exit code for Ctrl-C, which `guard` does not see before and after the subcommand, is 1.
        """
        parent: Any = super()
        open_closed_streams()
        if not extra.pop("standalone_mode", True):
            return parent.main(*args, standalone_mode=False, **extra)
        try:
            code = parent.main(*args, standalone_mode=False, **extra)
        except click.Abort:
            note("interrupted")
            code = INTERRUPTED
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except OSError as error:  # writing the help
            note(str(error))
            code = FAILED
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        with guard():
            code = super().invoke(ctx)
        if isinstance(code, int) and code != 0:
            ctx.exit(code)
        return code


@click.command("mien", cls=Shell, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="mien %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Read emotion from faces and voices: offline, fast, and honest about its numbers.

    Results go to stdout, progress and notes to stderr.  Exit codes: 0 all done, 1 nothing could be done, 2 wrong
    usage, 3 some items failed, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
