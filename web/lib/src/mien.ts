// Emotions of faces and voices in the browser. Everything is computed in a worker of the page; nothing leaves it.
import type { Method, Progress, Ready, Replies, Request } from "./worker";
import type { FusedSegment } from "./fuse";
import type { Frame, ImageResult, Segment, SpeechResult, SpeechUpdate } from "./results";

export type { FusedSegment } from "./fuse";
export type { Emotion, Face, Frame, ImageResult, Segment, Span, SpeechResult, SpeechUpdate } from "./results";
export { toCsv, toJson, toVtt } from "./export";
export { findEpisodes } from "./episodes";
export { tracksOf } from "./fuse";

export type Picture = ImageBitmapSource;

export interface LoadOptions {
  // Folder with manifest.json, the models and the runtime, as `mien web` or the package's dist/models has it; bundlers do
  // not copy it.
  models?: string | URL;
  worker?: string | URL;
  voice?: boolean; // load the models of speech at once; by default, when they are first needed
  threads?: number; // more than one needs a page that is cross-origin isolated
  onProgress?: (progress: Progress) => void;
}

export const RATE_HZ = 16_000;

const CLOSED = "mien was closed";

export class Mien {
  private waiting = new Map<number, { resolve: (value: any) => void; reject: (error: Error) => void }>();
  private number = 0;
  private streams = 0;
  private isClosed = false;

  private constructor(private readonly worker: Worker, onProgress?: (progress: Progress) => void) {
    worker.onmessage = ({ data }) => {
      if (data.progress) return onProgress?.(data.progress as Progress);
      const call = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) call?.resolve(data.value);
      else call?.reject(new Error(data.error));
    };
    worker.onerror = (event) => this.fail(event.message || "the worker of mien could not be started");
  }

  // Load the models and check that this browser computes what they were measured with, with threads or without.
  static async load(options: LoadOptions = {}): Promise<Mien> {
    const threads = options.threads ?? (globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1);
    try {
      return await Mien.start(options, threads);
    } catch (error) {
      if (threads === 1) throw error;
      return Mien.start(options, 1);
    }
  }

  private static async start(options: LoadOptions, threads: number): Promise<Mien> {
    const worker = new Worker(options.worker ?? new URL("./worker.js", import.meta.url), { type: "module" });
    const mien = new Mien(worker, options.onProgress);
    const models = new URL(options.models ?? new URL("./models/", import.meta.url), document.baseURI).href;
    try {
      mien.about = await mien.call("load", { models: models.replace(/\/?$/, "/"), threads, voice: options.voice ?? false });
    } catch (error) {
      mien.close();
      throw error;
    }
    return mien;
  }

  // Versions, names of the models, and threads.
  about!: Ready;

  loadVoice(): Promise<void> {
    return this.call("loadVoice", {});
  }

  // Find the faces of an image, and read their emotions.
  async analyze(image: Picture): Promise<ImageResult> {
    const picture = await createImageBitmap(image);
    return this.call("analyze", { picture }, [picture]);
  }

  // Follow the faces of frames that come one after the other: a camera or a video.
  track(): Tracker {
    const stream = ++this.streams;
    return {
      push: async (frame, time_s) => {
        if (!Number.isFinite(time_s)) throw new Error(`expected the time of the frame in seconds, but got ${time_s}`);
        const picture = await grab(frame);
        return this.call("track", { stream, picture, time_s }, [picture]);
      },
      setBaseline: (seconds) => this.call("baseline", { stream, seconds }),
      close: () => this.call("closeTrack", { stream }),
    };
  }

  // Read the emotions of a recording: of a file that the browser can decode, or of samples.
  async analyzeSpeech(sound: Blob | AudioBuffer | { wave: Float32Array; rate_hz: number }): Promise<SpeechResult> {
    let buffer = sound;
    if (buffer instanceof Blob) {
      const decoder = new OfflineAudioContext(1, 1, RATE_HZ);
      try {
        buffer = await decoder.decodeAudioData(await buffer.arrayBuffer());
      } catch {
        throw new Error("expected audio that this browser can decode");
      }
    }
    const { wave, rate_hz } = "wave" in buffer ? buffer : { wave: mix(buffer), rate_hz: buffer.sampleRate };
    checkRate(rate_hz);
    return this.call("analyzeSpeech", { wave, rate_hz });
  }

  // Read the emotions of sound while it comes in.
  listen(rate_hz: number): Listener {
    checkRate(rate_hz);
    const stream = ++this.streams;
    return {
      push: (wave) => {
        const copy = wave.slice();
        return this.call("listen", { stream, wave: copy, rate_hz }, [copy.buffer]);
      },
      close: () => this.call("closeListen", { stream }),
    };
  }

  // Bring what faces and voice say onto one time axis.
  fuse(frames: Frame[], speech: SpeechResult | null): Promise<FusedSegment[]> {
    return this.call("fuse", { frames, speech });
  }

  // End the worker, and free its memory.
  close(): void {
    this.isClosed = true;
    this.worker.terminate();
    this.fail(CLOSED);
  }

  private call<M extends Method>(method: M, values: Request[M], moved: Transferable[] = []): Promise<Replies[M]> {
    const id = ++this.number;
    return new Promise((resolve, reject) => {
      if (this.isClosed) throw new Error(CLOSED);
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, values }, moved);
    });
  }

  private fail(message: string): void {
    for (const { reject } of this.waiting.values()) reject(new Error(message));
    this.waiting.clear();
  }
}

export interface Tracker {
  push(frame: Picture, time_s: number): Promise<Frame>;
  // Take what each face shows in the next seconds as its rest; zero seconds forget it.
  setBaseline(seconds: number): Promise<void>;
  close(): Promise<void>;
}

export interface Listener {
  push(wave: Float32Array): Promise<SpeechUpdate>;
  close(): Promise<Segment[]>;
}

// The frame that a video shows, without a copy where the browser can.
async function grab(frame: Picture): Promise<ImageBitmap | VideoFrame> {
  if (typeof VideoFrame === "undefined") return createImageBitmap(frame);
  return frame instanceof HTMLVideoElement || frame instanceof VideoFrame ? new VideoFrame(frame) : createImageBitmap(frame);
}

function checkRate(rate_hz: number): void {
  if (!(rate_hz >= 1000 && rate_hz <= 384_000)) throw new Error(`expected a sampling rate from 1000 to 384000 Hz, but got ${rate_hz}`);
}

// The mean of the channels.
function mix(buffer: AudioBuffer): Float32Array {
  const wave = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < wave.length; i += 1) wave[i]! += samples[i]! / buffer.numberOfChannels;
  }
  return wave;
}
