"""Does the steps of the Dockerfile in a fresh folder, without a container engine, and asks the service that they give.

    python scripts/try_container.py

It copies what the Dockerfile copies, installs it into a new environment, starts the entry point's command on a free
port with a read-only copy of the source, runs the health check, sends an image, and ends it by SIGTERM.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    steps = [line.partition(" ")[::2] for line in text.splitlines() if line and not line.startswith("#")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, opt, jobs = folder / "source", folder / "opt", folder / "jobs"
        source.mkdir()
        jobs.mkdir()
        for step, rest in steps:
            if step == "COPY" and "--from" not in rest:
                *paths, target = rest.split()
                for path in paths:
                    if (ROOT / path).is_dir():
                        shutil.copytree(ROOT / path, source / target, ignore=shutil.ignore_patterns("__pycache__"))
                    else:
                        shutil.copy(ROOT / path, source)
            elif step == "RUN" and ("venv" in rest or "pip" in rest):
                command = rest.replace("/opt/mien", str(opt)).replace("python -m venv", f"{sys.executable} -m venv")
                print("+", command, flush=True)
                subprocess.run(["sh", "-ec", command], cwd=source, check=True)
        shutil.rmtree(source)
        size = sum(path.stat().st_size for path in opt.rglob("*") if path.is_file() and not path.is_symlink())
        print(f"installed: {size / 1e6:.0f} MB")
        serve(steps, folder, opt, jobs)


def serve(steps: list[tuple[str, str]], folder: Path, opt: Path, jobs: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    words = json.loads(next(rest for step, rest in steps if step == "ENTRYPOINT"))
    words = [{"/jobs": str(jobs), "8000": port, "mien": str(opt / "bin" / "mien")}.get(word, word) for word in words]
    check = next(rest for step, rest in steps if step == "HEALTHCHECK").partition("CMD ")[2]
    check_words = [str(opt / "bin" / "python"), *json.loads(check.replace(":8000", f":{port}"))[1:]]
    process = subprocess.Popen(words, cwd=folder, env={"PATH": str(opt / "bin"), "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        for _ in range(120):
            if subprocess.run(check_words, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.5)
        image = next(opt.rglob("astronaut.jpg")).read_bytes()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/faces", image)
        with urllib.request.urlopen(request, timeout=60) as answer:
            faces = json.load(answer)["faces"]
        assert len(faces) == 1, faces
        process.send_signal(signal.SIGTERM)
        code = process.wait(40)
        assert code in (0, -signal.SIGTERM), code
        assert not re.search("pyc", " ".join(str(path) for path in jobs.rglob("*")))
        print("the service answered, and ended on SIGTERM")
    finally:
        if process.poll() is None:
            process.kill()


if __name__ == "__main__":
    main()
