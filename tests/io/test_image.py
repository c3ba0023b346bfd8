"""Reading images: every format against Pillow or a closed form, every fault against its error."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

from mien.errors import DecodeError, InputError, MediaError, MediaNotFoundError, UnsupportedMediaError
from mien.io import LoadedImage, read_image
from mien.samples import astronaut_path

Pixels = NDArray[np.uint8]


def png(width: int, height: int, *, depth: int = 8, color: int = 2, body: bytes = b"") -> bytes:
    """Write a PNG by hand, with whatever size its header should claim."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("png", {}),
        ("bmp", {}),
        ("tiff", {}),
        ("tiff", {"compression": "tiff_lzw"}),
        ("tiff", {"compression": "tiff_adobe_deflate"}),
        ("tiff", {"compression": "packbits"}),
        ("tiff", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
        ("tiff", {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 2, 278: 7}}),
        ("tiff", {"big_tiff": True}),
        ("webp", {"lossless": True}),
    ],
)
def test_lossless_formats_give_the_very_pixels(scene: Pixels, encode: Any, name: str, options: dict[str, Any]) -> None:
    image = read_image(encode(scene, name, **options))
    np.testing.assert_array_equal(image.pixels, scene)
    assert (image.format, image.path, image.warnings) == (name, None, ())
    assert (image.width, image.height) == (61, 43)
    assert image.pixels.flags.c_contiguous
    assert image.pixels.flags.writeable


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 1}])
def test_jpeg_is_what_pillow_and_opencv_decode(scene: Pixels, encode: Any, options: dict[str, Any]) -> None:
    data = encode(scene, "jpeg", quality=90, **options)
    pixels = read_image(data).pixels
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(data))))
    other = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(pixels.astype(int) - other).max() <= 2


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_what_pillow_decodes_upright(scene: Pixels) -> None:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(scene).save(stream, "AVIF", quality=90, exif=exif)
    image = read_image(stream.getvalue())
    assert image.format == "avif"
    np.testing.assert_array_equal(image.pixels, np.asarray(ImageOps.exif_transpose(Image.open(stream)).convert("RGB")))


def test_heic_is_read_where_the_extra_is_installed(scene: Pixels) -> None:
    heif = pytest.importorskip("pillow_heif", reason="reading HEIC needs the extra heic")
    stream = io.BytesIO()
    heif.from_pillow(Image.fromarray(scene)).save(stream, quality=95)
    image = read_image(stream.getvalue())
    assert (image.format, image.pixels.shape) == ("heic", scene.shape)
    assert np.abs(image.pixels.astype(int) - scene).mean() < 8


def test_heic_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnsupportedMediaError, match=r'is a HEIC image: .* pip install "mien\[heic\]"'):
        read_image(b"\0\0\0\x18ftypheic" + bytes(100))


def test_lossy_webp_is_what_pillow_decodes(scene: Pixels, encode: Any) -> None:
    data = encode(scene, "webp", quality=80)
    np.testing.assert_array_equal(read_image(data).pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_gif_gives_its_first_frame(encode: Any) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    data = encode(frames[0], "gif", save_all=True, append_images=frames[1:])
    image = read_image(data)
    assert image.format == "gif"
    np.testing.assert_array_equal(image.pixels, np.full((10, 20, 3), (255, 0, 0)))


def test_tiff_gives_its_first_page(scene: Pixels, encode: Any) -> None:
    data = encode(Image.fromarray(scene), "tiff", save_all=True, append_images=[Image.new("RGB", (5, 5))])
    np.testing.assert_array_equal(read_image(data).pixels, scene)


@pytest.mark.parametrize("name", ["png", "webp"])
def test_animation_gives_its_first_frame(encode: Any, name: str) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime")]
    data = encode(frames[0], name, save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_image(data).pixels, np.full((10, 20, 3), (255, 0, 0)))


@pytest.mark.parametrize("name", ["png", "tiff", "bmp", "jpeg"])
def test_gray_is_spread_to_three_channels(encode: Any, name: str) -> None:
    gray = np.tile(np.arange(64, dtype=np.uint8) * 4, (16, 1))
    pixels = read_image(encode(gray, name)).pixels
    assert pixels.shape == (16, 64, 3)
    assert (pixels == pixels[..., :1]).all()
    assert np.abs(pixels[..., 0].astype(int) - gray).max() <= (3 if name == "jpeg" else 0)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_16_bit_gray_is_rounded_to_8(encode: Any, name: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels = read_image(encode(Image.fromarray(values), name)).pixels
    np.testing.assert_array_equal(pixels[..., 1], np.floor(values / 257 + 0.5).astype(np.uint8))


def test_big_endian_16_bit_tiff() -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=">u2")
    tags = [(256, 3, 4), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (279, 4, 8)]
    directory = b"".join(
        struct.pack(">HHI", tag, kind, 1) + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    )
    data = b"MM\0*" + struct.pack(">I", 16) + values.tobytes() + struct.pack(">H", len(tags)) + directory + bytes(4)
    np.testing.assert_array_equal(read_image(data).pixels[0, :, 0], [0, 1, 128, 255])


def test_16_bit_color_png() -> None:
    values = np.array([[[0, 32768, 65535], [257, 514, 65280]]], dtype=">u2")
    pixels = read_image(png(2, 1, depth=16, body=b"\0" + values.tobytes())).pixels
    assert np.abs(pixels.astype(float) - values.astype(float) / 257).max() <= 1


def test_bilevel(encode: Any) -> None:
    bits = np.indices((9, 13)).sum(axis=0) % 2 == 0
    pixels = read_image(encode(Image.fromarray(bits), "png")).pixels
    np.testing.assert_array_equal(pixels, np.repeat(np.where(bits, 255, 0)[..., None], 3, axis=2))


def test_cmyk_jpeg_and_tiff(encode: Any) -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    for name in ("jpeg", "tiff"):
        pixels = read_image(encode(cmyk, name)).pixels
        assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 3, name


def test_alpha_is_laid_on_white_with_a_warning(encode: Any) -> None:
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[..., 0] = 200
    rgba[..., 3] = [0, 128, 255]
    expected = np.array([[255, 255, 255], [227, 127, 127], [200, 0, 0]])
    for name, options in (("png", {}), ("tiff", {}), ("webp", {"lossless": True, "exact": True})):
        image = read_image(encode(rgba, name, **options))
        assert np.abs(image.pixels[0].astype(int) - expected).max() <= 1, name
        assert image.warnings == ("transparent parts are shown on white",)


def test_opaque_alpha_gives_no_warning(scene: Pixels, encode: Any) -> None:
    image = read_image(encode(np.dstack([scene, np.full(scene.shape[:2], 255, np.uint8)]), "png"))
    np.testing.assert_array_equal(image.pixels, scene)
    assert image.warnings == ()


def test_gray_alpha_palette_and_color_key(encode: Any) -> None:
    gray = Image.merge("LA", (Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 0)))
    assert (read_image(encode(gray, "png")).pixels == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    np.testing.assert_array_equal(read_image(encode(palette, "png")).pixels, np.full((4, 4, 3), (10, 20, 30)))
    for name in ("png", "gif"):
        keyed = read_image(encode(palette, name, transparency=1))
        assert (keyed.pixels == 255).all()
        assert keyed.warnings
    half = read_image(encode(palette, "png", transparency=b"\xff\x00"))
    assert (half.pixels == 255).all()
    colored = read_image(encode(Image.new("RGB", (4, 4), (1, 2, 3)), "png", transparency=(1, 2, 3)))
    assert (colored.pixels == 255).all()


# --- orientation ------------------------------------------------------------------------------------------------------

# How a camera that is held wrongly stores the scene: the inverse of what Exif 2.32, table 6, asks of the viewer.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff"])
def test_exif_orientation_is_applied(scene: Pixels, encode: Any, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](scene))
    options = {"quality": 100, "subsampling": 0} if name == "jpeg" else {"lossless": True} if name == "webp" else {}
    data = encode(stored, name, exif=exif, **options)
    pixels = read_image(data).pixels
    assert pixels.shape == scene.shape
    assert np.abs(pixels.astype(int) - scene).max() <= (4 if name == "jpeg" else 0)
    opened = read_image(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(opened.pixels, pixels)
    assert opened.format == "pil"


def test_big_endian_and_damaged_exif(scene: Pixels, encode: Any) -> None:
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    plain = encode(scene, "png")
    assert read_image(encode(scene, "png", exif=turned)).pixels.shape == (61, 43, 3)
    for damaged in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9), turned[:-20], b"Exif\0\0nonsense" * 3):
        data = plain[:33] + struct.pack(">I", len(damaged) - 6) + b"eXIf" + damaged[6:]
        data += struct.pack(">I", zlib.crc32(b"eXIf" + damaged[6:])) + plain[33:]
        np.testing.assert_array_equal(read_image(data).pixels, scene)


# --- sources ----------------------------------------------------------------------------------------------------------


def test_all_sources_give_the_same(scene: Pixels, encode: Any, tmp_path: Path) -> None:
    data = encode(scene, "png")
    file = tmp_path / "Gesicht ü 面.jpg"  # the suffix does not count
    file.write_bytes(data)
    with file.open("rb") as stream:
        from_stream = read_image(stream)
        assert not stream.closed
    results = [from_stream, read_image(str(file)), read_image(file)]
    assert [(r.path, r.format) for r in results] == [(str(file), "png")] * 3
    results += [read_image(s) for s in (data, bytearray(data), memoryview(data), io.BytesIO(data), scene)]
    results += [read_image(Image.fromarray(scene))]
    for result in results:
        np.testing.assert_array_equal(result.pixels, scene)
    assert [r.path for r in results[3:]] == [None] * 6


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are not UTF-8")
def test_name_that_is_not_utf8(scene: Pixels, encode: Any, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")
    Path(name).write_bytes(encode(scene, "png"))
    assert read_image(name).path == name
    Path(name).write_bytes(b"text")
    with pytest.raises(UnsupportedMediaError) as caught:
        read_image(name)
    assert str(caught.value).encode("utf-8")


def test_streams_that_cannot_seek(scene: Pixels, encode: Any) -> None:
    reading, writing = os.pipe()
    data = encode(scene, "png")
    writer = threading.Thread(target=lambda: (os.write(writing, data), os.close(writing)))
    writer.start()
    with os.fdopen(reading, "rb") as stream:
        np.testing.assert_array_equal(read_image(stream).pixels, scene)
    writer.join()


def test_sample_is_read() -> None:
    image = read_image(astronaut_path())
    assert image.pixels.shape == (512, 512, 3)
    np.testing.assert_array_equal(image.pixels, np.asarray(Image.open(astronaut_path())))


def test_large_image_is_copied_whole(encode: Any) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)  # more than one band
    np.testing.assert_array_equal(read_image(encode(wide, "bmp")).pixels, wide)


@pytest.mark.parametrize("source", [None, 3, 2.5, object(), ["a.jpg"]])
def test_other_sources_are_rejected(source: Any) -> None:
    with pytest.raises(InputError, match="an image must be a path, bytes, a binary file, an array or a PIL image"):
        read_image(source)


def test_text_stream_is_rejected() -> None:
    with pytest.raises(InputError, match="opened in binary mode"):
        read_image(io.StringIO("hello"))


# --- faults -----------------------------------------------------------------------------------------------------------


def check_error(source: Any, kind: type[MediaError], message: str, **options: Any) -> MediaError:
    with pytest.raises(kind, match=message) as caught:
        read_image(source, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_missing_folder_empty_text(tmp_path: Path) -> None:
    assert check_error(tmp_path / "no.jpg", MediaNotFoundError, r"no such file: .*no\.jpg").path == tmp_path / "no.jpg"
    assert check_error(tmp_path, MediaNotFoundError, "expected an image, but .* is a folder").path == tmp_path
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert check_error(tmp_path / "empty.jpg", DecodeError, "empty.jpg is empty").path == tmp_path / "empty.jpg"
    (tmp_path / "text.jpg").write_text("these are words")
    error = check_error(
        tmp_path / "text.jpg", UnsupportedMediaError, "must be a JPEG, PNG.*begins with b'these are wo'"
    )
    assert error.path == tmp_path / "text.jpg"
    check_error(str(tmp_path / "text.jpg" / "x"), MediaNotFoundError, "cannot open|no such file")
    check_error("a\0b.jpg", MediaNotFoundError, "cannot open .*null byte")
    check_error("x" * 5000, MediaNotFoundError, "cannot open")
    check_error("two\nlines.jpg", MediaNotFoundError, r"'two\\nlines.jpg'")
    assert check_error(b"", DecodeError, "the image is empty").path is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    secret.chmod(0)
    assert check_error(secret, MediaNotFoundError, "cannot open .*secret.jpg: Permission denied").path == secret


def test_videos_and_audio_are_detected_by_content(tmp_path: Path) -> None:
    video = tmp_path / "video.jpg"
    video.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    assert (
        check_error(video, UnsupportedMediaError, r"video\.jpg must be an image, but it is a video \(mp4\)").path
        == video
    )
    check_error(
        b"RIFF\0\0\0\0WAVE" + bytes(50), UnsupportedMediaError, r"must be an image, but it is an audio file \(wav\)"
    )
    check_error(b"\xff\x0a" + bytes(50), UnsupportedMediaError, "an image in the format jxl")


@pytest.mark.data
def test_videos_of_the_data_folder(data_dir: Path) -> None:
    for name, form in (("woman2.mp4", "mp4"), ("face_noface.mov", "mov")):
        check_error(data_dir / "clips" / name, UnsupportedMediaError, rf"is a video \({form}\)")


def test_size_is_checked_before_decoding(scene: Pixels, encode: Any) -> None:
    claims = r"60000 x 60000 pixels, more than the limit of 200,000,000"
    check_error(png(60_000, 60_000), UnsupportedMediaError, claims)
    check_error(
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\x5f\xea\0\x5f\xea\0" + bytes(8),
        UnsupportedMediaError,
        claims,
    )
    bmp = bytearray(encode(scene, "bmp"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    check_error(bytes(bmp), UnsupportedMediaError, claims)
    gif = bytearray(encode(scene, "gif"))
    gif[6:10] = struct.pack("<HH", 60_000, 60_000)
    check_error(bytes(gif), UnsupportedMediaError, claims)
    for name in ("jpeg", "tiff", "webp", "png"):
        data = encode(scene, name)
        check_error(data, UnsupportedMediaError, "61 x 43 pixels, more than the limit of 2,622", max_pixels=61 * 43 - 1)
        assert read_image(data, max_pixels=61 * 43).width == 61
    check_error(Image.fromarray(scene), UnsupportedMediaError, "61 x 43", max_pixels=10)
    check_error(png(0, 5), DecodeError, "cannot be decoded as PNG|a size of 0 x 5")
    for wrong in (0, -1, 2.5, True, "9"):
        with pytest.raises(InputError, match="max_pixels must be an integer"):
            read_image(scene, max_pixels=wrong)


def test_pillows_own_limit_does_not_matter(scene: Pixels, encode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [encode(scene, name) for name in ("jpeg", "png", "bmp", "gif")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for content in data:
        assert read_image(content).width == 61


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("jpeg", {}),
        ("jpeg", {"progressive": True}),
        ("png", {}),
        ("bmp", {}),
        ("tiff", {}),
        ("gif", {"interlace": 0}),
    ],
)
def test_truncated_file_gives_what_is_there_with_a_warning(encode: Any, name: str, options: dict[str, Any]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(noise, name, **options)
    image = read_image(data[: len(data) * 6 // 10])
    assert image.warnings == ("the file is truncated: a part of the image is missing",)
    kept = slice(40, 64) if name == "bmp" else slice(0, 16)  # BMP runs from bottom to top
    error = np.abs(image.pixels[kept].astype(int) - read_image(data).pixels[kept]).mean()
    assert error < (60 if "progressive" in options else 1)  # a progressive file loses its fine scans everywhere


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "bmp", "gif"])
def test_every_truncation_is_an_image_or_an_error(scene: Pixels, encode: Any, name: str) -> None:
    data = encode(scene, name)
    for end in {*range(min(80, len(data))), *range(80, len(data), max(1, len(data) // 60))}:
        try:
            image = read_image(data[:end])
        except MediaError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert image.pixels.shape == scene.shape


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_over_many_tables(encode: Any, compression: str) -> None:
    rng = np.random.default_rng(3)
    busy = rng.integers(0, 256, (300, 200, 3), dtype=np.uint8)
    busy[50:120] = 7  # long runs beside noise
    busy[120:200] //= 64
    for predictor in (1, 2) if compression != "packbits" else (1,):
        data = encode(busy, "tiff", compression=compression, tiffinfo={317: predictor})
        np.testing.assert_array_equal(read_image(data).pixels, busy)
    gray = rng.integers(0, 65536, (64, 64), dtype=np.uint16)
    data = encode(Image.fromarray(gray), "tiff", compression=compression)
    np.testing.assert_array_equal(read_image(data).pixels[..., 0], np.floor(gray / 257 + 0.5).astype(np.uint8))


def test_tiff_with_jpeg_compression(scene: Pixels, encode: Any) -> None:
    pixels = read_image(encode(scene, "tiff", compression="jpeg", quality=95)).pixels
    assert np.abs(pixels.astype(int) - scene).mean() < 3


def test_float_and_32_bit_images_are_rejected(encode: Any) -> None:
    check_error(encode(np.zeros((4, 4), np.float32), "tiff"), UnsupportedMediaError, "float values")
    check_error(encode(np.zeros((4, 4), np.int32), "tiff"), UnsupportedMediaError, "32-bit values")


def test_lazily_opened_damaged_pil_image(scene: Pixels, encode: Any) -> None:
    image = Image.open(io.BytesIO(encode(scene, "png")[:-200]))
    check_error(image, DecodeError, "cannot be decoded")


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_arrays_that_must_work(scene: Pixels) -> None:
    frozen = scene.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(read_image(frozen).pixels, scene)
    np.testing.assert_array_equal(read_image(scene[::2, ::-1]).pixels, scene[::2, ::-1])
    assert read_image(scene[..., 0]).pixels.shape == (43, 61, 3)


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        dtype=st.sampled_from([np.uint8, np.uint8, np.uint8, np.int8, np.uint16, np.float32, np.float64, np.bool_]),
        shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_any_array_is_an_image_or_an_input_error(array: NDArray[Any]) -> None:
    good = (
        array.dtype == np.uint8
        and array.size > 0
        and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3)))
    )
    if not good:
        with pytest.raises(InputError, match=r"image must (be uint8 of shape \(H, W, 3\)|not be empty), but got"):
            read_image(array)
        return
    pixels = read_image(array).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*array.shape[:2], 3)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, np.broadcast_to(array if array.ndim == 3 else array[..., None], pixels.shape))


def test_image_is_frozen_and_checked(scene: Pixels) -> None:
    image = LoadedImage(scene)
    with pytest.raises(AttributeError):
        image.path = "x"  # type: ignore[misc]
    with pytest.raises(InputError, match="pixels must be uint8"):
        LoadedImage(scene.astype(float))


def test_a_file_of_more_bytes_than_its_pixels_could_have_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(3 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedMediaError, match=r"has more than 800,000,000 bytes, the limit for an image"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_a_stream_is_read_to_its_limit_only() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size > 0
            self.taken += size
            return b"\xff\xd8\xff\xe0" + bytes(size - 4)

    stream = Endless()
    with pytest.raises(UnsupportedMediaError, match="has more than 67,108,864 bytes"):
        read_image(stream, max_pixels=1000)
    assert stream.taken < 100e6


def test_16_bit_gray_is_converted_in_bands() -> None:
    """Many pixels need not twice their memory: they become eight bits a part at a time."""
    width, height = 3000, 2000
    values = np.random.default_rng(3).integers(0, 1 << 16, (height, width), dtype=np.uint16)
    body = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    data = png(width, height, depth=16, color=0, body=body)
    tracemalloc.start()
    try:
        pixels = read_image(data).pixels
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(pixels[..., 1], np.round(values / 257))
    assert peak < 1.5 * pixels.nbytes + 2 * len(data)


def test_a_tiff_of_more_pixels_than_pillow_likes_is_read(monkeypatch: pytest.MonkeyPatch, encode: Any) -> None:
    scene = np.arange(61 * 43 * 3, dtype=np.uint8).reshape(43, 61, 3)
    data = encode(scene, "tiff", compression="tiff_lzw")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    np.testing.assert_array_equal(read_image(data).pixels, scene)
