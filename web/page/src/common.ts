// What both pages share: messages, progress, cards of results, views over time, and the choice of files.
import type { ImageResult, Span, SpeechResult } from "../../lib/src/results";
import { band, bars, clock, drawBoxes, make, table, words, type Row } from "./views";

export const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

export const say = (text: string): void => { $("status").textContent = text; };
export function showError(problem: unknown, name = ""): void {
  const text = (name ? `${name}: ` : "") + (problem instanceof Error ? problem.message : String(problem));
  const error = $("error");
  if (![...error.children].some((line) => line.textContent === text)) error.append(make("div", {}, text));
  error.hidden = false;
}
export const clearError = (): void => { $("error").replaceChildren(); $("error").hidden = true; };
// A fraction; null while it is not known; undefined at the end.
export function showProgress(value: number | null | undefined): void {
  const bar = $<HTMLProgressElement>("progress");
  bar.hidden = value === undefined;
  if (typeof value === "number") bar.value = value;
  else bar.removeAttribute("value");
}

export function download(name: string, content: string, type: string): HTMLAnchorElement {
  return make("a", { className: "button", download: name, href: URL.createObjectURL(new Blob([content], { type })) }, name.split(".").pop()!.toUpperCase());
}
export function card(title: string, ...children: (Node | string)[]): HTMLElement {
  const article = make("article", { className: "card" }, make("h2", {}, title), ...children);
  $("results").prepend(article);
  return article;
}
export const notes = (warnings: string[]): HTMLElement => make("p", { className: "soft" }, warnings.join("; "));

export function showImage(file: File, result: ImageResult): void {
  const image = make("img", { src: URL.createObjectURL(file), alt: `${file.name}: ${result.faces.map((face) => words(face.emotion)).join(", ") || "no face"}` });
  const boxes = make("canvas", { className: "boxes" });
  drawBoxes(boxes, result.width, result.height, result.faces);
  const faces = result.faces.map((face, index) => bars(`Face ${index + 1}`, face.emotion));
  card(file.name,
    make("div", { className: "stage" }, image, boxes),
    make("div", { className: "faces" }, ...(faces.length ? faces : [make("p", {}, "No face found.")])),
    notes(result.warnings),
    make("div", { className: "row" }, download(`${file.name}.json`, JSON.stringify(result, null, 2), "application/json")));
}

export function showSpeech(file: File, result: SpeechResult, ...links: Node[]): void {
  const player = make("audio", { controls: true, src: URL.createObjectURL(file) });
  const speech = result.segments.filter((segment) => segment.emotion);
  const { view } = timed(player, [["Voice", speech]], 0, result.duration_s);
  card(`${file.name}, ${clock(result.duration_s)}`, player,
    speech.length ? view : make("p", {}, "No speech found."), notes(result.warnings),
    make("div", { className: "row" }, download(`${file.name}.json`, JSON.stringify(result, null, 2), "application/json"), ...links));
}

export function timed(media: HTMLMediaElement, lines: [string, Span[]][], start_s: number, end_s: number): { view: HTMLElement; rows: Row[]; seek: (time_s: number) => void } {
  const seek = (time_s: number): void => { media.currentTime = time_s; };
  const bands = lines.map(([who, segments]) => [make("span", {}, who), band(segments, start_s, end_s, seek)] as const);
  const rows = lines.flatMap(([who, segments]) => segments.map((segment) => ({ who, segment })));
  rows.sort((a, b) => a.segment.start_s - b.segment.start_s);
  const list = table(rows, seek);
  const lineOf = [...list.querySelectorAll("tbody tr")];
  const move = (): void => {
    for (const [, strip] of bands) strip.dispatchEvent(new CustomEvent("timechange", { detail: media.currentTime }));
    rows.forEach(({ segment }, index) =>
      lineOf[index]!.classList.toggle("now", segment.start_s <= media.currentTime && media.currentTime < segment.end_s));
  };
  media.addEventListener("timeupdate", move);
  media.addEventListener("seeked", move);
  return { view: make("div", {}, make("div", { className: "bands" }, ...bands.flat()), list), rows, seek };
}

// Call a function with each chosen or dropped file, one after the other; one that fails does not keep back the others;
// it may return false where there is no result.
export function onFiles(analyze: (file: File) => Promise<unknown>, fail = showError): void {
  const analyzeAll = async (files: Iterable<File>): Promise<void> => {
    clearError();
    for (const file of files) {
      say(`${file.name}: analyzing`);
      showProgress(null);
      try {
        if ((await analyze(file)) !== false) say(`${file.name}: done`);
      } catch (problem) {
        say("");
        fail(problem, file.name);
      } finally {
        showProgress(undefined);
      }
    }
  };
  // Files that are chosen meanwhile wait for their turn.
  let last: Promise<void> = Promise.resolve();
  const queue = (files: File[]): void => { if (files.length) last = last.then(() => analyzeAll(files)); };
  // Beside the marked place, too: there, the browser would leave the page for the file.
  for (const name of ["dragover", "dragleave", "drop"] as const) {
    document.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
    });
  }
  document.addEventListener("drop", (event) => queue([...(event.dataTransfer?.files ?? [])]));
  const files = $<HTMLInputElement>("files");
  files.addEventListener("change", () => { const chosen = [...(files.files ?? [])]; files.value = ""; queue(chosen); });
}
