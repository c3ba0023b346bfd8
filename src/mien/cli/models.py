"""``mien models``: which models there are, what is known of them, whether their files are whole, optional downloads."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import click

from mien._checks import count_of
from mien._extras import import_extra
from mien.cli import shell

__all__ = ["command"]

_SEVEN, _EIGHT = {"fer7": 7}, {"ravdess8": 8}
_NOUNS = {"image": "faces", "audio": "speech", "video": "clips"}


@click.group(name="models")
def command() -> None:
    """List, show, verify and download models, and list the networks that can be trained."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def list_(as_json: bool) -> None:
    """List models: name, task, size, license and state.

    Models ship with mien, or are optional downloads, which may be installed.
    """
    from mien.models import registry, store

    known = [(registry.MODELS[name], "shipped") for name in registry.names()]
    for name in registry.names(downloads=True):
        state = "optional, installed" if store.is_installed(registry.MODELS[name]) else "optional, not installed"
        known.append((registry.MODELS[name], state))
    if as_json:
        _write_json(
            [
                {
                    "name": s.name,
                    "task": s.task,
                    "bytes": s.size_bytes,
                    "license": s.license.weights,
                    "optional": state != "shipped",
                    "there": state != "optional, not installed",
                }
                for s, state in known
            ]
        )
        return
    rows = [(s.name, s.task, _size(s.size_bytes), s.license.weights, state) for s, state in known]
    shell.write(shell.table(("name", "task", "size", "license", "state"), rows, right=(2,)))


@command.command()
@click.argument("name")
@click.option(
    "--from",
    "from_file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Copy this file instead of downloading it.",
)
def get(name: str, from_file: str | None) -> None:
    """Download an optional model.

    NAME is a model that "mien models list" shows as optional.  The file is checked against the sha256 of mien's record
    and stored in the folder "models" of MIEN_CACHE_DIR, or else of the user's cache folder.  Proxies are taken from the
    environment.
    """
    from mien.errors import UnknownModelError
    from mien.models import registry, store

    downloads = registry.names(downloads=True)
    if name not in downloads:
        ships = ", since it ships with mien" if name in registry.MODELS else ""
        raise UnknownModelError(f"model {name!r} is no download{ships}: expected one of {', '.join(downloads)}")
    spec = registry.MODELS[name]
    if from_file is not None:
        store.install(spec, from_file)
    else:
        done = 0
        with shell.progress(spec.size_bytes, f"downloading {name}", unit="bytes") as advance:

            def on_progress(received: int) -> None:
                nonlocal done
                advance(received - done)
                done = received

            store.download(spec, on_progress=on_progress)
    path = spec.path.parent / spec.file().file
    shell.write(f"{name}: {path}, {_size(spec.size_bytes)}, sha256 as recorded; license {spec.license.weights}")
    shell.note(f"attribution: {spec.license.attribution}")


@command.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Write the whole record as JSON.")
def show(model: str, as_json: bool) -> None:
    """Show a model's card: data, results, license, intended use.

    MODEL is a name from the list, a model.toml, or a run folder.
    """
    from mien.models import registry

    spec = registry.get(model)
    if as_json:
        _write_json(spec.to_dict())
    else:
        shell.write("\n".join(_card(spec)))
        for entry in spec.files:
            if entry.url:
                shell.write(f"download: {entry.url}")


@command.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
def verify(models: tuple[str, ...]) -> int:
    """Check the files of models against their records.

    By default all shipped models and installed downloads.  The exit code is 1 if all fail, 3 if some do.
    """
    from mien.errors import ModelError
    from mien.models import registry, store

    failed = 0
    installed = [name for name in registry.names(downloads=True) if store.is_installed(registry.get(name))]
    chosen = models or (*registry.names(), *installed)
    for name in chosen:
        try:
            spec = registry.get(name)
            store.verify(spec)
        except ModelError as error:
            failed += 1
            shell.note(str(error))
        else:
            count = len({file.file for file in spec.files})
            shell.write(f"{shell.one_line(name)}: {count_of(count, 'file')}, {_size(spec.size_bytes)}, as recorded")
    if failed == 0:
        return 0
    return shell.FAILED if failed == len(chosen) else shell.SOME_FAILED


@command.command()
@click.argument("net", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def nets(net: str | None, as_json: bool) -> None:
    """List the networks that can be trained, with their size and cost.

    Parameters and multiply-adds are those for one face, audio file or clip.  Networks for faces have seven classes
    here, the others eight; audio and clips are as long as in training.  Some networks for clips take the outputs of a
    face model for each frame, whose own cost is not counted.  With NET, list its layers.
    """
    import_extra("torch", extra="train", purpose="building networks")
    from mien.train.nets import NETWORKS, build_network
    from mien.train.nets.base import count_multiply_adds, count_parameters, summary

    def build(name: str) -> Any:
        return build_network(name, _SEVEN if NETWORKS[name].kind == "image" else _EIGHT)

    if net is None:
        head: tuple[str, ...] = ("name", "for", "input", "parameters", "multiply_adds")
        built = [(name, build(name)) for name in NETWORKS]
        rows: list[tuple[Any, ...]] = [
            (name, _NOUNS[net.kind], _input(net), count_parameters(net), count_multiply_adds(net))
            for name, net in built
        ]
        right: tuple[int, ...] = (2, 3, 4)
    else:
        head = ("layer", "kind", "output", "parameters", "multiply_adds")
        layers = summary(build(net))
        rows = [(r.name, r.kind, " x ".join(map(str, r.shape)), r.parameters, r.multiply_adds) for r in layers]
        rows.append(("all", "", "", sum(r.parameters for r in layers), sum(r.multiply_adds for r in layers)))
        right = (3, 4)
    if as_json:
        _write_json([dict(zip(head, row, strict=True)) for row in rows])
    else:
        cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
        shell.write(shell.table([title.replace("_", "-") for title in head], cells, right=right))


def _input(net: Any) -> str:
    """Return the shape of the first input that a network uses."""
    first = next(part for part in net.example() if part.numel())
    return " x ".join(str(side) for side in first.shape if side > 1)


def _write_json(data: Any) -> None:
    shell.write(json.dumps(data, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _card(spec: Any) -> list[str]:
    """Return the lines of a model's card."""
    lines = [f"{spec.name} {spec.version} ({spec.date.isoformat()}): {spec.description}", ""]
    facts = [("task", spec.task), ("size", _size(spec.size_bytes))]
    facts += [("file", f"{f.file} ({f.role}, {_size(f.bytes)}), sha256 {f.sha256}") for f in spec.files]
    for output in spec.outputs:
        default = ", the default" if output.default else ""
        labels = f"{', '.join(output.labels.emotions)} (temperature {output.temperature:.3f}{default})"
        if output.mean_of:
            labels += f", the geometric mean of {' and '.join(output.mean_of)}"
        facts.append((f"output {output.name}", labels))
    facts += [("license of the weights", spec.license.weights), ("license of the data", spec.license.data)]
    if spec.license.attribution:
        facts.append(("attribution", spec.license.attribution))
    for title, free in (("training", spec.training), ("card", spec.card)):
        facts += [
            (key.replace("_", " ") if title == "card" else f"{title}: {key}", _words(v)) for key, v in free.items()
        ]
    lines += [f"{key}: {value}" for key, value in facts]
    if spec.results:
        lines += ["", _results(spec.results)]
    return [shell.one_line(line) if "\n" not in line else line for line in lines]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())


def _results(results: Any) -> str:
    """Return the table of measured results."""
    rows = []
    for r in results:
        interval = "" if r.low is None else f"{r.low:.4g} to {r.high:.4g}"
        rows.append((r.dataset, r.split, r.protocol, r.output, r.metric, f"{r.value:.4g}", interval, r.n, r.date))
    head = ("data set", "split", "protocol", "output", "metric", "value", "95 % interval", "n", "date")
    commands = "\n".join(f"measured by: {c}" for c in dict.fromkeys(r.command for r in results))
    return shell.table(head, rows, right=(5, 7)) + "\n\n" + commands
