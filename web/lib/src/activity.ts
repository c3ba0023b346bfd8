// Where somebody speaks: Silero VAD for every 32 ms, and rules with memory, as src/mien/speech/activity.py.
import { type InferenceSession, Tensor } from "onnxruntime-web/wasm";

import { join } from "./numbers";

export const RATE_HZ = 16000;
export const FRAME = 512; // samples
export const FRAME_S = FRAME / RATE_HZ;
const CONTEXT = 64;
const STATE = 128;
const TARGET_RMS = 0.03; // to which faint sound is raised
const MAX_GAIN = 100;
const LOOKAHEAD = 16; // frames
const RELEASE_DB_S = 3;
const FRAMES_TOGETHER = 512;
const ZEROS_READ = 1875; // frames of digital silence that the net still reads

/** How probabilities become speech; see src/mien/speech/activity.py. */
export interface Rules {
  begin: number;
  end: number;
  leastSpeechS: number;
  leastPauseS: number;
  padS: number;
  leastCutS: number | null;
}
export const RULES: Rules = {
  begin: 0.5,
  end: 0.35,
  leastSpeechS: 0.19,
  leastPauseS: 0.25,
  padS: 0.03,
  leastCutS: null,
};

export class Activity {
  private kept = new Float32Array(0);
  private context = new Float32Array(CONTEXT);
  private zeros = 0;
  private hidden = new Tensor("float32", new Float32Array(STATE), [1, 1, STATE]);
  private cell = new Tensor("float32", new Float32Array(STATE), [1, 1, STATE]);
  private level = 0; // of the loudest frame of the last seconds
  private readonly decisions: Decisions;

  constructor(
    private readonly session: InferenceSession,
    rules = RULES,
  ) {
    this.decisions = new Decisions(rules);
  }

  /** Takes a block at 16 kHz, returns the decisions that it settles, one each 32 ms. */
  async push(wave: Float32Array): Promise<boolean[]> {
    return this.decisions.push(await this.probabilities(wave));
  }

  /** Returns the decisions that are still open; the last frame is filled up with silence. */
  async flush(): Promise<boolean[]> {
    const missing = (FRAME - (this.kept.length % FRAME)) % FRAME;
    const marks = this.decisions.push(await this.probabilities(new Float32Array(missing), true));
    return [...marks, ...this.decisions.flush()];
  }

  private async probabilities(wave: Float32Array, last = false): Promise<number[]> {
    const kept = join(this.kept, wave);
    const ready = Math.floor(kept.length / FRAME);
    const count = Math.max(last ? ready : ready - LOOKAHEAD, 0);
    const frames = Array.from({ length: ready }, (_, at) => kept.subarray(at * FRAME, (at + 1) * FRAME));
    const gains = this.gains(frames, count);
    this.kept = kept.slice(count * FRAME);
    const found: number[] = [];
    let open: number[] = []; // frames that wait for the net
    for (let at = 0; at < count; at++) {
      this.zeros = frames[at]!.some((sample) => sample !== 0) ? 0 : this.zeros + 1;
      if (this.zeros <= ZEROS_READ) open.push(at);
      const skips = this.zeros > ZEROS_READ;
      if (open.length === FRAMES_TOGETHER || skips || at === count - 1) {
        found.push(...(await this.run(open, frames, gains)), ...(skips ? [0] : []));
        open = [];
      }
    }
    return found;
  }

  private async run(numbers: number[], frames: Float32Array[], gains: Float32Array): Promise<number[]> {
    if (!numbers.length) return [];
    const size = CONTEXT + FRAME;
    const input = new Float32Array(numbers.length * size);
    numbers.forEach((number, row) => {
      const gain = gains[number]!;
      input.set(this.context.map((sample) => sample * gain), row * size);
      input.set(frames[number]!.map((sample) => sample * gain), row * size + CONTEXT);
      this.context = frames[number]!.slice(-CONTEXT);
    });
    const feeds = { input: new Tensor("float32", input, [numbers.length, size]), h: this.hidden, c: this.cell };
    const result = await this.session.run(feeds);
    [this.hidden, this.cell] = [result.hn as typeof this.hidden, result.cn as typeof this.cell];
    return [...(result.speech_probs!.data as Float32Array)];
  }

  /** The gains of the first frames: the net misses faint speech. */
  private gains(frames: Float32Array[], count: number): Float32Array {
    const powers = frames.map((frame) => frame.reduce((sum, sample) => sum + sample * sample, 0) / FRAME);
    const fall = 10 ** ((-RELEASE_DB_S * FRAME_S) / 20);
    return Float32Array.from({ length: count }, (_, at) => {
      const level = Math.sqrt(Math.max(...powers.slice(at, at + LOOKAHEAD + 1)));
      this.level = Math.max(level, this.level * fall);
      return Math.max(TARGET_RMS / Math.max(this.level, TARGET_RMS / MAX_GAIN), 1);
    });
  }
}

/** The rules, frame by frame; what is given out is never taken back. */
class Decisions {
  private readonly least: number;
  private readonly pause: number;
  private readonly pad: number;
  private readonly cut: number;
  private speaking = false;
  private begin = -1; // first frame of what may be speech; -1 in a pause
  private last = 0; // one after its last frame
  private count = 0;
  private given = 0;
  private closed: [number, number][] = []; // segments that reach beyond what was given out
  private cuts: [number, number][] = []; // pauses within them

  constructor(private readonly rules: Rules) {
    const frames = (low: number, seconds: number) => Math.max(low, Math.round(seconds / FRAME_S));
    this.least = frames(1, rules.leastSpeechS);
    this.pause = frames(1, rules.leastPauseS);
    this.pad = frames(0, rules.padS);
    this.cut = frames(1, rules.leastCutS ?? rules.leastPauseS);
  }

  push(probabilities: number[]): boolean[] {
    for (const probability of probabilities) {
      this.speaking = probability >= (this.speaking ? this.rules.end : this.rules.begin);
      this.count++;
      if (this.speaking) {
        if (this.begin < 0) this.begin = this.count - 1;
        else if (this.count - 1 - this.last >= this.cut)
          this.cuts.push([this.last + this.pad, this.count - 1 - this.pad]);
        this.last = this.count;
      } else if (this.begin >= 0 && this.count - this.last >= this.pause) this.close();
    }
    return this.settled(this.horizon());
  }

  flush(): boolean[] {
    if (this.begin >= 0) this.close();
    return this.settled(this.count);
  }

  private close(): void {
    if (this.last - this.begin >= this.least) this.closed.push([this.begin - this.pad, this.last + this.pad]);
    this.begin = -1;
  }

  /** Up to which frame nothing can change any more. */
  private horizon(): number {
    if (this.begin < 0) return this.count - this.pad;
    if (this.last - this.begin < this.least) return this.begin - this.pad;
    return Math.min(this.count, this.last + this.pad);
  }

  private settled(horizon: number): boolean[] {
    const first = this.given;
    this.given = Math.max(this.given, horizon);
    const marks = new Array<boolean>(this.given - first).fill(false);
    const open: [number, number][] = this.begin >= 0 ? [[this.begin - this.pad, this.last + this.pad]] : [];
    for (const [begin, end] of [...this.closed, ...open])
      marks.fill(true, Math.max(begin - first, 0), Math.max(end - first, 0));
    for (const [begin, end] of this.cuts) marks.fill(false, Math.max(begin - first, 0), Math.max(end - first, 0));
    this.closed = this.closed.filter(([, end]) => end > this.given);
    this.cuts = this.cuts.filter(([, end]) => end > this.given);
    return marks;
  }
}
