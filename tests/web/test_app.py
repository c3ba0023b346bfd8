"""The in-browser app in a real browser: files, camera and microphone, offline, damaged models, the package."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien.samples import astronaut_path
from mien.web import write_site
from planted_videos import write_video
from sounds import encoded
from speech_corpora import write_wav
from speech_mixtures import RATE, voiced
from web.browser_harness import CHROMIUM, FLAGS, MEDIA_FLAGS, ROOT, served

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CONTROLLED = """new Promise((resolve, reject) => {
  const worker = navigator.serviceWorker;
  const check = () => worker.controller && resolve(true);
  worker.addEventListener("controllerchange", check);
  check();
  setTimeout(() => reject(new Error("no service worker after a minute")), 60_000);
})"""

WAITING = """new Promise((resolve, reject) => {
  const check = async () => {
    if ((await navigator.serviceWorker.getRegistration()).waiting) resolve(true);
    else setTimeout(check, 100);
  };
  check();
  setTimeout(() => reject(new Error("no new version after a minute")), 60_000);
})"""

CALLS = """<!doctype html><p></p><script type="module">
import { Mien } from "./package/dist/mien.js";
const found = {};
const attempt = async (name, call) => {
  try { await call(); found[name] = ""; } catch (error) { found[name] = error.message; }
};
const mien = await Mien.load();
await attempt("rate", () => mien.analyzeSpeech({ wave: new Float32Array(9), rate_hz: 0 }));
await attempt("time", () => mien.track().push(new OffscreenCanvas(64, 64)));
const wave = new Float32Array(3200);
const voice = mien.listen(16000);
await attempt("listen", () => voice.push(wave.subarray(0, 1600)));
found.samples = wave.length;
mien.close();
await attempt("closed", () => mien.fuse([], null));
document.querySelector("p").textContent = JSON.stringify(found);
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("app") / "site"
    write_site(out)
    return out


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with served(site) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a browser whose camera shows a face and whose microphone hears a voice."""
    folder = tmp_path_factory.mktemp("devices")
    with Image.open(astronaut_path()) as image:
        frame = image.convert("RGB").crop((0, 0, 512, 384)).resize((640, 480))
    written = io.BytesIO()
    frame.save(written, "JPEG", quality=95)
    (folder / "camera.mjpeg").write_bytes(written.getvalue() * 5)
    write_wav(folder / "voice.wav", voiced(6 * RATE, np.random.default_rng(3)))
    devices = [
        f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        f"--use-file-for-fake-audio-capture={folder / 'voice.wav'}",
    ]
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *MEDIA_FLAGS, *devices])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[str], Any]]:
    """Return a function that opens a page; nothing may break its policy, or ask another host."""
    contexts, faults = [], []

    def start(address: str) -> Any:
        context = browser.new_context(accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Policy" in message.text else None)
        page.on(
            "request",
            lambda request: None if request.url.startswith(("blob:", "data:", address)) else faults.append(request.url),
        )
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def wait_ready(page: Any) -> None:
    page.wait_for_selector("#camera:enabled, #error:not([hidden])", timeout=60_000)
    assert page.is_hidden("#error"), page.inner_text("#error")


def test_an_image_gets_the_answer_of_the_library(open_page: Callable[[str], Any], url: str) -> None:
    page = open_page(url)
    wait_ready(page)
    page.set_input_files("#files", str(astronaut_path()))
    page.wait_for_selector("article meter")
    with page.expect_download() as download:
        page.click("article a.button")
    found = json.loads(Path(download.value.path()).read_text())
    expected = mien.analyze(astronaut_path(), model="face-small").faces[0]
    assert len(found["faces"]) == 1
    assert np.allclose(found["faces"][0]["box"], expected.box, atol=1)
    # Decoders of JPEG differ by a gray level.
    probabilities = found["faces"][0]["emotion"]["probabilities"]
    assert np.allclose([probabilities[name] for name in expected.emotion], expected.emotion.to_array(), atol=0.03)
    assert page.get_attribute("article img", "alt").startswith(f"astronaut.jpg: {expected.emotion.top}")


def test_it_works_offline_and_asks_for_nothing(open_page: Callable[[str], Any], url: str) -> None:
    page = open_page(url)
    wait_ready(page)
    # Evaluated once: the policy of the page forbids what `wait_for_function` does.
    page.evaluate(CONTROLLED)
    page.context.set_offline(True)
    asked: list[str] = []
    page.reload()
    wait_ready(page)
    page.on("request", lambda request: asked.append(request.url))
    page.set_input_files("#files", str(astronaut_path()))
    page.wait_for_selector("article meter")
    assert [address for address in asked if not address.startswith("blob:")] == []


def test_a_new_version_waits_for_the_pages_of_the_old_one(
    open_page: Callable[[str], Any], site: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    # A browser may keep the old page for ten minutes; the new version must not take it for its own.
    with served(copy, **{"Cache-Control": "max-age=600"}) as address:
        page = open_page(address)
        wait_ready(page)
        page.evaluate(CONTROLLED)
        index, worker = copy / "index.html", copy / "sw.js"
        index.write_text(index.read_text().replace("<title>", "<title>New "))
        version = re.search("`([0-9a-f]{16})`|}([0-9a-f]{16})`", worker.read_text())
        assert version is not None
        worker.write_text(worker.read_text().replace(version[1] or version[2], "0" * 16))
        page.reload()
        page.evaluate(WAITING)
        wait_ready(page)
        assert not page.title().startswith("New ")
        context = page.context
        page.close()
        for _ in range(20):
            page = context.new_page()
            page.goto(address)
            if page.title().startswith("New "):
                break
            page.close()
        wait_ready(page)
        assert page.title().startswith("New ")
        assert len(page.evaluate("caches.keys()")) == 1


def test_a_recording(open_page: Callable[[str], Any], url: str, tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", voiced(4 * RATE, np.random.default_rng(3)))
    expected = mien.analyze_speech(tmp_path / "call.wav")
    page = open_page(url)
    wait_ready(page)
    page.set_input_files("#files", str(tmp_path / "call.wav"))
    page.wait_for_selector("article audio", timeout=60_000)
    assert page.inner_text("article h2") == "call.wav, 0:04.0"
    rows = page.locator("tbody tr")
    spoken = [segment for segment in expected.segments if segment.emotion is not None]
    assert rows.count() == len(spoken)
    for number, segment in enumerate(spoken):
        assert segment.emotion is not None
        assert segment.emotion.top in rows.nth(number).inner_text()
    with page.expect_download() as download:
        page.click("article a:text-is('VTT')")
    cues = Path(download.value.path()).read_text()
    assert cues.startswith("WEBVTT")
    assert cues.count(" --> ") == len(spoken)


def test_a_video_with_a_face_and_a_voice(open_page: Callable[[str], Any], url: str, tmp_path: Path) -> None:
    from serve.service_process import write_planted_video

    page = open_page(url)
    wait_ready(page)
    page.set_input_files("#files", str(write_planted_video(tmp_path / "film.mp4", 3)))
    page.wait_for_selector("article video", timeout=120_000)
    assert page.locator(".bands > span").all_inner_texts() == ["Person 1", "Voice", "Together"]
    assert page.locator(".uplot canvas").count() == 1
    with page.expect_download() as download:
        page.click("article a:text-is('CSV') >> nth=0")
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("path,time_s,track,")
    assert len(lines) == 1 + 15  # a frame each 0.2 s


def test_a_video_that_is_stored_upside_down(open_page: Callable[[str], Any], url: str, tmp_path: Path) -> None:
    frame = np.rot90(np.asarray(Image.open(astronaut_path()).resize((256, 256))), 2)
    write_video(tmp_path / "film.mp4", ((frame, Fraction(k, 5)) for k in range(5)), rate=5, rotation=180)
    page = open_page(url)
    wait_ready(page)
    page.set_input_files("#files", str(tmp_path / "film.mp4"))
    page.wait_for_selector("article video", timeout=60_000)
    assert page.locator(".bands > span").all_inner_texts() == ["Person 1"]


def test_a_video_without_its_end(open_page: Callable[[str], Any], url: str, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    images = ((random.integers(0, 256, (96, 128, 3), dtype=np.uint8), Fraction(k, 5)) for k in range(50))
    write_video(tmp_path / "film.webm", images, rate=5, codec="libvpx", container="webm")
    content = (tmp_path / "film.webm").read_bytes()
    (tmp_path / "film.webm").write_bytes(content[: len(content) // 2])
    page = open_page(url)
    wait_ready(page)
    page.set_input_files("#files", str(tmp_path / "film.webm"))
    page.wait_for_selector("article:has-text('the images end at')", timeout=60_000)
    with page.expect_download() as download:
        page.click("article a:text-is('JSON')")
    frames = json.loads(Path(download.value.path()).read_text())["frames"]
    assert 3 < frames[-1]["time_s"] < 7


def test_sound_in_a_container_of_videos(open_page: Callable[[str], Any], url: str, tmp_path: Path) -> None:
    (tmp_path / "note.mp4").write_bytes(encoded(voiced(4 * RATE, np.random.default_rng(3)), RATE, "mp4", "aac"))
    page = open_page(url)
    wait_ready(page)
    page.set_input_files("#files", str(tmp_path / "note.mp4"))
    page.wait_for_selector("article audio", timeout=60_000)
    assert page.inner_text("article h2") == "note.mp4, 0:04.0"


def test_two_clicks_open_one_camera(open_page: Callable[[str], Any], url: str) -> None:
    page = open_page(url)
    wait_ready(page)
    page.evaluate("""() => {
      const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.opened = [];
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await open(wanted);
        window.opened.push(stream);
        return stream;
      };
    }""")
    page.dblclick("#camera")
    page.wait_for_selector("article .faces meter", timeout=60_000)
    page.click("#stop")
    assert page.evaluate("opened.map((stream) => stream.getTracks().map((track) => track.readyState))") == [["ended"]]


def test_the_camera_and_the_microphone(open_page: Callable[[str], Any], url: str) -> None:
    page = open_page(url)
    wait_ready(page)
    page.check("#microphone")
    page.click("#camera")
    page.wait_for_selector("article .faces meter", timeout=60_000)
    assert page.inner_text("article .faces h2").startswith("Person 1: happiness")
    page.wait_for_selector("article p:has-text('Voice: ')", timeout=60_000)
    page.wait_for_selector("article .band button")
    page.click("article button:has-text('Set neutral')")
    page.wait_for_timeout(5000)  # it takes three seconds
    page.click("#stop")
    with page.expect_download() as download:
        page.click("article a:text-is('JSON')")
    assert page.locator("article .bands > span").all_inner_texts() == ["Person 1", "Voice"]
    kept = json.loads(Path(download.value.path()).read_text())
    assert {face["track"] for frame in kept["frames"] for face in frame["faces"]} == {1}
    segments = kept["speech"]["segments"]
    assert segments[-1]["end_s"] == pytest.approx(kept["speech"]["duration_s"], abs=1.5)
    assert any(segment["emotion"] for segment in segments)
    happiness = [frame["faces"][0]["emotion"]["probabilities"]["happiness"] for frame in kept["frames"]]
    assert 1 - happiness[-1] > 1.3 * (1 - min(happiness[:5]))


def test_a_file_that_is_no_medium(open_page: Callable[[str], Any], url: str, tmp_path: Path) -> None:
    for name in ("letter.png", "letter.wav", "letter.mp4"):
        (tmp_path / name).write_bytes(b"Dear sir")
    page = open_page(url)
    wait_ready(page)
    for name in ("letter.png", "letter.wav", "letter.mp4"):
        page.set_input_files("#files", str(tmp_path / name))
        page.wait_for_selector(f"#error:has-text('{name}: expected')")
    page.set_input_files(
        "#files", [*(str(tmp_path / f"letter.{kind}") for kind in ("png", "wav")), str(astronaut_path())]
    )
    page.wait_for_selector("article meter")
    assert [line.split(": ")[0] for line in page.inner_text("#error").splitlines()] == ["letter.png", "letter.wav"]


def test_threads_where_the_page_is_isolated(open_page: Callable[[str], Any], site: Path) -> None:
    headers = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    with served(site, **headers) as address:
        page = open_page(address)
        wait_ready(page)
        cores = page.evaluate("Math.min(4, navigator.hardwareConcurrency)")
        assert f"on {cores} thread" in page.inner_text("#status")
        page.set_input_files("#files", str(astronaut_path()))
        page.wait_for_selector("article meter")


@pytest.mark.parametrize("fault", ["missing", "damaged", "wrong"])
def test_models_that_cannot_be_trusted(open_page: Callable[[str], Any], site: Path, tmp_path: Path, fault: str) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    path = copy / "models" / "manifest.json"
    manifest = json.loads(path.read_text())
    model = copy / "models" / manifest["face"]["file"]
    if fault == "missing":
        model.unlink()
    elif fault == "damaged":
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    else:
        manifest["face"]["check"]["logits"][0] += 1
        path.write_text(json.dumps(manifest))
    expected = {"missing": "404 for face-small", "damaged": "is damaged", "wrong": "computes wrong answers"}[fault]
    with served(copy) as address:
        page = open_page(address)
        page.wait_for_selector(f"#error:has-text('{expected}')", timeout=60_000)
        assert page.is_disabled("#camera")


def test_the_package_for_developers(open_page: Callable[[str], Any], site: Path, tmp_path: Path) -> None:
    web = ROOT / "web"
    if not (web / "node_modules" / "esbuild").exists():
        pytest.skip("web/node_modules is missing: run npm ci in web")
    copy = tmp_path / "web"
    shutil.copytree(web, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(web / "node_modules")
    for words in (["node", "build.mjs", str(site)], ["npm", "pack", "--silent"]):
        done = subprocess.run(words, cwd=copy / "lib", check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(next((copy / "lib").glob("*.tgz"))) as archive:
        archive.extractall(tmp_path / "app", filter="data")
    example = (ROOT / "web" / "examples" / "plain.html").read_text()
    assert "./node_modules/@mien/web/dist/mien.js" in example
    (tmp_path / "app" / "index.html").write_text(example.replace("./node_modules/@mien/web/", "./package/"))
    shutil.copy(astronaut_path(), tmp_path / "app" / "photo.jpg")
    with served(tmp_path / "app") as address:
        page = open_page(address)
        page.set_input_files("input", str(astronaut_path()))
        page.wait_for_selector("li", timeout=60_000)
        assert page.inner_text("li").startswith("happiness")
        (tmp_path / "app" / "calls.html").write_text(CALLS)
        page.goto(f"{address}calls.html")
        page.wait_for_selector("p:has-text('closed')", timeout=60_000)
        assert json.loads(page.inner_text("p")) == {
            "rate": "expected a sampling rate from 1000 to 384000 Hz, but got 0",
            "time": "expected the time of the frame in seconds, but got undefined",
            "listen": "",
            "samples": 3200,
            "closed": "mien was closed",
        }


def test_the_committed_build_is_that_of_the_sources(tmp_path: Path) -> None:
    """Build page and app from a copy of the sources, and compare."""
    if not (ROOT / "web" / "node_modules" / "esbuild").exists():
        pytest.skip("web/node_modules is missing: run npm ci in web")
    copy = tmp_path / "web"
    shutil.copytree(ROOT / "web", copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    (tmp_path / "src" / "mien" / "serve" / "page").mkdir(parents=True)
    for part in ("page", "app"):
        for words in (("run", "check"), ("run", "build")):
            done = subprocess.run(["npm", *words], cwd=copy / part, check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    for part in ("serve/page", "web/app"):
        built, committed = tmp_path / "src" / "mien" / part, ROOT / "src" / "mien" / part
        assert sorted(path.name for path in built.iterdir()) == sorted(path.name for path in committed.iterdir())
        for path in built.iterdir():
            assert path.read_bytes() == (committed / path.name).read_bytes(), path.name
