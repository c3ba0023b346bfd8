"""Near copies: the same photograph cut, compressed, toned or mirrored a little differently.

Sorting finds candidates, pixels confirm them.  Signs of low-frequency cosine coefficients (a perceptual hash; Zauner
2010, Implementation and Benchmarking of Perceptual Image Hash Functions) against their medians over all images give
64 balanced bits each; under many permutations of the bits, copies come to lie next to each other in sorted order
(Charikar 2002, Similarity Estimation Techniques from Rounding Algorithms; Manku et al. 2007, Detecting Near-Duplicates
for Web Crawling).  The work grows with n log n, whatever the images.  Of few images all pairs are candidates.

What it misses: a photograph cut several pixels differently, turned, or shown much larger; part of the pairs of which
text or a frame covers much.  On FER2013 (30,766 different images) sorting finds 1,596 of the 1,601 pairs that a
comparison of all with all accepts, 1,593 of them not blurred (`VAGUE`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIKE", "DETAIL", "FEW", "FLAT", "HAMMING", "SIDE", "VAGUE", "Pairs", "near_pairs", "spreads", "thumbnail"]

SIDE = 48
"""Side of the gray thumbnails that are compared, the size of FER2013's images: those lose nothing."""

FLAT = 2.0
"""Standard deviation in gray levels below which an image shows nothing."""

HAMMING = 22
"""Bits of 64 in which candidates may differ.  On FER2013, 99 % of the pairs that `ALIKE` and `DETAIL` accept differ in
at most 17; of random pairs, one in a hundred does so in at most 22."""

ALIKE = 0.90
"""Correlation of the pixels from which a pair is a copy, if `DETAIL` agrees."""

DETAIL = 0.65
"""Correlation of the details (what a Gaussian of 3 px leaves over) from which a pair is a copy.  Different people seen
from the front in the same light correlate up to 0.94 in their pixels, but rarely above 0.62 in their details; images
of one photograph that was cut a pixel apart lie above both.  Of the 60 accepted pairs of FER2013 with the least alike
details, seen by eye, one shows two people; of the 60 with the least alike pixels none does."""

VAGUE, VAGUE_ALIKE, VAGUE_DETAIL = 0.30, 0.98, 0.90
"""An image whose details deviate by less than `VAGUE` of its gray levels (one in a thousand of FER2013) is blurred: all
blurred faces are alike, so that `ALIKE` and `DETAIL` must be these.  Of 1,200 images of FER2013 under a Gaussian of
3 px, that leaves 1 pair of different ones instead of 264, and all that were cut, toned and compressed differently."""

FEW = 4096
"""Up to so many images, all pairs are compared."""

_BLUR = 3.0
_FREQUENCIES, _BITS = 12, 64
_TABLES, _LEAST_PREFIX, _REACH = 64, 10, 48
_CHUNK = 4096
_SLACK = 1e-4  # of sums in float32

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Near copies.

    Parameters
    ----------
    first, second : numpy.ndarray
        int64 of shape (k,), first < second.
    alike : numpy.ndarray
        float32 of shape (k,): correlation of the pixels.
    mirrored : numpy.ndarray
        bool of shape (k,): one is the mirror image of the other.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    alike: Floats
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image, uint8 (H, W) or (H, W, 3) RGB, as gray uint8 (48, 48)."""
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if gray.shape == (SIDE, SIDE):
        return np.asarray(gray, dtype=np.uint8)
    way = cv2.INTER_AREA if min(gray.shape) > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(gray, (SIDE, SIDE), interpolation=way), dtype=np.uint8)


def spreads(thumbs: NDArray[np.uint8]) -> Floats:
    """Return the standard deviation of the gray levels of each thumbnail, float32 (n,)."""
    parts = [thumbs[i : i + _CHUNK].reshape(-1, SIDE * SIDE).std(axis=1) for i in range(0, len(thumbs), _CHUNK)]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def near_pairs(thumbs: NDArray[np.uint8], *, advance: Callable[[int], None] | None = None) -> Pairs:
    """Find near copies among images that are neither flat nor identical.

    Parameters
    ----------
    thumbs : numpy.ndarray
        uint8 of shape (n, 48, 48).
    advance : callable, optional
        Called with the number of images worked off since the last call; they sum to n.

    Returns
    -------
    Pairs
        Sorted by first and second.  One photograph cut several pixels differently is beyond what is found.
    """
    say = advance or (lambda _: None)
    n = len(thumbs)
    if n < 2:
        say(n)
        return _confirmed(thumbs, np.zeros(0, np.int64))
    low, rest = _coefficients(thumbs)
    signs = np.where(_FREQUENCY_X % 2, -1, 1).astype(np.float32)
    if n <= FEW:
        return _confirmed(thumbs, _all_possible(low, rest, signs, say))
    middle = np.median(low, axis=0)
    bits = np.concatenate([low > middle, low * signs > middle])
    found = np.zeros(0, np.int64)
    order = np.random.default_rng(0)
    told = 0
    for table in range(_TABLES):
        new = _neighbors(bits, order.permutation(_BITS), n)
        found = np.union1d(found, new[_possible(new, low, rest, signs, n)])
        done = n * (table + 1) // _TABLES
        say(done - told)
        told = done
    return _confirmed(thumbs, found)


def _grid() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the vertical and horizontal frequencies of the 64 lowest coefficients but the mean."""
    all_of = [(v + u, v, u) for v in range(_FREQUENCIES) for u in range(_FREQUENCIES) if v + u]
    chosen = np.array(sorted(all_of)[:_BITS])
    return chosen[:, 1], chosen[:, 2]


_FREQUENCY_Y, _FREQUENCY_X = _grid()


def _coefficients(thumbs: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return low cosine coefficients (n, 64) of the standardized images, and the length of what they leave (n,).

    The images have mean 0 and length 1 and the transform is orthonormal, so that products of coefficients are parts
    of the images' correlation.
    """
    k = np.arange(SIDE)
    waves = np.cos(np.pi * (2 * k + 1) * np.arange(_FREQUENCIES)[:, None] / (2 * SIDE)) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    waves = waves.astype(np.float32)
    low = np.empty((len(thumbs), _BITS), np.float32)
    for i in range(0, len(thumbs), _CHUNK):
        standard = _standard(thumbs[i : i + _CHUNK].astype(np.float32))
        low[i : i + _CHUNK] = (waves @ standard @ waves.T)[:, _FREQUENCY_Y, _FREQUENCY_X]
    return low, np.sqrt(np.maximum(1 - np.einsum("ij,ij->i", low, low), 0))


def _standard(images: Floats) -> Floats:
    centered = images - images.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt(np.einsum("ijk,ijk->i", centered, centered))
    return np.asarray(centered / np.maximum(length, 1e-6)[:, None, None], dtype=np.float32)


def _neighbors(bits: NDArray[np.bool_], order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return candidates as numbers ``2 (n first + second) + mirrored``.

    ``bits`` holds the images and then their mirror images.  Those that share a prefix of the permuted bits and lie
    within `_REACH` places in sorted order are compared; the prefix grows with n, so that few do by chance.
    """
    codes = np.ascontiguousarray(np.packbits(bits[:, order], axis=1)).view(">u8").astype(np.uint64)[:, 0]
    rank = np.argsort(codes, kind="stable")
    sorted_codes = codes[rank]
    prefix = sorted_codes >> np.uint64(_BITS - max(_LEAST_PREFIX, int(np.log2(n)) - 1))
    found = []
    for step in range(1, _REACH + 1):
        same = np.flatnonzero(prefix[step:] == prefix[:-step])
        if not len(same):
            break
        a, b = rank[same], rank[same + step]
        close = _ones(sorted_codes[same] ^ sorted_codes[same + step]) <= HAMMING
        # Two mirror images are as close as the images themselves; an image and its own is no pair.
        close &= ((a < n) | (b < n)) & (a % n != b % n)
        a, b = a[close], b[close]
        low, high = np.minimum(a % n, b % n), np.maximum(a % n, b % n)
        found.append(2 * (low * n + high) + ((a >= n) | (b >= n)))
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


_ONES = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)


def _ones(codes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Count the bits that are set (`numpy.bitwise_count` came with NumPy 2)."""
    return np.asarray(_ONES[codes.view(np.uint8).reshape(-1, 8)].sum(axis=1, dtype=np.uint8))


def _all_possible(low: Floats, rest: Floats, signs: Floats, say: Callable[[int], None]) -> NDArray[np.int64]:
    """Return all pairs that can reach `ALIKE`, as `_neighbors` numbers them."""
    n, step = len(low), 512
    found = []
    for start in range(0, n, step):
        stop = min(start + step, n)
        for mirrored in (0, 1):
            other = low * signs if mirrored else low
            most = low[start:stop] @ other.T + rest[start:stop, None] * rest
            first, second = np.nonzero(most >= ALIKE - _SLACK)
            first += start
            later = first < second
            found.append(2 * (first[later] * n + second[later]) + mirrored)
        say(stop - start)
    return np.unique(np.concatenate(found))


def _possible(keys: NDArray[np.int64], low: Floats, rest: Floats, signs: Floats, n: int) -> NDArray[np.bool_]:
    """Say which candidates can reach `ALIKE`: their low coefficients are known, of the rest only the lengths."""
    result = np.zeros(len(keys), dtype=np.bool_)
    for i in range(0, len(keys), 1 << 16):
        part = keys[i : i + (1 << 16)]
        first, second = np.divmod(part >> 1, n)
        other = np.where((part & 1).astype(bool)[:, None], low[second] * signs, low[second])
        most = np.einsum("ij,ij->i", low[first], other) + rest[first] * rest[second]
        result[i : i + (1 << 16)] = most >= ALIKE - _SLACK
    return result


def _confirmed(thumbs: NDArray[np.uint8], keys: NDArray[np.int64]) -> Pairs:
    """Compare the pixels of candidates, and then their details."""
    n = len(thumbs)
    kept, alike = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for i in range(0, len(keys), _CHUNK):
        part = keys[i : i + _CHUNK]
        first, second = np.divmod(part >> 1, n)
        a, b = thumbs[first].astype(np.float32), thumbs[second].astype(np.float32)
        mirrored = (part & 1).astype(bool)
        b[mirrored] = b[mirrored, :, ::-1]
        value = _correlations(a, b)
        good = np.flatnonzero(value >= ALIKE)
        detail_a, detail_b = _details(a[good]), _details(b[good])
        shares = [
            d.std(axis=(1, 2)) / np.maximum(x[good].std(axis=(1, 2)), 1e-6) for d, x in ((detail_a, a), (detail_b, b))
        ]
        is_vague = np.minimum(*shares) < VAGUE
        likeness = _correlations(detail_a, detail_b)
        good = good[
            (likeness >= np.where(is_vague, VAGUE_DETAIL, DETAIL))
            & (value[good] >= np.where(is_vague, VAGUE_ALIKE, ALIKE))
        ]
        kept.append(part[good])
        alike.append(value[good])
    chosen, values = np.concatenate(kept), np.concatenate(alike)
    # A symmetric face is like its copy and like the copy's mirror image: the more alike of the two counts.
    best = np.lexsort((-values, chosen >> 1))
    best = best[np.unique(chosen[best] >> 1, return_index=True)[1]]
    chosen, values = chosen[best], values[best]
    first, second = np.divmod(chosen >> 1, max(n, 1))
    return Pairs(first, second, values, (chosen & 1).astype(bool))


def _correlations(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("ijk,ijk->i", _standard(a), _standard(b)), dtype=np.float32)


def _details(images: Floats) -> Floats:
    blurred = [cv2.GaussianBlur(image, (0, 0), _BLUR) for image in images]
    return images - np.stack(blurred) if blurred else images
