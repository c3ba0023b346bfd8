"""Results in a few words: times as people read them, shares of emotions, one line a video or audio file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mien._checks import count_of
from mien.results import Emotion, PersonSummary, SpeechResult, VideoResult

__all__ = [
    "CLOCK_FROM_S",
    "MIN_SHARE",
    "SoundSummary",
    "describe_rest",
    "format_duration",
    "format_minutes",
    "format_time",
    "list_shares",
    "person_shares",
    "printable",
    "sound_summaries",
    "speech_summary",
    "tick_label",
    "tick_step",
    "tick_unit",
    "video_shares",
    "video_summary",
]

MIN_SHARE = 0.05
"""Emotions with less of a person's time are left out where people read."""

_MIN_SPEECH_SHARE = 0.005
"""The same for emotions of the speech in an audio file."""

CLOCK_FROM_S = 180.0
"""From three minutes on, lengths have minutes, and tenths of a second say nothing in a list of times."""

_TICK_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


def format_time(seconds: float, duration_s: float) -> str:
    """Return a time in an audio file: ``2.35`` in a short one, ``1:02:03.4`` in a long one."""
    return f"{seconds:.2f}" if duration_s < CLOCK_FROM_S else _format(seconds, duration_s, tenths=True)


def format_minutes(seconds: float, duration_s: float) -> str:
    """Return a time in a video: ``0:03.4`` in a short one, ``12:05`` or ``1:02:05`` in a long one."""
    return _format(seconds, duration_s, tenths=duration_s < CLOCK_FROM_S)


def format_duration(seconds: float) -> str:
    """Return a length in words: ``9.6 s``, ``4 min 0 s``, ``1 h 6 min 40 s``."""
    if seconds < CLOCK_FROM_S:
        return f"{seconds:.1f} s"
    whole, rest = divmod(round(seconds), 60)
    return f"{whole} min {rest} s" if whole < 60 else f"{whole // 60} h {whole % 60} min {rest} s"


def _format(seconds: float, duration_s: float, *, tenths: bool) -> str:
    # Rounded before it is split, so that 59.97 s becomes 1:00.0.
    parts = 10 if tenths else 1
    units = round(parts * seconds)
    whole, rest = divmod(units, 60 * parts)
    hours = f"{whole // 60}:{whole % 60:02d}" if duration_s >= 3600 else f"{whole}"
    return f"{hours}:{rest // parts:02d}" + (f".{rest % parts}" if tenths else "")


def tick_step(length_s: float, most: int = 13) -> float:
    """Return the round number of seconds from one tick of an axis to the next that gives at most so many."""
    steps = [step for step in _TICK_STEPS_S if length_s / step <= most]
    return steps[0] if steps else 3600.0 * max(1, round(length_s / 3600 / most))


def tick_label(seconds: float, end_s: float, step: float, *, as_minutes: bool = False) -> str:
    """Return the time at a tick: ``2.5`` on a short axis (``0:02.5`` as minutes), ``12:30``, ``1:02:30``."""
    if end_s < CLOCK_FROM_S and not as_minutes:
        return f"{seconds:.{0 if step >= 1 else 1 if step >= 0.1 else 2}f}"
    if step < 1:
        digits = 1 if step >= 0.1 else 2
        units = round(seconds * 10**digits)
        whole, rest = divmod(units, 60 * 10**digits)
        return f"{whole}:{rest / 10**digits:0{3 + digits}.{digits}f}"
    return _format(seconds, end_s, tenths=False)


def tick_unit(end_s: float, *, as_minutes: bool = False) -> str:
    """Return what `tick_label` counts in."""
    if end_s < CLOCK_FROM_S and not as_minutes:
        return "s"
    return "min:s" if end_s < 3600 else "h:min:s"


def printable(value: str | None, ascii_only: bool = False) -> str:
    """Return a name in one line that cannot steer the terminal."""
    if value is None:
        return "-"
    text = value if value.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


# --- shares ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SoundSummary:
    """What the voice of a video expresses, or face and voice together.

    Parameters
    ----------
    name : str
        ``"voice"`` or ``"both"``.
    seconds : float or None
        Of speech; or with a face and a voice at the same time, where the method of the video is ``"timeline"``.
    start_s, end_s : float
        From the first to the last prediction.
    shares : sequence of (str, float)
        The share of each emotion, largest first; empty where nobody speaks.
    moments : sequence of (float, str, float)
        Time, emotion and probability of the clearest segment of each emotion, clearest first.
    """

    name: str
    seconds: float | None
    start_s: float = 0.0
    end_s: float = 0.0
    shares: Sequence[tuple[str, float]] = ()
    moments: Sequence[tuple[float, str, float]] = ()


def sound_summaries(video: VideoResult) -> tuple[SoundSummary, ...]:
    """Summarize the voice, and face and voice together: nothing without sound, and both where there is both.

    By the timeline, shares are of the time of speech (or of the time with any prediction) by the leading emotion; by
    other methods they are the one prediction of the video.
    """
    if video.speech is None:
        return ()
    voice = [(s.start_s, s.end_s, s.emotion) for s in video.speech.segments if s.emotion is not None]
    summaries = [_summarize("voice", video.speech.speech_s, voice, video.method, video.summary.voice)]
    if video.fused is not None and video.fused.both_s > 0:
        both = [(s.start_s, s.end_s, s.fused) for s in video.fused.segments if s.fused is not None]
        together_s = video.fused.both_s if video.method == "timeline" else None
        summaries.append(_summarize("both", together_s, both, video.method, video.fused.emotion))
    return tuple(summaries)


def _summarize(
    name: str,
    length_s: float | None,
    segments: Sequence[tuple[float, float, Emotion]],
    method: str,
    mean: Emotion | None,
) -> SoundSummary:
    if not segments or mean is None:
        return SoundSummary(name, length_s)
    start_s, end_s = segments[0][0], segments[-1][1]
    if method != "timeline":
        return SoundSummary(name, length_s, start_s, end_s, mean.ranked())
    seconds: dict[str, float] = {}
    for start, end, emotion in segments:
        seconds[emotion.top] = seconds.get(emotion.top, 0.0) + end - start
    clearest: dict[str, tuple[float, str, float]] = {}
    for start, _, emotion in sorted(segments, key=lambda segment: -segment[2].confidence):
        clearest.setdefault(emotion.top, (start, emotion.top, emotion.confidence))
    return SoundSummary(name, length_s, start_s, end_s, _ranked(_shares(seconds)), list(clearest.values()))


def person_shares(person: PersonSummary) -> list[tuple[str, float]]:
    """Return the share of the time in view that each emotion leads, largest first."""
    return list(_shares(person.seconds).items()) or person.emotion.ranked()


def video_shares(video: VideoResult) -> list[tuple[str, float]]:
    """Return the share of each emotion in a video's one prediction, largest first; nothing without a face.

    By the timeline these are shares of the time that all people are in view, by the emotion that leads.
    """
    summary = video.summary
    if summary.emotion is None:
        return []
    seconds: dict[str, float] = {}
    for person in summary.people if video.method == "timeline" else ():
        for emotion, length_s in person.seconds.items():
            seconds[emotion] = seconds.get(emotion, 0.0) + length_s
    return _ranked(_shares(seconds) or dict(summary.emotion.items()))


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(seconds.values())
    return {name: length_s / whole for name, length_s in seconds.items()} if whole > 0 else {}


def _ranked(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda item: -item[1])


# --- lines ----------------------------------------------------------------------------------------------------------


def speech_summary(result: SpeechResult, *, ascii_only: bool = False) -> str:
    """Return one line: how much speech there is, and which shares of it have which emotion on top.

    For example ``call.wav: 41.3 s of speech in 60.0 s: neutral 61%, anger 27%, unsure 12%``: spans whose emotion is
    unsure count as such.  Where each channel was read, it has a line: ``call.wav, channel 1: 9.4 s of speech ...``.
    """
    path = [] if result.path is None else [printable(result.path, ascii_only)]
    names = {channel: [*path, *([] if channel is None else [f"channel {channel}"])] for channel in result.voices}
    return "\n".join(_describe_voice(voice, ", ".join(names[one])) for one, voice in result.voices.items())


def _describe_voice(result: SpeechResult, name: str) -> str:
    summary = result.summary
    name = f"{name}: " if name else ""
    whole = format_duration(summary.duration_s)
    if summary.speech_s <= 0:
        return f"{name}no speech in {whole}"
    seconds: dict[str, float] = {}
    for segment in result.segments:
        if segment.emotion is not None:
            top = "unsure" if segment.emotion.unsure else segment.emotion.top
            seconds[top] = seconds.get(top, 0.0) + segment.duration_s
    shares = _ranked({top: length_s / summary.speech_s for top, length_s in seconds.items()})
    words = list_shares(shares, at_least=_MIN_SPEECH_SHARE)
    return f"{name}{format_duration(summary.speech_s)} of speech in {whole}: {words}"


def video_summary(video: VideoResult, *, ascii_only: bool = False) -> str:
    """Return one line: how long the video is, how many people are in view for how long, and their emotions.

    For example ``team.mp4: 12 min 4 s, 3 people, faces in view for 11 min 2 s: happiness 62%, neutral 30%``.  The
    shares are of the time that all people are in view.  Where the video has sound, the voice and both together follow:
    ``; voice for 4 min 8 s: anger 51%, neutral 40%; both: neutral 55%, anger 38%``.  Another method than the timeline
    is named: ``by majority-vote happiness 80%``.  The prediction of a model for clips follows the faces: ``; as a clip:
    happiness 71%, neutral 12%``.
    """
    summary = video.summary
    name = "" if video.path is None else f"{printable(video.path, ascii_only)}: "
    part = video.end_s - video.start_s
    whole = format_duration(video.duration_s)
    if part < video.duration_s - 0.5:
        whole = f"{format_duration(part)} of {whole} (from {format_minutes(video.start_s, video.end_s)})"
    clip = "" if summary.clip is None else f"; as a clip: {list_shares(summary.clip.ranked())}"
    sound = clip + "".join(f"; {_describe_sound(one)}" for one in sound_summaries(video))
    if not summary.people or summary.emotion is None:
        return f"{name}{whole}, no face{sound}"
    way = "" if video.method == "timeline" else f"by {video.method} "
    faces = f"faces in view for {format_duration(summary.seen_s)}: {way}{list_shares(video_shares(video))}"
    return f"{name}{whole}, {count_of(len(summary.people), 'person', 'people')}, {faces}{sound}"


def _describe_sound(sound: SoundSummary) -> str:
    if not sound.shares:
        return "no speech"
    spoken = f" for {format_duration(sound.seconds)}" if sound.name == "voice" and sound.seconds is not None else ""
    return f"{sound.name}{spoken}: {list_shares(sound.shares)}"


def list_shares(shares: Iterable[tuple[str, float]], *, at_least: float = MIN_SHARE) -> str:
    """Return shares in words: ``happiness 62%, neutral 30%``."""
    return ", ".join(f"{emotion} {100 * share:.0f}%" for emotion, share in shares if share >= at_least)


def describe_rest(people: Sequence[PersonSummary], count: int) -> str:
    """Say how many people follow the first ones, and how long they are in view; nothing where there are none."""
    rest = people[count:]
    if not rest:
        return ""
    more = count_of(len(rest), "more person", "more people")
    return f"{more}, in view for {format_duration(sum(person.seen_s for person in rest))} in all"
