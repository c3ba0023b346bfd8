r"""Write the record of the fusion that ships with mien, from reports of its evaluation.

    mien evaluate --fusion experts --faces fer2013=fer2013.csv --speech ravdess=RAVDESS --speech-folds FOLDS \
        --report fer7
    mien evaluate --fusion experts --faces ferplus=fer2013.csv --labels fer2013new.csv --protocol majority \
        --speech ravdess=RAVDESS --speech-folds FOLDS --report ferplus8
    python benchmarks/transfer.py --init campplus_cn_en_common.pt --epochs 6 --out transfer
    python scripts/fit_fusion.py --fer7 fer7/report.json --ferplus8 ferplus8/report.json \
        --elsewhere transfer/ravdess-to-nemo/report.json

The weights of each report were fitted on all its folds; the figures that go into the record are of weights fitted
without the fold that they are measured on.  ``--elsewhere`` tells how sure a net may be of voices in a corpus that it
did not learn from: the temperature of the shipped model over the one that fits there is what is left of the voice's
reliability on recordings unlike RAVDESS, the record's ``transfer``.

With ``--frames BAUM2`` it tells instead how far the mean of a clip's frames can be trusted, by how many there are:
where the slope of ``seen_s`` (`mien.evaluate.fusion_fit.SEEN_SLOPE`) comes from.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np

from mien.models import registry
from mien.models.store import write_record

COMMAND = "mien evaluate --fusion experts --faces {faces}=DATA --speech ravdess=DATA --speech-folds FOLDS"
FACES = {"fer7": "fer2013", "ferplus8": "ferplus"}
CONDITIONS = ("clean", "no face", "silence", "all of these")


def results(name: str, report: dict[str, Any], date: dt.date) -> list[dict[str, Any]]:
    """Return the record's rows of results, of one report."""
    rows = []
    for figures in report["figures"]:
        if figures["condition"] not in CONDITIONS:
            continue
        method = next(m for m in figures["methods"] if m["name"] == "experts")
        low, high = method["interval"]
        same = {
            "dataset": f"{FACES[name]}+ravdess",
            "split": "PublicTest, 20 speakers in 5 folds",
            "protocol": f"simulated pairs, {figures['length']} image(s), {figures['condition']}",
            "n": figures["n"],
            "date": date,
            "command": COMMAND.format(faces=FACES[name]),
        }
        accuracy, low, high = (round(value, 4) for value in (method["accuracy"], low, high))
        rows.append({**same, "metric": "accuracy", "value": accuracy, "low": low, "high": high})
        rows.append({**same, "metric": "ece_above_floor", "value": round(method["ece_above_floor"], 4)})
    return rows


def record(reports: dict[str, dict[str, Any]], elsewhere: dict[str, Any], date: dt.date) -> dict[str, Any]:
    """Return the record as plain data."""
    voice = registry.get("speech-base")
    transfer = round(min(voice.heads[0].temperature / elsewhere["temperature_fitted"], 1.0), 2)
    fusion = {name: report["weights"] for name, report in reports.items()}
    for weights in fusion.values():
        weights["voice"]["transfer"] = transfer
    return {
        "name": "fusion-experts",
        "task": "emotion-fusion",
        "description": "Face and voice as a product of experts, each trusted as far as its quality allows",
        "version": "2",
        "date": date,
        "license": {
            "weights": "MIT for the numbers; the data's terms below may bind their use",
            "data": "FER2013: Kaggle ICML 2013 challenge, for research; FER+ labels: MIT (Microsoft); "
            "RAVDESS: CC BY-NC-SA 4.0",
            "attribution": "Goodfellow et al. 2013, arXiv:1307.0414; Barsoum et al. 2016, arXiv:1608.01041; "
            "Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391",
        },
        "fusion": fusion,
        "training": {
            "protocol": "simulated pairs of FER2013's PublicTest (fer7: its labels; ferplus8: FER+ majority) and "
            "RAVDESS, actors 01 to 20, with nets that did not learn from them; weights fitted on all folds, results "
            "cross-fitted",
            "command": "python scripts/fit_fusion.py",
            "pairs": [f"{name}: {r['clips']} clips, {r['images']} images" for name, r in reports.items()],
            "seen_slope": "from the frames of 137 clips of BAUM-2, not from pairs",
            "transfer": f"temperature of {voice.name} {voice.version} over that of {elsewhere['n']} recordings of "
            f"{elsewhere['dataset']}, by a net that did not learn from it (benchmarks/transfer.py)",
            "prior": "midway between the nets' data (of the logarithms), not fitted",
        },
        "card": {
            "intended_use": "One answer for face and voice of the same person at the same moment.",
            "limits": "Fitted on a simulation: faces and voices of different people, acted, about equally frequent "
            "emotions. In videos the errors of both sides are related, so answers of both together are surer than they "
            "should be. How far, has not been measured.",
            "selection": "Which measures of quality there are was chosen while looking at these pairs; face "
            "temperatures were fitted on the same images, the voices' on all folds. So the results are slightly "
            "optimistic.",
        },
        "results": [row for name, report in reports.items() for row in results(name, report, date)],
    }


def frames(folder: Path) -> None:
    """Print how often the means of frames are right, and the reliability they fit best under, by their number."""
    from mien.data import load_dataset
    from mien.evaluate.calibration import fit_temperature, softmax
    from mien.evaluate.fusion_pairs import common_labels
    from mien.face.analyzer import FaceAnalyzer
    from mien.fusion.experts import LEAST
    from mien.labels import FER7, mapping

    analyzer = FaceAnalyzer("face-base", threads=1)
    data = load_dataset("baum2", folder).faces(count=None)
    labels = common_labels(data.labels, data.label_set)
    clip = np.unique(data.clips, return_inverse=True)[1]
    clips = [np.flatnonzero(clip == k) for k in np.unique(clip)]
    clips = [rows for rows in clips if labels[rows[0]] >= 0]
    truth = labels[[rows[0] for rows in clips]]
    logits = analyzer.logits(data.images)
    for output in analyzer.spec.outputs:
        name = output.name
        p = mapping(output.labels, FER7).apply(softmax(logits[name], temperature=output.temperature))
        generator = np.random.default_rng(0)
        for count in (1, 3, 8, 16):
            fits, right = [], []
            for _ in range(10):
                starts = [int(generator.integers(0, max(len(rows) - count, 0) + 1)) for rows in clips]
                means = np.stack([p[r[s : s + count]].mean(axis=0) for r, s in zip(clips, starts, strict=True)])
                fits.append(1 / fit_temperature(np.log(np.maximum(means, LEAST)), truth))
                right.append((means.argmax(axis=1) == truth).mean())
            text = f"reliability {np.mean(fits):.3f}, accuracy {100 * np.mean(right):.1f} %"
            print(f"{name}, {count:2d} frames of {len(clips)} clips: {text}")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer7", type=Path, help="report.json for FER2013's labels")
    parser.add_argument("--ferplus8", type=Path, help="report.json for FER+ labels")
    parser.add_argument("--frames", type=Path, help="folder of BAUM-2 frames")
    parser.add_argument("--elsewhere", type=Path, help="report.json of voices that the net did not learn from")
    parser.add_argument("--date", type=dt.date.fromisoformat, default=dt.date.today(), help="of the record")
    parser.add_argument("--to", type=Path, default=registry.SHIPPED / "fusion-experts.toml", help="where to write it")
    options = parser.parse_args()
    if options.frames is not None:
        frames(options.frames)
        return
    if None in (options.fer7, options.ferplus8, options.elsewhere):
        parser.error("give --fer7, --ferplus8 and --elsewhere, or --frames")
    reports = {name: json.loads(getattr(options, name).read_text(encoding="utf-8")) for name in FACES}
    elsewhere = json.loads(options.elsewhere.read_text(encoding="utf-8"))
    write_record(record(reports, elsewhere, options.date), options.to)
    print(f"wrote {options.to}")


if __name__ == "__main__":
    main()
