"""A program of its own that opens one camera and says in JSON what it gives: a dead device stops only this process."""

from __future__ import annotations

import json
import sys

from mien.io._live_capture import open_capture

__all__ = ["main"]

_TRIES = 20


def main(index: int) -> None:
    """Write what camera ``index`` gives to stdout, or null where it gives no image."""
    capture = open_capture(index)
    told: dict[str, object] | None = None
    if capture.isOpened():
        import cv2

        # The first images after opening may fail while the sensor starts.
        for _ in range(_TRIES):
            good, image = capture.read()
            if good and image is not None:
                rate = float(capture.get(cv2.CAP_PROP_FPS))
                told = {"width": image.shape[1], "height": image.shape[0], "rate": rate if 0 < rate < 1000 else None}
                break
    capture.release()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
