// Who is where in a stream of frames, and what their faces show: a light form of face/track.py, for cameras.  The whole
// frame is searched now and then; between, each face is looked for where it was.
import { softmax } from "./emotion";
import type { FaceAnalyzer } from "./face";
import type { Image } from "./image";
import { type Faces, type MtcnnDetector, overlap, share, suppress } from "./mtcnn";
import type { Manifest } from "./models";
import type { Face, Frame } from "./results";

const [DETECT_EVERY_S, SMOOTH_S] = [0.5, 0.4]; // video/analyzer.py
const [FOLLOW_SCORE, SAME_PLACE] = [0.6, 0.6]; // face/track.py, face/motion.py
const [BRIDGE_S, RETRY_S, RETURN_S, NOT_FOUND_S] = [0.7, 0.1, 10, 2]; // face/track.py
const SAME_PERSON = 0.3; // least intersection over union from one frame to the next: Bewley et al. 2016, SORT
const [COLUMNS, ROWS, FLAT] = [32, 18, 4]; // face/scenes.py
const SAME_SCENE = 0.15; // of 2.15 there: below, it is another scene however alike the colors are
const [LEAST, LEAST_CERTAINTY] = [1e-3, 0.05]; // video/timeline.py
const LEAST_AT_REST = 1e-6; // face/adapt.py

interface Track {
  id: number;
  box: Float32Array;
  lastS: number; // when it was found last, by a search or where it was
  foundS: number; // when a search found it last
  smoother: Smoother;
  rest: { sums: number[]; count: number }; // the logarithms of what it showed at rest
}

interface Observation {
  track: Track;
  box: Float32Array;
  score: number;
  landmarks: Float32Array;
}

/** What is taken away of the face of a person at rest: baseline_bias of face/adapt.py. */
export type Baseline = Manifest["baseline"];

export class FaceTracker {
  private tracks: Track[] = [];
  private lastId = 0;
  private timeS = 0;
  private searchedS = -Infinity;
  private retryS = RETRY_S; // the wait before another search for somebody lost
  private size = "";
  private light: Float64Array | null = null;
  private restUntilS = -Infinity; // what faces show before is their rest
  private restS = -1; // asked for, and not begun

  constructor(
    private readonly detector: MtcnnDetector,
    private readonly analyzer: FaceAnalyzer,
    private readonly baseline: Baseline,
    private readonly options: { detectEveryS?: number; smoothS?: number } = {},
  ) {}

  // Takes what each person in view shows in the next seconds as their rest; zero seconds forget it.
  setBaseline(seconds: number): void {
    this.restS = seconds;
  }

  // Finds the faces of the next frame and reads their emotions.  One frame at a time, with times that rise; a time
  // more than 10 s from the last one, another size or another scene begins anew.
  async update(image: Image, time_s: number): Promise<Frame> {
    this.begin(image, time_s);
    const followed = await this.follow(image);
    const passed = time_s - this.searchedS;
    // Times are rounded: half a millisecond less is as good.
    const isDue = passed >= (this.options.detectEveryS ?? DETECT_EVERY_S) - 5e-4;
    const isLost = followed.length < this.tracks.length && passed >= this.retryS;
    // Who is gone for good must not make us search all the time.
    if (isDue || isLost) this.retryS = isLost ? 2 * this.retryS : RETRY_S;
    const observed = isDue || isLost ? await this.search(image, followed) : followed;
    for (const { track, box } of observed) Object.assign(track, { box, lastS: time_s });
    this.tracks = this.tracks.filter(({ lastS, foundS }) => time_s - lastS <= BRIDGE_S && time_s - foundS <= NOT_FOUND_S);
    observed.sort((a, b) => a.track.id - b.track.id);
    const found = join(observed);
    found.boxes = found.boxes.map((value, i) => Math.min(Math.max(value, 0), i % 2 ? image.height : image.width));
    const faces = await this.analyzer.analyze(image, found);
    if (this.restS >= 0) {
      this.restUntilS = time_s + this.restS;
      this.restS = -1;
      for (const track of this.tracks) track.rest = { sums: [], count: 0 };
    }
    return { time_s, faces: faces.map((face, i) => this.smooth(face, observed[i]!.track)) };
  }

  private smooth(face: Face, { id, smoother, rest }: Track): Face {
    const labels = Object.keys(face.emotion.probabilities);
    let shares = Object.values(face.emotion.probabilities);
    if (this.timeS < this.restUntilS) {
      rest.sums = shares.map((value, i) => (rest.sums[i] ?? 0) + Math.log(Math.max(value, LEAST_AT_REST)));
      rest.count += 1;
    } else if (rest.count) {
      const { strength, neutral_face } = this.baseline;
      const rarest = Math.min(...Object.values(neutral_face));
      const bias = labels.map((name, i) => strength * (rest.sums[i]! / rest.count - Math.log(neutral_face[name] ?? rarest)));
      shares = softmax(shares.map((value, i) => Math.log(Math.max(value, LEAST_AT_REST)) - bias[i]!));
    }
    const smoothed = this.analyzer.emotion(smoother.push(this.timeS, shares, certainty(shares)));
    return { ...face, emotion: this.analyzer.emotion(shares), track: id, smoothed };
  }

  private begin(image: Image, time_s: number): void {
    const [size, light] = [`${image.width}x${image.height}`, thumbnail(image)];
    const isSame = this.light !== null && size === this.size && correlation(light, this.light) >= SAME_SCENE;
    if (!isSame || Math.abs(time_s - this.timeS) > RETURN_S) {
      this.tracks = [];
      this.searchedS = -Infinity;
    }
    Object.assign(this, { size, light, timeS: time_s });
  }

  // Looks for faces where they were; each place is given once.
  private async follow(image: Image): Promise<Observation[]> {
    if (!this.tracks.length) return [];
    const found = split(await this.detector.follow(image, joinBoxes(this.tracks)))
      .map((face, i) => ({ ...face, track: this.tracks[i]! }))
      .filter(({ box, score }) => score > FOLLOW_SCORE && isCenterInside(box, image));
    return suppress(join(found), share, SAME_PLACE).map((i) => found[i]!);
  }

  // Searches the whole image; who is not found there may still be where they were.
  private async search(image: Image, followed: Observation[]): Promise<Observation[]> {
    this.searchedS = this.timeS;
    const detected = split(await this.detector.detect(image));
    const before = this.tracks.map((track) => followed.find((face) => face.track === track) ?? track);
    const boxes = joinBoxes([...before, ...detected]);
    const pairs = before.flatMap((_, i) => detected.map((_, j) => ({ i, j, common: overlap(boxes, i, before.length + j) })));
    pairs.sort((a, b) => b.common - a.common);
    const owners = new Map<number, Track>();
    const known = new Set<Track>();
    for (const { i, j, common } of pairs) {
      const track = this.tracks[i]!;
      if (common < SAME_PERSON || owners.has(j) || known.has(track)) continue;
      owners.set(j, track);
      known.add(track);
    }
    const others = followed.filter((face) => {
      const isThere = (other: { box: Float32Array }): boolean => share(joinBoxes([face, other]), 0, 1) > SAME_PLACE;
      return !known.has(face.track) && !detected.some(isThere);
    });
    const observed = detected.map((face, j) => ({ ...face, track: owners.get(j) ?? this.add(face.box) }));
    for (const { track } of observed) track.foundS = this.timeS;
    return [...observed, ...others];
  }

  private add(box: Float32Array): Track {
    const smoother = new Smoother(this.options.smoothS ?? SMOOTH_S);
    const rest = { sums: [], count: 0 };
    const track = { id: ++this.lastId, box, lastS: this.timeS, foundS: this.timeS, smoother, rest };
    this.tracks.push(track);
    return track;
  }
}

// Smooths the distributions of one person as they come: means of logarithms, of which the past ones count less and less.
export class Smoother {
  private sums: number[] = [];
  private timeS = 0;

  constructor(private readonly tauS: number) {}

  push(time_s: number, shares: number[], weight: number): number[] {
    if (this.tauS === 0) return shares;
    const decay = this.sums.length ? Math.exp(-Math.max(time_s - this.timeS, 0) / this.tauS) : 0;
    const own = [...shares.map((value) => weight * Math.log(Math.max(value, LEAST))), weight];
    this.sums = own.map((value, i) => value + decay * (this.sums[i] ?? 0));
    this.timeS = time_s;
    const total = this.sums[shares.length]!;
    return softmax(this.sums.slice(0, -1).map((sum) => sum / total));
  }
}

// How certain a distribution is, up to 1: 1 less its entropy over its maximum.
export function certainty(shares: number[]): number {
  const entropy = shares.reduce((sum, value) => (value > 0 ? sum - value * Math.log(value) : sum), 0);
  return Math.min(Math.max(1 - entropy / Math.log(Math.max(shares.length, 2)), LEAST_CERTAINTY), 1);
}

function split({ boxes, scores, landmarks }: Faces): Omit<Observation, "track">[] {
  return Array.from(scores, (score, i) => ({
    box: boxes.slice(4 * i, 4 * i + 4), score, landmarks: landmarks.slice(10 * i, 10 * i + 10),
  }));
}

function join(faces: Omit<Observation, "track">[]): Faces {
  const landmarks = Float32Array.from(faces.flatMap((face) => Array.from(face.landmarks)));
  return { boxes: joinBoxes(faces), scores: Float32Array.from(faces, ({ score }) => score), landmarks };
}

function joinBoxes(faces: { box: Float32Array }[]): Float32Array {
  return Float32Array.from(faces.flatMap(({ box }) => Array.from(box)));
}

function isCenterInside(box: Float32Array, { width, height }: Image): boolean {
  const [x, y] = [(box[0]! + box[2]!) / 2, (box[1]! + box[3]!) / 2];
  return x >= 0 && y >= 0 && x < width && y < height;
}

// The brightness of blocks of the image, each the mean of 4 x 4 samples.
function thumbnail({ width, height, data }: Image): Float64Array {
  const light = new Float64Array(COLUMNS * ROWS);
  for (let j = 0; j < 4 * ROWS; j++) {
    const y = Math.floor(((j + 0.5) * height) / (4 * ROWS));
    for (let i = 0; i < 4 * COLUMNS; i++) {
      const at = 3 * (y * width + Math.floor(((i + 0.5) * width) / (4 * COLUMNS)));
      light[(j >> 2) * COLUMNS + (i >> 2)]! += (0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!) / 16;
    }
  }
  return light;
}

// The correlation of two thumbnails: light of another strength does not change it.
function correlation(a: Float64Array, b: Float64Array): number {
  const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const centered = (light: Float64Array): Float64Array => {
    const middle = mean(light);
    return light.map((value) => value - middle);
  };
  const [x, y] = [centered(a), centered(b)];
  const product = (u: Float64Array, v: Float64Array): number => mean(u.map((value, i) => value * v[i]!)) + FLAT;
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}
