"""Changed copies of recordings: each its own, the same by the seed, and with no voice but the speaker's."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.data import load_dataset
from mien.data.samples import Samples
from mien.train.views import speech_views
from speech_corpora import write_wav
from speech_mixtures import voiced

RATE = 16000


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("emodb")
    for number, name in enumerate(("03a01Fa", "03a02Wa", "08a01Na", "08a02Tb")):
        write_wav(folder / f"{name}.wav", voiced(2 * RATE, np.random.default_rng(number)), RATE)
    return load_dataset("emodb", folder)


def test_copies_are_changed_and_the_same_by_the_seed(clips: Samples) -> None:
    first, again = (dict(speech_views(clips, 3, rate_hz=RATE, seed=1)) for _ in range(2))
    assert sorted(first) == [0, 1, 2, 3]
    for row, waves in first.items():
        assert len(waves) == 4
        np.testing.assert_array_equal(waves[0], clips.read_audio(row, RATE))
        assert len({wave.tobytes() for wave in waves}) == 4
        assert all(np.isfinite(wave).all() and np.abs(wave).max() <= 1 and len(wave) > RATE for wave in waves)
        for wave, same in zip(waves, again[row], strict=True):
            np.testing.assert_array_equal(wave, same)
    other = dict(speech_views(clips, 3, rate_hz=RATE, seed=2))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(first[0][1:], other[0][1:], strict=True))
