// From a detected face to the crop that a model takes, as face/align.py specifies it to the pixel.
import type { Image } from "./image";
import type { FaceModel } from "./models";
import { roundEven } from "./numbers";

export type Matrix = [[number, number, number], [number, number, number]];

const MAX_RESIDUAL = 0.25; // points that miss the target by more than this part of its eye distance are no face
const MAX_SCALE_RATIO = 2; // points that give a crop so many times larger or smaller than the box contradict it

// The similarity that brings points closest to others, by least squares, and the root mean square distance that remains.
export function similarity(source: number[][], target: number[][]): { matrix: Matrix; residual: number } {
  const mean = (points: number[][], axis: number): number => points.reduce((sum, point) => sum + point[axis]!, 0) / points.length;
  const [zx, zy, wx, wy] = [mean(source, 0), mean(source, 1), mean(target, 0), mean(target, 1)];
  let [power, real, imaginary] = [0, 0, 0];
  source.forEach((point, i) => {
    const [x, y, u, v] = [point[0]! - zx, point[1]! - zy, target[i]![0]! - wx, target[i]![1]! - wy];
    power += x * x + y * y;
    real += x * u + y * v;
    imaginary += x * v - y * u;
  });
  const [a, b] = [real / power, imaginary / power];
  const matrix: Matrix = [[a, -b, wx - a * zx + b * zy], [b, a, wy - b * zx - a * zy]];
  const squares = source.map((point, i) => {
    const [dx, dy] = matrix.map((row, axis) => row[0] * point[0]! + row[1] * point[1]! + row[2] - target[i]![axis]!);
    return dx! * dx! + dy! * dy!;
  });
  return { matrix, residual: Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / squares.length) };
}

// The map from a model's crop to the image: by the five landmarks, or by the box where they do not look like a face.
export function cropMatrix(box: ArrayLike<number>, landmarks: number[][] | null, model: FaceModel, detector = "mtcnn"): Matrix {
  const byBox = boxMatrix(box, model, detector);
  if (!landmarks) return byBox;
  const spread = (axis: number): number => Math.max(...landmarks.map((point) => point[axis]!)) - Math.min(...landmarks.map((point) => point[axis]!));
  if (!(Math.max(spread(0), spread(1)) >= 1)) return byBox;
  const { matrix, residual } = similarity(landmarks, model.points);
  const [left, right] = [model.points[0]!, model.points[1]!];
  if (residual > MAX_RESIDUAL * Math.hypot(right[0]! - left[0]!, right[1]! - left[1]!)) return byBox;
  const [[a, minusB, x], [b, , y]] = matrix;
  const power = a * a + b * b;
  const [c, s] = [a / power, minusB / power];
  const inverse: Matrix = [[c, -s, s * y - c * x], [s, c, -s * x - c * y]];
  const ratio = Math.hypot(c, s) / byBox[0][0];
  return ratio > MAX_SCALE_RATIO || ratio < 1 / MAX_SCALE_RATIO ? byBox : inverse;
}

function boxMatrix(box: ArrayLike<number>, model: FaceModel, detector: string): Matrix {
  const [x1, y1, x2, y2] = [box[0]!, box[1]!, box[2]!, box[3]!];
  const place = model.boxes[detector] ?? { center: [0, 0], side: 1 };
  const unit = Math.sqrt((x2 - x1) * (y2 - y1));
  const step = (unit * place.side) / model.size;
  const corner = (low: number, high: number, center: number): number => (low + high) / 2 + unit * (center - place.side / 2);
  return [[step, 0, corner(x1, x2, place.center[0]!)], [0, step, corner(y1, y2, place.center[1]!)]];
}

// Reads a square of `size` pixels from an image through an affine map into `out` (size, size, 3): block means where the
// step is two pixels or more, then one bilinear sample a pixel, or four where the step that remains is above one.
export function sample(image: Image, matrix: Matrix, size: number, out: Uint8Array): void {
  const { fround } = Math;
  const blocks = matrix.map(([a, b]) => 2 ** Math.floor(Math.log2(Math.max(Math.hypot(a, b), 1)) + 1e-9));
  const [blockX, blockY] = [blocks[0]!, blocks[1]!];
  const m = matrix.map((row, axis) => row.map((value) => value / blocks[axis]!)) as Matrix;
  const count = m.some(([a, b]) => Math.hypot(a, b) > 1 + 1e-9) ? 2 : 1;
  const xs = locate(m[0], size, count, Math.ceil(image.width / blockX));
  const ys = locate(m[1], size, count, Math.ceil(image.height / blockY));
  const means = blockMeans(image, blockX, blockY, xs, ys);
  const sums = new Float32Array(out.length);
  for (let j = 0, k = 0; j < size * count; j++) {
    for (let i = 0; i < size * count; i++, k++) {
      const upper = Math.max(ys.low[k]!, ys.first) - means.top;
      const lower = Math.min(ys.low[k]! + 1, ys.last) - means.top;
      const left = 3 * (Math.max(xs.low[k]!, xs.first) - means.left);
      const right = 3 * (Math.min(xs.low[k]! + 1, xs.last) - means.left);
      const [above, below] = [3 * means.width * upper, 3 * means.width * lower];
      const [partX, partY] = [xs.part[k]!, ys.part[k]!];
      const to = 3 * (Math.floor(j / count) * size + Math.floor(i / count));
      for (let c = 0; c < 3; c++) {
        const a = means.data[above + left + c]!;
        const d = means.data[below + left + c]!;
        const top = fround(a + fround((means.data[above + right + c]! - a) * partX));
        const bottom = fround(d + fround((means.data[below + right + c]! - d) * partX));
        sums[to + c]! += fround(top + fround(fround(bottom - top) * partY));
      }
    }
  }
  for (let i = 0; i < out.length; i++) out[i] = Math.floor(sums[i]! / (count * count) + 0.5);
}

interface Places {
  low: Int32Array; // for each sample: the block before it, from -1 to `count`
  part: Float32Array; // how far it is from that block's center to the next one's
  first: number; // the range of blocks that are read
  last: number;
}

function locate([a, b, shift]: [number, number, number], size: number, count: number, edge: number): Places {
  const n = size * count;
  const [low, part] = [new Int32Array(n * n), new Float32Array(n * n)];
  let [least, most] = [edge - 1, 0];
  for (let j = 0, k = 0; j < n; j++) {
    for (let i = 0; i < n; i++, k++) {
      const at = (a * (i + 0.5)) / count + (b * (j + 0.5)) / count + (shift - 0.5);
      const floor = Math.floor(at);
      part[k] = at - floor;
      low[k] = Math.min(Math.max(floor, -1), edge);
      least = Math.min(least, floor);
      most = Math.max(most, floor + 1);
    }
  }
  // Beyond the image its border is repeated.
  for (let k = 0; k < low.length; k++) low[k] = Math.min(low[k]!, edge - 1);
  return { low, part, first: Math.max(least, 0), last: Math.min(most, edge - 1) };
}

// The means of the blocks that are read; blocks beyond the edge are completed by repeating it.
function blockMeans(image: Image, blockX: number, blockY: number, xs: Places, ys: Places): Image & { left: number; top: number } {
  if (blockX * blockY === 1) return { ...image, left: 0, top: 0 };
  const [width, height] = [xs.last - xs.first + 1, ys.last - ys.first + 1];
  const data = new Uint8Array(3 * width * height);
  const sum = [0, 0, 0];
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to += 3) {
      sum.fill(0);
      for (let j = 0; j < blockY; j++) {
        const y = Math.min((ys.first + row) * blockY + j, image.height - 1);
        for (let i = 0; i < blockX; i++) {
          const at = 3 * (y * image.width + Math.min((xs.first + column) * blockX + i, image.width - 1));
          for (let c = 0; c < 3; c++) sum[c]! += image.data[at + c]!;
        }
      }
      // OpenCV rounds the means of 2 x 2 blocks up, those of others to even.
      for (let c = 0; c < 3; c++) data[to + c] = blockX * blockY === 4 ? (sum[c]! + 2) >> 2 : roundEven(sum[c]! / (blockX * blockY));
    }
  }
  return { width, height, data, left: xs.first, top: ys.first };
}
