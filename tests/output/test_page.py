"""Pages of videos: well formed, self-contained, safe against names, bounded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from mien.errors import InputError
from mien.labels import FERPLUS8, LabelSet
from mien.models.registry import get
from mien.output import COLORS, Thumbnails, encode_png
from mien.output.bands import video_bands
from mien.output.canvas import contrast
from mien.output.page import video_page
from mien.results import Moment, VideoResult
from planted_video import crowd, make_images, planted_video, with_voice

VOID = {"meta", "img", "br", "input", "link", "hr"}


class Reader(HTMLParser):
    """Checks that elements are closed in order, and keeps them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag: str, **attrs: str) -> list[dict[str, Any]]:
        return [own for name, own in self.elements if name == tag and attrs.items() <= own.items()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def video(**more: Any) -> VideoResult:
    return planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)], [("anger", 3.0)], **more)


def thumbnails(result: VideoResult) -> Any:
    gathered = Thumbnails()
    for image, frame in make_images(result):
        gathered.add(image, frame)
    return gathered.pick(result)


@pytest.mark.parametrize(
    "result",
    [
        video(warnings=("odd",), cuts=(3.0, 5.0)),
        planted_video(),
        crowd(12, 300),
        video(method="middle-frame"),
        with_voice(video(), [(None, 5.0), ("anger", 5.0)]),
        with_voice(video(method="middle-frame"), [("anger", 5.0)]),
        with_voice(video(), [(None, 10.0)]),
        with_voice(planted_video(), [("anger", 2.0)]),
        with_voice(planted_video(), [(None, 2.0)]),
    ],
    ids=["two", "nobody", "crowd", "middle", "talk", "talk-middle", "silent", "voice-alone", "nothing"],
)
def test_the_page_is_well_formed_and_loads_nothing(result: VideoResult) -> None:
    page = video_page(result, thumbnails(result), spec=get("face-base"))
    reader = Reader(page)
    assert page.startswith("<!DOCTYPE html>")
    ids = [own["id"] for _, own in reader.elements if "id" in own]
    assert len(ids) == len(set(ids))
    for tag, own in reader.elements:
        assert not {name for name in own if name.startswith("on")}, tag
        assert "style" not in own, tag
        for name in ("src", "href"):
            assert (own.get(name) or "#").startswith(("#", "data:image/")), own
            if (own.get(name) or "").startswith("#"):
                assert own[name][1:] in ids  # type: ignore[index]
    style = re.search("<style>(.*)</style>", page, re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    for svg in re.findall(r"<svg class=\"(?:band|axis|shares)\".*?</svg>(?=</div>|<ul)", page):
        ET.fromstring(svg)


def test_the_policy_allows_just_its_own_style_and_script() -> None:
    page = video_page(video())
    reader = Reader(page)
    (policy,) = [own["content"] for own in reader.all("meta", **{"http-equiv": "Content-Security-Policy"})]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_what_was_planted_can_be_read() -> None:
    text = Reader(video_page(video(warnings=("the file is cut off",), cuts=(4.0,)))).text
    for words in (
        "video.mp4",
        "10.0 s, 2 people, faces in view for 8.0 s",
        "0:00.0–0:10.0, 0:08.0 in view",
        "happiness 36%",
        "anger 27%",
        "1 cut.",
        "the file is cut off",
        "Every person is tracked",
        "It does not know what anybody feels",
        "320 x 240, 30 frames/s. Analyzed: 50 frames from 0:00.0 to 0:10.0.",
    ):
        assert words in text
    assert "No face was found" in Reader(video_page(planted_video())).text


def test_faces_voice_and_both_stand_side_by_side() -> None:
    talk = with_voice(video(), [(None, 1.0), ("anger", 2.0), (None, 2.0), ("calm", 2.0), (None, 3.0)])
    page = video_page(talk)
    text = Reader(page).text
    for words in (
        "faces in view for 8.0 s, speech for 4.0 s",
        "Faces 8.0 s in view",
        "Voice 4.0 s of speech",
        "calm 50%",
        "Face and voice 3.0 s together",
        "The voice is taken to be that of the largest face in view: who speaks is not known.",
        "Read by planted-speech.",
        "Method average. The distributions of face and voice are averaged.",
        "Calm counts as neutral (voice).",
        "not in view, no speech",
    ):
        assert words in text
    bands = [own for own in Reader(page).all("svg") if own.get("class") == "band"]
    assert [own["data-away"] for own in bands] == ["not in view", "not in view", "no speech", "neither"]
    assert "anger 50%, calm 50%" in bands[2]["aria-label"]
    assert [own["aria-label"].split(",")[0] for own in bands[2:]] == ["voice", "face and voice"]


def test_without_sound_nothing_is_said_of_it() -> None:
    text = Reader(video_page(video())).text.split("About these numbers")[0]
    for word in ("oice", "speech", "Faces "):
        assert word not in text


def test_what_is_missing_is_said() -> None:
    silent = Reader(video_page(with_voice(video(), [(None, 10.0)]))).text
    assert "faces in view for 8.0 s, no speech" in silent
    assert "Nobody speaks." in silent
    assert "together" not in silent
    alone = Reader(video_page(with_voice(planted_video(), [("anger", 2.0)]))).text
    assert "No face was found. Voice 2.0 s of speech" in alone
    assert "with speech, by the emotion that leads" in alone
    assert "Triangles" not in alone
    assert "together" not in alone
    assert "No face was found." in Reader(video_page(with_voice(planted_video(), [(None, 2.0)]))).text


def test_the_record_of_the_model_is_on_the_page() -> None:
    spec = get("face-base")
    text = Reader(video_page(video(), spec=spec)).text
    accuracy = [
        result for result in spec.results if result.metric == "accuracy" and result.output == spec.default_output.name
    ]
    assert accuracy
    for result in accuracy:
        assert f"{100 * result.value:.1f} % right" in text
    assert f"Weights: {spec.license.weights}." in text
    assert " ".join(spec.card["what_it_reads"].split()) in text


def test_the_table_has_the_shares_of_time() -> None:
    page = video_page(video())
    (table,) = re.findall("<table>.*</table>", page, re.S)
    rows = [[cell.text for cell in row] for row in ET.fromstring(table).iter("tr")]
    assert rows[0] == ["person", "first", "last", "in view", *FERPLUS8.emotions]
    place = {name: 4 + number for number, name in enumerate(FERPLUS8.emotions)}
    assert rows[1][:4] == ["1", "0:00.0", "0:10.0", "0:08.0"]
    assert (rows[1][place["happiness"]], rows[1][place["sadness"]], rows[1][place["fear"]]) == ("50%", "50%", "0%")
    assert (rows[2][0], rows[2][place["anger"]]) == ("2", "100%")


@pytest.mark.parametrize(
    "name",
    ['<script>alert("x")</script>', "\"'><img src=x onerror=y>", "raw\udcff\n\x1b[31m", "&lt;", "面 😀", "</title>"],
)
def test_no_name_becomes_markup(name: str) -> None:
    hostile = video(path=name, model=name, detector=name, warnings=(name,))
    for title in (None, name):
        page = video_page(hostile, title=title)
        reader = Reader(page)
        assert len(reader.all("script")) == 1
        assert not reader.all("img")
        assert "\x1b" not in page
        page.encode()
    if name.isprintable():
        assert name.rsplit("/", 1)[-1] in Reader(video_page(hostile)).text


def test_emotions_of_own_words_have_a_color_and_are_no_markup() -> None:
    labels = LabelSet("own", ("<b>odd</b>", 'very "happy"', "neutral"))
    result = planted_video([(name, 2.0) for name in labels.emotions], labels=labels)
    page = video_page(result)
    reader = Reader(page)
    assert not reader.all("b", **{"class": "odd"})
    assert "<b>odd" not in page
    for name in labels.emotions:
        assert name in reader.text
    classes = {own["class"].split()[-1] for own in reader.all("rect") if own.get("class", "").startswith("e ")}
    assert len(classes) == 3
    assert all(f".{name}{{fill:#" in page for name in classes)
    (band,) = (own for own in reader.all("svg") if own.get("class") == "band")
    assert json.loads(band["data-names"]) == list(labels.emotions)


def test_its_size_does_not_grow_with_the_video() -> None:
    page = video_page(crowd(50, 7200, step_s=0.5))
    assert len(page) < 800_000
    longer = video_page(planted_video(*[[("fear", 1.0), (None, 0.5), ("anger", 0.5)] * 3600], step_s=0.5))
    assert len(longer) < 100_000
    many = crowd(60, 600, step_s=1.0)
    reader = Reader(video_page(many))
    assert len(reader.all("article")) == 50
    assert "Not shown: 10 more people" in reader.text


def test_curves_are_drawn_where_the_shares_are() -> None:
    result = planted_video([("happiness", 4.0), (None, 2.0), ("sadness", 4.0)])
    page = video_page(result)
    (path,) = re.findall(r'<path class="e happiness" d="([^"]+)"', page)
    # From the left edge to the end of the first part, of 600 columns two units wide; sadness is stacked on it.
    first = re.match(r"M0 100V(\d+)", path)
    assert first is not None
    band = video_bands(result, 1)[0]
    shares = band.columns(np.linspace(0, 10, 601))
    top = shares[0, : FERPLUS8.index("happiness") + 1].sum()
    assert int(first[1]) == pytest.approx(100 * (1 - top), abs=0.51)
    assert re.search(r'<rect class="e happiness" x="0" width="480" height="100"><title>0:00.0–0:04.0 happiness', page)
    assert re.search(r'<rect class="e sadness" x="720" width="480"', page)
    (letters,) = re.findall('data-led="([^"]+)"', page)
    assert letters == "b" * 240 + "-" * 120 + "d" * 240


def test_text_reads_well_in_light_and_dark() -> None:
    page = video_page(video())
    schemes = re.findall(r":root \{(.*?)\}", page, re.S)
    assert len(schemes) == 3
    for scheme in schemes:
        values = dict(re.findall(r"--(\w+): (#\w{6});", scheme))
        rgb = {name: tuple(bytes.fromhex(value[1:])) for name, value in values.items()}
        for ground in ("paper", "card"):
            for ink in ("ink", "quiet", "link"):
                assert contrast(rgb[ink], rgb[ground]) >= 4.5, (ink, ground)  # type: ignore[arg-type]


def test_images_are_jpeg_or_png_and_say_what_they_show() -> None:
    moment = Moment(2.0, "happiness", 0.95, (1, 2, 3, 4))
    png = encode_png(np.zeros((8, 8, 3), np.uint8))
    (image,) = Reader(video_page(video(), {1: [(moment, png)]})).all("img")
    assert image["alt"] == "Person 1 at 0:02.0: happiness 95%"
    assert image["src"] == f"data:image/png;base64,{base64.b64encode(png).decode()}"
    with pytest.raises(InputError, match="a thumbnail must be JPEG or PNG, but got an object of type bytes"):
        video_page(video(), {1: [(moment, b"<svg>")]})


def test_every_emotion_has_a_color_in_the_page() -> None:
    page = video_page(video())
    for name, rgb in COLORS.items():
        assert f".{name}{{fill:#{bytes(rgb).hex()};" in page
