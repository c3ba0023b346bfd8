from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.train.augment import Augmentation  # noqa: E402  - needs torch

SIDE = 48
NOTHING = dict.fromkeys((f.name for f in fields(Augmentation)), 0.0)


def only(**strengths: float) -> Augmentation:
    return Augmentation(**{**NOTHING, **strengths})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int = 16, low: int = 0, high: int = 256) -> torch.Tensor:
    values = np.random.default_rng(5).integers(low, high, (n, 1, SIDE, SIDE))
    return torch.from_numpy(values.astype(np.float32))


def level(n: int, seed: int, **strengths: float) -> torch.Tensor:
    """Return the shift of brightness that a seed gives, seen on flat images."""
    flat = torch.full((n, 1, SIDE, SIDE), 128.0)
    return only(**strengths)(flat, generator(seed))[:, :, :1, :1] - 128


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(equalize=1, gradient=1, blur=1, low_resolution=1, noise=1, jpeg=1, erase=1),
        only(),
    ],
)
@pytest.mark.parametrize("n", [1, 16])
def test_shape_dtype_and_range_stay(augmentation: Augmentation, n: int) -> None:
    images = noise(n)
    before = images.clone()
    found = augmentation(images, generator())
    assert (found.shape, found.dtype) == (images.shape, torch.float32)
    assert torch.isfinite(found).all()
    assert 0 <= float(found.min()) <= float(found.max()) <= 255
    assert torch.equal(images, before)


def test_the_seed_alone_decides() -> None:
    strong = Augmentation(equalize=0.5, gradient=0.5, blur=0.5, low_resolution=0.5, noise=0.5, jpeg=0.5, erase=0.5)
    torch.manual_seed(1)
    first = strong(noise(), generator(7))
    state = torch.get_rng_state()
    again = strong(noise(), generator(7))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn from the global generator
    assert not torch.equal(first, strong(noise(), generator(8)))


def test_without_strengths_only_the_brightness_moves() -> None:
    images = noise(low=30, high=220)
    found = only()(images, generator(2))
    shift = found - images
    expected = shift.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(shift, expected.expand_as(shift), atol=1e-3, rtol=0)
    assert float(expected.abs().max()) <= 20
    assert len(set(expected.flatten().tolist())) == len(images)


def test_a_flip_mirrors() -> None:
    images = noise(low=30, high=220)
    found = only(flip=1.0)(images, generator(2))
    expected = images.flip(3) + level(len(images), 2, flip=1.0)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
    half = only(flip=0.5)(noise(200), generator(3))
    unchanged = ((half - noise(200)).clamp(-20, 20) == half - noise(200)).all(dim=(1, 2, 3))
    assert 70 < int(unchanged.sum()) < 130


def linear_map(seed: int, **strengths: float) -> np.ndarray:
    """Return the (2, 3) map from result to image, in pixels from the center, as ramps of brightness tell it."""
    steps = (torch.arange(SIDE) - (SIDE - 1) / 2).to(torch.float32)
    slope = 1.5
    across = (128 + slope * steps).view(1, 1, 1, SIDE).expand(1, 1, SIDE, SIDE)
    down = (128 + slope * steps).view(1, 1, SIDE, 1).expand(1, 1, SIDE, SIDE)
    shift = float(level(1, seed, **strengths))
    inner = slice(SIDE // 2 - 10, SIDE // 2 + 10)  # far from the border, whose reflection bends the ramps
    u, v = np.meshgrid(steps[inner].numpy(), steps[inner].numpy())
    design = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1)
    rows = []
    for ramp in (across, down):
        found = only(**strengths)(ramp, generator(seed))[0, 0, inner, inner].numpy()
        solution, residual, *_ = np.linalg.lstsq(design, (found.ravel() - 128 - shift) / slope, rcond=None)
        assert residual.max() < 1e-3, "a linear image must stay linear under an affine map"
        rows.append(solution)
    return np.stack(rows)


SEEDS = range(12)


def test_rotation_turns_and_does_nothing_else() -> None:
    angles = []
    for seed in SEEDS:
        matrix = linear_map(seed, rotation_deg=15)
        (cos, minus_sin, _), (sin, cos2, _) = matrix
        assert cos == pytest.approx(cos2, abs=1e-3)
        assert sin == pytest.approx(-minus_sin, abs=1e-3)
        assert math.hypot(cos, sin) == pytest.approx(1, abs=1e-3)
        np.testing.assert_allclose(matrix[:, 2], 0, atol=1e-2)
        angles.append(math.degrees(math.atan2(sin, cos)))
    assert max(map(abs, angles)) <= 15.05
    assert min(angles) < -3
    assert max(angles) > 3


def test_a_rotation_is_opencvs() -> None:
    x = np.zeros((SIDE, SIDE), np.float32)
    x[10:30, 12:20] = 120
    smooth = cv2.GaussianBlur(x, (0, 0), 2) + 60
    matrix = linear_map(4, rotation_deg=15)
    center = (SIDE - 1) / 2
    opencv = matrix.copy()
    opencv[:, 2] += center - opencv[:, :2] @ [center, center]
    expected = cv2.warpAffine(smooth, opencv, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    found = only(rotation_deg=15)(torch.from_numpy(smooth)[None, None], generator(4))[0, 0].numpy()
    found = found - float(level(1, 4, rotation_deg=15))
    assert np.abs(smooth - expected)[8:-8, 8:-8].max() > 5  # it did turn
    # OpenCV rounds positions to 1/32 pixel.
    np.testing.assert_allclose(found[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1.0)


@pytest.mark.parametrize(
    ("strengths", "check"),
    [
        ({"scale": 0.2}, lambda m: m[0, 0] == pytest.approx(m[1, 1], abs=1e-3) and abs(math.log(m[0, 0])) <= 0.201),
        ({"aspect": 0.1}, lambda m: m[1, 1] == pytest.approx(1, abs=1e-3) and abs(math.log(m[0, 0])) <= 0.101),
        ({"shear": 0.1}, lambda m: m[0, 0] == pytest.approx(1, abs=1e-3) and abs(m[0, 1]) <= 0.101),
    ],
)
def test_each_strength_moves_its_own_entry(strengths: dict[str, float], check: Callable[[np.ndarray], bool]) -> None:
    found = np.stack([linear_map(seed, **strengths) for seed in SEEDS])
    assert all(check(matrix) for matrix in found)
    expected_still = {"scale": [(0, 1), (1, 0)], "aspect": [(0, 1), (1, 0)], "shear": [(1, 0)]}
    for row, column in expected_still[next(iter(strengths))]:
        np.testing.assert_allclose(found[:, row, column], 0, atol=1e-3)
    np.testing.assert_allclose(found[:, :, 2], 0, atol=1e-2)
    assert np.ptp(found[:, 0, 0]) > 0.02 or np.ptp(found[:, 0, 1]) > 0.02


def test_a_shift_is_a_share_of_the_side() -> None:
    found = np.stack([linear_map(seed, shift=0.1) for seed in SEEDS])
    np.testing.assert_allclose(found[:, :, :2], np.eye(2)[None].repeat(len(found), 0), atol=1e-3)
    assert np.abs(found[:, :, 2]).max() <= 0.1 * SIDE + 1e-2
    assert np.abs(found[:, :, 2]).max() > 0.05 * SIDE


def test_contrast_keeps_the_mean_and_gamma_the_order() -> None:
    images = noise(low=110, high=146)
    found = only(contrast=0.3)(images, generator(1))
    shift = level(len(images), 1, contrast=0.3)
    torch.testing.assert_close(found.mean(dim=(2, 3)), (images.mean(dim=(2, 3)) + shift.view(-1, 1)), atol=0.05, rtol=0)
    spread = found.std(dim=(2, 3)) / images.std(dim=(2, 3))
    assert float(spread.min()) < 0.9 < 1.1 < float(spread.max())
    ramp = torch.linspace(30, 220, SIDE * SIDE).view(1, 1, SIDE, SIDE).repeat(8, 1, 1, 1)
    bent = only(gamma=0.4)(ramp, generator(1)).flatten(1)
    assert bool((bent.diff(dim=1) >= -1e-3).all())


def test_equalizing_is_opencvs() -> None:
    images = noise(4, 90, 130)
    found = only(equalize=1.0)(images, generator(1))
    shift = level(4, 1)
    for one, own, by in zip(found, images, shift, strict=True):
        expected = cv2.equalizeHist(own[0].numpy().astype(np.uint8)).astype(np.float32) + float(by)
        np.testing.assert_allclose(one[0].numpy(), expected.clip(0, 255), atol=1e-2)


def test_blur_low_resolution_and_jpeg_take_detail_away() -> None:
    images = noise(8, 30, 220)
    detail = images.diff(dim=3).abs().mean()
    for name in ("blur", "low_resolution"):
        found = only(**{name: 1.0})(images, generator(1))
        assert float(found.diff(dim=3).abs().mean()) < 0.7 * float(detail)
    found = only(jpeg=1.0)(images, generator(1))
    assert torch.equal(found, found.round())
    assert not torch.equal(found, images.round())


def test_noise_has_its_strength() -> None:
    flat = torch.full((64, 1, SIDE, SIDE), 128.0)
    found = only(noise=1.0)(flat, generator(1))
    spread = found.std(dim=(1, 2, 3))
    assert 0 <= float(spread.min()) <= float(spread.max()) <= 14.5
    assert 5 < float(spread.mean()) < 9  # uniform up to 14


def test_a_gradient_is_linear() -> None:
    flat = torch.full((8, 1, SIDE, SIDE), 128.0)
    found = only(gradient=1.0)(flat, generator(1))[:, 0]
    inside = (found > 0) & (found < 255)
    bend = found.diff(n=2, dim=2).abs()
    assert float(bend[inside[:, :, 2:] & inside[:, :, :-2]].max()) < 1e-2
    assert float((found.amax(dim=(1, 2)) - found.amin(dim=(1, 2))).max()) > 30


def test_erasing_leaves_all_but_one_flat_rectangle() -> None:
    images = noise(32, 30, 220)
    found = only(erase=1.0)(images, generator(1))
    unerased = only()(images, generator(1))
    for one, other in zip(found[:, 0], unerased[:, 0], strict=True):
        changed = one != other
        rows, columns = torch.where(changed)
        top, bottom, left, right = int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
        box = one[top : bottom + 1, left : right + 1]
        assert len(torch.unique(box)) == 1
        assert bool(changed[top : bottom + 1, left : right + 1].float().mean() > 0.95)
        share = box.numel() / one.numel()
        assert 0.02 < share < 0.25
