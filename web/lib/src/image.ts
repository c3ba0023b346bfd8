// Images and their resampling, with the arithmetic of OpenCV, which the Python library uses.
import { roundEven } from "./numbers";

export interface Image {
  width: number;
  height: number;
  data: Uint8Array; // (height, width, 3), RGB
}

const GRAY = 127; // what lies beyond the image; zero after the detector's normalization

export function toImage({ width, height, data }: Pick<ImageData, "width" | "height" | "data">): Image {
  const rgb = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + 1]!;
    rgb[to + 2] = data[from + 2]!;
  }
  return { width, height, data: rgb };
}

// An image and its halvings, made when first asked for: what is sampled from them is not aliased.
export class ImagePyramid {
  private readonly levels: Image[];

  constructor(readonly image: Image) {
    this.levels = [image];
  }

  // The smallest halving that is not coarser than the image shrunk so many times.
  private level(shrink: number): Image {
    const index = Math.floor(Math.log2(Math.max(shrink, 1)));
    let last = this.levels[this.levels.length - 1]!;
    while (this.levels.length <= index && Math.min(last.width, last.height) >= 2) {
      last = halve(last);
      this.levels.push(last);
    }
    return this.levels[Math.min(index, this.levels.length - 1)]!;
  }

  // The whole image in another size, within a frame of gray.
  resized(width: number, height: number, frame: number): Image {
    const level = this.level(Math.min(this.image.height / height, this.image.width / width));
    return resizeLinear(level, width, height, frame);
  }

  // Squares (n, 4), which may reach beyond the image, as uint8 (n, side, side, 3).
  patches(squares: Float32Array, side: number): Uint8Array {
    const size = 3 * side * side;
    const out = new Uint8Array((squares.length / 4) * size);
    for (let i = 0; 4 * i < squares.length; i++) {
      const [x, y, right] = [squares[4 * i]!, squares[4 * i + 1]!, squares[4 * i + 2]!];
      const step = (right - x) / side;
      const level = this.level(step);
      const zoomX = level.width / this.image.width;
      const zoomY = level.height / this.image.height;
      // OpenCV counts from the center of the first pixel.
      const axisX = [step * zoomX, (x + step / 2) * zoomX - 0.5] as const;
      const axisY = [step * zoomY, (y + step / 2) * zoomY - 0.5] as const;
      warp(level, axisX, axisY, side, out.subarray(i * size, (i + 1) * size));
    }
    return out;
  }
}

// cv2.resize to half the size, rounded down, with INTER_AREA.
function halve(image: Image): Image {
  const { width, height, data } = image;
  const half = { width: width >> 1, height: height >> 1, data: new Uint8Array(3 * (width >> 1) * (height >> 1)) };
  if (width % 2 || height % 2) {
    shrinkByArea(image, half);
    return half;
  }
  const row = 3 * width;
  for (let y = 0, to = 0; y < half.height; y++) {
    for (let x = 0, at = 2 * y * row; x < half.width; x++, at += 6) {
      for (let c = at; c < at + 3; c++) half.data[to++] = (data[c]! + data[c + 3]! + data[c + row]! + data[c + row + 3]! + 2) >> 2;
    }
  }
  return half;
}

// The general case of INTER_AREA: pixels weighted by the part that they have in a cell, in float32.
function shrinkByArea(from: Image, to: Image): void {
  const fround = Math.fround;
  const columns = areaShares(from.width, to.width);
  const line = new Float32Array(3 * to.width);
  const sums = new Float32Array(3 * to.width);
  areaShares(from.height, to.height).forEach((rows, y) => {
    sums.fill(0);
    for (const [row, part] of rows) {
      line.fill(0);
      columns.forEach((cells, x) => {
        for (const [column, share] of cells) {
          const at = 3 * (row * from.width + column);
          for (let c = 0; c < 3; c++) line[3 * x + c]! += fround(from.data[at + c]! * share);
        }
      });
      for (let i = 0; i < sums.length; i++) sums[i]! += fround(line[i]! * part);
    }
    for (let i = 0; i < sums.length; i++) to.data[y * sums.length + i] = roundEven(sums[i]!);
  });
}

// For each of `count` cells, the pixels in it and their shares.
function areaShares(size: number, count: number): [number, number][][] {
  const scale = size / count;
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [i * scale, (i + 1) * scale];
    const cell = Math.min(scale, size - start);
    const last = Math.min(Math.floor(end), size - 1);
    const first = Math.min(Math.ceil(start), last);
    const shares: [number, number][] = [];
    if (first - start > 1e-3) shares.push([first - 1, Math.fround((first - start) / cell)]);
    for (let at = first; at < last; at++) shares.push([at, Math.fround(1 / cell)]);
    if (end - last > 1e-3) shares.push([last, Math.fround(Math.min(end - last, 1, cell) / cell)]);
    return shares;
  });
}

// cv2.resize with INTER_LINEAR: weights of 11 bits, and what each step cuts off.
function resizeLinear(image: Image, width: number, height: number, frame: number): Image {
  const out = { width: width + 2 * frame, height: height + 2 * frame, data: new Uint8Array(3 * (width + 2 * frame) * (height + 2 * frame)) };
  out.data.fill(GRAY);
  const [across, down] = [linearWeights(image.width, width), linearWeights(image.height, height)];
  const { data } = image;
  let [upper, lower] = [new Int32Array(3 * width), new Int32Array(3 * width)];
  let [upperRow, lowerRow] = [-1, -1];
  const clip = (row: number): number => Math.min(Math.max(row, 0), image.height - 1);
  const stretch = (row: number, line: Int32Array): void => {
    const base = 3 * row * image.width;
    for (let x = 0, to = 0; x < width; x++) {
      const low = across.low[x]!;
      // Beyond the edge the edge is repeated.
      const at = base + 3 * Math.max(low, 0);
      const next = low < 0 || low + 1 >= image.width ? at : at + 3;
      const [a, b] = [across.a[x]!, across.b[x]!];
      line[to++] = (data[at]! * a + data[next]! * b) >> 4;
      line[to++] = (data[at + 1]! * a + data[next + 1]! * b) >> 4;
      line[to++] = (data[at + 2]! * a + data[next + 2]! * b) >> 4;
    }
  };
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [clip(down.low[y]!), clip(down.low[y]! + 1)];
    if (top === lowerRow) {
      [upper, lower] = [lower, upper];
      [upperRow, lowerRow] = [lowerRow, upperRow];
    }
    if (top !== upperRow) stretch((upperRow = top), upper);
    if (bottom !== lowerRow) stretch((lowerRow = bottom), lower);
    const [a, b] = [down.a[y]!, down.b[y]!];
    for (let i = 0, to = 3 * ((y + frame) * out.width + frame); i < upper.length; i++) {
      out.data[to++] = (((a * upper[i]!) >> 16) + ((b * lower[i]!) >> 16) + 2) >> 2;
    }
  }
  return out;
}

function linearWeights(size: number, count: number): { low: Int32Array; a: Int32Array; b: Int32Array } {
  const [low, a, b] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
  const scale = 1 / (count / size);
  for (let i = 0; i < count; i++) {
    const at = Math.fround((i + 0.5) * scale - 0.5);
    low[i] = Math.floor(at);
    const part = Math.fround(at - low[i]!);
    a[i] = roundEven(2048 * Math.fround(1 - part));
    b[i] = roundEven(2048 * part);
  }
  return { low, a, b };
}

// cv2.warpAffine with INTER_LINEAR, without rotation: places are rounded to 1/32 of a pixel.
function warp(image: Image, axisX: readonly [number, number], axisY: readonly [number, number], side: number, out: Uint8Array): void {
  const { width, height, data } = image;
  const [startX, startY] = [roundEven(1024 * axisX[1]) + 16, roundEven(1024 * axisY[1]) + 16];
  const columns = Int32Array.from({ length: side }, (_, i) => (startX + roundEven(1024 * axisX[0] * i)) >> 5);
  for (let j = 0, to = 0; j < side; j++) {
    // Rows: the shift of a row is rounded as a whole.
    const y = (roundEven(1024 * (axisY[0] * j + axisY[1])) + 16) >> 5;
    const [top, partY] = [y >> 5, y & 31];
    for (let i = 0; i < side; i++) {
      const x = columns[i]!;
      const [left, partX] = [x >> 5, x & 31];
      const at = 3 * (top * width + left);
      const inside = left >= 0 && top >= 0 && left + 1 < width && top + 1 < height;
      for (let c = 0; c < 3; c++) {
        const here = at + c;
        const a = inside || isInside(left, top, width, height) ? data[here]! : GRAY;
        const b = inside || isInside(left + 1, top, width, height) ? data[here + 3]! : GRAY;
        const d = inside || isInside(left, top + 1, width, height) ? data[here + 3 * width]! : GRAY;
        const e = inside || isInside(left + 1, top + 1, width, height) ? data[here + 3 * width + 3]! : GRAY;
        const upper = a * (32 - partX) + b * partX;
        const lower = d * (32 - partX) + e * partX;
        out[to++] = (upper * (32 - partY) + lower * partY + 512) >> 10;
      }
    }
  }
}

function isInside(x: number, y: number, width: number, height: number): boolean {
  return x >= 0 && y >= 0 && x < width && y < height;
}
