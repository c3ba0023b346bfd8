// Runs all models, away from the page's thread; mien.ts talks to it by messages.
import * as ort from "onnxruntime-web/wasm";

import type { Affect } from "./emotion";
import { FaceAnalyzer } from "./face";
import { fuse, type FusedSegment } from "./fuse";
import { type Image, toImage } from "./image";
import type { Check, Manifest } from "./models";
import { MtcnnDetector } from "./mtcnn";
import type { Frame, ImageResult, Segment, SpeechResult, SpeechUpdate } from "./results";
import { analyzeSpeech, SpeechStream, type SpeechNets } from "./speech";
import { FaceTracker } from "./track";

export interface Progress { loaded: number; total: number; what: string }
export interface Ready extends Affect { version: string; face: string; speech: string; threads: number }
export interface Request {
  load: { models: string; threads: number; voice: boolean };
  loadVoice: object;
  analyze: { picture: ImageBitmap };
  track: { stream: number; picture: ImageBitmap | VideoFrame; time_s: number };
  baseline: { stream: number; seconds: number };
  closeTrack: { stream: number };
  analyzeSpeech: { wave: Float32Array; rate_hz: number };
  listen: { stream: number; wave: Float32Array; rate_hz: number };
  closeListen: { stream: number };
  fuse: { frames: Frame[]; speech: SpeechResult | null };
}
export interface Replies {
  load: Ready;
  loadVoice: void;
  analyze: ImageResult;
  track: Frame;
  baseline: void;
  closeTrack: void;
  analyzeSpeech: SpeechResult;
  listen: SpeechUpdate;
  closeListen: Segment[];
  fuse: FusedSegment[];
}
export type Method = keyof Request;

const MAX_PIXELS = 50_000_000;

let base = "";
let manifest: Manifest;
let detector: MtcnnDetector;
let faces: FaceAnalyzer;
let voice: SpeechNets | undefined;
const trackers = new Map<number, FaceTracker>();
const streams = new Map<number, SpeechStream>();
let canvas: OffscreenCanvas | undefined;
let pixels = new Uint8ClampedArray(0); // of the last frame

const methods: { [M in Method]: (values: Request[M]) => Replies[M] | Promise<Replies[M]> } = {
  async load({ models, threads, voice: withVoice }) {
    base = models;
    manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json", "the list of models")));
    ort.env.wasm.wasmPaths = { wasm: new URL(manifest.wasm, base).href };
    ort.env.wasm.numThreads = threads;
    const { pnet, rnet, onet } = manifest.detector;
    const sessions = await createSessions("the models of faces", pnet, rnet, onet, manifest.face.file);
    const [p, r, o, face] = sessions as [ort.InferenceSession, ort.InferenceSession, ort.InferenceSession, ort.InferenceSession];
    await check(face, manifest.face.check, manifest.face.name);
    detector = new MtcnnDetector({ pnet: p, rnet: r, onet: o });
    faces = new FaceAnalyzer(manifest.face, face, manifest);
    if (withVoice) await loadVoice();
    const { version, affect, unsure_below } = manifest;
    return { version, face: manifest.face.name, speech: manifest.speech.name, threads, affect, unsure_below };
  },
  async loadVoice() {
    await loadVoice();
  },
  async analyze({ picture }) {
    const image = await readPixels(picture);
    const found = await detector.detect(image);
    const warnings = detector.sizeNotes(image, found);
    return { width: image.width, height: image.height, faces: await faces.analyze(image, found), warnings };
  },
  async track({ stream, picture, time_s }) {
    const tracker = trackerOf(stream);
    return tracker.update(await readPixels(picture), time_s);
  },
  baseline({ stream, seconds }) {
    trackerOf(stream).setBaseline(seconds);
  },
  closeTrack({ stream }) {
    trackers.delete(stream);
  },
  async analyzeSpeech({ wave, rate_hz }) {
    return analyzeSpeech(await loadVoice(), wave, rate_hz);
  },
  async listen({ stream, wave, rate_hz }) {
    const nets = await loadVoice();
    const listener = streams.get(stream) ?? new SpeechStream(nets, rate_hz);
    streams.set(stream, listener);
    return { segments: await listener.push(wave), current: listener.current };
  },
  async closeListen({ stream }) {
    const listener = streams.get(stream);
    streams.delete(stream);
    return listener ? listener.close() : [];
  },
  fuse({ frames, speech }) {
    return fuse(manifest, frames, speech);
  },
};

function trackerOf(stream: number): FaceTracker {
  const tracker = trackers.get(stream) ?? new FaceTracker(detector, faces, manifest.baseline);
  trackers.set(stream, tracker);
  return tracker;
}

async function loadVoice(): Promise<SpeechNets> {
  if (voice) return voice;
  const [activity, speech] = await createSessions("the models of voices", manifest.activity, manifest.speech.file);
  await check(speech!, manifest.speech.check, manifest.speech.name);
  voice = { activity: activity!, speech: speech!, manifest };
  return voice;
}

async function createSessions(what: string, ...files: string[]): Promise<ort.InferenceSession[]> {
  const contents = files.map((file) => read(file, what));
  contents.forEach((content) => void content.catch(() => undefined)); // the first failure is told below
  const sessions: ort.InferenceSession[] = [];
  // The first one starts the runtime, while the others are still on their way.
  for (const content of contents) sessions.push(await ort.InferenceSession.create(await content, { graphOptimizationLevel: "all" }));
  return sessions;
}

async function read(file: string, what: string): Promise<Uint8Array> {
  let answer: Response;
  try {
    answer = await fetch(new URL(file, base));
  } catch {
    throw new Error(`cannot load ${what}: ${file} cannot be reached`);
  }
  if (!answer.ok) throw new Error(`cannot load ${what}: ${answer.status} for ${file}`);
  const total = Number(answer.headers.get("Content-Length") ?? 0);
  const parts: Uint8Array[] = [];
  let loaded = 0;
  for (const reader = answer.body!.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    postMessage({ progress: { loaded, total: Math.max(total, loaded), what } satisfies Progress });
  }
  const content = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const expected = manifest?.sha256[file];
  if (expected && globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== expected) throw new Error(`cannot load ${what}: ${file} is damaged`);
  }
  return content;
}

// The input of the self-check: mien.web.make_check_input.
function checkInput({ shape }: Check): ort.Tensor {
  const bytes = Uint8Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i * 31 + (i >> 7) * 17) % 256);
  if (shape.length === 4) return new ort.Tensor("uint8", bytes, shape);
  return new ort.Tensor("float32", Float32Array.from(bytes, (byte) => (byte - 127.5) / 1275), shape);
}

// A browser that computes something else would give wrong answers without a word.
async function check(session: ort.InferenceSession, wanted: Check, name: string): Promise<void> {
  const found = await session.run({ [session.inputNames[0]!]: checkInput(wanted) }, [wanted.tensor]);
  const logits = found[wanted.tensor]!.data as Float32Array;
  const error = Math.max(...wanted.logits.map((value, i) => Math.abs(value - logits[i]!)));
  if (!(error <= wanted.tolerance)) throw new Error(`this browser computes wrong answers with ${name} (off by ${error.toPrecision(2)})`);
}

async function readPixels(picture: ImageBitmap | VideoFrame): Promise<Image> {
  try {
    const [width, height] = "displayWidth" in picture ? [picture.displayWidth, picture.displayHeight] : [picture.width, picture.height];
    if (width * height > MAX_PIXELS) throw new Error(`expected an image of at most ${MAX_PIXELS} pixels, but got ${width} x ${height}`);
    // Copies are of what is stored, before it is turned and scaled.
    const isTurned = "rotation" in picture && (picture.rotation !== 0 || ("flip" in picture && picture.flip));
    if ("copyTo" in picture && !isTurned && picture.visibleRect?.width === width && picture.visibleRect.height === height) {
      if (pixels.length !== 4 * width * height) pixels = new Uint8ClampedArray(4 * width * height);
      try {
        await picture.copyTo(pixels, { format: "RGBA" });
        return toImage({ width, height, data: pixels });
      } catch {
        // This browser cannot convert the frame: it is drawn.
      }
    }
    if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d", { willReadFrequently: true, alpha: false })!;
    pen.drawImage(picture, 0, 0, width, height);
    return toImage(pen.getImageData(0, 0, width, height));
  } finally {
    picture.close();
  }
}

// The threads of the runtime start this file, too, under a name of their own.
if (!self.name.startsWith("em-pthread")) {
  let last: Promise<unknown> = Promise.resolve();
  self.onmessage = ({ data: { id, method, values } }: MessageEvent<{ id: number; method: Method; values: never }>) => {
    // In order: one session computes one answer at a time.
    last = last.then(async () => {
      try {
        postMessage({ id, value: await methods[method](values) });
      } catch (error) {
        postMessage({ id, error: error instanceof Error ? error.message : String(error) });
      }
    });
  };
}
