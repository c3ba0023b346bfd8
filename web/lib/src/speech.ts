// Emotions of speech over time, as src/mien/speech/analyzer.py: where somebody speaks, windows over it, segments.
import { type InferenceSession, Tensor } from "onnxruntime-web/wasm";

import { Activity, FRAME, RATE_HZ, RULES as PLAIN_RULES, type Rules } from "./activity";
import { chooseOutput, distribution, tensorsOf, toEmotion } from "./emotion";
import type { Manifest, SpeechModel } from "./models";
import { fixed, join } from "./numbers";
import { SnrMeter } from "./quality";
import { Resampler } from "./resample";
import type { Segment, SpeechResult } from "./results";
import { WindowAverager, type WindowSegment, mergeNeighbors } from "./windows";

const PAUSE_S = 0.5; // shorter pauses belong to what is said around them
const CUT_S = 0.13; // no window reaches over a longer pause
const LEAST_CUT_S = 1; // speech is cut at a short pause only when it has lasted for so long
const SHORT_S = 0.5; // less speech says little
const RULES: Rules = { ...PLAIN_RULES, leastPauseS: PAUSE_S, leastCutS: CUT_S };
const OFFSET = 0.02; // of full scale: a mean further from zero is an offset of the recorder
const NOISY_DB = 10;
const BLOCK_S = 0.5;
const STEP_S = 5; // of a whole wave, so much is analyzed from one report of progress to the next

/** What speech is read with. */
export interface SpeechNets {
  activity: InferenceSession;
  speech: InferenceSession;
  manifest: Pick<Manifest, "speech" | "affect" | "unsure_below">;
}

/** The speech of one wave while it comes in; the segments are the same whatever the sizes of the blocks. */
export class SpeechStream {
  private readonly model: SpeechModel;
  private readonly resampler: Resampler;
  private readonly activity: Activity;
  private readonly meter = new SnrMeter(RATE_HZ);
  private readonly window: number;
  private readonly hop: number;
  private readonly pad: number;
  private waiting: Float32Array = new Float32Array(0); // what is no block yet
  private wave: Float32Array = new Float32Array(0); // the end of what came in, at 16 kHz, from as far back as it is needed
  private first = 0;
  private marks: boolean[] = []; // decisions whose surroundings are not all there yet
  private frames = 0;
  private pushed = 0;
  private averager: WindowAverager | null = null;
  private lead = 0; // sound before the speech of the averager that is read along with it
  private start = 0; // where the speech since the last long pause begins
  private pause: number | null = null; // where a pause began that may become a long one
  private pieces: WindowSegment[] = [];
  private reportedS = 0;
  private work: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(
    private readonly nets: SpeechNets,
    private readonly rateHz: number,
  ) {
    this.model = nets.manifest.speech;
    if (this.model.rate_hz !== RATE_HZ) throw new Error(`a speech model must take ${RATE_HZ} Hz, not ${this.model.rate_hz}`);
    this.resampler = new Resampler(rateHz, RATE_HZ);
    this.activity = new Activity(nets.activity, RULES);
    [this.window, this.hop, this.pad] = [this.model.window_s, this.model.hop_s, this.model.pad_s].map((seconds) =>
      Math.round(seconds * RATE_HZ),
    ) as [number, number, number];
  }

  get durationS(): number {
    return this.pushed / this.rateHz;
  }

  /** The newest window of speech that has not ended yet; null while nobody speaks, and before the first window. */
  get current(): Segment | null {
    const window = this.averager && (this.averager.newest ?? this.pieces.at(-1));
    return window ? this.toSegment(this.seconds(window.start), window) : null;
  }

  /** Takes a block of any length, which is copied, and returns the segments that it settles. */
  push(wave: Float32Array): Promise<Segment[]> {
    if (this.closed) throw new Error("the stream is closed: begin another one");
    this.pushed += wave.length;
    const size = Math.max(1, Math.round(BLOCK_S * this.rateHz));
    const waiting = join(this.waiting, wave);
    const ready = waiting.length - (waiting.length % size);
    this.waiting = waiting.slice(ready);
    return this.next(async () => {
      const segments: Segment[] = [];
      for (let at = 0; at < ready; at += size) segments.push(...(await this.process(waiting.subarray(at, at + size))));
      return segments;
    });
  }

  /** Returns the segments that are left; they reach to the end of what came in. */
  close(): Promise<Segment[]> {
    if (this.closed) return Promise.resolve([]);
    this.closed = true;
    return this.next(async () => {
      const segments = await this.process(this.waiting);
      const rest = this.resampler.flush();
      this.keep(rest);
      const marks = [...(await this.activity.push(rest)), ...(await this.activity.flush())];
      segments.push(...(await this.followActivity(marks, true)));
      segments.push(...(await this.endSpeech(this.pause ?? this.end)));
      if (this.durationS > this.reportedS) segments.push(this.silence(this.durationS));
      return segments;
    });
  }

  /** Does one thing after the other, also when nobody waits. */
  private next(work: () => Promise<Segment[]>): Promise<Segment[]> {
    const result = this.work.then(work);
    this.work = result.catch(() => undefined);
    return result;
  }

  private get end(): number {
    return this.first + this.wave.length;
  }

  private async process(block: Float32Array): Promise<Segment[]> {
    const offset = Math.fround(mean(block));
    const own = this.resampler.push(Math.abs(offset) > OFFSET ? block.map((sample) => sample - offset) : block);
    this.keep(own);
    return this.followActivity(await this.activity.push(own));
  }

  private keep(wave: Float32Array): void {
    this.wave = join(this.wave, wave);
    this.meter.push(wave);
  }

  private drop(before: number): void {
    if (before <= this.first) return;
    this.wave = this.wave.slice(before - this.first);
    this.first = before;
  }

  private async followActivity(marks: boolean[], last = false): Promise<Segment[]> {
    this.marks.push(...marks);
    // Where speech ends, what follows it is read, too: how much of that came in already must make no difference.
    const ready = last ? this.marks.length : Math.max(Math.trunc((this.end - this.pad) / FRAME) - this.frames, 0);
    const found = this.marks.splice(0, ready);
    const segments: Segment[] = [];
    for (let first = 0, until = 0; first < found.length; first = until) {
      while (until < found.length && found[until] === found[first]) until++;
      const [from, to] = [this.at(this.frames + first), this.at(this.frames + until)];
      if (found[first]) segments.push(...(await this.continueSpeech(from, to)));
      else if (this.averager) {
        this.pause ??= from;
        if (to - this.pause >= (PAUSE_S - 2 * RULES.padS) * RATE_HZ)
          segments.push(...(await this.endSpeech(this.pause)));
      }
    }
    this.frames += found.length;
    if (!this.averager) this.drop(this.at(this.frames) - this.pad);
    return segments;
  }

  private at(frame: number): number {
    return Math.min(frame * FRAME, this.end);
  }

  private async continueSpeech(start: number, reached: number): Promise<Segment[]> {
    const segments: Segment[] = [];
    if (reached <= start && !this.averager) return segments;
    if (!this.averager) {
      const startS = this.seconds(start);
      if (startS > this.reportedS) segments.push(this.silence(startS));
      [this.start, this.lead] = [start, this.pad];
      this.averager = new WindowAverager(start, this.window, this.hop);
    }
    const pause = this.pause;
    this.pause = null;
    if (pause !== null && pause - this.averager.start >= LEAST_CUT_S * RATE_HZ) {
      // The sound of the pause is read on the side that it is nearer to, and shown with what was said before it.
      const lead = Math.min(this.pad, (start - pause) >> 1);
      const pieces = await this.finish(this.averager, pause, lead);
      pieces.at(-1)!.end = start;
      segments.push(...this.toSegments(pieces));
      this.lead = lead;
      this.averager = new WindowAverager(start, this.window, this.hop);
    }
    const averager = this.averager;
    // A window that ends exactly here may be the last one, which gets what follows the speech.
    while (averager.next[1] < reached) {
      const [begin, end] = averager.next;
      averager.add(begin, end, await this.predict(averager, begin, end, 0));
    }
    segments.push(...this.toSegments(averager.settled(reached)));
    this.drop(Math.min(averager.next[0], reached - this.window) - this.pad);
    return segments;
  }

  private async endSpeech(end: number): Promise<Segment[]> {
    if (!this.averager) return [];
    const segments = this.toSegments(await this.finish(this.averager, end, this.pad));
    this.averager = this.pause = null;
    const seconds = (end - this.start) / RATE_HZ;
    const warnings = seconds < SHORT_S ? [`only ${fixed(seconds, 1)} s of speech`] : [];
    return [...segments, ...this.pieces.splice(0).map((piece) => this.report(piece, warnings))];
  }

  /** The pieces that are left of the speech that ends here, read with some of the sound behind it. */
  private async finish(averager: WindowAverager, end: number, after: number): Promise<WindowSegment[]> {
    for (const [begin, stop] of averager.remaining(end))
      averager.add(begin, stop, await this.predict(averager, begin, stop, stop === end ? after : 0));
    return averager.close(end);
  }

  /** The distribution of a window; at the ends of the speech it sees some of the sound beyond them. */
  private async predict(averager: WindowAverager, begin: number, end: number, after: number): Promise<number[]> {
    const before = begin === averager.start ? this.lead : 0;
    let cut: Float32Array = this.wave.slice(Math.max(begin - before - this.first, 0), end + after - this.first);
    const missing = Math.max(Math.round(this.model.min_s * RATE_HZ) - cut.length, 0);
    if (missing) cut = join(new Float32Array(missing >> 1), cut, new Float32Array(missing - (missing >> 1)));
    const { outputs } = this.model;
    const output = chooseOutput(outputs);
    const { speech } = this.nets;
    const feeds = { [speech.inputNames[0]!]: new Tensor("float32", cut, [1, cut.length]) };
    const found = await speech.run(feeds, tensorsOf(output, outputs));
    const logits = Object.entries(found).map(([name, tensor]) => [name, tensor.data as Float32Array]);
    return distribution(output, outputs, Object.fromEntries(logits));
  }

  /** Takes settled pieces, and returns the segments that they end. */
  private toSegments(pieces: WindowSegment[]): Segment[] {
    const merged = mergeNeighbors([...this.pieces, ...pieces]);
    this.pieces = merged.splice(-1);
    return merged.map((piece) => this.report(piece));
  }

  private report(piece: WindowSegment, warnings: string[] = []): Segment {
    const segment = this.toSegment(this.reportedS, piece, warnings);
    this.reportedS = segment.end_s;
    return segment;
  }

  private toSegment(start_s: number, piece: WindowSegment, warnings: string[] = []): Segment {
    const end_s = this.seconds(piece.end);
    const snr_db = end_s > start_s ? this.meter.snrDb(start_s, end_s) : null;
    const noisy = snr_db !== null && snr_db < NOISY_DB ? [`noisy: ${fixed(snr_db, 0)} dB above the background`] : [];
    const emotion = toEmotion(chooseOutput(this.model.outputs).labels, piece.probabilities, this.nets.manifest);
    return { start_s, end_s, speech: true, emotion, snr_db, warnings: [...warnings, ...noisy] };
  }

  private silence(end_s: number): Segment {
    const start_s = this.reportedS;
    this.reportedS = end_s;
    return { start_s, end_s, speech: false, emotion: null, snr_db: null, warnings: [] };
  }

  private seconds(sample: number): number {
    return Math.min(sample / RATE_HZ, this.durationS);
  }
}

/** Reads the emotions of a whole wave; progress goes from 0 to 1. */
export async function analyzeSpeech(
  nets: SpeechNets,
  wave: Float32Array,
  rateHz: number,
  onProgress?: (share: number) => void,
): Promise<SpeechResult> {
  const { cleaned, warnings } = checkSignal(wave, rateHz);
  const stream = new SpeechStream(nets, rateHz);
  const segments: Segment[] = [];
  for (let at = 0; at < cleaned.length; at += STEP_S * rateHz) {
    segments.push(...(await stream.push(cleaned.subarray(at, at + STEP_S * rateHz))));
    onProgress?.(Math.min((at + STEP_S * rateHz) / cleaned.length, 1));
  }
  segments.push(...(await stream.close()));
  return { duration_s: stream.durationS, segments, warnings };
}

// The limits of src/mien/io/_audio_decoder.py and audio.py.
const QUIET_DB = -50;
const FAINT_DB = -30;
const FLAT = 0.98;
const FLAT_SHARE = 5e-4;
const BEYOND = 1.05;

/** What is odd about a wave, in sentences, and the wave cut off at full scale, with 0 for what is no number. */
export function checkSignal(wave: Float32Array, rateHz: number): { cleaned: Float32Array; warnings: string[] } {
  const finite = wave.map((sample) => (Number.isFinite(sample) ? sample : 0));
  const n = wave.length;
  const durationS = n / rateHz;
  let [peak, clipped, replaced] = [0, 0, 0];
  for (let at = 0; at < n; at++) {
    const sample = finite[at]!;
    const isFlat = at > 0 && finite[at - 1] === sample && finite[at + 1] === sample;
    peak = Math.max(peak, Math.abs(sample));
    if (sample !== wave[at]) replaced++;
    if (Math.abs(sample) > 1 || (Math.abs(sample) >= FLAT && isFlat)) clipped++;
  }
  const warnings: string[] = [];
  const level = 20 * Math.log10(peak);
  const offset = mean(finite);
  if (replaced) warnings.push(`${grouped(replaced)} of ${grouped(n)} samples are NaN or infinite and were set to 0`);
  if (clipped / n > FLAT_SHARE)
    warnings.push(`the sound is clipped: ${fixed((100 * clipped) / n, 1)} % of the samples are at full scale or beyond`);
  if (n && peak === 0) warnings.push("the sound is silent: all samples are 0");
  else if (n && level < FAINT_DB)
    warnings.push(
      `the sound is ${level < QUIET_DB ? "nearly silent" : "faint"}: its peak is ${fixed(level, 0)} dB of full scale`,
    );
  if (Math.abs(offset) > OFFSET && durationS >= SHORT_S)
    warnings.push(`the sound has an offset: its mean is ${offset > 0 ? "+" : ""}${fixed(offset, 3)} of full scale, not 0`);
  if (durationS < SHORT_S) warnings.push(`the sound is very short: ${fixed(1000 * durationS, 0)} ms`);
  if (peak > BEYOND)
    warnings.push(`samples beyond full scale are cut off: the largest is ${Number(peak.toPrecision(3))} times full scale`);
  return { cleaned: finite.map((sample) => Math.min(Math.max(sample, -1), 1)), warnings };
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

function mean(wave: Float32Array): number {
  return wave.length ? wave.reduce((sum, sample) => sum + sample, 0) / wave.length : 0;
}
