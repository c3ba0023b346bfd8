// Windows over a stretch of speech, and the mean of their predictions: src/mien/speech/windows.py.
export interface WindowSegment {
  start: number; // samples
  end: number;
  probabilities: number[];
}

/** Covers [start, end) with windows of full length, the last ending with it; a short stretch is one window. */
export function placeWindows(start: number, end: number, window: number, hop: number): [number, number][] {
  if (end <= start) return [];
  if (end - start <= window) return [[start, end]];
  return windowsFrom(start, start, end, window, hop);
}

/** Windows from one on, and one that ends with the stretch if the last, which may have been before, does not. */
function windowsFrom(first: number, last: number, end: number, window: number, hop: number): [number, number][] {
  const starts: number[] = [];
  for (let at = first; at <= end - window; at += hop) starts.push(at);
  if ((starts.at(-1) ?? last) + window < end) starts.push(end - window);
  return starts.map((at) => [at, at + window]);
}

/** Averages the predictions of overlapping windows while a stretch goes on, in constant memory. */
export class WindowAverager {
  private windows: WindowSegment[] = []; // that may still cover something
  private given: number;

  constructor(
    readonly start: number,
    private readonly window: number,
    private readonly hop: number,
  ) {
    this.given = start;
  }

  /** The window that follows those that were added, should the stretch reach its end. */
  get next(): [number, number] {
    const at = this.last === undefined ? this.start : this.last + this.hop;
    return [at, at + this.window];
  }

  private get last(): number | undefined {
    return this.newest?.start;
  }

  get newest(): WindowSegment | undefined {
    return this.windows.at(-1);
  }

  add(start: number, end: number, probabilities: number[]): void {
    this.windows.push({ start, end, probabilities });
  }

  /** The windows of a stretch that ends here which were not added yet. */
  remaining(end: number): [number, number][] {
    if (this.last === undefined) return placeWindows(this.start, end, this.window, this.hop);
    return windowsFrom(this.next[0], this.last, end, this.window, this.hop);
  }

  /** The segments that nothing can change any more if the stretch goes on at least to here. */
  settled(reached: number): WindowSegment[] {
    const limit = Math.min(reached - this.window, this.next[0]);
    return this.until(Math.max(this.given, ...this.edges().filter((at) => at <= limit)));
  }

  /** The segments that are left where the stretch ends. */
  close(end: number): WindowSegment[] {
    return this.until(end);
  }

  private edges(): number[] {
    const edges = new Set(this.windows.flatMap(({ start, end }) => [start, end]));
    return [...edges].filter((at) => at > this.given).sort((a, b) => a - b);
  }

  private until(end: number): WindowSegment[] {
    if (end <= this.given) return [];
    const edges = [this.given, ...this.edges().filter((at) => at < end), end];
    const pieces = edges.slice(1).map((end, at) => {
      const start = edges[at]!;
      const covering = this.windows.filter((window) => window.start <= start && window.end >= end);
      const mean = covering[0]!.probabilities.map(
        (_, label) => covering.reduce((sum, window) => sum + window.probabilities[label]!, 0) / covering.length,
      );
      return { start, end, probabilities: mean };
    });
    this.given = end;
    const open = this.windows.filter((window) => window.end > end);
    this.windows = open.length ? open : this.windows.slice(-1);
    return pieces;
  }
}

/** Joins neighbors that touch and have the same most probable class, weighted by their lengths. */
export function mergeNeighbors(pieces: WindowSegment[]): WindowSegment[] {
  const result: WindowSegment[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if (last?.end === piece.start && argmax(last.probabilities) === argmax(piece.probabilities)) {
      const share = (last.end - last.start) / (piece.end - last.start);
      const mean = last.probabilities.map((value, label) => share * value + (1 - share) * piece.probabilities[label]!);
      result[result.length - 1] = { start: last.start, end: piece.end, probabilities: mean };
    } else result.push(piece);
  }
  return result;
}

/** The place of the largest, the first of equals. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let at = 1; at < values.length; at++) if (values[at]! > values[best]!) best = at;
  return best;
}
