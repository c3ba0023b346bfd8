"""Datasets of speech that say in their file names who speaks, what and how; and any folder by emotion or manifest.

Of most of them a `NamePattern` says everything: to add one, write its pattern and codes, and register it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from mien.data.files import (
    MANIFEST,
    check_folder,
    compile_pattern,
    emotion_of,
    match_pattern,
    nothing_found,
    read_manifest,
    smallest_label_set,
    split_of,
)
from mien.data.registry import Dataset
from mien.data.samples import Row, Samples
from mien.errors import DatasetError, InputError
from mien.io.paths import AUDIO_SUFFIXES, VIDEO_SUFFIXES, format_path
from mien.labels import FER7, RAVDESS8, LabelSet, label_set

__all__ = [
    "COPY",
    "CREMA_D",
    "EMODB",
    "METHODS",
    "NEMO",
    "RAVDESS",
    "RAVDESS_NAMES",
    "SAVEE",
    "SPEECH_FOLDER",
    "TESS",
    "BadNameError",
    "LeftOutError",
    "NamePattern",
    "detect_dataset",
    "emotion_in",
    "list_ravdess",
    "list_speech_folder",
    "parse_ravdess",
    "split_copy",
]

COPY = "__"
"""Stands in file names between the original's name and how a copy was made of it: ``03a01Fa__pitch+2.flac``."""

METHODS = ("stretch", "pitch", "noise")
"""How copies are made; what else stands behind two underscores belongs to a name."""

_COPY_NAME = re.compile(rf"(.+){COPY}((?:{'|'.join(METHODS)})[-+.0-9e]+)")
_WORDS = re.compile(r"[\W\d_]+")
_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES


class BadNameError(Exception):
    """A file's name says what cannot be; the message says why, and becomes a line of the problems."""


class LeftOutError(Exception):
    """A file is of a kind that is left out; the message names the kind. Problems count each kind."""


# --- names that say everything ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NamePattern:
    """How a dataset writes what it knows into the names of its files.

    Parameters
    ----------
    name : str
        The dataset.
    pattern : re.Pattern
        Fits a whole name without suffix. Its groups are ``emotion``, columns of `mien.data.samples.COLUMNS`, and
        others. Where the group ``subject`` may be missing, the folder is named after the speaker.
    example : str
        A name and what its parts say, for messages.
    codes : mapping of str to mapping of str to str
        By group: codes and what they mean, in the case of the pattern. Checked in this order.
    clip : str
        How the original is called, from the codes: ``"{subject}_{emotion}{number}"``.
    sex : mapping of str to str, or str
        ``male`` or ``female``, by speaker or for all.
    left_out : mapping of str to str
        Codes of emotions that are none of mien's, and what to say of their files.
    """

    name: str
    pattern: re.Pattern[str]
    example: str
    codes: Mapping[str, Mapping[str, str]]
    clip: str
    sex: Mapping[str, str] | str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    def list_samples(self, path: str | Path) -> Samples:
        """List the audio files of a folder and of all folders in it by their names.

        Labels are in ``FER7``; files with other names are among the problems.

        Raises
        ------
        DatasetError
            If the folder is missing, or holds no such name.
        """
        return _list_audio(self.name, path, FER7, self.parse)

    def parse(self, file: str) -> Row:
        """Return what a file's name says.

        Raises
        ------
        BadNameError
            If it does not fit, or has another code.
        LeftOutError
            If its emotion is left out.
        """
        stem, method = split_copy(file)
        match = self.pattern.fullmatch(stem)
        if match is None:
            raise BadNameError(f"expected a name like {self.example}")
        codes, words = self.decode(match, file)
        return Row(
            file,
            words["emotion"],
            subject=words["subject"],
            clip=self.clip.format_map(codes),
            split=split_of(file),
            sex=self.sex_of(words["subject"]),
            intensity=words.get("intensity", ""),
            statement=words.get("statement", ""),
            method=method,
        )

    def sex_of(self, subject: str) -> str:
        """Return the sex of a speaker; empty where names do not say it."""
        return self.sex if isinstance(self.sex, str) else self.sex[subject]

    def decode(self, match: re.Match[str], file: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the codes of a name, in the case of the tables, and what they mean."""
        groups = match.groupdict()
        groups["subject"] = groups["subject"] or PurePosixPath(file).parent.name
        is_any_case = bool(self.pattern.flags & re.IGNORECASE)
        codes = {name: text.lower() if is_any_case else text for name, text in groups.items()}
        words = dict(codes)
        for name, table in self.codes.items():
            known = {code.lower() if is_any_case else code: code for code in table}
            known.update({code: code for code in self.left_out} if name == "emotion" else {})
            if codes[name] not in known:
                noun = _NOUNS.get(name, f"a {name}")
                raise BadNameError(f"expected {noun} {_choice(list(known.values()))}, but the name says {groups[name]}")
            codes[name] = known[codes[name]]
            if name == "emotion" and codes[name] in self.left_out:
                raise LeftOutError(self.left_out[codes[name]])
            words[name] = table[codes[name]]
        return codes, words


_NOUNS = {"subject": "a speaker", "emotion": "an emotion", "intensity": "an intensity"}


def _choice(codes: list[str]) -> str:
    in_a_row = all(code.isdigit() for code in codes) and int(codes[-1]) - int(codes[0]) == len(codes) - 1
    return f"from {codes[0]} to {codes[-1]}" if in_a_row else f"of {', '.join(codes)}"


def split_copy(file: str) -> tuple[str, str]:
    """Return the original's name without suffix, and how the file was made of it (empty for an original)."""
    stem = PurePosixPath(file).stem
    match = _COPY_NAME.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, "")


def _same(*codes: str) -> dict[str, str]:
    return {code: code for code in codes}


EMODB_NAMES = NamePattern(
    "emodb",
    re.compile(r"(?P<subject>\d\d)(?P<statement>[ab]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z])"),
    "03a01Fa (speaker, text, emotion, version)",
    {
        # The emotions' initials in German: Wut, Ekel, Angst, Freude, Trauer (http://emodb.bilderbar.info).
        "emotion": {"W": "anger", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"},
        "subject": _same("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"),
    },
    "{subject}{statement}{emotion}{version}",
    dict.fromkeys(("03", "10", "11", "12", "15"), "male") | dict.fromkeys(("08", "09", "13", "14", "16"), "female"),
    {"L": "boredom, which is none of mien's emotions"},  # Langeweile
)
"""EMO-DB (Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, "A database of German emotional speech", Interspeech
2005); statements are the texts' codes, such as ``"a01"``."""

CREMA_D_NAMES = NamePattern(
    "crema_d",
    re.compile(
        r"(?P<subject>\d{4})_(?P<statement>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>[A-Z]{1,2})", re.IGNORECASE
    ),
    "1001_DFA_ANG_XX (actor, sentence, emotion, intensity)",
    {
        "subject": _same(*map(str, range(1001, 1092))),
        "statement": _same("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI"),
        "emotion": {
            "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness"
        },
        # One published file, 1040_ITH_SAD_X, ends in a single X.
        "intensity": {"HI": "high", "LO": "low", "MD": "medium", "X": "", "XX": ""},
    },
    "{subject}_{statement}_{emotion}_{intensity}",
)  # fmt: skip
"""CREMA-D (Cao, Cooper, Keutmann, Gur, Nenkova and Verma, "CREMA-D: crowd-sourced emotional multimodal actors dataset",
IEEE Transactions on Affective Computing 5, 2014; https://github.com/CheyneyComputerScience/CREMA-D, ODbL). The actors'
sex stands in a table apart (``VideoDemographics.csv``), not in the names, so it stays empty."""

TESS_NAMES = NamePattern(
    "tess",
    # One published file, OA_bite_neutral.wav, misses a letter.  Copies that others made put words before or behind.
    re.compile(
        r"(?:.*[^a-z])?(?P<subject>OA|YA)F?_(?P<statement>[a-z']+)_(?P<emotion>[a-z]+)(?:[^a-z].*)?", re.IGNORECASE
    ),
    "OAF_back_angry (speaker, word, emotion)",
    {
        "emotion": {
            "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "neutral": "neutral",
            "ps": "surprise",  # "pleasant surprise"
            "sad": "sadness",
        },
        "subject": {"OA": "OAF", "YA": "YAF"},
    },
    "{subject}F_{statement}_{emotion}",
    "female",
)  # fmt: skip
"""TESS (Pichora-Fuller and Dupuis, "Toronto emotional speech set (TESS)", doi:10.5683/SP2/E8H2MF, CC BY-NC-ND 4.0); the
speakers are aged 64 (OAF) and 26 (YAF), statements are the words said."""

SAVEE_NAMES = NamePattern(
    "savee",
    re.compile(r"(?:(?P<subject>DC|JE|JK|KL)_)?(?P<emotion>sa|su|[adfhn])(?P<number>\d\d)", re.IGNORECASE),
    "DC_a01 (speaker, emotion, number)",
    {
        "emotion": {
            "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness",
            "su": "surprise",
        },
        "subject": _same("DC", "JE", "JK", "KL"),
    },
    "{subject}_{emotion}{number}",
    "male",
)  # fmt: skip
"""SAVEE (Haq and Jackson, "Speaker-dependent audio-visual emotion recognition", AVSP 2009;
http://kahlan.eps.surrey.ac.uk)."""

NEMO_NAMES = NamePattern(
    "nemo",
    re.compile(r"(?P<subject>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<statement>\d+)", re.IGNORECASE),
    "WR0_surprised_64 (speaker, emotion, sentence)",
    {
        "emotion": {
            "anger": "anger", "fear": "fear", "happiness": "happiness", "neutral": "neutral", "sadness": "sadness",
            "surprised": "surprise",
        },
        "subject": _same("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0"),
    },
    "{subject}_{emotion}_{statement}",
    dict.fromkeys(("EB0", "IC0", "KD0", "MK0"), "female")
    | dict.fromkeys(("KS0", "MP0", "SM0", "TP0", "WR0"), "male"),
)  # fmt: skip
"""nEMO (Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024, arXiv:2404.06292; CC BY-NC-SA 4.0);
the speakers' sex is that of its table ``data.tsv``, statements are the numbers of its sentences."""

_ACTORS = tuple(f"{number:02}" for number in range(1, 25))

RAVDESS_NAMES = NamePattern(
    "ravdess",
    # The seven fields may stand anywhere in the name: copies that others made put words before or behind them.
    re.compile(
        r"(?<![0-9])(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<statement>\d\d)-"
        r"(?P<repetition>\d\d)-(?P<subject>\d\d)(?![0-9])"
    ),
    "03-01-05-02-01-01-12",
    # doi:10.1371/journal.pone.0196391, table 1; https://zenodo.org/records/1188976
    {
        "modality": {"01": "full-av", "02": "video", "03": "audio"},
        "channel": {"01": "speech", "02": "song"},
        "emotion": {f"{code:02}": word for code, word in enumerate(RAVDESS8.emotions, 1)},
        "intensity": {"01": "normal", "02": "strong"},
        "statement": {"01": "kids", "02": "dogs"},
        "repetition": {"01": "1", "02": "2"},
        "subject": _same(*_ACTORS),
    },
    "{channel}-{emotion}-{intensity}-{statement}-{repetition}-{subject}",
    {actor: "male" if int(actor) % 2 else "female" for actor in _ACTORS},
)
"""RAVDESS (Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE
13, 2018, doi:10.1371/journal.pone.0196391)."""


# --- a folder of audio files --------------------------------------------------------------------------


def _list_audio(name: str, path: str | Path, labels: LabelSet | None, parse: Callable[[str], Row | None]) -> Samples:
    """List a folder's audio files and videos by what their names say.

    Parameters
    ----------
    name : str
        Name of the dataset.
    path : str or pathlib.Path
        The folder.
    labels : LabelSet, optional
        Emotions of the dataset; by default the smallest set that has all.
    parse : callable
        Takes a relative path and returns what it says, or None for what a filter excludes.

    Raises
    ------
    DatasetError
        If the folder is missing, or holds no file of the dataset.
    """
    problems: list[str] = []
    rows: list[Row] = []
    left_out: Counter[str] = Counter()
    known: set[tuple[str, ...]] = set()
    excluded = 0
    for file in _find_audio(path, problems):
        try:
            row = parse(file)
        except BadNameError as error:
            problems.append(f"{format_path(file)}: {error}")
            continue
        except LeftOutError as error:
            left_out[str(error)] += 1
            continue
        if row is None:
            excluded += 1
            continue
        # Some collections hold the whole dataset twice, in two folders.
        key = (PurePosixPath(file).stem.lower(), row.subject, row.clip, row.split)
        if key in known:
            left_out["second copies of a file"] += 1
        else:
            known.add(key)
            rows.append(row)
    problems += [f"{count} left out: {kind}" for kind, count in sorted(left_out.items())]
    if not rows and excluded:
        raise DatasetError(f"{format_path(path)}: the filters exclude all {excluded} files of {name}")
    return _samples(name, path, rows, labels, problems)


def _find_audio(path: str | Path, problems: list[str]) -> list[str]:
    """Return the audio files and videos of a folder and its folders, relative to it, sorted; hidden names are left out.

    Folders that cannot be opened become lines of ``problems``.
    """
    root = check_folder(path, "audio files")
    found: list[str] = []
    for folder, below, names in os.walk(
        root,
        onerror=lambda error: problems.append(f"{format_path(error.filename)}: cannot be opened: {error.strerror}"),
    ):
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = Path(folder).relative_to(root)
        found += [
            (inside / name).as_posix()
            for name in names
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() in _SUFFIXES
        ]
    if not found:
        suffixes = ", ".join(sorted(_SUFFIXES))
        raise DatasetError(f"no audio file in {format_path(path)}: expected files that end in {suffixes}")
    return sorted(found)


def _samples(name: str, path: str | Path, rows: list[Row], labels: LabelSet | None, problems: list[str]) -> Samples:
    """Return rows as samples; emotions outside the label set are left out and counted."""
    chosen = labels or smallest_label_set({row.emotion for row in rows})
    outside = Counter(row.emotion for row in rows if row.emotion and row.emotion not in chosen.emotions)
    problems = problems + [f"{n} left out: {format_path(what)} is not in {chosen.name}" for what, n in outside.items()]
    kept = [row for row in rows if row.emotion not in outside]
    if not kept:
        raise nothing_found(path, f"audio files of {name}", problems)
    return Samples.from_rows(kept, name=name, kind="audio", source=path, label_set=chosen, problems=problems)


# --- RAVDESS ------------------------------------------------------------------------------------------

_ACTOR_FOLDER = re.compile(r"actor[_ -]?(\d+)", re.IGNORECASE)


def list_ravdess(
    path: str | Path,
    *,
    statement: int | str | None = None,
    intensity: int | str | None = None,
    repetition: int | str | None = None,
    channel: str | None = "speech",
    modality: str | None = None,
) -> Samples:
    """List the audio files and videos of RAVDESS in a folder.

    Takes the published tree (``Actor_12/03-01-05-02-01-01-12.wav``), any other folders of such names, and a tree
    ``train|test/<emotion>/<name>``, whose first folder becomes the split. There, a name that is not RAVDESS's is taken
    by its folder, without a speaker. The original recording (column ``clip``) is the name without its first field,
    because the same recording is published with and without its image; copies with words added to the name keep it.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    statement : {1, 2, "kids", "dogs"}, optional
        Only this one ("Kids are talking by the door", "Dogs are sitting by the door").
    intensity : {1, 2, "normal", "strong"}, optional
        Only this one.
    repetition : {1, 2}, optional
        Only this one.
    channel : {"speech", "song"}, optional
        Only this one; None takes both.
    modality : {"audio", "full-av"}, optional
        Only files with this; by default both. Files of images alone are left out and counted.

    Returns
    -------
    Samples
        Labels in ``RAVDESS8``; speakers ``"01"`` to ``"24"``, odd ones are men.

    Raises
    ------
    InputError
        If a filter is none of the above.
    DatasetError
        If the folder is missing, or nothing in it passes.

    References
    ----------
    Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE 13
    (2018), doi:10.1371/journal.pone.0196391.
    """
    filters = {
        "modality": _check_filter("modality", modality, leaving_out="video"),
        "channel": _check_filter("channel", channel),
        "intensity": _check_filter("intensity", intensity),
        "statement": _check_filter("statement", statement),
        "repetition": _check_filter("repetition", repetition),
    }
    return _list_audio("ravdess", path, RAVDESS8, partial(_parse_ravdess_file, filters=filters))


def _check_filter(name: str, value: int | str | None, *, leaving_out: str = "") -> str | None:
    """Return the word of RAVDESS that a filter lets pass.

    Raises
    ------
    InputError
        If there is no such word or code.
    """
    if value is None:
        return None
    text = str(value).strip().lower()
    codes = {code: word for code, word in RAVDESS_NAMES.codes[name].items() if word != leaving_out}
    for code, word in codes.items():
        if text in (word, code, code.lstrip("0")):
            return word
    raise InputError(f"{name} must be {' or '.join(codes.values())}, but got {value!r}")


def parse_ravdess(file: str) -> tuple[Row, dict[str, str]] | None:
    """Return what a name of RAVDESS says, as a row and field by field; None for another name.

    Raises
    ------
    BadNameError
        If a field is none of RAVDESS's, or the folder says otherwise.
    """
    stem, method = split_copy(file)
    match = RAVDESS_NAMES.pattern.search(stem)
    if match is None:
        return None
    codes, words = RAVDESS_NAMES.decode(match, file)
    if (words["emotion"], words["intensity"]) == ("neutral", "strong"):
        raise BadNameError("the name says strong neutral, which RAVDESS does not have")
    folder = PurePosixPath(file).parent.name
    actor = _ACTOR_FOLDER.fullmatch(folder)
    if actor is not None and int(actor[1]) != int(words["subject"]):
        raise BadNameError(f"the name says actor {words['subject']}, the folder {actor[1]}")
    if emotion_of(folder) not in ("", words["emotion"]):
        raise BadNameError(f"the name says {words['emotion']}, the folder {emotion_of(folder)}")
    row = Row(
        file,
        words["emotion"],
        subject=words["subject"],
        clip=RAVDESS_NAMES.clip.format_map(codes),
        split=split_of(file),
        sex=RAVDESS_NAMES.sex_of(words["subject"]),
        intensity=words["intensity"],
        statement=words["statement"],
        method=method or (stem[: match.start()] + stem[match.end() :]).strip("_-. "),
    )
    return row, words


def _parse_ravdess_file(file: str, *, filters: Mapping[str, str | None]) -> Row | None:
    parsed = parse_ravdess(file)
    if parsed is None:
        return _parse_ravdess_folder(file, filters)
    row, words = parsed
    if words["modality"] == "video":
        raise LeftOutError("videos without sound (first field 02)")
    for name, value in filters.items():
        if value is not None and words[name] != value:
            if name == "channel" and value == "speech":
                raise LeftOutError("songs (channel='song' takes them)")
            return None
    return row


def _parse_ravdess_folder(file: str, filters: Mapping[str, str | None]) -> Row | None:
    emotion, split = emotion_of(PurePosixPath(file).parent.name), split_of(file)
    if not split or not emotion:
        raise BadNameError(f"expected a name like {RAVDESS_NAMES.example}, or train|test/<emotion>/ before it")
    if any(value is not None for name, value in filters.items() if name != "channel"):
        return None
    stem, method = split_copy(file)
    return Row(file, emotion, clip=f"{emotion}/{format_path(stem)}", split=split, method=method)


_PATTERNS = (EMODB_NAMES, CREMA_D_NAMES, TESS_NAMES, SAVEE_NAMES, NEMO_NAMES)


def detect_dataset(path: str | Path) -> str:
    """Return which corpus of speech a folder looks like, by names of its first files; ``speech_folder`` in doubt."""
    root = Path(path)
    files = list(islice(_find_audio(root, []), 20))
    if (root / MANIFEST).is_file() or any(
        emotion_in(part) for file in files for part in PurePosixPath(file).parent.parts
    ):
        return "speech_folder"
    parsers = {"ravdess": lambda file: parse_ravdess(file) is not None}
    parsers |= {names.name: partial(_fits, names) for names in _PATTERNS}
    return next((name for name, fits in parsers.items() if files and all(map(fits, files))), "speech_folder")


def _fits(names: NamePattern, file: str) -> bool:
    return names.pattern.fullmatch(split_copy(file)[0]) is not None


# --- any folder ---------------------------------------------------------------------------------------

_MANIFEST_COLUMNS = ("emotion", "clip", "subject", "sex", "split", "intensity", "statement", "method")
_SEXES = {"male": "male", "m": "male", "female": "female", "f": "female", "": ""}


def list_speech_folder(path: str | Path, *, labels: str | None = None, subject: str | None = None) -> Samples:
    """List the audio files of a folder by the folders they lie in, or by its ``manifest.csv``.

    Without a manifest: ``<split>/<emotion>/file`` or ``<emotion>/file`` (emotions by any common word, also with numbers
    and other words: ``01Neutral``; splits train, test, val). A copy's name ends in two underscores and how it was made
    (``__stretch0.81``, ``__pitch+2``, ``__noise0.006``); files of one emotion and the same name before that are one
    original recording, in whatever split.

    The manifest's columns are file (relative to the folder) and emotion, and any of subject, sex (male, female), clip
    (the original recording; also ``origin``), split, intensity, statement, method (how a copy was made; empty for
    originals), value (by how much).

    Parameters
    ----------
    path : str or pathlib.Path
        The folder.
    labels : str, optional
        Name of the label set. By default ``fer7``, or ``ravdess8`` where an emotion is calm, or ``ferplus8`` where one
        is contempt.
    subject : str, optional
        Pattern (regular expression) that finds the speaker in the relative path: its first group, or all it matches.
        Not for manifests.

    Returns
    -------
    Samples
        In the order of the manifest, else sorted.

    Raises
    ------
    InputError
        If there is no such label set, or the pattern is none.
    DatasetError
        If the folder is missing, has no file with an emotion, or its manifest is none.
    """
    chosen = None if labels is None else label_set(labels)
    manifest = Path(path) / MANIFEST
    if os.path.isfile(manifest):  # noqa: PTH113 - Path.is_file raises for names that are too long
        if subject is not None:
            raise InputError(
                f"{format_path(path)} has a {MANIFEST}, which names the speakers: subject must not be given"
            )
        problems: list[str] = []
        rows = list(_listed(manifest, problems))
        if not rows:
            problems = problems or [f"{MANIFEST} has no rows"]
        return _samples("speech_folder", path, rows, chosen, problems)
    parse = partial(_parse_folder, pattern=compile_pattern(subject))
    return _list_audio("speech_folder", path, chosen, parse)


def emotion_in(folder: str) -> str:
    """Return the emotion that a folder's name has among its words: ``01Neutral``, ``OAF_Pleasant_surprise``.

    Nothing for a name without an emotion, or with two.
    """
    whole = emotion_of(folder)
    found = {emotion_of(word) for word in _WORDS.split(folder)} - {""}
    return whole or (found.pop() if len(found) == 1 else "")


def _parse_folder(file: str, *, pattern: re.Pattern[str] | None) -> Row:
    folders = PurePosixPath(file).parent.parts
    emotion = next(filter(None, map(emotion_in, reversed(folders))), "")
    if not emotion:
        raise BadNameError("expected a folder named by an emotion above it")
    split = split_of(file)
    stem, method = split_copy(file)
    # A folder of the split's name anywhere is the split's.
    within = [part for part in folders if not (split and part.lower() == folders[0].lower())]
    clip = "/".join([*(part for part in within if emotion_in(part) != emotion), emotion, stem])
    return Row(file, emotion, subject=match_pattern(pattern, file), clip=clip, split=split, method=method)


def _listed(manifest: Path, problems: list[str]) -> Iterator[Row]:
    for number, row in read_manifest(manifest):
        try:
            yield _manifest_row(manifest.parent, row)
        except BadNameError as error:
            problems.append(f"{format_path(manifest)}, row {number}: {error}")


def _manifest_row(folder: Path, row: Mapping[str, str]) -> Row:
    file = row["file"]
    inside = PurePosixPath(file)
    if not file or inside.is_absolute() or ".." in inside.parts:
        raise BadNameError(f"expected a file in the folder, but got {format_path(file)}")
    if not (folder / file).is_file():
        raise BadNameError(f"there is no {format_path(file)}")
    values: dict[str, Any] = {name: (row.get(name) or "").strip() for name in _MANIFEST_COLUMNS}
    sex = _SEXES.get(values["sex"].lower())
    if sex is None:
        raise BadNameError(f"sex must be male, female or empty, but got {format_path(values['sex'])}")
    found = Row(file, **values | {"sex": sex})
    return replace(
        found,
        emotion=emotion_of(found.emotion) or found.emotion,
        clip=found.clip or (row.get("origin") or "").strip() or inside.with_suffix("").as_posix(),
        # As file names have it: a copy's method with its amount.
        method=found.method + ((row.get("value") or "").strip() if found.method else ""),
    )


RAVDESS = Dataset(
    "audio", "RAVDESS (Livingstone and Russo 2018): 24 actors, two statements, eight emotions", list_ravdess
)
EMODB = Dataset(
    "audio",
    "EMO-DB (Burkhardt et al. 2005): ten German speakers, six of mien's emotions",
    EMODB_NAMES.list_samples,
)
CREMA_D = Dataset(
    "audio",
    "CREMA-D (Cao et al. 2014): 91 actors, twelve sentences, six emotions",
    CREMA_D_NAMES.list_samples,
)
TESS = Dataset(
    "audio",
    "TESS (Pichora-Fuller and Dupuis 2020): two women, 200 words, seven emotions",
    TESS_NAMES.list_samples,
)
SAVEE = Dataset(
    "audio",
    "SAVEE (Haq and Jackson 2009): four men, seven emotions",
    SAVEE_NAMES.list_samples,
)
NEMO = Dataset(
    "audio",
    "nEMO (Christop 2024): nine Polish actors, 90 sentences, six emotions",
    NEMO_NAMES.list_samples,
)
SPEECH_FOLDER = Dataset(
    "audio",
    "Any folder: <split>/<emotion>/file, <emotion>/file, or a manifest.csv",
    list_speech_folder,
    fixed_labels=False,
)
