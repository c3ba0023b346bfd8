from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mien.data import Samples, load_dataset
from mien.data.samples import concatenate
from mien.data.speech import detect_dataset, emotion_in
from mien.data.splits import folds
from mien.errors import DatasetError, InputError
from speech_corpora import ravdess_names, tone, touch, write_wav


def counts(clips: Samples) -> dict[str, int]:
    return dict(Counter(clips.label_set.emotions[label] for label in clips.labels))


def row(clips: Samples, file: str) -> tuple[str, ...]:
    i = clips.files.tolist().index(file)
    emotion = clips.label_set.emotions[clips.labels[i]]
    told = (
        clips.subjects,
        clips.column("sex"),
        clips.clips,
        clips.splits,
        clips.column("intensity"),
        clips.column("statement"),
        clips.column("method"),
    )
    return (emotion, *(str(part[i]) for part in told))


def test_ravdess_is_read_by_its_names(tmp_path: Path) -> None:
    clips = load_dataset("ravdess", touch(tmp_path, ravdess_names([1, 12])))
    assert len(clips) == 120
    assert counts(clips) == {"neutral": 8} | dict.fromkeys(clips.label_set.emotions[1:], 16)
    assert row(clips, "Actor_12/03-01-05-02-01-02-12.wav") == (
        "anger", "12", "female", "01-05-02-01-02-12", "", "strong", "kids", "",
    )  # fmt: skip
    assert clips.files.tolist() == sorted(clips.files.tolist())
    assert clips.problems == ()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"statement": 1}, 30),
        ({"statement": "dogs"}, 30),
        ({"intensity": "strong"}, 28),
        ({"intensity": 1, "repetition": "02"}, 16),
        ({"modality": "audio"}, 60),
        ({"channel": None}, 60),
    ],
)
def test_ravdess_filters(tmp_path: Path, options: dict[str, object], expected: int) -> None:
    assert len(load_dataset("ravdess", touch(tmp_path, ravdess_names([1])), **options)) == expected


def test_ravdess_modalities_and_songs(tmp_path: Path) -> None:
    names = ["01-01-03-01-01-01-05.mp4", "03-01-03-01-01-01-05.wav", "02-01-03-01-01-01-05.mp4"]
    touch(tmp_path, [*names, "03-02-03-01-01-01-05.wav"])
    clips = load_dataset("ravdess", tmp_path)
    assert len(clips) == 2
    assert len(set(clips.clips.tolist())) == 1, "the video and the sound are one recording"
    assert clips.problems == (
        "1 left out: songs (channel='song' takes them)",
        "1 left out: videos without sound (first field 02)",
    )
    assert tuple(load_dataset("ravdess", tmp_path, channel="song").files.tolist()) == ("03-02-03-01-01-01-05.wav",)
    assert tuple(load_dataset("ravdess", tmp_path, modality="full-av").files.tolist()) == ("01-01-03-01-01-01-05.mp4",)


def test_a_tree_by_split_and_emotion_keeps_copies_with_their_clip(tmp_path: Path) -> None:
    touch(
        tmp_path,
        [
            "train/angry/03-01-05-02-01-01-12.wav",
            "train/angry/03-01-05-02-01-01-12_stretch.wav",
            "test/angry/noise_03-01-05-02-01-01-12.wav",
            "test/angry/03-01-05-02-01-01-12__pitch+2.flac",
            "train/happy/my own.wav",
            "train/sad/03-01-05-02-01-01-12.wav",
        ],
    )
    clips = load_dataset("ravdess", tmp_path)
    assert row(clips, "train/happy/my own.wav") == ("happiness", "", "", "happiness/my own", "train", "", "", "")
    angry = clips.take(clips.labels == clips.label_set.index("anger"))
    assert set(angry.clips.tolist()) == {"01-05-02-01-01-12"}
    assert sorted(angry.column("method").tolist()) == ["", "noise", "pitch+2", "stretch"]
    assert sorted(angry.splits.tolist()) == ["test", "test", "train", "train"]
    assert clips.problems == ("train/sad/03-01-05-02-01-01-12.wav: the name says anger, the folder sadness",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Actor_01/hello.wav", "expected a name like 03-01-05-02-01-01-12"),
        ("Actor_01/03-01-09-01-01-01-01.wav", "expected an emotion from 01 to 08, but the name says 09"),
        ("Actor_01/03-01-01-02-01-01-01.wav", "strong neutral, which RAVDESS does not have"),
        ("Actor_01/03-01-02-01-01-01-25.wav", "expected a speaker from 01 to 24, but the name says 25"),
        ("Actor_01/03-01-02-01-01-01-02.wav", "the name says actor 02, the folder 01"),
        ("Actor_01/03-01-02-01-01-01-01-01.wav", ""),
        ("Actor_01/03-01-02-01-01-01.wav", "expected a name like"),
        ("Actor_01/line\nbreak.wav", "'Actor_01/line\\nbreak.wav': expected a name like"),
    ],
)
def test_bad_ravdess_names_are_problems(tmp_path: Path, name: str, message: str) -> None:
    touch(tmp_path, ["Actor_03/03-01-02-01-01-01-03.wav", name])
    clips = load_dataset("ravdess", tmp_path)
    if message:
        assert len(clips) == 1
        assert message in clips.problems[0]


def test_a_second_copy_of_the_tree_counts_once(tmp_path: Path) -> None:
    names = ravdess_names([1])
    touch(tmp_path, [*names, *(f"audio_speech_actors_01-24/{name}" for name in names)])
    clips = load_dataset("ravdess", tmp_path)
    assert len(clips) == 60
    assert clips.problems == ("60 left out: second copies of a file",)


def test_hidden_files_and_others_are_not_recordings(tmp_path: Path) -> None:
    touch(tmp_path, ["03-01-02-01-01-01-03.WAV", "._03-01-02-01-01-01-03.wav", ".git/a.wav", "README.txt"])
    assert tuple(load_dataset("ravdess", tmp_path).files.tolist()) == ("03-01-02-01-01-01-03.WAV",)


def test_emodb(tmp_path: Path) -> None:
    names = ["03a01Fa.wav", "08b10Wc.wav", "09a05La.wav", "10a05Lb.wav", "16a02Nb__noise0.006.wav", "99a01Fa.wav"]
    clips = load_dataset("emodb", touch(tmp_path, [f"wav/{name}" for name in names] + ["wav/x.wav", "wav/03a01Qa.wav"]))
    assert row(clips, "wav/03a01Fa.wav") == ("happiness", "03", "male", "03a01Fa", "", "", "a01", "")
    assert row(clips, "wav/08b10Wc.wav")[:3] == ("anger", "08", "female")
    assert row(clips, "wav/16a02Nb__noise0.006.wav")[-1] == "noise0.006"
    assert clips.problems == (
        "wav/03a01Qa.wav: expected an emotion of W, E, A, F, T, N, L, but the name says Q",
        "wav/99a01Fa.wav: expected a speaker of 03, 08, 09, 10, 11, 12, 13, 14, 15, 16, but the name says 99",
        "wav/x.wav: expected a name like 03a01Fa (speaker, text, emotion, version)",
        "2 left out: boredom, which is none of mien's emotions",
    )


def test_crema_d(tmp_path: Path) -> None:
    names = ["1001_DFA_ANG_XX.wav", "1002_IEO_HAP_HI.wav", "1040_ITH_SAD_X.wav"]
    wrong = ["2000_DFA_ANG_XX.wav", "1001_DFA_BOR_XX.wav", "1001_ABC_ANG_XX.wav", "1001_DFA_ANG_ZZ.wav", "a.wav"]
    clips = load_dataset("crema_d", touch(tmp_path, names + wrong))
    assert len(clips) == 3
    assert len(clips.problems) == 5
    assert row(clips, names[1]) == ("happiness", "1002", "", "1002_IEO_HAP_HI", "", "high", "IEO", "")
    assert row(clips, names[0])[0] == "anger"


def test_tess(tmp_path: Path) -> None:
    names = ["OAF_angry/OAF_back_angry.wav", "YAF_ps/YAF_dog_ps.wav", "OA_bite_neutral.wav", "YAF_dog_bored.wav"]
    clips = load_dataset("tess", touch(tmp_path, names))
    assert row(clips, names[0]) == ("anger", "OAF", "female", "OAF_back_angry", "", "", "back", "")
    assert row(clips, names[1])[0] == "surprise"
    assert row(clips, names[2])[1:4] == ("OAF", "female", "OAF_bite_neutral")
    assert clips.problems == (
        "YAF_dog_bored.wav: expected an emotion of angry, disgust, fear, happy, neutral, ps, sad, "
        "but the name says bored",
    )


def test_savee(tmp_path: Path) -> None:
    names = ["DC_a01.wav", "JE/su15.wav", "KL/sa02.wav", "nobody/a01.wav", "DC_x01.wav"]
    clips = load_dataset("savee", touch(tmp_path, names))
    assert row(clips, "DC_a01.wav") == ("anger", "DC", "male", "DC_a01", "", "", "", "")
    assert row(clips, "JE/su15.wav")[:4] == ("surprise", "JE", "male", "JE_su15")
    assert row(clips, "KL/sa02.wav")[0] == "sadness"
    assert len(clips.problems) == 2


def test_a_folder_by_emotions(tmp_path: Path) -> None:
    names = [
        "train/Happy/s1-a.wav",
        "train/Happy/s1-a__pitch-1.wav",
        "test/happy/s1-a.wav",
        "val/sad/s2-b.wav",
        "x.wav",
    ]
    clips = load_dataset("speech_folder", touch(tmp_path, names), subject=r"(s\d)-")
    assert clips.label_set.name == "fer7"
    assert row(clips, names[0]) == ("happiness", "s1", "", "happiness/s1-a", "train", "", "", "")
    assert len(set(clips.clips[clips.subjects == "s1"].tolist())) == 1
    assert tuple(clips.split("val").files.tolist()) == ("val/sad/s2-b.wav",)
    assert clips.problems == ("x.wav: expected a folder named by an emotion above it",)
    with pytest.raises(DatasetError, match=r"has no split 'dev': it has test, train, val"):
        clips.split("dev")
    with pytest.raises(InputError, match="subject must be a regular expression"):
        load_dataset("speech_folder", tmp_path, subject="(")


def test_underscores_alone_make_no_copy(tmp_path: Path) -> None:
    clips = load_dataset("speech_folder", touch(tmp_path, ["sad/anna__001.wav", "sad/anna__002.wav"]))
    assert clips.column("method").tolist() == ["", ""]
    assert clips.clips.tolist() == ["sadness/anna__001", "sadness/anna__002"]


def test_the_label_set_of_a_folder_fits_its_emotions(tmp_path: Path) -> None:
    assert load_dataset("speech_folder", touch(tmp_path / "a", ["calm/a.wav"])).label_set.name == "ravdess8"
    assert (
        load_dataset("speech_folder", touch(tmp_path / "b", ["contempt/a.wav", "joy/b.wav"])).label_set.name
        == "ferplus8"
    )
    calm = load_dataset("speech_folder", touch(tmp_path / "c", ["calm/a.wav", "joy/b.wav"]), labels="fer7")
    assert tuple(calm.files.tolist()) == ("joy/b.wav",)
    assert calm.problems == ("1 left out: calm is not in fer7",)
    with pytest.raises(InputError, match="unknown label set"):
        load_dataset("speech_folder", tmp_path / "a", labels="x")


def test_a_folder_by_manifest(tmp_path: Path) -> None:
    touch(tmp_path, ["a.wav", "b/c.wav", "d.wav", "e.wav"])
    (tmp_path / "manifest.csv").write_text(
        "file,emotion,subject,sex,origin,split,method\n"
        "b/c.wav,Happy,s1,f,one,train,\n"
        "a.wav,sadness,s1,female,one,train,noise0.007\n"
        "d.wav,boredom,s2,m,two,test,\n"
        "../secret.wav,anger,s2,m,two,test,\n"
        "gone.wav,anger,s2,m,two,test,\n"
        "e.wav,anger,s2,?,two,test,\n",
        "utf-8",
    )
    clips = load_dataset("speech_folder", tmp_path)
    assert tuple(clips.files.tolist()) == ("b/c.wav", "a.wav")
    assert row(clips, "a.wav") == ("sadness", "s1", "female", "one", "train", "", "", "noise0.007")
    assert [line.partition("manifest.csv, ")[2] or line for line in clips.problems] == [
        "row 5: expected a file in the folder, but got ../secret.wav",
        "row 6: there is no gone.wav",
        "row 7: sex must be male, female or empty, but got ?",
        "1 left out: boredom is not in fer7",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name,emotion\n", "lacks the column file"),
        (b"", "lacks the column file"),
        (b"file,emotion\n", "manifest.csv has no rows"),
        (b"file,emotion\ngone.wav,anger\n", "there is no gone.wav"),
        (b"file,emotion\n\xff\xfe,anger\n", r"there is no '.udcff.udcfe'"),
        (b"file,emotion\nbe\x00fore,anger\n", "cannot read|there is no"),
        (b'file,emotion\n"a.wav,anger\n', "cannot be read"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "manifest.csv").write_bytes(text)
    with pytest.raises(DatasetError, match=message):
        load_dataset("speech_folder", tmp_path)


def test_wrong_words() -> None:
    with pytest.raises(InputError, match="'ravdess' has no option 'color': it takes statement, intensity"):
        load_dataset("ravdess", ".", color=1)
    with pytest.raises(InputError, match="statement must be kids or dogs, but got 3"):
        load_dataset("ravdess", ".", statement=3)
    with pytest.raises(InputError, match="modality must be full-av or audio, but got 'video'"):
        load_dataset("ravdess", ".", modality="video")


def test_filters_that_leave_nothing_say_so(tmp_path: Path) -> None:
    touch(tmp_path, ["03-01-02-01-01-01-03.wav"])
    with pytest.raises(DatasetError, match="the filters exclude all 1 files of ravdess"):
        load_dataset("ravdess", tmp_path, intensity="strong")


def test_folds_are_of_whole_speakers_with_the_sexes_balanced(tmp_path: Path) -> None:
    clips = load_dataset("ravdess", touch(tmp_path, ravdess_names(range(1, 21), emotions=[1, 5])))
    fold = folds(clips, 5, seed=3)
    for k in range(5):
        inside = set(clips.subjects[fold == k].tolist())
        assert inside.isdisjoint(clips.subjects[fold != k].tolist())
        assert Counter(int(actor) % 2 for actor in inside) == {0: 2, 1: 2}
    assert (fold == folds(clips, 5, seed=3)).all()
    assert (fold != folds(clips, 5, seed=4)).any()
    kept = clips.column("statement") == "kids"
    assert (folds(clips.take(kept), 5, seed=3) == fold[kept]).all(), "filters do not change who is where"
    order = np.random.default_rng(0).permutation(len(clips))
    assert (folds(clips.take(order), 5, seed=3) == fold[order]).all()


@pytest.mark.parametrize("actors", [range(1, 12), [1, 3, 5, 7, 9, 2, 4], range(1, 25)])
def test_what_does_not_come_out_even_is_spread(tmp_path: Path, actors: list[int]) -> None:
    clips = load_dataset("ravdess", touch(tmp_path, ravdess_names(actors, emotions=[1])))
    fold = folds(clips, 4)
    speakers = [set(clips.subjects[fold == k].tolist()) for k in range(4)]
    men = [sum(int(actor) % 2 for actor in some) for some in speakers]
    sizes = [len(some) for some in speakers]
    assert max(sizes) - min(sizes) <= 1
    assert max(men) - min(men) <= 1


def test_clips_without_a_speaker_are_fold_with_their_copies(tmp_path: Path) -> None:
    names = [
        f"{e}/{i}{copy}.wav" for e in ("sad", "happy") for i in range(8) for copy in ("", "__pitch-1", "__stretch0.81")
    ]
    clips = load_dataset("speech_folder", touch(tmp_path, names))
    fold = folds(clips, 4)
    for clip in set(clips.clips.tolist()):
        assert len(set(fold[clips.clips == clip].tolist())) == 1
    table = Counter(zip(fold.tolist(), clips.labels.tolist(), strict=True))
    assert set(table.values()) == {6}


def test_too_many_folds(tmp_path: Path) -> None:
    clips = load_dataset("ravdess", touch(tmp_path, ravdess_names([1, 2], emotions=[1])))
    with pytest.raises(DatasetError, match=r"3 folds need at least 3 speakers, but .* has 2"):
        folds(clips, 3)
    with pytest.raises(InputError, match="k must be an integer"):
        folds(clips, 1)


def test_lists_join(tmp_path: Path) -> None:
    one = load_dataset("ravdess", touch(tmp_path / "a", ravdess_names([1], emotions=[1])))
    two = load_dataset("ravdess", touch(tmp_path / "b", ravdess_names([2], emotions=[1])))
    both = concatenate(one, two)
    assert len(both) == 8
    assert both.name == "ravdess"
    assert all(Path(both.where(i)).is_file() for i in range(8))
    assert set(both.subjects.tolist()) == {"01", "02"}
    with pytest.raises(DatasetError, match="cannot join audio with ravdess8"):
        concatenate(one, load_dataset("tess", touch(tmp_path / "c", ["OAF_back_sad.wav"])))


def test_a_clip_is_read_at_the_rate_asked_for(tmp_path: Path) -> None:
    wave = tone(seconds=0.5)
    write_wav(tmp_path / "happy" / "a.wav", wave)
    clips = load_dataset("speech_folder", tmp_path)
    own = clips.read_audio(0)
    assert own.dtype == np.float32
    assert np.abs(own - wave).max() < 1e-4
    assert len(clips.read_audio(0, 8000)) == 4000
    assert len(clips.read_audio(0, rate_hz=22050)) == 11025


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_a_clip_that_cannot_be_read_names_its_file(tmp_path: Path, content: bytes) -> None:
    touch(tmp_path, ["happy/a.wav"])
    (tmp_path / "happy" / "a.wav").write_bytes(content)
    with pytest.raises(DatasetError, match=r"happy.a\.wav"):
        load_dataset("speech_folder", tmp_path).read(0)


@pytest.mark.data
def test_the_real_ravdess(data_dir: Path) -> None:
    clips = load_dataset("ravdess", data_dir / "ravdess_speech_16k")
    assert counts(clips) == {"neutral": 80} | dict.fromkeys(clips.label_set.emotions[1:], 160)
    assert len(set(clips.subjects.tolist())) == 20
    assert len(set(clips.clips.tolist())) == 1200
    assert clips.problems == ()


def test_nemo_says_who_speaks_and_how(tmp_path: Path) -> None:
    touch(tmp_path, ["WR0_surprised_64.opus", "samples/EB0_neutral_13.wav", "ZZ9_anger_1.wav", "data.tsv"])
    clips = load_dataset("nemo", tmp_path)
    rows = zip(clips.files, clips.labels, clips.subjects, clips.column("sex"), clips.column("statement"), strict=True)
    assert [(str(f), clips.label_set.emotions[k], str(s), str(x), str(n)) for f, k, s, x, n in rows] == [
        ("WR0_surprised_64.opus", "surprise", "WR0", "male", "64"),
        ("samples/EB0_neutral_13.wav", "neutral", "EB0", "female", "13"),
    ]
    assert "expected a speaker of EB0, IC0" in clips.problems[0]
    assert detect_dataset(touch(tmp_path / "some", ["KS0_fear_2.opus", "KS0_fear_3.opus"])) == "nemo"


@pytest.mark.parametrize(
    ("folder", "emotion"),
    [
        ("01Neutral", "neutral"),
        ("OAF_Pleasant_surprise", "surprise"),
        ("7 - Angry (new)", "anger"),
        ("happy", "happiness"),
        ("happy_or_sad", ""),
        ("Actor_01", ""),
        ("", ""),
    ],
)
def test_folders_have_an_emotion_among_their_words(folder: str, emotion: str) -> None:
    assert emotion_in(folder) == emotion


def test_numbered_folders_are_emotions(tmp_path: Path) -> None:
    clips = load_dataset("speech_folder", touch(tmp_path, ["01Neutral/a.wav", "02Happy/a.wav", "notes/b.wav"]))
    assert [clips.label_set.emotions[k] for k in clips.labels] == ["neutral", "happiness"]
    assert len(set(clips.clips.tolist())) == 2
    assert detect_dataset(tmp_path) == "speech_folder"


def test_renamed_copies_of_tess_keep_their_names(tmp_path: Path) -> None:
    names = ["TESS_OAF_back_angry.wav", "0012-YAF_bite_ps (1).wav", "x/OAF_back_angry-16k.wav"]
    clips = load_dataset("tess", touch(tmp_path, names))
    found = sorted(zip(clips.files, clips.clips, clips.subjects, strict=True))
    assert [(str(clip), str(subject)) for _, clip, subject in found] == [
        ("YAF_bite_ps", "YAF"),
        ("OAF_back_angry", "OAF"),
        ("OAF_back_angry", "OAF"),
    ]
