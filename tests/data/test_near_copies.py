from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mien.data.near_copies import ALIKE, DETAIL, near_pairs, spreads, thumbnail

Images = NDArray[np.uint8]


def smooth(n: int, seed: int, side: int = 96, sigma: float = 3.0) -> Images:
    """Different images that are smooth, as faces are: noise of all sizes down to a few pixels."""
    generator = np.random.default_rng(seed)
    found = np.empty((n, side, side), np.uint8)
    for i in range(n):
        noise = generator.standard_normal((side, side)).astype(np.float32)
        mixed = sum(cv2.GaussianBlur(noise, (0, 0), sigma * f) * f for f in (1.0, 2.0, 4.0))
        assert isinstance(mixed, np.ndarray)
        found[i] = np.clip(128 + 45 * mixed / mixed.std(), 0, 255)
    return found


def half(images: Images) -> Images:
    return np.stack([cv2.resize(p, (48, 48), interpolation=cv2.INTER_AREA) for p in images]).astype(np.uint8)


def jpeg(image: Images, quality: int = 40) -> Images:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def brighter(image: Images) -> Images:
    return np.clip(image * 0.8 + 40, 0, 255).astype(np.uint8)


def shifted(image: Images) -> Images:
    return np.ascontiguousarray(np.pad(image, ((1, 0), (0, 0)), mode="edge")[:-1])


def mirrored(image: Images) -> Images:
    return np.ascontiguousarray(image[:, ::-1])


CHANGES = {
    "jpeg": jpeg,
    "brighter": brighter,
    "shifted": shifted,
    "mirrored": mirrored,
    "mirrored jpeg": lambda image: jpeg(mirrored(image)),
    "brighter jpeg": lambda image: jpeg(brighter(image), 60),
}


def test_no_false_alarm_among_two_thousand_different_images(monkeypatch: pytest.MonkeyPatch) -> None:
    images = half(smooth(2000, seed=1))
    assert len(near_pairs(images)) == 0
    monkeypatch.setattr("mien.data.near_copies.FEW", 0)
    assert len(near_pairs(images)) == 0


def faces_like(n: int, seed: int) -> Images:
    """Images that share a pattern, as faces do, and differ in the rest."""
    shared = smooth(1, 99).astype(np.float32)
    return np.clip(0.6 * shared + 0.4 * smooth(n, seed, sigma=1.5) + 20, 0, 255).astype(np.uint8)


def test_blurred_images_are_no_copies_of_each_other_but_of_themselves() -> None:
    sharp = half(faces_like(300, 5))
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 4) for image in sharp])
    assert len(near_pairs(sharp)) == 0
    found = near_pairs(np.concatenate([blurred, np.stack([jpeg(brighter(image), 80) for image in blurred[:40]])]))
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == {(k, 300 + k) for k in range(40)}


@pytest.mark.parametrize("few", [0, 4096], ids=["sorted", "all with all"])
def test_planted_copies_are_found_and_nothing_else(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr("mien.data.near_copies.FEW", few)
    images = half(smooth(420, seed=2))
    copies, truth = [], {}
    for number, (name, change) in enumerate(CHANGES.items()):
        for k in range(50):
            original = 60 * number + k
            truth[original, len(images) + len(copies)] = "mirrored" in name
            copies.append(change(images[original]))
    order = np.random.default_rng(3).permutation(len(images) + len(copies))
    place = np.argsort(order)
    pairs = near_pairs(np.concatenate([images, np.stack(copies)])[order])
    found = dict(zip(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True), pairs.mirrored, strict=True))
    wanted = {(min(place[a], place[b]), max(place[a], place[b])): flip for (a, b), flip in truth.items()}
    assert set(found) <= set(wanted)
    assert all(found[pair] == wanted[pair] for pair in found)
    assert len(found) >= (1.0 if few else 0.98) * len(wanted)
    assert (pairs.first < pairs.second).all()
    assert (pairs.alike >= ALIKE).all()


def test_all_with_all_agrees_with_scipy() -> None:
    base = half(smooth(40, seed=4, sigma=2.0))
    noise = np.random.default_rng(5).normal(0, 1, (3, *base.shape))
    images = np.concatenate([base, *(np.clip(base + s * noise[i], 0, 255) for i, s in enumerate((8, 16, 24)))])
    images = images.astype(np.uint8)
    flat = images.astype(float)
    detail = np.stack([p - gaussian_filter(p, 3.0, mode="mirror", truncate=4.0) for p in flat])
    whole, fine = (np.corrcoef(part.reshape(len(part), -1)) for part in (flat, detail))
    wanted = set(zip(*np.nonzero(np.triu((whole >= ALIKE) & (fine >= DETAIL), 1)), strict=True))
    pairs = near_pairs(images)
    plain = ~pairs.mirrored
    assert 40 < len(wanted) < 240
    assert set(zip(pairs.first[plain], pairs.second[plain], strict=True)) == wanted
    assert pairs.alike[plain] == pytest.approx([whole[a, b] for a, b in sorted(wanted)], abs=1e-4)


def test_two_images_are_enough() -> None:
    image = half(smooth(1, seed=6))[0]
    assert len(near_pairs(np.stack([image, brighter(image)]))) == 1
    assert len(near_pairs(image[None])) == len(near_pairs(np.zeros((0, 48, 48), np.uint8))) == 0


def test_a_symmetric_image_and_its_copy_are_one_plain_pair() -> None:
    image = half(smooth(1, seed=7))[0]
    even = ((image.astype(int) + image[:, ::-1]) // 2).astype(np.uint8)
    pairs = near_pairs(np.stack([even, brighter(even)]))
    assert (len(pairs), pairs.mirrored.tolist()) == (1, [False])


def test_progress_sums_to_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    images = half(smooth(30, seed=8))
    for few in (4096, 0):
        monkeypatch.setattr("mien.data.near_copies.FEW", few)
        told: list[int] = []
        near_pairs(images, advance=told.append)
        assert sum(told) == 30


def test_thumbnails_and_spreads() -> None:
    big = np.full((200, 100, 3), (255, 0, 0), np.uint8)
    assert thumbnail(big).shape == (48, 48)
    assert np.unique(thumbnail(big)).tolist() == [76]  # 0.299 of 255, Rec. 601
    same = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)
    assert (thumbnail(same) == same).all()
    assert thumbnail(np.zeros((1, 5), np.uint8)).shape == (48, 48)
    assert spreads(np.stack([same, np.zeros_like(same)])) == pytest.approx([same.std(), 0])
    assert spreads(np.zeros((0, 48, 48), np.uint8)).shape == (0,)
