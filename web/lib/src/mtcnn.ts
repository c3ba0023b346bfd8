// MTCNN: three small nets in a cascade.  The constants and what they were tuned on: face/detect/mtcnn.py; the boxes are
// those that it gives, so what it computes in float32 is rounded to float32 here.
import * as ort from "onnxruntime-web/wasm";
import { type Image, ImagePyramid } from "./image";
import { roundEven } from "./numbers";

const { fround } = Math;

const P_WINDOW = 12;
const P_STRIDE = 2;
const R_SIDE = 24;
const O_SIDE = 48;
const FIRST_WINDOW = 1.5;
const [FACTOR, FINE_FACTOR, FINE_PX] = [0.709, 0.842, 40];
const [P_SCORE, COARSE_P_SCORE, R_SCORE, O_SCORE] = [fround(0.8), fround(0.7), fround(0.7), fround(0.8)];
const [SAME_LEVEL, ALL_LEVELS, SAME_FACE, WITHIN] = [0.5, 0.6, 0.7, 0.7].map(fround) as [number, number, number, number];
const [MAX_PER_LEVEL, MAX_PROPOSALS] = [500, 1000];
const SLACK = fround(0.8);
const PAD = 4;
const [SMALLEST_PX, LARGE_PIXELS, MAX_SEARCHED_PIXELS] = [20, 6_250_000, 3_000_000]; // face/detect/__init__.py

export interface MtcnnSessions {
  pnet: ort.InferenceSession;
  rnet: ort.InferenceSession;
  onet: ort.InferenceSession;
}

// Faces, row for row.
export interface Faces {
  boxes: Float32Array; // (n, 4): x1, y1, x2, y2 in pixels of the image
  scores: Float32Array; // (n,), 0..1
  landmarks: Float32Array; // (n, 5, 2): left eye, right eye, nose, corners of the mouth, as seen in the image
}

type Candidates = Omit<Faces, "landmarks">;

export class MtcnnDetector {
  constructor(
    private readonly sessions: MtcnnSessions,
    private readonly minFacePx?: number,
  ) {}

  // The longer side of the smallest box that is looked for in an image of this size.
  smallestFacePx(height: number, width: number): number {
    const asked = this.minFacePx ?? SMALLEST_PX * Math.max(1, Math.sqrt((height * width) / LARGE_PIXELS));
    return Math.max(asked, (P_WINDOW / FIRST_WINDOW) * Math.sqrt((height * width) / MAX_SEARCHED_PIXELS));
  }

  // Says where the size of the image kept small faces from being found, unless all that are there are large.
  sizeNotes({ width, height }: Omit<Image, "data">, { boxes, scores }: Faces): string[] {
    const smallest = this.smallestFacePx(height, width);
    const sides = Array.from(scores, (_, i) => longerSide(boxes, i));
    if (smallest < (this.minFacePx ?? SMALLEST_PX) + 1 || (sides.length && Math.min(...sides) > 2 * smallest)) return [];
    const more = this.minFacePx === undefined ? " (min_face_px, or --min-face, finds smaller ones)" : "";
    return [`faces of under ${roundEven(smallest)} px were not looked for in so large an image${more}`];
  }

  // Finds the faces in an image, largest first.
  async detect(image: Image): Promise<Faces> {
    const pyramid = new ImagePyramid(image);
    const minFace = fround(this.smallestFacePx(image.height, image.width));
    const proposals = await this.propose(pyramid, this.smallestFacePx(image.height, image.width));
    const refined = await this.refine(pyramid, proposals);
    // O changes a box by less than that.
    const large = indices(refined.length / 4, (i) => longerSide(refined, i) >= fround(SLACK * minFace));
    const found = await this.lookAgain(pyramid, take(refined, large, 4));
    const likely = takeFaces(found, indices(found.scores.length, (i) => found.scores[i]! > O_SCORE));
    const inside = likely.boxes.map((value, i) => Math.min(Math.max(value, 0), i % 2 ? image.height : image.width));
    const kept = suppress(likely, share, WITHIN).filter((i) => shorterSide(inside, i) >= 1 && longerSide(inside, i) >= minFace);
    kept.sort((a, b) => area(inside, b) - area(inside, a));
    return takeFaces({ ...likely, boxes: inside }, kept);
  }

  // Looks again for faces near boxes, without searching the image; boxes may come to reach beyond it, and what does
  // not score above 0.8 is no face.
  async follow(image: Image, boxes: Float32Array): Promise<Faces> {
    const pyramid = new ImagePyramid(image);
    const found = await this.lookAgain(pyramid, boxes);
    const weak = indices(found.scores.length, (i) => found.scores[i]! <= O_SCORE);
    if (weak.length) {
      const squares = toSquares(take(boxes, weak, 4));
      const { offsets } = await run(this.sessions.rnet, pyramid.patches(squares, R_SIDE), R_SIDE, R_SIDE, ["offsets"]);
      const second = await this.lookAgain(pyramid, moved(squares, offsets!));
      weak.forEach((at, i) => {
        if (second.scores[i]! <= found.scores[at]!) return;
        found.boxes.set(second.boxes.subarray(4 * i, 4 * i + 4), 4 * at);
        found.scores[at] = second.scores[i]!;
        found.landmarks.set(second.landmarks.subarray(10 * i, 10 * i + 10), 10 * at);
      });
    }
    return found;
  }

  // Runs O over boxes.
  private async lookAgain(pyramid: ImagePyramid, boxes: Float32Array): Promise<Faces> {
    const squares = toSquares(boxes);
    const result = await run(this.sessions.onet, pyramid.patches(squares, O_SIDE), O_SIDE, O_SIDE, ["scores", "offsets", "points"]);
    const landmarks = new Float32Array((10 * boxes.length) / 4);
    for (let i = 0; i < landmarks.length; i++) {
      // O gives five x, then five y, in parts of the square.
      const [face, axis] = [Math.floor(i / 10), i % 2];
      const [low, high] = [squares[4 * face + axis]!, squares[4 * face + axis + 2]!];
      landmarks[i] = low + fround(result.points![10 * face + 5 * axis + ((i % 10) >> 1)]! * fround(high - low));
    }
    return { boxes: moved(squares, result.offsets!), scores: result.scores!, landmarks };
  }

  // Runs P over the pyramid; gives boxes, best first.
  private async propose(pyramid: ImagePyramid, minFace: number): Promise<Float32Array> {
    const { width, height } = pyramid.image;
    const shorter = Math.min(height, width);
    const [boxes, scores]: number[][] = [[], []];
    let scale = P_WINDOW / FIRST_WINDOW / minFace;
    while (shorter * scale + 2 * PAD >= P_WINDOW) {
      const [columns, rows] = [Math.max(1, roundEven(width * scale)), Math.max(1, roundEven(height * scale))];
      const level = await this.window(pyramid.resized(columns, rows, PAD));
      const zoom = [fround(width / columns), fround(height / rows)];
      level.boxes.forEach((value, i) => boxes!.push(fround(value * zoom[i % 2]!)));
      scores!.push(...level.scores);
      scale *= shorter * scale > FINE_PX ? FACTOR : FINE_FACTOR;
    }
    const every = { boxes: Float32Array.from(boxes!), scores: Float32Array.from(scores!) };
    return take(every.boxes, suppress(every, overlap, ALL_LEVELS).slice(0, MAX_PROPOSALS), 4);
  }

  // Runs P over one level in its frame; gives boxes in the level's pixels.
  private async window(level: Image): Promise<Candidates> {
    const { width, height, data } = level;
    const map = await run(this.sessions.pnet, data, width, height, ["scores", "offsets"]);
    // Of an odd width, the last window reaches beyond the edge: P's pooling rounds up.
    const columns = Math.ceil((width - P_WINDOW) / P_STRIDE) + 1;
    const least = Math.min(width, height) - 2 * PAD > FINE_PX ? P_SCORE : COARSE_P_SCORE;
    const count = map.scores!.length;
    let places = indices(count, (i) => map.scores![i]! > least);
    if (places.length > MAX_PER_LEVEL) places = places.sort((a, b) => map.scores![b]! - map.scores![a]!).slice(0, MAX_PER_LEVEL);
    const boxes = new Float32Array(4 * places.length);
    places.forEach((place, i) => {
      const corner = [(place % columns) * P_STRIDE - PAD, Math.floor(place / columns) * P_STRIDE - PAD];
      for (let k = 0; k < 4; k++) {
        boxes[4 * i + k] = corner[k % 2]! + (k < 2 ? 0 : P_WINDOW) + fround(map.offsets![k * count + place]! * P_WINDOW);
      }
    });
    const found = { boxes, scores: take(map.scores!, places, 1) };
    const kept = suppress(found, overlap, SAME_LEVEL);
    return { boxes: take(boxes, kept, 4), scores: take(found.scores, kept, 1) };
  }

  // Runs R over the proposals; gives the boxes that are left, moved.
  private async refine(pyramid: ImagePyramid, boxes: Float32Array): Promise<Float32Array> {
    const squares = toSquares(boxes);
    const { scores, offsets } = await run(this.sessions.rnet, pyramid.patches(squares, R_SIDE), R_SIDE, R_SIDE, ["scores", "offsets"]);
    const likely = indices(scores!.length, (i) => scores![i]! > R_SCORE);
    const found = { boxes: moved(take(squares, likely, 4), take(offsets!, likely, 4)), scores: take(scores!, likely, 1) };
    return take(found.boxes, suppress(found, overlap, SAME_FACE), 4);
  }
}

// Runs a net over uint8 images (n, height, width, 3); of no images it gives empty outputs.
async function run(
  session: ort.InferenceSession, images: Uint8Array, width: number, height: number, outputs: string[],
): Promise<Record<string, Float32Array>> {
  const count = images.length / (3 * width * height);
  if (!count) return Object.fromEntries(outputs.map((name) => [name, new Float32Array(0)]));
  const result = await session.run({ image: new ort.Tensor("uint8", images, [count, height, width, 3]) }, outputs);
  return Object.fromEntries(outputs.map((name) => [name, result[name]!.data as Float32Array]));
}

function indices(count: number, isWanted: (index: number) => boolean): number[] {
  const found: number[] = [];
  for (let i = 0; i < count; i++) if (isWanted(i)) found.push(i);
  return found;
}

function take(rows: Float32Array, chosen: number[], size: number): Float32Array {
  const out = new Float32Array(chosen.length * size);
  chosen.forEach((row, i) => out.set(rows.subarray(row * size, (row + 1) * size), i * size));
  return out;
}

export function takeFaces({ boxes, scores, landmarks }: Faces, chosen: number[]): Faces {
  return { boxes: take(boxes, chosen, 4), scores: take(scores, chosen, 1), landmarks: take(landmarks, chosen, 10) };
}

const sideX = (boxes: Float32Array, i: number): number => fround(boxes[4 * i + 2]! - boxes[4 * i]!);
const sideY = (boxes: Float32Array, i: number): number => fround(boxes[4 * i + 3]! - boxes[4 * i + 1]!);
const longerSide = (boxes: Float32Array, i: number): number => Math.max(sideX(boxes, i), sideY(boxes, i));
const shorterSide = (boxes: Float32Array, i: number): number => Math.min(sideX(boxes, i), sideY(boxes, i));
const area = (boxes: Float32Array, i: number): number => fround(sideX(boxes, i) * sideY(boxes, i));

// Widens boxes to squares about the same center, at least one pixel wide.
function toSquares(boxes: Float32Array): Float32Array {
  return boxes.map((_, k) => {
    const i = k >> 2;
    const center = fround(boxes[4 * i + (k % 2)]! + boxes[4 * i + (k % 2) + 2]!) / 2;
    const half = Math.max(longerSide(boxes, i), 1) / 2;
    return k % 4 < 2 ? center - half : center + half;
  });
}

// Moves the corners by the nets' offsets, which are in parts of the square's side.
function moved(squares: Float32Array, offsets: Float32Array): Float32Array {
  return squares.map((value, k) => value + fround(offsets[k]! * sideX(squares, k >> 2)));
}

// The common area of two boxes.
function common(boxes: Float32Array, i: number, j: number): number {
  const [a, b] = [4 * i, 4 * j];
  const width = fround(Math.min(boxes[a + 2]!, boxes[b + 2]!) - Math.max(boxes[a]!, boxes[b]!));
  const height = fround(Math.min(boxes[a + 3]!, boxes[b + 3]!) - Math.max(boxes[a + 1]!, boxes[b + 1]!));
  return width > 0 && height > 0 ? width * height : 0;
}

// Intersection over union.
export function overlap(boxes: Float32Array, i: number, j: number): number {
  const shared = common(boxes, i, j);
  const whole = sideX(boxes, i) * sideY(boxes, i) + sideX(boxes, j) * sideY(boxes, j) - shared;
  return whole > 0 ? shared / whole : 0;
}

// Intersection over the smaller box.
export function share(boxes: Float32Array, i: number, j: number): number {
  return common(boxes, i, j) / Math.max(Math.min(area(boxes, i), area(boxes, j)), 1e-9);
}

// The boxes that no better one overlaps by more than `limit`, best first.
export function suppress({ boxes, scores }: Candidates, measure: typeof overlap, limit: number): number[] {
  const order = indices(scores.length, () => true).sort((a, b) => scores[b]! - scores[a]!);
  const kept: number[] = [];
  for (const index of order) if (!kept.some((better) => fround(measure(boxes, index, better)) > limit)) kept.push(index);
  return kept;
}
