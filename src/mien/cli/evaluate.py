"""``mien evaluate``: measure a model on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli import _shell

if TYPE_CHECKING:
    from mien.datasets import FaceData

__all__ = ["command"]

_SPLITS = ("Training", "PublicTest", "PrivateTest")


@click.command(name="evaluate")
@click.argument("model")
@click.argument("dataset", type=click.Choice(("fer2013", "ferplus")))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="The data: FER2013's CSV (plain, xz, gz, zip), a folder that holds it, or the folder tree.",
)
@click.option("--split", required=True, type=click.Choice(_SPLITS), help="Which published split to measure on.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="FER+ votes for ferplus; by default fer2013new.csv beside the data.",
)
@click.option(
    "--protocol",
    type=click.Choice(("majority", "plurality")),
    help="How FER+ votes become labels.  [default: majority]",
)
@click.option("--labels-as", metavar="OUTPUT", help="Which output answers, if not the one with the data's labels.")
@click.option("--flip", is_flag=True, help="Average each picture with its mirror image.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the model's runtime.")
@click.option("--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Pictures at once.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    model: str,
    dataset: str,
    data: Path,
    split: str,
    labels: Path | None,
    protocol: str | None,
    labels_as: str | None,
    flip: bool,
    threads: int | None,
    batch: int,
    as_json: bool,
) -> None:
    """Measure a face model on FER2013 or FER+.

    MODEL is a shipped name, a model.toml, or a run folder.  By default the output answers whose labels are those of
    the data.  The report holds accuracy and UAR with 95 % intervals, the accuracy without pictures that also occur in
    Training (where those rows are in the data), scores by class, the confusion matrix, and calibration.
    """
    if dataset != "ferplus" and (labels is not None or protocol is not None):
        raise click.UsageError("--labels and --protocol are for ferplus")
    from mien.analyzers.face import FaceAnalyzer
    from mien.evaluation import evaluate, report

    # The model first: a wrong name must not wait for the data to be read.
    analyzer = FaceAnalyzer(model, threads=threads)
    _shell.note(f"reading {data}")
    rows, training = _load(dataset, data, split, labels, protocol or "majority")
    with _shell.progress(int((rows.labels >= 0).sum()), "evaluating", unit="pictures") as advance:
        result = evaluate(
            analyzer, rows, labels_as=labels_as, training=training, flip=flip, batch_size=batch, progress=advance
        )
    _shell.write(report.to_json(result) if as_json else report.to_text(result))


def _load(dataset: str, data: Path, split: str, labels: Path | None, protocol: str) -> tuple[FaceData, FaceData | None]:
    """Return the rows to measure on and, where they are in the data and are not those rows themselves, Training's."""
    from mien.datasets import fer2013, ferplus

    if dataset == "ferplus":
        data = ferplus.table_of(data)
    pictures = fer2013.load(data)
    rows = pictures.split(split)
    if dataset == "ferplus":
        rows = ferplus.with_votes(rows, labels or ferplus.votes_beside(data), protocol=protocol)
    apart = split != "Training" and "Training" in pictures.split_names()
    return rows, pictures.split("Training") if apart else None
