"""The noise curve of one model over the clips that it has answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.evaluate.answers import mapping_to
from mien.evaluate.calibration import softmax
from mien.evaluate.noise import KINDS, RATIOS_DB, Waves, noise_curve
from mien.evaluate.speech_answers import SpeechAnswers, SpeechClassifier
from mien.evaluate.speech_result import NoiseFigures

__all__ = ["noise_of"]


def noise_of(
    model: SpeechClassifier,
    answers: SpeechAnswers,
    *,
    kinds: Sequence[str] = KINDS,
    ratios_db: Sequence[float] = RATIOS_DB,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[NoiseFigures, ...]:
    """Let a model answer to the same clips again, in noise, with the output that answered before.

    Parameters
    ----------
    model : SpeechClassifier
        The model.
    answers : SpeechAnswers
        Its answers without noise.
    kinds, ratios_db, seed, progress
        See `mien.evaluate.noise.noise_curve`.

    Returns
    -------
    tuple of NoiseFigures
        The curve.

    Raises
    ------
    ModelError
        If the model is none for speech.
    InputError
        See `mien.evaluate.noise.noise_curve`.
    """
    output = model.spec.output(answers.output)
    mapped = mapping_to(output.labels, answers.label_set)
    if model.spec.sound is None:
        raise ModelError(f"model {model.spec.name!r} is for {model.spec.task}, not for speech-emotion")
    rate_hz = model.spec.sound.rate_hz

    def answer(wave: NDArray[np.float32], index: int) -> NDArray[np.float64]:  # noqa: ARG001 - one model for all
        z = np.asarray(model.clip_logits(wave, rate_hz=rate_hz)[output.name], dtype=np.float64)
        return mapped.apply(softmax(z[None], temperature=output.temperature)).ravel()

    waves = Waves(answers.clips, rate_hz=rate_hz)
    return noise_curve(
        answer, answers.clips, waves, rate_hz=rate_hz, kinds=kinds, ratios_db=ratios_db, seed=seed, progress=progress
    )
