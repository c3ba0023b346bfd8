// What is shown of results: boxes, bars, bands over time, curves, tables.
import uPlot from "uplot";
import type { Emotion, Face, Frame, Span } from "../../lib/src/results";

export const COLORS: Record<string, string> = {
  neutral: "#6b7280", calm: "#4d7c8a", happiness: "#b45309", surprise: "#7c3aed", sadness: "#1d4ed8",
  anger: "#b91c1c", disgust: "#4d7c0f", fear: "#0f766e", contempt: "#9d174d",
};
export const color = (name: string): string => COLORS[name] ?? "#475569";

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, values: Partial<HTMLElementTagNameMap[K]> = {}, ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...children);
  return element;
}

export const percent = (value: number): string => `${Math.round(100 * value)} %`;
export const clock = (s: number): string => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
export const words = (emotion: Emotion): string =>
  `${emotion.top} ${percent(emotion.confidence)}${emotion.unsure ? " (unsure)" : ""}`;

export function bars(title: string, emotion: Emotion): HTMLElement {
  const list = Object.entries(emotion.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 5);
  const rows = list.map(([name, value]) =>
    make("div", { className: "bar" },
      make("span", {}, name),
      make("meter", { min: 0, max: 1, value, ariaLabel: `${name} ${percent(value)}` }),
      make("output", {}, percent(value))));
  // Contempt has no place among valence and arousal.
  const moods = emotion.valence === null ? "" : `valence ${emotion.valence.toFixed(2)}, arousal ${emotion.arousal?.toFixed(2)}`;
  return make("div", {}, make("h2", {}, `${title}: ${words(emotion)}`), ...rows, make("p", { className: "soft" }, moods));
}

export function drawBoxes(canvas: HTMLCanvasElement, width: number, height: number, faces: Face[]): void {
  // Another size makes another canvas, which is slow.
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d")!;
  pen.clearRect(0, 0, width, height);
  const unit = Math.max(width, height) / 640;
  pen.font = `600 ${Math.max(11, 15 * unit)}px system-ui, sans-serif`;
  pen.textBaseline = "top";
  faces.forEach((face, index) => {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = face.box;
    const emotion = face.smoothed ?? face.emotion;
    pen.strokeStyle = pen.fillStyle = color(emotion.top);
    pen.lineWidth = 3 * unit;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const text = `${face.track ?? index + 1} ${words(emotion)}`;
    const high = Math.max(11, 15 * unit) * 1.35;
    const wide = pen.measureText(text).width + 8 * unit;
    const left = Math.max(0, Math.min(x1, width - wide));
    const top = y1 > high ? y1 - high : y2;
    pen.fillRect(left, top, wide, high);
    pen.fillStyle = "#fff";
    pen.fillText(text, left + 4 * unit, top + 0.15 * high);
  });
}

export function band(segments: Span[], start_s: number, end_s: number, seek: (time_s: number) => void): HTMLElement {
  const strip = make("div", { className: "band" });
  for (const segment of segments) {
    if (!segment.emotion) continue;
    const name = words(segment.emotion);
    const span = `${clock(segment.start_s)} to ${clock(segment.end_s)}`;
    const piece = make("button", { type: "button", title: `${name}, ${span}`, ariaLabel: `${name}, ${span}` }, segment.emotion.top);
    piece.style.left = `${(100 * (segment.start_s - start_s)) / (end_s - start_s)}%`;
    piece.style.width = `${(100 * (segment.end_s - segment.start_s)) / (end_s - start_s)}%`;
    piece.style.background = color(segment.emotion.top);
    piece.addEventListener("click", () => seek(segment.start_s));
    strip.append(piece);
  }
  const needle = make("div", { className: "needle" });
  strip.append(needle);
  strip.addEventListener("timechange", (event) => {
    needle.style.left = `${(100 * ((event as CustomEvent<number>).detail - start_s)) / (end_s - start_s)}%`;
  });
  strip.addEventListener("click", (event) => {
    if (event.target === strip) seek(start_s + ((end_s - start_s) * event.offsetX) / strip.clientWidth);
  });
  return strip;
}

export function curves(frames: Frame[], track: number, host: HTMLElement, seek: (time_s: number) => void): uPlot | null {
  const points = frames.flatMap((frame) => frame.faces.filter((face) => face.track === track).map((face) => ({ time_s: frame.time_s, face })));
  const first = points[0]?.face;
  if (!first) return null;
  const names = Object.keys((first.smoothed ?? first.emotion).probabilities);
  const values = names.map((name) => points.map(({ face }) => (face.smoothed ?? face.emotion).probabilities[name] ?? null));
  const text = getComputedStyle(document.body).color;
  const axis = { stroke: text, grid: { stroke: "#8884", width: 1 }, ticks: { stroke: "#8884", width: 1 } };
  const plot = new uPlot({
    width: Math.max(260, host.clientWidth), height: 220,
    scales: { x: { time: false }, y: { range: [0, 1] } },
    axes: [{ ...axis, label: "seconds" }, axis],
    series: [{ label: "s" }, ...names.map((name) => ({ label: name, stroke: color(name), width: 2, value: (_: uPlot, v: number | null) => (v === null ? "" : percent(v)) }))],
  }, [points.map(({ time_s }) => time_s), ...values], host);
  plot.over.addEventListener("click", () => { if (plot.cursor.left! >= 0) seek(plot.posToVal(plot.cursor.left!, "x")); });
  new ResizeObserver(() => plot.setSize({ width: Math.max(260, host.clientWidth), height: 220 })).observe(host);
  return plot;
}

export interface Row { who: string; segment: Span }

export function table(rows: Row[], seek: (time_s: number) => void): HTMLElement {
  const body = make("tbody");
  for (const { who, segment } of rows) {
    const jump = make("button", { type: "button" }, clock(segment.start_s));
    jump.addEventListener("click", () => seek(segment.start_s));
    const line = make("tr", {},
      make("td", {}, who), make("td", {}, jump), make("td", { className: "number" }, clock(segment.end_s)),
      make("td", {}, segment.emotion ? segment.emotion.top : "no speech"),
      make("td", { className: "number" }, segment.emotion ? percent(segment.emotion.confidence) : ""),
      make("td", {}, segment.emotion?.unsure ? "unsure" : ""));
    body.append(line);
  }
  const head = make("tr", {}, ...["who", "from", "to", "emotion", "probability", ""].map((name) => make("th", { scope: "col" }, name)));
  return make("div", { className: "scroll" }, make("table", {}, make("thead", {}, head), body));
}
