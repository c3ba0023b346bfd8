// How far speech is above the noise around it, from 100 to 1500 Hz: src/mien/speech/quality.py.
import { join, roundEven } from "./numbers";

const BAND_HZ = [100, 1500] as const;
const FRAME_S = 0.02;
const SMOOTH_FRAMES = 3;
const FLOOR_SHARE = 0.2;
const FLOOR_OF_WHITE = 0.87;
const AROUND_S = 5;
const KEPT = 6000; // frames: two minutes
const LOWEST_DB = -20;
const HIGHEST_DB = 60;

export class SnrMeter {
  private readonly frame: number; // samples
  private readonly frameS: number;
  private readonly window: Float64Array;
  private readonly waves: [Float64Array, Float64Array][]; // cosine and sine of each bin in the band
  private rest = new Float32Array(0);
  private powers: number[] = [];
  private count = 0;

  constructor(rateHz: number) {
    const size = Math.max(1, roundEven(FRAME_S * rateHz));
    [this.frame, this.frameS] = [size, size / rateHz];
    this.window = Float64Array.from({ length: size }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / (size - 1)));
    const bins = Array.from({ length: (size >> 1) + 1 }, (_, bin) => bin);
    const inBand = bins.filter((bin) => bin / this.frameS >= BAND_HZ[0] && bin / this.frameS <= BAND_HZ[1]);
    this.waves = inBand.map((bin) => {
      const angles = Float64Array.from({ length: size }, (_, at) => (2 * Math.PI * ((bin * at) % size)) / size);
      return [angles.map(Math.cos), angles.map(Math.sin)];
    });
  }

  push(wave: Float32Array): void {
    const joined = join(this.rest, wave);
    const count = Math.floor(joined.length / this.frame);
    for (let at = 0; at < count; at++)
      this.powers.push(this.power(joined.subarray(at * this.frame, (at + 1) * this.frame)));
    this.powers = this.powers.slice(-KEPT);
    this.count += count;
    this.rest = joined.slice(count * this.frame);
  }

  /** The ratio for a stretch of speech; null where less than 0.2 s of it are there, or it is digital silence. */
  snrDb(beginS: number, endS: number): number | null {
    const first = this.count - this.powers.length;
    const place = (timeS: number) =>
      Math.min(Math.max(roundEven(timeS / this.frameS) - first, 0), this.powers.length);
    const speech = this.powers.slice(place(beginS), place(endS));
    const around = this.powers.slice(place(Math.max(beginS - AROUND_S, 0)), place(endS + AROUND_S));
    if (speech.length * this.frameS < 0.2 - 1e-9 || !speech.some((power) => power !== 0)) return null;
    const smoothed = around
      .slice(SMOOTH_FRAMES - 1)
      .map((_, at) => mean(around.slice(at, at + SMOOTH_FRAMES)))
      .sort((a, b) => a - b);
    const at = FLOOR_SHARE * (smoothed.length - 1);
    const below = smoothed[Math.floor(at)]!;
    const noise = (below + (at % 1) * (smoothed[Math.ceil(at)]! - below)) / FLOOR_OF_WHITE;
    if (noise <= 0) return HIGHEST_DB;
    const ratio = Math.max(mean(speech) - noise, 0) / noise;
    return Math.min(Math.max(10 * Math.log10(ratio), LOWEST_DB), HIGHEST_DB);
  }

  private power(frame: Float32Array): number {
    const offset = mean(frame);
    const windowed = this.window.map((weight, at) => weight * (frame[at]! - offset));
    let power = 0;
    for (const [cosine, sine] of this.waves) {
      let real = 0;
      let imaginary = 0;
      for (let at = 0; at < windowed.length; at++) {
        real += windowed[at]! * cosine[at]!;
        imaginary += windowed[at]! * sine[at]!;
      }
      power += real * real + imaginary * imaginary;
    }
    return power;
  }
}

function mean(values: Float32Array | number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
