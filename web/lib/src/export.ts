// Results as CSV, JSON and WebVTT, with the columns and cues of src/mien/output.
import { findEpisodes } from "./episodes";
import { tracksOf } from "./fuse";
import { fixed, roundEven } from "./numbers";
import type { Emotion, Face, Frame, ImageResult, SpeechResult } from "./results";

export type Exported = ImageResult | SpeechResult | Frame[];
export interface ExportOptions {
  path?: string; // the name of the file
  labels?: string[]; // a column each; by default the emotions of the first that has one
}
type Row = Record<string, string | number | boolean | null | undefined>;

/** The color of each emotion, and that of text on it. */
export const COLORS: Record<string, [string, string]> = {
  anger: ["#d55e00", "#000000"],
  disgust: ["#009e73", "#000000"],
  fear: ["#cc79a7", "#000000"],
  happiness: ["#f0e442", "#000000"],
  sadness: ["#0072b2", "#ffffff"],
  surprise: ["#e69f00", "#000000"],
  neutral: ["#bbbbbb", "#000000"],
  contempt: ["#882255", "#ffffff"],
  calm: ["#56b4e9", "#000000"],
};

const BOX = ["x1", "y1", "x2", "y2", "score"];
const TABLES = {
  faces: ["face", ...BOX],
  speech: ["segment", "start_s", "end_s", "channel", "speech"],
  frames: ["time_s", "track", ...BOX, "detected"],
};
const DIGITS: Record<string, number> = { x1: 2, y1: 2, x2: 2, y2: 2, start_s: 3, end_s: 3 };
const WHOLE = ["face", "segment", "track"];

export function toJson(result: Exported): string {
  return JSON.stringify(result, null, 2) + "\n";
}

/** The table of a result: a row for each face, segment, or face of a frame. */
export function toCsv(result: Exported, options: ExportOptions = {}): string {
  const [table, rows] = rowsOf(result);
  const labels = options.labels ?? Object.keys(emotionsOf(result)[0]?.probabilities ?? {});
  const affect = ["emotion", "confidence", "unsure", "valence", "arousal"];
  const columns = ["path", ...TABLES[table], ...affect, ...labels, "warnings", "error", "message"];
  const lines = rows.map((row) => {
    const whole: Row = { ...row, path: options.path };
    return columns.map((name) => cell(name, whole[name])).join(",");
  });
  return [columns.join(","), ...lines].join("\n") + "\n";
}

function rowsOf(result: Exported): [keyof typeof TABLES, Row[]] {
  if (Array.isArray(result)) {
    const rows = result.flatMap(({ time_s, faces }) =>
      faces.map((face) => ({ time_s, track: face.track, ...boxOf(face), ...shares(face.smoothed ?? face.emotion) })),
    );
    return ["frames", rows.length ? rows : [{}]];
  }
  const warnings = result.warnings.join("; ");
  if ("faces" in result) {
    const rows = result.faces.map((face, at) => {
      const own = [...result.warnings, ...face.warnings].join("; ");
      return { face: at + 1, ...boxOf(face), ...shares(face.emotion), warnings: own };
    });
    return ["faces", rows.length ? rows : [{ warnings }]];
  }
  const rows: Row[] = result.segments.map(({ start_s, end_s, speech, emotion, warnings }, at) => {
    return { segment: at + 1, start_s, end_s, speech, ...shares(emotion), warnings: warnings.join("; ") };
  });
  return ["speech", warnings || !rows.length ? [...rows, { warnings }] : rows];
}

function boxOf({ box: [x1, y1, x2, y2], score }: Face): Row {
  return { x1, y1, x2, y2, score };
}

function shares(emotion: Emotion | null): Row {
  if (!emotion) return {};
  const { top, confidence, unsure, valence, arousal, probabilities } = emotion;
  return { emotion: top, confidence, unsure, valence, arousal, ...probabilities };
}

function emotionsOf(result: Exported): Emotion[] {
  if (Array.isArray(result)) return result.flatMap(({ faces }) => faces.map((face) => face.smoothed ?? face.emotion));
  return "faces" in result ? result.faces.map(({ emotion }) => emotion) : result.segments.flatMap((s) => s.emotion ?? []);
}

function cell(name: string, value: Row[string]): string {
  if (typeof value === "number") return WHOLE.includes(name) ? String(value) : fixed(value, DIGITS[name] ?? 6);
  let text = String(value ?? "");
  // What a spreadsheet would take for the beginning of a formula.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = (name === "path" ? "./" : "'") + text;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Subtitles: a cue for each segment of the voice, or for each stretch in which one emotion of a person leads. */
export function toVtt(result: SpeechResult | Frame[], { path = "" }: ExportOptions = {}): string {
  const cues = Array.isArray(result) ? facesCues(result) : voiceCues(result);
  cues.sort((a, b) => a.start - b.start || a.end - b.end);
  const styles = [...new Set(cues.map(({ top }) => top))].flatMap((top) => {
    const [color, ink] = COLORS[top] ?? [];
    return color ? [`::cue(.${top}) { color: ${ink}; background-color: ${color} }`] : [];
  });
  const blocks = cues.map(({ start, end, who, top, confidence }, at) => {
    const startMs = roundEven(1000 * start);
    const endMs = Math.max(roundEven(1000 * end), startMs + 1);
    const words = escape(`${who}: ${top} ${fixed(100 * confidence, 0)}%`);
    const classed = /^[a-z][a-z0-9_-]*$/.test(top) ? `<c.${top}>${words}</c>` : words;
    return `${at + 1}\n${timestamp(startMs)} --> ${timestamp(endMs)}\n${classed}`;
  });
  const note = `NOTE Emotions predicted by mien ${escape(path.replace(/\p{C}/gu, " "))}`.trimEnd();
  return ["WEBVTT", note, ...(styles.length ? [["STYLE", ...styles].join("\n")] : []), ...blocks].join("\n\n") + "\n";
}

interface Cue {
  start: number;
  end: number;
  who: string;
  top: string;
  confidence: number;
}

function voiceCues({ segments }: SpeechResult): Cue[] {
  return segments.flatMap(({ start_s, end_s, emotion }) =>
    emotion ? [{ start: start_s, end: end_s, who: "Voice", top: emotion.top, confidence: emotion.confidence }] : [],
  );
}

function facesCues(frames: Frame[]): Cue[] {
  return tracksOf(frames).flatMap((track) =>
    findEpisodes(track, { affect: {}, unsure_below: 0 }).map(({ start_s, end_s, emotion }) => {
      return { start: start_s, end: end_s, who: `Person ${track.number}`, top: emotion!.top, confidence: emotion!.confidence };
    }),
  );
}

function timestamp(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${parts.map((part) => String(part).padStart(2, "0")).join(":")}.${String(milliseconds % 1000).padStart(3, "0")}`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
