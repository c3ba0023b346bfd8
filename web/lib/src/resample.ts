// Change of the sampling rate, block by block: the filter of src/mien/io/resample.py, a sinc under a Kaiser window.
import { join } from "./numbers";

const SIZE = 256; // samples under the filter at the lower rate
const CUTOFF = 0.95;
const BETA = 10;

export class Resampler {
  private readonly up: number;
  private readonly down: number;
  private readonly length: number;
  private readonly phases: Float64Array[] = [];
  private kept: Float32Array;
  private first = 0; // of the kept samples, counted from those of silence before the wave
  private taken = 0;
  private made = 0;

  /** Sample k of all that comes out lies at k / targetHz seconds; the sizes of the blocks make no difference. */
  constructor(sourceHz: number, targetHz: number) {
    const shared = divisor(sourceHz, targetHz);
    [this.up, this.down] = [targetHz / shared, sourceHz / shared];
    const factor = Math.min((targetHz * CUTOFF) / sourceHz, 1);
    this.length = 2 * Math.ceil(Math.ceil(SIZE / factor) / 2);
    const center = (this.length - 1) >> 1;
    this.kept = new Float32Array(center);
    if (this.up === this.down) return;
    for (let phase = 0; phase < this.up; phase++) {
      const taps = Float64Array.from({ length: this.length }, (_, at) => {
        const x = Math.PI * (at - center - phase / this.up) * factor;
        const w = (2 * x) / (factor * this.length * Math.PI);
        return (x === 0 ? 1 : Math.sin(x) / x) * bessel(BETA * Math.sqrt(Math.max(1 - w * w, 0)));
      });
      const sum = taps.reduce((total, tap) => total + tap, 0);
      this.phases.push(taps.map((tap) => tap / sum));
    }
  }

  /** Takes a block, returns the samples that it settles. */
  push(wave: Float32Array): Float32Array {
    if (this.up === this.down) return wave;
    this.taken += wave.length;
    return this.filter(wave);
  }

  /** Returns what is left: in all, as many samples as the duration holds, rounded up. */
  flush(): Float32Array {
    const missing = Math.ceil((this.taken * this.up) / this.down) - this.made;
    return this.up === this.down ? new Float32Array(0) : this.filter(new Float32Array(this.length)).subarray(0, missing);
  }

  private filter(wave: Float32Array): Float32Array {
    const kept = join(this.kept, wave);
    const found: number[] = [];
    const place = () => Math.floor((this.made * this.down) / this.up) - this.first;
    for (let from = place(); from + this.length <= kept.length; from = place()) {
      const taps = this.phases[(this.made * this.down) % this.up]!;
      let sum = 0;
      for (let at = 0; at < this.length; at++) sum += taps[at]! * kept[from + at]!;
      found.push(sum);
      this.made++;
    }
    const used = Math.min(place(), kept.length);
    this.kept = kept.slice(used);
    this.first += used;
    return Float32Array.from(found);
  }
}

function divisor(a: number, b: number): number {
  return b ? divisor(b, a % b) : a;
}

/** The modified Bessel function of the first kind, of order 0, by its series. */
function bessel(x: number): number {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
