from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mien.train.augment import SoundAugmentation  # noqa: E402  - needs torch

NOTHING = SoundAugmentation(**{field.name: 0.0 for field in fields(SoundAugmentation)})
RATE = 80.0


def generator(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6, bands: int = 32, frames: int = 60) -> tuple[Any, Any]:
    db = torch.rand(n, 1, bands, frames, generator=generator(9)) * 40 - 60
    return db, torch.full((n,), frames - 10)


def changed(options: SoundAugmentation, seed: int = 0) -> tuple[Any, Any]:
    return options.sound(*batch(), generator(seed), frames_per_s=RATE)


def test_nothing_changes_nothing() -> None:
    db, lengths = batch()
    found, after = changed(NOTHING)
    torch.testing.assert_close(found, db, atol=1e-3, rtol=0)
    assert torch.equal(after, lengths)
    assert NOTHING.masks(db, lengths, generator()) is db


def test_a_seed_fixes_everything_and_another_changes_it() -> None:
    every = replace(SoundAugmentation(), time_mask=0.2, band_mask=0.2, noise=1.0, reverberation=1.0, band_limit=1.0)
    one, other, third = changed(every), changed(every), changed(every, seed=1)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], third[0])
    x, lengths = batch()
    assert torch.equal(every.masks(x, lengths, generator()), every.masks(x, lengths, generator()))
    assert one[0].isfinite().all()


def test_speed_stretches_time_about_the_first_frame() -> None:
    ramp = torch.arange(60.0).expand(6, 1, 8, 60).clone()
    found, lengths = replace(NOTHING, speed=0.3).sound(ramp, torch.full((6,), 40), generator(), frames_per_s=RATE)
    assert len(set(lengths.tolist())) > 1
    for row in range(6):
        factor = lengths[row] / 40
        assert 0.7 < factor < 1.4
        middle = found[row, 0, 3, 5 : int(lengths[row]) - 5]
        expected = (torch.arange(60.0) + 0.5)[5 : int(lengths[row]) - 5] / factor - 0.5
        torch.testing.assert_close(middle, expected, atol=0.6, rtol=0)


def test_pitch_moves_the_bands_alike_in_all_frames() -> None:
    ramp = torch.arange(32.0)[None, None, :, None].expand(6, 1, 32, 60).clone()
    found, lengths = replace(NOTHING, pitch=0.2).sound(ramp, torch.full((6,), 60), generator(), frames_per_s=RATE)
    assert lengths.tolist() == [60] * 6
    assert torch.allclose(found, found[..., :1].expand_as(found), atol=1e-4)
    moved = (found[:, 0, 16, 0] - 16).abs()
    assert 0.3 < moved.max() <= 0.2 * 16 + 0.5


def test_a_response_is_one_curve_over_the_bands() -> None:
    db, _ = batch()
    found, _ = changed(replace(NOTHING, response_db=3.0))
    curve = (found - db)[..., 5]
    torch.testing.assert_close(found - db, curve.unsqueeze(-1).expand_as(db), atol=1e-3, rtol=0)
    assert curve.std() > 1


def test_a_band_limit_leaves_nothing_above_it() -> None:
    found, _ = changed(replace(NOTHING, band_limit=1.0))
    silent = (found == -100).all(dim=3)[:, 0]
    assert silent.any(dim=1).sum() >= 4
    for row in silent:
        first = int(row.float().argmax()) if row.any() else 32
        assert row[first:].all()
        assert first >= 0.67 * 32


def test_noise_only_adds_power_and_lies_under_the_peak() -> None:
    db, _ = batch()
    quiet = torch.full_like(db, -100.0)
    quiet[:, :, 0, 0] = 0.0
    options = replace(NOTHING, noise=1.0)
    found, _ = options.sound(quiet, torch.full((6,), 60), generator(), frames_per_s=RATE)
    assert (found >= quiet - 1e-3).all()
    levels = found[:, 0, 1:].mean(dim=(1, 2))
    assert ((levels > -95) & (levels < 0)).all()
    some, _ = replace(NOTHING, noise=0.5).sound(quiet, torch.full((6,), 60), generator(), frames_per_s=RATE)
    untouched = (some - quiet).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert 0 < int(untouched.sum()) < 6


def test_a_room_has_a_falling_tail_and_keeps_the_power() -> None:
    click = torch.full((6, 1, 4, 120), -100.0)
    click[..., 20] = 0.0
    found, _ = replace(NOTHING, reverberation=1.0).sound(click, torch.full((6,), 120), generator(), frames_per_s=RATE)
    tail = found[:, 0, 0, 21:55]
    assert (found[..., :20] < -99).all()
    assert (tail.diff(dim=1)[tail[:, 1:] > -85] < 0).all()
    power = torch.pow(10.0, found / 10).sum(dim=3)
    torch.testing.assert_close(power, torch.ones_like(power), atol=0.02, rtol=0)


def test_masks_hide_stretches_behind_the_mean_of_the_recording() -> None:
    x, lengths = batch(n=40)
    options = replace(NOTHING, time_mask=0.3, band_mask=0.3)
    found = options.masks(x, lengths, generator())
    hidden = found != x
    for row in range(40):
        inside = x[row, 0, :, : lengths[row]]
        assert torch.allclose(found[row, 0][hidden[row, 0]], inside.mean(), atol=1e-4)
        assert not hidden[row, 0, :, lengths[row] :][~hidden[row, 0].all(dim=1)].any()
        # Two masks of at most 30 % each, over time and over bands.
        assert int(hidden[row, 0, :, : lengths[row]].all(dim=0).sum()) <= 2 * 0.3 * 50 + 2
    assert hidden.any()
