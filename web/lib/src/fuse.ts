// Face and voice together: the product of experts of src/mien/fusion/experts.py, and over time as over_time.py.
import { normalize, toEmotion } from "./emotion";
import { findRuns } from "./episodes";
import type { Manifest } from "./models";
import type { Emotion, Face, Frame, SpeechResult } from "./results";
import { argmax } from "./windows";

export const FER7 = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"];

const LEAST = 1e-4; // no expert says that an emotion is less probable than this
const HOLD = 1.5; // by how much another face must be larger to take the voice over
const EPSILON_S = 1e-6;
const LONGEST_S = 1; // no frame says more than that: a hidden page gets none

/** Measures of quality at their best; those of decibels count by the difference, the others by the ratio. */
const MEASURES: Record<string, Record<string, { best: number; decibels?: boolean }>> = {
  face: { width_px: { best: 48 }, sharpness: { best: 0.3 }, seen_s: { best: 3 } },
  voice: { speech_s: { best: 3 }, snr_db: { best: 40, decibels: true } },
};

interface Expert {
  most: number;
  bias: number;
  slopes: Record<string, number>;
  typical: Record<string, number>;
  growth: number;
  transfer?: number;
}
/** The weights of the fusion for one label set of the face. */
export type FusionWeights = { prior: number[]; temperature: number } & Record<"face" | "voice", Expert>;
/** What one side says, in the order of FER7, and what was measured of it; what was not is taken as typical. */
export interface Side {
  probabilities: number[];
  quality?: Record<string, number | null | undefined>;
}
export type Sides = Record<"face" | "voice", Side | null>;
export interface FusedSegment {
  start_s: number;
  end_s: number;
  track: number | null; // whose face it is
  face_weight: number;
  voice_weight: number;
  face: Emotion | null;
  voice: Emotion | null;
  fused: Emotion | null;
}
export type FusionManifest = Pick<Manifest, "fusion" | "affect" | "unsure_below">;

const NAMES = ["face", "voice"] as const;

/** The weights for the emotions that a face model tells apart. */
export function fusionWeights(manifest: FusionManifest, faceLabels: string[]): FusionWeights {
  return manifest.fusion[faceLabels.includes("contempt") ? "ferplus8" : "fer7"] as FusionWeights;
}

/** The distribution of both sides together, null without any, and how far each is trusted. */
export function experts(weights: FusionWeights, sides: Sides): { probabilities: number[] | null; trust: number[] } {
  const trust = NAMES.map((name) => (sides[name] ? reliability(name, weights[name], sides[name]) : 0));
  const both = Math.min(...trust);
  const frequent = normalize(weights.prior);
  const logs = FER7.map((_, label) => {
    const said = NAMES.map((name, at) => trust[at]! * Math.log(Math.max(sides[name]?.probabilities[label] ?? 1, LEAST)));
    const prior = both * Math.log(frequent[label]!);
    return (said[0]! + said[1]! - prior) / weights.temperature ** Math.min(both, 1);
  });
  const top = Math.max(...logs);
  const probabilities = sides.face || sides.voice ? normalize(logs.map((log) => Math.exp(log - top))) : null;
  return { probabilities, trust };
}

function reliability(name: "face" | "voice", expert: Expert, side: Side): number {
  let exponent = expert.bias;
  for (const [measure, { best, decibels }] of Object.entries(MEASURES[name]!)) {
    const value = Math.min(side.quality?.[measure] ?? expert.typical[measure]!, best);
    const scaled = decibels ? (value - best) / 10 : Math.log2(Math.max(value, 0) / best);
    // A slope of 0 means that the measure does not count, not even at its worst.
    if (expert.slopes[measure]! > 0) exponent += expert.slopes[measure]! * scaled;
  }
  return (expert.most * (expert.transfer ?? 1)) / (1 + Math.exp(-exponent));
}

/** A distribution in the order of FER7: calm counts as neutral, contempt is dropped. */
export function toFer7(emotion: Emotion): number[] {
  const shares = FER7.map((name) => emotion.probabilities[name] ?? 0);
  shares[FER7.indexOf("neutral")]! += emotion.probabilities.calm ?? 0;
  return shares.some((share) => share > 0) ? normalize(shares) : FER7.map(() => 1 / FER7.length);
}

function asEmotion(manifest: FusionManifest, probabilities: number[] | null): Emotion | null {
  return probabilities && toEmotion(FER7, probabilities, manifest);
}

/** One person in a list of frames: what holds from each frame until the next, and integrals of it. */
export class Track {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly emotions: Emotion[] = [];
  private readonly values: number[][] = []; // the seven, 1, width and area of the face
  private readonly sums: number[][] = [];

  constructor(readonly number: number) {}

  add(start: number, end: number, face: Face): void {
    const [x1, y1, x2, y2] = face.box as [number, number, number, number];
    const shown = face.smoothed ?? face.emotion;
    const before = this.until(Infinity);
    this.starts.push(start);
    this.ends.push(end);
    this.emotions.push(shown);
    this.sums.push(before);
    this.values.push([...toFer7(shown), 1, x2 - x1, (x2 - x1) * (y2 - y1)]);
  }

  /** The integrals between two times. */
  between(from: number, to: number): number[] {
    const before = this.until(from);
    return this.until(to).map((value, at) => value - before[at]!);
  }

  /** Where the person comes into view and goes. */
  get views(): number[] {
    return [...this.starts.filter((start, at) => at === 0 || start - this.ends[at - 1]! > EPSILON_S),
      ...this.ends.filter((end, at) => !(this.starts[at + 1]! - end <= EPSILON_S))];
  }

  /** The first frame of each stretch in which one emotion leads. */
  get episodes(): number[] {
    return findRuns(this).map(({ first }) => first);
  }

  private until(time: number): number[] {
    const at = lastAtMost(this.starts, time);
    if (at < 0) return new Array<number>(FER7.length + 3).fill(0);
    const part = Math.min(time, this.ends[at]!) - this.starts[at]!;
    return this.sums[at]!.map((sum, column) => sum + part * this.values[at]![column]!);
  }
}

/** The people of frames in order, by the numbers of their tracks; the last frame is as long as the one before. */
export function tracksOf(frames: Frame[]): Track[] {
  const tracks = new Map<number, Track>();
  frames.forEach(({ time_s, faces }, at) => {
    const next = frames[at + 1]?.time_s ?? 2 * time_s - (frames[at - 1]?.time_s ?? time_s);
    const end = Math.min(next, time_s + LONGEST_S);
    for (const face of faces) {
      const number = face.track ?? 1;
      if (!tracks.has(number)) tracks.set(number, new Track(number));
      tracks.get(number)!.add(time_s, end, face);
    }
  });
  return [...tracks.values()].sort((a, b) => a.number - b.number);
}

/**
 * Brings faces and voice onto one time axis: the union of all edges that matter, and between two edges the face's mean
 * by time.  The voice is taken to be that of the largest face in view over the speech.
 */
export function fuse(manifest: FusionManifest, frames: Frame[], speech: SpeechResult | null): FusedSegment[] {
  const tracks = tracksOf(frames);
  const segments = (speech?.segments ?? []).filter((segment) => segment.speech);
  const stretches: number[] = []; // the number of the stretch without a pause that each segment is of
  const lengths: number[] = [];
  segments.forEach((segment, at) => {
    if (at === 0 || segment.start_s - segments[at - 1]!.end_s > EPSILON_S) lengths.push(0);
    stretches.push(lengths.length - 1);
    lengths[lengths.length - 1]! += segment.end_s - segment.start_s;
  });
  const starts = segments.map(({ start_s }) => start_s);
  const speaking = (time: number) => {
    const at = lastAtMost(starts, time);
    return at >= 0 && time < segments[at]!.end_s ? at : -1;
  };
  const bounds = [...tracks.flatMap((track) => track.views), ...segments.flatMap(({ start_s, end_s }) => [start_s, end_s])];
  const start = Math.min(...bounds);
  const end = Math.max(...bounds, speech?.duration_s ?? 0);
  if (!(end > start)) return [];
  const coarse = mergeEdges(bounds, start, end);
  const owners = chooseFaces(tracks, coarse, (time) => stretches[speaking(time)] ?? -1);
  const changes = tracks.map((track) => track.episodes.slice(1).map((at) => track.starts[at]!));
  const fine = mergeEdges([...coarse, ...[...new Set(owners)].flatMap((owner) => changes[owner] ?? [])], start, end);
  const pieces = fine.slice(0, -1).map((from, at) => {
    const middle = (from + fine[at + 1]!) / 2;
    const owner = owners[lastAtMost(coarse, middle)]!;
    const episode = owner < 0 ? 0 : lastAtMost(changes[owner]!, middle) + 1;
    return { from, owner, episode, voice: speaking(middle) };
  });
  // Edges of people whose face does not count part nothing.
  const kept = pieces.filter(({ owner, episode, voice }, at) => {
    const before = pieces[at - 1];
    return !before || before.owner !== owner || before.episode !== episode || before.voice !== voice;
  });
  const weights = fusionWeights(manifest, Object.keys(tracks[0]?.emotions[0]?.probabilities ?? {}));
  return kept.map(({ from, owner, episode, voice }, at) => {
    const to = kept[at + 1]?.from ?? end;
    const sides: Sides = { face: null, voice: null };
    const track = tracks[owner];
    if (track) {
      const total = track.between(from, to);
      const borders = [track.starts[0]!, ...changes[owner]!, track.ends.at(-1)!];
      const seen_s = track.between(borders[episode]!, borders[episode + 1]!)[7]!;
      sides.face = { probabilities: normalize(total.slice(0, 7)), quality: { width_px: total[8]! / total[7]!, seen_s } };
    }
    const segment = segments[voice];
    if (segment?.emotion) {
      const quality = { speech_s: lengths[stretches[voice]!]!, snr_db: segment.snr_db };
      sides.voice = { probabilities: toFer7(segment.emotion), quality };
    }
    const { probabilities, trust } = experts(weights, sides);
    // Exponents become shares of what is said: together 1 at most, less where all is poor.
    const whole = Math.max(trust[0]! + trust[1]!, 1);
    return {
      start_s: from,
      end_s: to,
      track: track?.number ?? null,
      face_weight: trust[0]! / whole,
      voice_weight: trust[1]! / whole,
      face: asEmotion(manifest, sides.face && sides.face.probabilities),
      voice: asEmotion(manifest, sides.voice && sides.voice.probabilities),
      fused: asEmotion(manifest, probabilities),
    };
  });
}

/** Whose face counts between neighboring edges: the place of the track, -1 where none is in view. */
function chooseFaces(tracks: Track[], edges: number[], stretchAt: (time: number) => number): number[] {
  const spoken = new Map<string, number>(); // the area over the whole of a stretch of speech
  const pieces = edges.slice(1).map((to, at) => {
    const stretch = stretchAt((edges[at]! + to) / 2);
    const present = tracks.flatMap((track, index) => {
      const total = track.between(edges[at]!, to);
      return total[7]! > EPSILON_S ? [{ index, key: `${index} ${stretch}`, area: total[9]! }] : [];
    });
    if (stretch >= 0) for (const { key, area } of present) spoken.set(key, (spoken.get(key) ?? 0) + area);
    return { stretch, present };
  });
  let owner = -1;
  return pieces.map(({ stretch, present }) => {
    if (!present.length) return -1;
    const areas = present.map(({ key, area }) => (stretch < 0 ? area : spoken.get(key)!));
    const largest = argmax(areas);
    const own = present.findIndex(({ index }) => index === owner);
    if (own < 0 || areas[largest]! > HOLD * areas[own]!) owner = present[largest]!.index;
    return owner;
  });
}

/** Rising edges from start to end; those that touch are taken as one. */
function mergeEdges(times: number[], start: number, end: number): number[] {
  const inside = times.filter((time) => time > start + EPSILON_S && time < end - EPSILON_S).sort((a, b) => a - b);
  return [start, ...inside.filter((time, at) => at === 0 || time - inside[at - 1]! > EPSILON_S), end];
}

/** The place of the last of rising numbers that is not above a value, -1 where all are. */
function lastAtMost(values: number[], value: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
