// The in-browser app: images, videos, recordings, camera and microphone, all computed in this page.
import { findEpisodes, Mien, RATE_HZ, toCsv, toVtt, tracksOf, type Face, type Frame, type Listener, type Segment, type SpeechResult } from "../../lib/src/mien";
import type { Emotion, Span } from "../../lib/src/results";
import {
  $, card, clearError, download, notes, onFiles, say, showError, showImage, showProgress, showSpeech, timed,
} from "../../page/src/common";
import { band, bars, color, curves, drawBoxes, make, words } from "../../page/src/views";

const STEP_S = 0.2; // between two frames of a video, and of what is kept of a camera
const KEPT_S = 3600; // so much of a camera is kept for download
const SHOWN_S = 60; // so much of it is shown as a timeline
const BASELINE_S = 3;
const STILL_S = 2; // a video without a new image for so long at its end has lost the rest

const part = (name: string): string => document.querySelector<HTMLMetaElement>(`meta[name=mien-${name}]`)!.content;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const latest = (face: Face): Emotion => face.smoothed ?? face.emotion;

let loading: Promise<Mien> | undefined;
function load(): Promise<Mien> {
  loading ??= Mien.load({
    models: "models/",
    worker: part("worker"),
    onProgress: ({ loaded, total, what }) => {
      say(loaded < total ? `Loading ${what}: ${megabytes(loaded)}` : "");
      showProgress(loaded < total ? loaded / total : undefined);
    },
  }).catch((problem: unknown) => {
    loading = undefined; // so that it can be tried again
    throw problem;
  });
  return loading;
}

// --- files ----------------------------------------------------------------------------------------------------------

const table = (name: string, result: Frame[] | SpeechResult): HTMLAnchorElement => download(`${name}.csv`, toCsv(result, { path: name }), "text/csv");
const subtitles = (name: string, result: Frame[] | SpeechResult): HTMLAnchorElement => download(`${name}.vtt`, toVtt(result, { path: name }), "text/vtt");

// Links to what was found of faces and, where there is any, of the voice.
function exports(name: string, frames: Frame[], speech: SpeechResult | null): Node[] {
  const json = download(`${name}.json`, JSON.stringify({ frames, speech }, null, 2), "application/json");
  const voice = speech ? ["Voice", table(`${name}.voice`, speech), subtitles(`${name}.voice`, speech)] : [];
  return ["Faces", json, table(name, frames), subtitles(name, frames), ...voice].map((one) => (typeof one === "string" ? make("span", {}, one) : one));
}

async function analyzeVoice(mien: Mien, file: File): Promise<SpeechResult> {
  await mien.loadVoice();
  say(`${file.name}: analyzing the voice`);
  showProgress(null);
  return mien.analyzeSpeech(file);
}

async function analyzeRecording(mien: Mien, file: File): Promise<void> {
  const result = await analyzeVoice(mien, file);
  showSpeech(file, result, table(file.name, result), subtitles(file.name, result));
}

async function analyzeVideo(mien: Mien, file: File): Promise<void | false> {
  const video = make("video", { src: URL.createObjectURL(file), muted: true, playsInline: true, preload: "auto", controls: true });
  const happens = (name: string): Promise<void> =>
    new Promise((resolve, reject) => {
      video.addEventListener(name, () => resolve(), { once: true });
      video.addEventListener("error", () => reject(new Error("expected a video that this browser can decode")), { once: true });
    });
  await happens("loadeddata");
  if (!video.videoWidth) return analyzeRecording(mien, file); // sound in a container of videos
  let isCanceled = false;
  const cancel = make("button", { type: "button" }, "Cancel");
  cancel.addEventListener("click", () => { isCanceled = true; });
  const running = card(file.name, make("p", {}, "The frames are analyzed one after the other."), cancel);
  const tracker = mien.track();
  const frames: Frame[] = [];
  const warnings: string[] = [];
  const shownAt = (): number => {
    const frame = new VideoFrame(video);
    frame.close();
    return frame.timestamp / 1e6;
  };
  let newest_s = -1; // of the images so far, by their own times
  let end_s = 0; // when it was seen first
  try {
    for (let time_s = 0; time_s < video.duration && !isCanceled; time_s += STEP_S) {
      try {
        const done = happens("seeked");
        video.currentTime = time_s;
        await done;
        const found_s = typeof VideoFrame === "undefined" ? time_s : shownAt();
        if (found_s > newest_s) [newest_s, end_s] = [found_s, time_s];
      } catch {
        if (!frames.length) throw new Error("expected a video that this browser can decode");
        break;
      }
      frames.push(await tracker.push(video, time_s));
      showProgress(time_s / video.duration);
    }
    if (!isCanceled && video.duration - end_s > STILL_S) {
      warnings.push(`the images end at ${end_s.toFixed(1)} s of ${video.duration.toFixed(1)} s`);
      while (frames.at(-1)!.time_s > end_s) frames.pop();
    }
  } finally {
    running.remove();
    await tracker.close();
  }
  if (isCanceled) {
    say(`${file.name}: canceled`);
    return false;
  }
  video.muted = false;
  let speech: SpeechResult | null = null;
  try {
    speech = await analyzeVoice(mien, file);
  } catch {
    warnings.push("no sound that this browser can decode");
  }
  const boxes = make("canvas", { className: "boxes" });
  const draw = (): void => {
    const near = frames.filter((frame) => frame.time_s <= video.currentTime + 0.001).at(-1);
    drawBoxes(boxes, video.videoWidth, video.videoHeight, near?.faces ?? []);
  };
  for (const name of ["timeupdate", "seeked"]) video.addEventListener(name, draw);
  const tracks = tracksOf(frames);
  const lines: [string, Span[]][] = tracks.map((track) => [`Person ${track.number}`, findEpisodes(track, mien.about)]);
  const spoken = speech?.segments.filter((segment) => segment.emotion) ?? [];
  if (spoken.length) lines.push(["Voice", spoken]);
  if (spoken.length && tracks.length) {
    const together = await mien.fuse(frames, speech);
    lines.push(["Together", together.map(({ start_s, end_s, fused }) => ({ start_s, end_s, emotion: fused }))]);
  }
  const { view, seek } = timed(video, lines, 0, video.duration);
  const chart = make("div");
  const choice = make("select", { ariaLabel: "Person of the chart" }, ...tracks.map(({ number }) => make("option", { value: String(number) }, `Person ${number}`)));
  card(file.name, make("div", { className: "stage" }, video, boxes), view,
    ...(tracks.length ? [make("div", { className: "row" }, choice), chart] : [make("p", {}, "No face found.")]),
    notes(warnings), make("div", { className: "row" }, ...exports(file.name, frames, speech)));
  const plot = (): void => { chart.replaceChildren(); curves(frames, Number(choice.value), chart, seek); };
  choice.addEventListener("change", plot);
  if (tracks.length) plot();
  video.currentTime = 0;
}

async function analyze(file: File): Promise<void | false> {
  const mien = await load();
  const kind = file.type.split("/")[0];
  if (kind === "video") return analyzeVideo(mien, file);
  if (kind === "audio") return analyzeRecording(mien, file);
  let image: ImageBitmap;
  try {
    image = await createImageBitmap(file);
  } catch {
    throw new Error("expected an image, a video or a recording that this browser can decode");
  }
  showImage(file, await mien.analyze(image));
}

// --- live -----------------------------------------------------------------------------------------------------------

let endLive: () => Promise<void> = async () => undefined;

// Valence to the right, arousal upward, of the largest face; older points fade.
function drawTrail(canvas: HTMLCanvasElement, points: Emotion[]): void {
  const side = canvas.width;
  const pen = canvas.getContext("2d")!;
  pen.clearRect(0, 0, side, side);
  pen.strokeStyle = pen.fillStyle = "#8889";
  pen.beginPath();
  for (const [x, y, u, v] of [[0, side / 2, side, side / 2], [side / 2, 0, side / 2, side]] as const) {
    pen.moveTo(x, y);
    pen.lineTo(u, v);
  }
  pen.stroke();
  pen.font = "20px system-ui, sans-serif";
  pen.fillText("arousal", side / 2 + 6, 20);
  pen.fillText("valence", side - 74, side / 2 - 8);
  points.forEach(({ top, valence, arousal }, i) => {
    if (valence === null || arousal === null) return;
    pen.globalAlpha = (i + 1) / points.length;
    pen.fillStyle = color(top);
    pen.beginPath();
    pen.arc(((1 + valence) * side) / 2, ((1 - arousal) * side) / 2, i + 1 === points.length ? 10 : 5, 0, 7);
    pen.fill();
  });
  pen.globalAlpha = 1;
}

// Who works by keyboard stays at the place of the button.
function swapButtons(shown: HTMLElement, hidden: HTMLElement): void {
  const isAt = [hidden, document.body].includes(document.activeElement as HTMLElement);
  shown.hidden = false;
  hidden.hidden = true;
  if (isAt) shown.focus();
}

async function goLive(withVoice: boolean): Promise<void> {
  clearError();
  const mien = await load();
  if (!navigator.mediaDevices) throw new Error("browsers give the camera only to pages over https or on localhost");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: withVoice });
  const began = performance.now();
  const now = (): number => (performance.now() - began) / 1000;
  let isLive = true;
  const tracker = mien.track();
  let sound: AudioContext | undefined;
  let listener: Listener | undefined;
  let soundStart_s = Infinity;
  let sound_s = 0;
  const shift = (found: Segment): Segment => ({ ...found, start_s: found.start_s + soundStart_s, end_s: found.end_s + soundStart_s });
  let speaking: Segment | null = null;
  const frames: Frame[] = [];
  const segments: Segment[] = [];
  const bands = make("div", { className: "bands" });
  const links = make("div", { className: "row" });
  let stage: HTMLElement | undefined;
  let rest: HTMLElement | undefined;
  const drawBands = (time_s: number): void => {
    const from_s = Math.max(0, time_s - SHOWN_S);
    const recent = frames.filter((one) => one.time_s >= from_s);
    const lines = tracksOf(recent).map((track) => [`Person ${track.number}`, findEpisodes(track, mien.about)] as const);
    const spoken = [...segments, ...(speaking ? [speaking] : [])].filter((segment) => segment.emotion && segment.end_s > from_s);
    bands.replaceChildren(...[...lines, ...(spoken.length ? [["Voice", spoken] as const] : [])]
      .flatMap(([who, spans]) => [make("span", {}, who), band(spans as Span[], from_s, Math.max(time_s, from_s + 1), () => undefined)]));
  };
  endLive = async () => {
    endLive = async () => undefined;
    isLive = false;
    const duration_s = now();
    stream.getTracks().forEach((track) => track.stop());
    void sound?.close();
    void tracker.close();
    swapButtons($("camera"), $("stop"));
    stage?.remove();
    rest?.remove();
    say("Stopped");
    // If the worker is gone, what came before is still offered.
    if (listener) segments.push(...(await listener.close().catch(() => [])).map(shift));
    speaking = null;
    drawBands(duration_s);
    links.replaceChildren(...exports("live", frames, withVoice ? { duration_s, segments, warnings: [] } : null));
  };
  swapButtons($("stop"), $("camera"));
  stream.getVideoTracks()[0]!.addEventListener("ended", () => void endLive());
  const video = make("video", { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  if (!isLive) return;
  const boxes = make("canvas", { className: "boxes" });
  stage = make("div", { className: "stage" }, video, boxes);
  const faces = make("div", { className: "faces" });
  const trail = make("canvas", { className: "trail", width: 384, height: 384, role: "img", ariaLabel: "Valence and arousal" });
  const voiceLine = make("p", { className: "soft" });
  rest = make("button", { type: "button", title: "Look at the camera without an expression; it is taken away from what follows." }, `Set neutral (${BASELINE_S} s)`);
  rest.addEventListener("click", () => void tracker.setBaseline(BASELINE_S).catch(showError));
  card("Live", stage, make("div", { className: "row" }, rest),
    make("div", { className: "live" }, faces, trail), voiceLine, bands, links);

  if (withVoice) {
    await mien.loadVoice();
    if (!isLive) return;
    sound = new AudioContext({ sampleRate: RATE_HZ });
    await sound.audioWorklet.addModule(part("sound"));
    if (!isLive) return;
    const tap = new AudioWorkletNode(sound, "tap");
    const voice = mien.listen(sound.sampleRate);
    listener = voice;
    tap.port.onmessage = ({ data }) => {
      if (!isLive) return;
      const wave = new Float32Array(data as ArrayBuffer);
      sound_s += wave.length / RATE_HZ;
      // A microphone starts late, and blocks may come late: the earliest start that fits is the nearest.
      soundStart_s = Math.min(soundStart_s, now() - sound_s);
      voice.push(wave).then(({ segments: settled, current }) => {
        segments.push(...settled.map(shift));
        const newest = current && shift(current);
        // Windows of one emotion, one after the other, are shown as one.
        const isContinued = newest && speaking && newest.start_s < speaking.end_s + 0.1 && newest.emotion?.top === speaking.emotion?.top;
        speaking = isContinued ? { ...newest!, start_s: speaking!.start_s } : newest;
        const last = speaking ?? segments.at(-1);
        if (last?.emotion) voiceLine.textContent = `Voice: ${words(last.emotion)}`;
      }).catch(showError);
    };
    sound.createMediaStreamSource(stream).connect(tap);
  }

  const points: Emotion[] = [];
  let drawn_s = -1;
  const rate: number[] = [];
  const show = (frame: Frame): void => {
    if (!isLive) return;
    const { time_s } = frame;
    drawBoxes(boxes, video.videoWidth, video.videoHeight, frame.faces);
    rate.push(now());
    if (time_s - (frames.at(-1)?.time_s ?? -1) >= STEP_S) {
      frames.push(frame);
      if (frames.length > KEPT_S / STEP_S) frames.shift();
      const largest = frame.faces[0];
      faces.replaceChildren(...frame.faces.map((face) => bars(`Person ${face.track}`, latest(face))));
      if (largest) points.push(latest(largest));
      points.splice(0, points.length - 50);
      drawTrail(trail, points);
      rate.splice(0, rate.length - 50);
    }
    if (time_s - drawn_s >= 1) {
      drawn_s = time_s;
      say(`${Math.round(rate.length / Math.max(rate.at(-1)! - rate[0]!, 1e-3))} frames/s`);
      drawBands(time_s);
    }
  };
  // While one frame is analyzed, the next one waits; more would be late.
  let waiting = 0;
  const onFrame = (): void => {
    if (!isLive) return;
    video.requestVideoFrameCallback(onFrame);
    if (waiting > 1) return;
    waiting += 1;
    tracker.push(video, now()).then(show).catch((problem: unknown) => {
      void endLive();
      showError(problem, "camera");
    }).finally(() => { waiting -= 1; });
  };
  video.requestVideoFrameCallback(onFrame);
}

// --- the page -------------------------------------------------------------------------------------------------------

onFiles(analyze);
const camera = $<HTMLButtonElement>("camera");
camera.addEventListener("click", () => {
  camera.disabled = true; // one camera at a time, also while the browser asks for permission
  goLive($<HTMLInputElement>("microphone").checked)
    .catch((problem) => { void endLive(); showError(problem, "camera"); })
    .finally(() => { camera.disabled = false; });
});
$("stop").addEventListener("click", () => void endLive());
addEventListener("pagehide", () => void endLive());

load().then(({ about }) => {
  camera.disabled = false;
  say(`Ready: ${about.face} on ${about.threads} thread${about.threads > 1 ? "s" : ""}`);
  void navigator.serviceWorker?.register("sw.js").catch(() => undefined); // without it, the page works online only
}).catch(showError);
