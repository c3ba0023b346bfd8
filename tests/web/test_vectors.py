"""The in-browser library against the Python library: the same faces, crops and emotions of the same pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.face.adapt import BASELINE_STRENGTH, NEUTRAL_FACE, baseline_bias, subtract_bias
from mien.face.align import sample, similarity
from mien.face.detect.mtcnn import MtcnnDetector
from mien.io.image import read_image
from mien.models import registry
from mien.results.emotion import AFFECT, UNSURE_BELOW
from mien.samples import astronaut_path
from mien.video.timeline import Smoother, certainty
from mien.web import make_manifest
from web.browser_harness import run_in_browser

Image = NDArray[np.uint8]

PREPARE = """
import { FaceAnalyzer } from "./face";
import { MtcnnDetector } from "./mtcnn";

async function detectorOf() {
  const [pnet, rnet, onet] = await Promise.all(["pnet", "rnet", "onet"].map((net) => session(`mtcnn_${net}.onnx`)));
  return new MtcnnDetector({ pnet, rnet, onet });
}
"""

FACES = """
export default async function (data: any) {
  const detector = await detectorOf();
  const analyzers: FaceAnalyzer[] = [];
  for (const { model, output } of data.readers) {
    analyzers.push(new FaceAnalyzer(model, await session(model.file), data.affect, output));
  }
  const results = [];
  for (const { name, width, height, near } of data.images) {
    const image = { width, height, data: await bytes(name) };
    const faces = await detector.detect(image);
    const read = [];
    for (const analyzer of analyzers) read.push(await analyzer.analyze(image, faces));
    const followed = Object.entries(await detector.follow(image, Float32Array.from(near)));
    results.push({
      read,
      notes: detector.sizeNotes(image, faces),
      crops: Array.from(analyzers[0]!.crops(image, read[0]!)),
      followed: Object.fromEntries(followed.map(([key, values]) => [key, Array.from(values)])),
    });
  }
  const none = { boxes: new Float32Array(0), scores: new Float32Array(0), landmarks: new Float32Array(0) };
  return { results, vast: detector.sizeNotes({ width: 3000, height: 2500 }, none) };
}
"""

TRACKS = """
import { FaceTracker } from "./track";

export default async function (data: any) {
  const { model, affect, width, height, frames } = data;
  const detector = await detectorOf();
  const searched: number[] = [];
  const detect = detector.detect.bind(detector);
  let now = 0;
  detector.detect = (image) => { searched.push(now); return detect(image); };
  const tracker = new FaceTracker(detector, new FaceAnalyzer(model, await session(model.file), affect), data.baseline);
  const results = [];
  for (const { name, time_s, rest_s } of frames) {
    now = time_s;
    if (rest_s !== undefined) tracker.setBaseline(rest_s);
    results.push(await tracker.update({ width, height, data: await bytes(name) }, time_s));
  }
  return { results, searched };
}
"""

CROPS = """
import { sample, similarity } from "./align";
import { toImage } from "./image";

export default async function ({ width, height, size, matrices, points }: any) {
  const rgb = await bytes("pattern");
  const rgba = new ImageData(width, height);
  rgba.data.fill(255);
  for (let i = 0; i < width * height; i++) rgba.data.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
  const crops = matrices.map((matrix: any) => {
    const out = new Uint8Array(3 * size * size);
    sample(toImage(rgba), matrix, size, out);
    return Array.from(out);
  });
  return { crops, similarities: points.map(([source, target]: any) => similarity(source, target)) };
}
"""

# Outputs and how near they must be: eight-bit graphs are computed differently on different processors.
READERS = [("face-base", "ferplus8", 1e-4), ("face-base", "both", 1e-4), ("face-small", "fer7", 2e-2)]


def astronaut() -> Image:
    return read_image(astronaut_path()).pixels


def scaled(image: Image, across: float, down: float | None = None) -> Image:
    size = round(image.shape[1] * across), round(image.shape[0] * (down or across))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def images() -> dict[str, Image]:
    """Return images in which faces are large, small, turned, many, cut off, or none."""
    whole = astronaut()
    turn = cv2.getRotationMatrix2D((256, 256), 18, 1)
    montage = np.full((480, 640, 3), 90, np.uint8)
    for part, x, y in (
        (scaled(whole, 0.5), 10, 10),
        (scaled(whole, 0.7)[:, ::-1], 270, 100),
        (scaled(whole, 0.3), 30, 300),
    ):
        montage[y : y + part.shape[0], x : x + part.shape[1]] = part[: 480 - y, : 640 - x]
    return {
        "plain": whole,
        "odd": scaled(whole, 0.871, 0.913)[:-1, :-2],
        "large": scaled(whole, 1.7),
        "small": scaled(whole, 0.25),
        "tiny": scaled(whole, 0.05),
        "turned": np.asarray(cv2.warpAffine(whole, turn, (512, 512)), np.uint8),
        "montage": montage,
        "cut": whole[60:, 195:300],
        "noise": np.random.default_rng(3).integers(0, 256, (240, 321, 3), dtype=np.uint8),
        "black": np.zeros((33, 47, 3), np.uint8),
        "line": np.full((1, 300, 3), 200, np.uint8),
    }


def model_of(name: str) -> dict[str, Any]:
    """Return a model as the page's manifest describes it, with the name of its file in the package."""
    manifest, _ = make_manifest(registry.get(name), registry.get("speech-base"))
    return {**manifest["face"], "file": f"{name}.onnx"}


MEANING = {"affect": AFFECT, "unsure_below": UNSURE_BELOW}
BASELINE = {"strength": BASELINE_STRENGTH, "neutral_face": NEUTRAL_FACE}


def test_faces_are_those_of_the_python_library(tmp_path: Path) -> None:
    detector, rng = MtcnnDetector(), np.random.default_rng(8)
    analyzers = [mien.FaceAnalyzer(model, output=output, detector=detector) for model, output, _ in READERS]
    pictures, given, expected = images(), [], []
    for name, image in pictures.items():
        height, width = image.shape[:2]
        found = detector.detect(image)
        near = np.concatenate([found.boxes, [[0.3 * width, 0.2 * height, 0.6 * width, 0.5 * height]]])
        near = (near + rng.uniform(-0.3, 0.3, near.shape) * (near[:, 2:3] - near[:, :1])).astype(np.float32)
        given.append({"name": name, "width": width, "height": height, "near": near.ravel().tolist()})
        expected.append((found, detector.follow(image, near)))
    readers = [{"model": model_of(model), "output": output} for model, output, _ in READERS]
    data = {"readers": readers, "affect": MEANING, "images": given}
    results = run_in_browser(tmp_path, PREPARE + FACES, data, {name: p.tobytes() for name, p in pictures.items()})
    assert sum(len(found) for found, _ in expected) >= 8
    for image, (found, followed), result in zip(pictures.values(), expected, results["results"], strict=True):
        faces = result["read"][0]
        assert len(faces) == len(found)
        # Exact on one processor; on others, a place that is rounded to another 1/32 of a pixel moves a box by more.
        for name, values, near in (
            ("box", found.boxes, 0.1),
            ("score", found.scores, 1e-3),
            ("landmarks", found.landmarks, 0.1),
        ):
            assert np.reshape([face[name] for face in faces], np.shape(values)) == pytest.approx(values, abs=near)
        for name, values, near in zip(("boxes", "scores", "landmarks"), followed, (0.1, 1e-3, 0.1), strict=True):
            assert np.reshape(result["followed"][name], values.shape) == pytest.approx(values, abs=near)
        # The library also looks at dark and turned images again, which finds nothing in these.
        whole = analyzers[0].analyze(image, quiet=True)
        assert result["notes"] == list(whole.warnings)
        assert [face["warnings"] for face in faces] == [list(face.warnings) for face in whole.faces]
        placed = [
            replace(face, box=tuple(got["box"]), landmarks=tuple(map(tuple, got["landmarks"])))
            for face, got in zip(whole.faces, faces, strict=True)
        ]
        crops = np.reshape(analyzers[0].crops(image, placed), -1).astype(int)
        assert np.abs(crops - result["crops"]).max(initial=0) <= 1
        for (_, _, near), analyzer, read in zip(READERS, analyzers, result["read"], strict=True):
            emotions = [emotion.to_dict() for emotion in analyzer.classify(analyzer.crops(image, placed))]
            for wanted, face in zip(emotions, read, strict=True):
                got = face["emotion"]
                assert got["probabilities"] == pytest.approx(wanted["probabilities"], abs=near)
                assert (got["top"], got["unsure"]) == (wanted["top"], wanted["unsure"])
                for key in ("confidence", "valence", "arousal"):
                    assert got[key] == pytest.approx(wanted[key], abs=near)
    vast = analyzers[0].analyze(np.zeros((2500, 3000, 3), np.uint8), quiet=True)
    assert results["vast"] == list(vast.warnings) != []


def test_people_keep_their_numbers(tmp_path: Path) -> None:
    """One walks by, another leaves after 12 frames, and after 24 another scene begins."""
    person = scaled(astronaut(), 0.5)[:, 30:210]
    scenery = cv2.resize(np.random.default_rng(1).integers(60, 160, (6, 8, 3), dtype=np.uint8), (480, 320))

    def frame(k: int) -> Image:
        image = scenery.copy() if k < 24 else 255 - scenery
        left = 4 * k if k < 24 else 250
        image[64:, left : left + 180] = person
        if k < 12:
            image[64:, 300:480] = person[:, ::-1]
        return np.asarray(image, np.uint8)

    times = [k / 15 for k in range(27)]
    entry = {
        "model": model_of("face-base"),
        "affect": MEANING,
        "baseline": BASELINE,
        "width": 480,
        "height": 320,
        "frames": [{"name": f"frame{k}", "time_s": time_s} for k, time_s in enumerate(times)],
    }
    files = {f"frame{k}": frame(k).tobytes() for k in range(27)}
    found = run_in_browser(tmp_path, PREPARE + TRACKS, entry, files)
    frames = [{face["track"]: face for face in result["faces"]} for result in found["results"]]
    walker = min(frames[0], key=lambda track: frames[0][track]["box"][0])
    assert [set(faces) for faces in frames] == [{1, 2}] * 12 + [{walker}] * 12 + [{3}] * 3
    # As many pixels as a box jitters by.
    for k in range(24):
        assert frames[k][walker]["box"][0] - 4 * k == pytest.approx(frames[0][walker]["box"][0], abs=5)
    searched = found["searched"]
    assert [k for k in range(12) if times[k] in searched] == [0, 8]
    # Somebody is missing: again soon, then as often as ever.
    assert times[12] in searched
    assert sum(times[12] <= time_s < times[24] for time_s in searched) <= 4
    assert times[24] in searched
    for track in (1, 2, 3):
        smoother = Smoother(0.4)
        for time_s, faces in zip(times, frames, strict=True):
            if track in faces:
                shares = np.array(list(faces[track]["emotion"]["probabilities"].values()))
                wanted = smoother.push(time_s, shares, weight=float(certainty(shares[None])[0]))
                assert list(faces[track]["smoothed"]["probabilities"].values()) == pytest.approx(wanted, abs=1e-9)


def test_a_face_at_rest_is_taken_away(tmp_path: Path) -> None:
    image = scaled(astronaut(), 0.5)[:, 30:210]
    frames = [{"name": "frame", "time_s": k / 10} for k in range(12)]
    frames[3]["rest_s"] = 0.35  # frames 3 to 6
    frames[9]["rest_s"] = 0
    entry = {
        "model": model_of("face-base"),
        "affect": MEANING,
        "baseline": BASELINE,
        "width": image.shape[1],
        "height": image.shape[0],
        "frames": frames,
    }
    found = run_in_browser(tmp_path, PREPARE + TRACKS, entry, {"frame": image.tobytes()})
    emotions = [result["faces"][0]["emotion"] for result in found["results"]]
    shares = np.array([list(emotion["probabilities"].values()) for emotion in emotions])
    labels = registry.get("face-base").default_output.labels
    assert list(emotions[0]["probabilities"]) == list(labels.emotions)
    wanted = subtract_bias(shares[2], baseline_bias(shares[3:7], labels))
    assert shares[7] == pytest.approx(wanted, abs=5e-3)
    assert shares[9] == pytest.approx(shares[2], abs=5e-3)
    assert abs(shares[7] - shares[2]).max() > 0.01


def turned(step: float, degrees: float, x: float, y: float, squeeze: float = 1.0) -> list[list[float]]:
    a, b = step * math.cos(math.radians(degrees)), step * math.sin(math.radians(degrees))
    return [[a, -b, x], [b * squeeze, a * squeeze, y]]


def test_crops_are_sampled_to_the_pixel(tmp_path: Path) -> None:
    y, x = np.mgrid[:131, :203]
    waves = 127 + 127 * np.sin(x / 6) * np.cos(y / 9)
    pattern = np.stack([(7 * x + 13 * y) % 256, 255 * ((x // 3 + y // 5) % 2), waves], axis=-1).astype(np.uint8)
    matrices = [
        turned(1, 0, 0, 0),
        turned(2, 0, 0, 0),
        turned(0.4, 33, 90, 20),
        turned(1.3, -75, 30, 90),
        turned(2.7, 10, 50, -30),
        turned(6.1, 200, 190, 140),
        turned(3.2, 0, -40, -60, squeeze=0.2),
        turned(1, 0, 5000, -5000),
    ]
    rng = np.random.default_rng(5)
    points = rng.uniform(0, 100, (4, 2, 5, 2))
    height, width = pattern.shape[:2]
    data = {"width": width, "height": height, "size": 24, "matrices": matrices, "points": points.tolist()}
    found = run_in_browser(tmp_path, CROPS, data, {"pattern": pattern.tobytes()})
    for matrix, crop in zip(matrices, found["crops"], strict=True):
        wanted = sample(pattern, np.array(matrix), 24).ravel().astype(int)
        assert np.abs(wanted - crop).max() <= 1
        assert (wanted != crop).mean() < 0.01
    for (source, target), got in zip(points, found["similarities"], strict=True):
        matrix, residual = similarity(source, target)
        assert np.array(got["matrix"]) == pytest.approx(matrix, abs=1e-9)
        assert got["residual"] == pytest.approx(residual)
