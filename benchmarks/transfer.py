"""What a speech recipe can tell of voices of another corpus, in another language: trained on one, tested on the other.

    python benchmarks/transfer.py --init campplus_cn_en_common.pt [--recipe speech-campplus] [--data path/to/data]
        [--epochs 10] [--out reports]

``--data`` is the folder that holds ``ravdess_speech_16k`` and ``nemo_speech_16k``; by default what ``MIEN_DATA`` names,
or ``../shared/data`` beside the checkout.  A network learns from all speakers of one corpus, without a second one, for
a fixed number of epochs, and is tested on all speakers of the other, among the emotions that both have.  ``--out`` gets
a ``report.json`` of each direction, as ``mien evaluate`` writes it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.data import load_dataset
from mien.evaluate import Evaluation, Predictions, measure
from mien.evaluate.calibration import softmax
from mien.evaluate.predictions import mapping_to
from mien.evaluate.report import to_json
from mien.train.corpus import Corpus
from mien.train.kinds import kind_of, list_training
from mien.train.recipe import Domain, Recipe, load_recipe
from mien.train.run import fit

ROOT = Path(__file__).resolve().parents[1]
COMMON = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")


def transfer(recipe: Recipe, training: Corpus, tested: Corpus) -> Evaluation:
    """Train on one corpus and return the figures on another, among the common emotions."""
    with tempfile.TemporaryDirectory() as folder:
        net = fit(recipe, training, None, Path(folder))
    assert net is not None
    ((head, logits),) = kind_of(recipe).predict(net, tested).items()
    mapped = mapping_to(training.label_sets[head], tested.samples.label_set)
    probabilities = mapped.apply(softmax(logits.astype(np.float64)))
    found = Predictions.from_probabilities(tested.samples, probabilities, model=recipe.name, training_subjects=())
    return measure(replace(found, labels_mapping=mapped.note).restrict(COMMON))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = os.environ.get("MIEN_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(beside))
    parser.add_argument("--init", required=True)
    parser.add_argument("--recipe", default="speech-campplus")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    loaded = load_recipe(options.recipe)
    recipe = replace(loaded, init=options.init, domain=Domain(), epochs=options.epochs, batch=64)
    (ravdess,) = list_training(recipe, options.data / "ravdess_speech_16k")
    nemo = load_dataset("nemo", options.data / "nemo_speech_16k").labeled().with_present_classes()
    # Of nEMO, with more recordings, one changed copy of each, as in training on both.
    copies = {"ravdess": recipe, "nemo": replace(recipe, net_options=recipe.net_options | {"views": 1})}
    corpora = {
        name: kind_of(recipe).make_corpus(copies[name], (samples,))
        for name, samples in (("ravdess", ravdess), ("nemo", nemo))
    }
    for name, other in (("ravdess", "nemo"), ("nemo", "ravdess")):
        evaluation = transfer(copies[name], corpora[name], corpora[other])
        low, high = evaluation.intervals["uar"]
        print(
            f"trained on {name}, tested on {other}: UAR {evaluation.uar:.3f} [{low:.3f}, {high:.3f}], {len(COMMON)} "
            f"classes, {evaluation.n} clips, temperature {evaluation.temperature_fitted or 1:.2f}",
            flush=True,
        )
        if options.out is not None:
            folder = options.out / f"{name}-to-{other}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "report.json").write_text(to_json(evaluation) + "\n", "utf-8")


if __name__ == "__main__":
    main()
