"""Take the voice-activity net that mien ships out of the wheel ``silero-vad`` (MIT license, Silero Team).

    python scripts/take_silero_vad.py path/to/silero_vad-6.2.3-py3-none-any.whl

The wheel itself needs torch; the graph in it does not.  It is shipped as it is, byte by byte: ``silero-vad.onnx`` is
the wheel's ``silero_vad_16k_sequence.onnx``, the net for 16 kHz that takes many frames in one call.  Beside it the
record ``silero-vad.toml`` is written.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "src" / "mien" / "weights"
INNER = "silero_vad/data/silero_vad_16k_sequence.onnx"

RECORD = """\
name = "silero-vad"
task = "speech-activity"
description = "Silero VAD: a small recurrent net that says for every 32 ms how likely somebody speaks"
version = "6.2.3"
date = 2026-11-21

[[files]]
role = "graph"
file = "silero-vad.onnx"
sha256 = "{digest}"
bytes = {size}

[license]
weights = "MIT"
data = "trained by its authors on recordings that they do not publish; nothing of them is shipped"
attribution = "Silero Team, Silero VAD: pre-trained enterprise-grade Voice Activity Detector, \
https://github.com/snakers4/silero-vad, Copyright (c) 2020-present Silero Team"

[training]
recipe = "none: taken by scripts/take_silero_vad.py from the Python package silero-vad 6.2.3"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="the wheel silero-vad 6.2.3")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into")
    options = parser.parse_args()
    with zipfile.ZipFile(options.wheel) as archive:
        data = archive.read(INNER)
    (options.out / "silero-vad.onnx").write_bytes(data)
    record = RECORD.format(digest=hashlib.sha256(data).hexdigest(), size=len(data))
    (options.out / "silero-vad.toml").write_text(record, encoding="utf-8")
    print(f"{options.out / 'silero-vad.onnx'}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
