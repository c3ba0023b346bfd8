"""The service's page in a real browser: files, a video job, the camera, errors; and its build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("httpx2")

from mien.samples import astronaut_path  # noqa: E402
from serve.service_process import TOKEN, Running, running, write_planted_video  # noqa: E402
from speech_corpora import write_wav  # noqa: E402
from speech_mixtures import RATE, voiced  # noqa: E402
from web.browser_harness import CHROMIUM, FLAGS, MEDIA_FLAGS  # noqa: E402

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS + MEDIA_FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, service: Running) -> Iterator[Any]:
    """Return the page after the token was given; nothing may break the policy of the page or leave the machine."""
    context = browser.new_context(accept_downloads=True)
    found = context.new_page()
    faults: list[str] = []
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on("console", lambda message: faults.append(message.text) if "Policy" in message.text else None)
    found.on(
        "request",
        lambda request: None if request.url.startswith(("blob:", "data:", service.url)) else faults.append(request.url),
    )
    found.goto(service.url)
    found.set_input_files("#files", str(astronaut_path()))
    found.wait_for_selector("#error:not([hidden])")
    found.fill("#token", TOKEN)
    found.press("#token", "Enter")
    yield found
    context.close()
    assert [fault.replace(service.url.replace("http", "ws"), "") for fault in faults] == []


@needs_browser
def test_an_image(page: Any) -> None:
    page.set_input_files("#files", str(astronaut_path()))
    page.wait_for_selector("article meter")
    assert page.inner_text("#status") == "astronaut.jpg: done"
    assert page.inner_text("article h2 >> nth=1").startswith("Face 1: happiness")
    assert page.get_attribute("article img", "alt").startswith("astronaut.jpg: happiness")
    drawn = page.evaluate(
        "() => { const c = document.querySelector('canvas.boxes');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v) }"
    )
    assert drawn
    with page.expect_download() as download:
        page.click("article a.button")
    assert download.value.suggested_filename == "astronaut.jpg.json"


@needs_browser
def test_the_app_in_the_browser(browser: Any, service: Running) -> None:
    page = browser.new_page()
    page.goto(service.url)
    page.click("footer a[href='app/']")
    page.wait_for_selector("#camera:enabled, #error:not([hidden])", timeout=60_000)
    assert page.is_hidden("#error"), page.inner_text("#error")
    page.set_input_files("#files", str(astronaut_path()))
    page.wait_for_selector("article meter")
    page.close()


@needs_browser
def test_a_video_and_its_timeline(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#files", str(write_planted_video(tmp_path / "film.mp4", 3)))
    page.wait_for_selector("article video", timeout=60_000)
    names = [page.inner_text(f".bands > span >> nth={k}") for k in range(3)]
    assert names == ["Person 1", "Voice", "Together"]
    assert page.locator(".uplot canvas").count() == 1
    for strip in range(3):
        assert page.locator(f".band >> nth={strip} >> button").count() >= 1
    page.locator(".scroll tbody tr").last.locator("button").click()
    page.wait_for_selector("tr.now")
    assert float(page.evaluate("parseFloat(document.querySelector('.needle').style.left)")) > 0
    with page.expect_download() as download:
        page.click("article button:text-is('CSV')")
    assert Path(download.value.path()).read_text().startswith("path,time_s,track,")


@needs_browser
def test_a_recording(page: Any, tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", voiced(3 * RATE, np.random.default_rng(3)))
    page.set_input_files("#files", str(tmp_path / "call.wav"))
    page.wait_for_selector("article audio")
    assert page.inner_text("article h2") == "call.wav, 0:03.0"
    assert page.locator(".band button").count() >= 1


@needs_browser
def test_errors_are_those_of_the_library(page: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_bytes(b"Dear sir")
    page.set_input_files("#files", [str(tmp_path / "letter.png"), str(astronaut_path())])
    page.wait_for_selector("article meter")
    error = page.inner_text("#error")
    assert error.startswith("letter.png: the image must be a JPEG, PNG")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(200))
    page.set_input_files("#files", str(tmp_path / "film.mp4"))
    sync_api.expect(page.locator("#error")).to_contain_text("film.mp4: ", timeout=30_000)


@needs_browser
def test_the_camera(page: Any) -> None:
    page.click("#camera")
    sync_api.expect(page.locator("#status")).to_contain_text("from frame to result", timeout=30_000)
    page.click("#stop")
    assert page.is_visible("#camera")
    assert not page.is_visible("#stop")
    assert page.is_hidden("#error")


@needs_browser
def test_keyboard_and_narrow_screens(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.set_input_files("#files", str(astronaut_path()))
    page.wait_for_selector("article meter")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.focus("#files")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "camera"
    assert page.evaluate("[...document.querySelectorAll('img')].every((image) => image.alt)")
