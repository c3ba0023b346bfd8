from __future__ import annotations

import runpy
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from live_streams import Jpegs, astronaut, install, serving, silent_server, transport_stream
from mien.errors import InputError, MediaError, MediaNotFoundError
from mien.io import camera, live
from mien.io.camera import Device, find_cameras, list_devices
from mien.io.live import format_live_source, open_live_source
from planted_videos import write_video

RED = np.full((48, 64, 3), (250, 10, 20), np.uint8)


def read_all(source: Any, most: int = 1000) -> list[Any]:
    stop, frames = threading.Event(), []
    while len(frames) < most and (frame := source.read(stop)) is not None:
        frames.append(frame)
    return frames


# --- finding cameras --------------------------------------------------------------------------------------------------


def planted_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    for node, name in names.items():
        (tmp_path / "class" / node).mkdir(parents=True)
        (tmp_path / "class" / node / "name").write_text(name + "\n")
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / node).touch()
    monkeypatch.setattr(camera, "_CLASS", tmp_path / "class")
    monkeypatch.setattr(camera, "_DEV", tmp_path / "dev")
    monkeypatch.setattr(camera.sys, "platform", "linux")


def test_devices_come_by_number_with_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted_devices(tmp_path, monkeypatch, {"video10": "Ten", "video2": "Webcam: \u00fc", "vbi0": "no", "videox": "no"})
    found = list_devices()
    assert [(device.index, device.name) for device in found] == [(2, "Webcam: \u00fc"), (10, "Ten")]
    assert found[0].label == "camera 2 (Webcam: \u00fc)"


def test_nodes_that_carry_no_images_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted_devices(tmp_path, monkeypatch, {"video0": "Cam", "video1": "Cam", "video2": "Old"})
    fcntl = pytest.importorskip("fcntl")
    # struct v4l2_capability: device_caps counts where V4L2_CAP_DEVICE_CAPS is set, else capabilities.
    caps = {"video0": (0x84A00001, 0x04200001), "video1": (0x84A00001, 0x04A00000), "video2": (0x00000001, 0)}
    opened = set()

    def fake_ioctl(node: int, request: int, reply: bytearray) -> None:
        assert request == 0x80685600
        assert len(reply) == 104
        name = Path(f"/proc/self/fd/{node}").resolve().name
        reply[84:92] = np.array(caps[name], "<u4").tobytes()
        opened.add(name)

    monkeypatch.setattr(fcntl, "ioctl", fake_ioctl)
    assert [(device.index, device.is_camera) for device in list_devices()] == [(0, True), (2, True)]
    assert len(opened) == 3


def test_elsewhere_the_first_numbers_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera.sys, "platform", "darwin")
    assert [device.name for device in list_devices()] == [f"camera {k}" for k in range(6)]
    assert not any(device.is_camera for device in list_devices())
    assert camera.explain_no_access(0) == ""


def test_no_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "list_devices", list)
    assert find_cameras() == ((), ())


def test_a_dead_device_costs_its_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\n"
        'case "$3" in\n'
        '0) echo \'{"width": 640, "height": 480, "rate": 30.0}\';;\n'
        "1) exec sleep 60;;\n"
        "2|4) echo null;;\n"
        "3) echo nonsense; exit 3;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(camera.sys, "executable", str(program))
    devices = [Device(k, f"cam {k}", is_camera=k != 4) for k in range(5)]
    devices.append(Device(5, "cam 5", is_camera=True, no_access="camera 5 may not be opened"))
    monkeypatch.setattr(camera, "list_devices", lambda: devices)
    start_s = time.monotonic()
    found, notes = find_cameras(timeout_s=1.0)
    assert time.monotonic() - start_s < 5
    assert [one.to_dict() for one in found] == [
        {"index": 0, "name": "cam 0", "width": 640, "height": 480, "rate": 30.0}
    ]
    assert notes == (
        "camera 1 (cam 1) does not answer within 1 s",
        "camera 2 (cam 2) gives no image: it is busy (another program uses it) or broken",
        "camera 3 (cam 3) gives no image: it is busy (another program uses it) or broken",
        "camera 5 may not be opened",
    )


def test_a_camera_is_probed_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(camera.sys, "argv", ["camera.py", "0"])
    for plan in ({"rate": 25.0, "size": (160, 120)}, {"plan": (0,), "rate": 1000.0}, {"plan": (-1,)}):
        install(monkeypatch, **plan)
        runpy.run_path(camera.__file__, run_name="__main__")
    assert capsys.readouterr().out.split("\n") == ['{"width": 160, "height": 120, "rate": 25.0}', "null", "null", ""]


# --- what a source is -------------------------------------------------------------------------------------------------


def test_names(tmp_path: Path) -> None:
    assert format_live_source(0) == format_live_source("0") == format_live_source("/dev/video0") == "camera 0"
    assert format_live_source(tmp_path / "a.mp4") == str(tmp_path / "a.mp4")
    assert format_live_source("rtsp://user:secret@host:554/live?x=1") == "rtsp://host:554/live?x=1"
    assert "secret" not in format_live_source("http://user:secret@[bad/")


def test_a_file_that_is_called_like_a_number_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert format_live_source("7") == "camera 7"
    Path("7").touch()
    assert format_live_source("7") == "7"


@pytest.mark.parametrize("wrong", [None, 1.5, True, b"0"])
def test_other_things_are_no_sources(wrong: Any) -> None:
    with pytest.raises(InputError, match="source must be the number of a camera, an address or the path of a video"):
        open_live_source(wrong)


@pytest.mark.parametrize("address", ["udp://1.2.3.4:5", "file:///etc/passwd", "concat://a|b", "ffrtmphttp://x"])
def test_other_addresses_are_rejected(address: str) -> None:
    with pytest.raises(InputError, match="an address must begin with rtsp://, rtsps://, http://, https://, but got"):
        open_live_source(address)


def test_negative_cameras_are_rejected() -> None:
    with pytest.raises(InputError, match="the number of a camera must be"):
        open_live_source(-1)


# --- cameras ----------------------------------------------------------------------------------------------------------


def test_a_camera_gives_rgb_with_rising_times(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install(monkeypatch, plan=(5,), rate=200.0)
    with open_live_source(1, size=(1280, 720)) as source:
        stop = threading.Event()
        frames = [source.read(stop) for _ in range(5)]
        with pytest.raises(MediaError, match="camera 1 is lost: it gives no more images"):
            source.read(stop)
    assert all(np.array_equal(frame.image, astronaut()) for frame in frames if frame)
    times = [frame.time_s for frame in frames if frame]
    assert times == sorted(set(times))
    assert (fake.asked[cv2.CAP_PROP_FRAME_WIDTH], fake.asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (1280, 720)
    assert fake.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(MediaError, match="camera 987"):
        open_live_source(987)


def test_a_camera_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted_devices(tmp_path, monkeypatch, {"video0": "Cam"})
    monkeypatch.setattr(camera.os, "access", lambda *_: False)
    with pytest.raises(MediaError, match=r"camera 0 may not be opened: no permission for .*video0'.*group 'video'"):
        open_live_source(0)


def test_a_camera_that_another_program_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, plan=(-1, 0))
    with pytest.raises(MediaError, match="camera 0 cannot be opened: there is none, or another program uses it"):
        open_live_source(0)
    monkeypatch.setattr(live, "_START_S", 0.2)
    with open_live_source(0) as source, pytest.raises(MediaError, match="camera 0 gives no image: it is busy"):
        source.read(threading.Event())


# --- videos -----------------------------------------------------------------------------------------------------------


def test_a_video_is_played_in_its_own_time(tmp_path: Path) -> None:
    from fractions import Fraction

    path = tmp_path / "video.mp4"
    write_video(path, ((RED, Fraction(k, 20)) for k in range(12)), rate=20)
    start_s = time.monotonic()
    with open_live_source(str(path)) as source:
        assert source.is_timed
        frames = read_all(source)
    assert 0.5 < time.monotonic() - start_s < 1.5
    assert [frame.time_s for frame in frames] == pytest.approx([k / 20 for k in range(12)])


def test_waiting_for_a_video_can_be_ended(tmp_path: Path) -> None:
    from fractions import Fraction

    path = tmp_path / "video.mp4"
    write_video(path, ((RED, Fraction(k * 100)) for k in range(2)), rate=1, time_base=Fraction(1))
    stop = threading.Event()
    with open_live_source(path) as source:
        assert source.read(stop) is not None
        threading.Timer(0.1, stop.set).start()
        assert source.read(stop) is None


def test_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaNotFoundError, match="no such file"):
        open_live_source(tmp_path / "nothing.mp4")


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_camera_of_the_network_gives_what_it_sends() -> None:
    with serving(Jpegs([RED, 255 - RED], rate=100, plan=(20,))) as address, open_live_source(address) as source:
        assert not source.is_timed
        stop = threading.Event()
        frames = [source.read(stop) for _ in range(15)]
        with pytest.raises(MediaError, match=f"{address} is lost"):
            read_all(source)
    means = np.array([frame.image.mean(axis=(0, 1)) for frame in frames if frame])
    red = np.abs(means - RED[0, 0]).max(axis=1) < 8
    assert np.abs(means[~red] - (255 - RED[0, 0])).max() < 8
    assert 4 < red.sum() < 11


def test_a_stream_without_end_is_lost_when_it_ends() -> None:
    data = transport_stream([RED] * 40)

    def answer(request: Any) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(data)

    with serving(answer) as address, open_live_source(address) as source:
        assert len(read_all(source, 30)) == 30
        with pytest.raises(MediaError, match="is lost"):
            read_all(source)


def test_a_video_that_lies_elsewhere_is_played_in_its_own_time(tmp_path: Path) -> None:
    from fractions import Fraction

    path = tmp_path / "video.mkv"
    write_video(path, ((RED, Fraction(k, 20)) for k in range(10)), rate=20)
    data = path.read_bytes()

    def answer(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    with serving(answer) as address, open_live_source(address + "video.mkv") as source:
        start_s = time.monotonic()
        assert len(read_all(source)) == 10
        assert 0.4 < time.monotonic() - start_s < 1.5


def test_a_stream_that_stalls_is_lost_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_STALL_S", 0.5)
    jpegs = Jpegs([RED, 255 - RED], rate=100, plan=(-10,))
    with serving(jpegs) as address, open_live_source(address) as source:
        start_s = time.monotonic()
        with pytest.raises(MediaError, match="is lost: it does not answer in time"):
            read_all(source)
        assert time.monotonic() - start_s < 3
        jpegs.over.set()


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_OPEN_S", 0.5)
    with (
        silent_server() as address,
        pytest.raises(MediaNotFoundError, match=f"cannot open {address}: it does not answer in time"),
    ):
        open_live_source(address)


def test_nobody_there_and_the_password_is_kept() -> None:
    with pytest.raises(MediaNotFoundError, match=r"cannot open rtsp://127.0.0.1:9/x: ") as caught:
        open_live_source("rtsp://somebody:secret@127.0.0.1:9/x")
    assert "secret" not in str(caught.value)


def test_an_address_leads_to_no_file(tmp_path: Path) -> None:
    from fractions import Fraction

    path = tmp_path / "video.mp4"
    write_video(path, ((RED, Fraction(k, 20)) for k in range(10)), rate=20)
    list_ = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n".encode()

    def answer(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/vnd.apple.mpegurl")
        request.end_headers()
        request.wfile.write(list_)

    with serving(answer) as address, pytest.raises(MediaError, match="cannot open http"):
        open_live_source(address + "live.m3u8")


def test_late_images_are_dropped_until_the_stream_has_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    lateness = live._Lateness()
    assert lateness.of(0.0) == 0
    now[0] = 100.1
    assert lateness.of(0.1) == pytest.approx(0, abs=1e-6)
    now[0] = 102.0  # held up
    assert lateness.of(0.2) == pytest.approx(1.8, abs=0.01)
    assert not lateness.may_drop()  # one is shown
    assert lateness.may_drop()
    assert lateness.of(2.0) == pytest.approx(0, abs=0.01)
    now[0] = 200.0  # a clock that begins anew is not late
    assert lateness.of(0.0) == 0
