from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import mien.cli
from mien.cli import COMMANDS, Shell, main, shell
from mien.cli.data import COMMANDS as DATA_COMMANDS
from mien.errors import InputError, MienWarning
from processes import started


def _run_command(body: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Result:
    """Run a function as the subcommand ``models`` of the real shell."""
    command = click.Command("models", callback=body)
    monkeypatch.setattr(Shell, "get_command", lambda self, ctx, name: command)
    return CliRunner().invoke(main, ["models"])


def _raise(error: BaseException) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_is_there_and_has_help(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"Usage: mien {name}")


def commands(command: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield all commands below one, with their names."""
    context = click.Context(command)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, name)
        assert found is not None
        yield (*names, name), found
        yield from commands(found, *names, name)


@pytest.mark.parametrize(("names", "command"), [pytest.param(*item, id=" ".join(item[0])) for item in commands(main)])
def test_help_shows_each_example_on_its_own_line(names: tuple[str, ...], command: click.Command) -> None:
    done = CliRunner().invoke(main, [*names, "--help"])
    assert "\\b" not in done.stdout
    lines = [line.strip() for line in done.stdout.splitlines()]
    examples = getattr(command, "examples", ())
    assert set(examples) <= set(lines)
    assert sum(line.startswith("mien ") for line in lines) == len(examples)


def test_every_module_of_the_command_line_is_registered() -> None:
    folder = Path(mien.cli.__file__).parent
    modules = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    assert {name for name in modules if not name.startswith("_")} - {"shell"} == set(COMMANDS)


def test_every_module_of_mien_data_is_registered() -> None:
    folder = Path(mien.cli.__file__).parent / "data"
    found = {p.stem for p in folder.glob("*.py")} - {"__init__", "options"}
    modules = {name.replace("_", "-") for name in found if not name.startswith("_")}
    assert modules == set(DATA_COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_subcommand(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0
    for name, text in COMMANDS.items():
        assert any(line.split() == [name, *text.split()] for line in done.stdout.splitlines())


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"mien {mien.__version__}\n"


def test_wrong_usage_is_exit_code_2() -> None:
    assert CliRunner().invoke(main, ["dance"]).exit_code == 2
    assert CliRunner().invoke(main, ["models", "list", "--loud"]).exit_code == 2


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_a_subcommand_returns_is_the_exit_code(
    returned: int | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _run_command(lambda: returned, monkeypatch)
    assert (done.exit_code, done.output) == (code, "")


def test_an_error_of_mien_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _run_command(_raise(InputError("no such\nthing\x1b[2J \ud800é")), monkeypatch)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "mien: no such\\nthing\\x1b[2J \\ud800é\n"


def test_an_error_of_the_system_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _run_command(_raise(PermissionError(13, "Permission denied", "out")), monkeypatch)
    assert (done.exit_code, done.stderr) == (1, "mien: [Errno 13] Permission denied: 'out'\n")


def test_an_interruption_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _run_command(_raise(KeyboardInterrupt()), monkeypatch)
    assert (done.exit_code, done.stderr) == (130, "mien: interrupted\n")


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _run_command(_raise(ZeroDivisionError("a defect")), monkeypatch)
    assert isinstance(done.exception, ZeroDivisionError)


def test_warnings_of_mien_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the face is\nsmall", MienWarning, stacklevel=1)

    # CliRunner and catch_warnings restore what they change; the shell's own hook is what is looked at.
    done = _run_command(body, monkeypatch)
    assert done.exit_code == 0
    assert done.stderr == "mien: warning: the face is\\nsmall\n"


def test_a_command_that_is_interrupted_ends_with_one_line(tmp_path: Path) -> None:
    code = (
        "import os, signal, click\n"
        "from mien.cli import Shell, main\n"
        "command = click.Command('x', callback=lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "Shell.get_command = lambda self, ctx, name: command\n"
        "main(['x'], prog_name='mien')\n"
    )
    if sys.platform == "win32":
        pytest.skip("signals to oneself are a matter of POSIX")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (shell.INTERRUPTED, "", "mien: interrupted\n")
    assert signal.SIGINT + 128 == shell.INTERRUPTED


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    code = (
        "import click\n"
        "from mien.cli import Shell, shell, main\n"
        "command = click.Command('x', callback=lambda: [shell.write('x' * 1000) for _ in range(5000)] and None)\n"
        "Shell.get_command = lambda self, ctx, name: command\n"
        "main(['x'], prog_name='mien')\n"
    )
    with started([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="closing streams is a matter of POSIX shells")
@pytest.mark.parametrize("arguments", ["models list", "--help", "--version", "analyze -"])
@pytest.mark.parametrize(("redirection", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), (">/dev/full", 1)])
def test_streams_that_are_closed_or_full_give_no_traceback(arguments: str, redirection: str, code: int) -> None:
    command = f"'{sys.executable}' -m mien {arguments} {redirection}"
    done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if arguments == "analyze -" else code)  # which has nothing to read
    assert len(done.stderr.splitlines()) <= 1
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or redirection == "2>&-" or done.stderr.startswith("mien: ")
    if (arguments, redirection) == ("models list", ">/dev/full"):
        assert done.stderr == "mien: cannot write the output: No space left on device\n"


def test_names_that_the_terminal_has_no_sign_for_are_escaped(tmp_path: Path) -> None:
    code = "from mien.cli import shell\nwith shell.guard():\n    shell.write('é\\ud8ff')\n    shell.note('ü')\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.stdout.split(), done.stderr.split()) == ([b"\\xe9\\ud8ff"], [b"mien:", b"\\xfc"])


def test_a_table_is_aligned_whatever_the_script() -> None:
    rows = [("a", 1), ("日本", 20), ("e\u0301\n", 300)]
    assert shell.table(("name", "n"), rows, right=(1,)).splitlines() == [
        "name    n",
        "a       1",
        "日本   20",
        "e\u0301\\n   300",
    ]
    assert shell.table(("x",), []) == "x"


def test_sigterm_ends_work_once_and_only_where_nobody_else_handles_it() -> None:
    script = (
        "import signal\n"
        "from mien.cli import shell\n"
        "def strike(times):\n"
        "    with shell.terminable():\n"
        "        try:\n"
        "            signal.raise_signal(signal.SIGTERM)\n"
        "            print('not ended')\n"
        "        finally:\n"
        "            for _ in range(times):\n"
        "                signal.raise_signal(signal.SIGTERM)\n"
        "            print('finished')\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        strike(2)\n"
        "    except KeyboardInterrupt:\n"
        "        print('ended', signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('theirs'))\n"
        "strike(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["finished", "ended True"] * 2 + ["theirs", "not ended", "finished"]
    assert signal.SIGTERM + 128 == shell.TERMINATED


def test_progress_is_silent_while_it_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with shell.progress(3, "reading") as advance:
        for _ in range(3):
            advance(1)
    assert stream.getvalue() == ""


def test_progress_writes_a_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(shell.time, "monotonic", lambda: now)
    with shell.progress(100, "reading", unit="images") as advance:
        for _ in range(25):
            now += 1.0
            advance(2)
    assert stream.getvalue().splitlines() == [
        "mien: reading: 20 of 100 images, 2.0/s, 40 s left",
        "mien: reading: 40 of 100 images, 2.0/s, 30 s left",
    ]


def test_progress_may_learn_the_total_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(shell.time, "monotonic", lambda: now)
    with shell.progress(None, "reading", unit="images") as advance:
        for second in range(20):
            now += 1.0
            if second == 15:
                advance.expect(100)
            advance(2)
    assert stream.getvalue().splitlines() == [
        "mien: reading: 20 images, 2.0/s",
        "mien: reading: 40 of 100 images, 2.0/s, 30 s left",
    ]


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with shell.progress(None, "reading", unit="images") as advance:
        advance.expect(4)
        advance(4)
    assert "reading" in stream.getvalue()
    assert "4/4" in stream.getvalue()


def test_ctrl_c_outside_the_subcommand_ends_the_same_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The strike comes when the shell cleans up, where neither the subcommand nor its guard sees it.
    command = click.Command("x", callback=lambda: click.get_current_context().find_root().call_on_close(strike))

    def strike() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Shell, "get_command", lambda *_: command)
    with pytest.raises(SystemExit) as ended:
        main(["x"], prog_name="mien")
    assert ended.value.code == shell.INTERRUPTED
    assert capsys.readouterr().err.splitlines()[-1] == "mien: interrupted"
