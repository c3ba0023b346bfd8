// The service's page: files in, results out; camera and microphone live.
import {
  call, follow, local, openLive, pack, Problem, setToken,
  type ImageResult, type Job, type Segment, type SpeechResult, type VideoResult,
} from "./api";
import { band, bars, clock, curves, drawBoxes, make, table, words, type Row } from "./views";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const results = $("results");

const say = (text: string): void => { $("status").textContent = text; };
function fail(problem: unknown, name = ""): void {
  const text = problem instanceof Error ? problem.message : String(problem);
  $("error").textContent = name ? `${name}: ${text}` : text;
  $("error").hidden = false;
  if (problem instanceof Problem && problem.status === 401) {
    $("token-field").hidden = false;
    $("token").focus();
  }
}
function progress(value: number | null | undefined): void {
  const bar = $<HTMLProgressElement>("progress");
  bar.hidden = value === undefined;
  if (typeof value === "number") bar.value = value;
  else bar.removeAttribute("value");
}

function download(name: string, content: string, type: string): HTMLAnchorElement {
  const link = make("a", { className: "button", download: name, href: URL.createObjectURL(new Blob([content], { type })) }, name.split(".").pop()!.toUpperCase());
  return link;
}
function card(title: string, ...children: (Node | string)[]): HTMLElement {
  const article = make("article", { className: "card" }, make("h2", {}, title), ...children);
  results.prepend(article);
  return article;
}
const notes = (warnings: string[]): HTMLElement => make("p", { className: "soft" }, warnings.join("; "));

async function showImage(file: File): Promise<void> {
  const result = (await (await call("v1/faces", { method: "POST", body: file })).json()) as ImageResult;
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

function timed(media: HTMLMediaElement, lines: [string, Segment[]][], start_s: number, end_s: number): { view: HTMLElement; rows: Row[]; seek: (time_s: number) => void } {
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

async function showSound(file: File): Promise<void> {
  const result = (await (await call("v1/speech", { method: "POST", body: file })).json()) as SpeechResult;
  const player = make("audio", { controls: true, src: URL.createObjectURL(file) });
  const speech = result.segments.filter((segment) => segment.emotion);
  const { view } = timed(player, [["Voice", speech]], 0, result.duration_s);
  card(`${file.name}, ${clock(result.duration_s)}`, player,
    speech.length ? view : make("p", {}, "No speech found."), notes(result.warnings),
    make("div", { className: "row" }, download(`${file.name}.json`, JSON.stringify(result, null, 2), "application/json")));
}

async function showVideo(file: File): Promise<void> {
  let job = (await (await call("v1/videos", { method: "POST", body: file })).json()) as Job;
  const stop = new AbortController();
  const cancel = make("button", { type: "button" }, "Cancel");
  const running = card(file.name, make("p", {}, "The video is analyzed as a job; this page follows it."), cancel);
  cancel.addEventListener("click", () => { stop.abort(); void call(local(job.url), { method: "DELETE" }).catch(fail); });
  try {
    for await (job of follow(job, stop.signal)) {
      const part = job.progress;
      say(job.status === "queued" ? `${file.name}: number ${job.position} in the queue` : `${file.name}: ${part?.stage ?? job.status}`);
      progress(part?.fraction ?? null);
    }
  } catch (problem) {
    if (stop.signal.aborted) return say(`${file.name}: canceled`);
    throw problem;
  } finally {
    running.remove();
    progress(undefined);
  }
  if (job.status !== "done") throw new Error(job.error?.detail ?? "the job was removed");
  const result = (await (await call(local(job.results.json!))).json()) as VideoResult;
  const video = make("video", { controls: true, src: URL.createObjectURL(file), width: result.width });
  const boxes = make("canvas", { className: "boxes" });
  const draw = (): void => {
    const near = result.frames.filter((frame) => frame.time_s <= video.currentTime + 0.001).at(-1);
    drawBoxes(boxes, result.width, result.height, near?.faces ?? []);
  };
  for (const name of ["timeupdate", "seeked", "loadeddata"]) video.addEventListener(name, draw);
  const lines: [string, Segment[]][] = result.tracks.map(({ track, timeline }) => [`Person ${track}`, timeline]);
  if (result.speech) lines.push(["Voice", result.speech.segments.filter((segment) => segment.emotion)]);
  if (result.fused) {
    const together = result.fused.segments.filter((segment) => segment.fused);
    lines.push(["Together", together.map((segment) => ({ ...segment, emotion: segment.fused }))]);
  }
  const { view, seek } = timed(video, lines, result.start_s, result.end_s);
  const chart = make("div");
  const choice = make("select", { ariaLabel: "Person of the chart" }, ...result.tracks.map(({ track }) => make("option", { value: String(track) }, `Person ${track}`)));
  const links = Object.entries(job.results).map(([format, url]) => {
    const link = make("button", { type: "button" }, format.toUpperCase());
    link.addEventListener("click", () => void save(local(url), `${file.name}.${format}`).catch(fail));
    return link;
  });
  card(file.name, make("div", { className: "stage" }, video, boxes), view,
    ...(result.tracks.length ? [make("div", { className: "row" }, choice), chart] : [make("p", {}, "No face found.")]),
    notes(result.warnings), make("div", { className: "row" }, ...links));
  const plot = (): void => { chart.replaceChildren(); curves(result.frames, Number(choice.value), chart, seek); };
  choice.addEventListener("change", plot);
  if (result.tracks.length) plot();
  draw();
}

async function save(url: string, name: string): Promise<void> {
  const content = await (await call(url)).blob();
  make("a", { download: name, href: URL.createObjectURL(content) }).click();
}

async function analyze(files: Iterable<File>): Promise<void> {
  $("error").hidden = true;
  for (const file of files) {
    say(`${file.name}: analyzing`);
    progress(null);
    try {
      const kind = file.type.split("/")[0];
      await (kind === "video" ? showVideo(file) : kind === "audio" ? showSound(file) : showImage(file));
      say(`${file.name}: done`);
    } catch (problem) {
      say("");
      fail(problem, file.name);
    } finally {
      progress(undefined);
    }
  }
}

// --- live -----------------------------------------------------------------------------------------------------------

let endLive: () => void = () => undefined;

async function goLive(voice: boolean): Promise<void> {
  $("error").hidden = true;
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: voice });
  const video = make("video", { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  const boxes = make("canvas", { className: "boxes" });
  const faces = make("div", { className: "faces" });
  const voiceLine = make("p", { className: "soft" });
  const view = card("Live", make("div", { className: "stage" }, video, boxes), faces, voiceLine);
  const socket = openLive(voice);
  socket.binaryType = "arraybuffer";
  const grab = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  const pen = grab.getContext("2d", { alpha: false })!;
  let number = 0;
  let waiting = 0;
  const began = performance.now();
  const send = (): void => {
    if (socket.readyState !== WebSocket.OPEN || waiting > 1) return;
    waiting += 1;
    pen.drawImage(video, 0, 0);
    const time_s = (performance.now() - began) / 1000;
    grab.toBlob(async (blob) => {
      if (blob && socket.readyState === WebSocket.OPEN) socket.send(pack(1, number++, time_s, await blob.arrayBuffer()));
    }, "image/jpeg", 0.85);
  };
  const timer = setInterval(send, 40);
  let sound: AudioContext | undefined;
  endLive = () => {
    clearInterval(timer);
    stream.getTracks().forEach((track) => track.stop());
    void sound?.close();
    socket.close();
    $("stop").hidden = true;
    $("camera").hidden = false;
    endLive = () => undefined;
  };
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data as string);
    if (message.type === "frame") {
      waiting = 0;
      drawBoxes(boxes, grab.width, grab.height, message.frame.faces);
      faces.replaceChildren(...message.frame.faces.map((face: any) => bars(`Person ${face.track}`, face.smoothed ?? face.emotion)));
      say(`${Math.round(1000 * message.delay_s)} ms from frame to result`);
    } else if (message.type === "speech" && message.segment.emotion) {
      voiceLine.textContent = `Voice from ${clock(message.segment.start_s)}: ${words(message.segment.emotion)}`;
    } else if (message.type === "error") fail(message.problem.detail);
  });
  socket.addEventListener("close", (event) => {
    if (event.code !== 1000 && event.code !== 1005) fail(event.reason || "the service ended the connection");
    endLive();
    if (!faces.childElementCount) view.remove();
  });
  if (voice) {
    sound = new AudioContext();
    await sound.audioWorklet.addModule("sound.js");
    const tap = new AudioWorkletNode(sound, "tap");
    const rate = sound.sampleRate;
    tap.port.onmessage = ({ data }) => { if (socket.readyState === WebSocket.OPEN) socket.send(pack(3, rate, 0, data as ArrayBuffer)); };
    sound.createMediaStreamSource(stream).connect(tap);
  }
  $("camera").hidden = true;
  $("stop").hidden = false;
}

// --- the page -------------------------------------------------------------------------------------------------------

const drop = $("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", name === "dragover"); });
}
drop.addEventListener("drop", (event) => void analyze(event.dataTransfer?.files ?? []));
const files = $<HTMLInputElement>("files");
files.addEventListener("change", () => { const chosen = [...(files.files ?? [])]; files.value = ""; void analyze(chosen); });
$("camera").addEventListener("click", () => void goLive($<HTMLInputElement>("microphone").checked).catch((problem) => { endLive(); fail(problem, "camera"); }));
$("stop").addEventListener("click", () => endLive());
$("token").addEventListener("change", () => setToken($<HTMLInputElement>("token").value));
$("token-field").addEventListener("submit", (event) => { event.preventDefault(); setToken($<HTMLInputElement>("token").value); });
addEventListener("pagehide", () => endLive());
