// The service's page: files in, results out; camera and microphone live.
import {
  call, follow, local, openLive, pack, Problem, setToken,
  type Job, type VideoResult,
} from "./api";
import type { Span } from "../../lib/src/results";
import { $, card, clearError, notes, onFiles, say, showError, showImage, showProgress, showSpeech, timed } from "./common";
import { bars, curves, drawBoxes, make, words } from "./views";

function fail(problem: unknown, name = ""): void {
  showError(problem, name);
  if (problem instanceof Problem && problem.status === 401) {
    $("token-field").hidden = false;
    $("token").focus();
  }
}

const analyzeImage = async (file: File): Promise<void> => showImage(file, await (await call("v1/faces", { method: "POST", body: file })).json());
const analyzeSpeech = async (file: File): Promise<void> => showSpeech(file, await (await call("v1/speech", { method: "POST", body: file })).json());

async function analyzeVideo(file: File): Promise<void | false> {
  let job = (await (await call("v1/videos", { method: "POST", body: file })).json()) as Job;
  const stop = new AbortController();
  const cancel = make("button", { type: "button" }, "Cancel");
  const running = card(file.name, make("p", {}, "The video is analyzed as a job; this page follows it."), cancel);
  cancel.addEventListener("click", () => { stop.abort(); void call(local(job.url), { method: "DELETE" }).catch(fail); });
  try {
    for await (job of follow(job, stop.signal)) {
      const part = job.progress;
      say(job.status === "queued" ? `${file.name}: number ${job.position} in the queue` : `${file.name}: ${part?.stage ?? job.status}`);
      showProgress(part?.fraction ?? null);
    }
  } catch (problem) {
    if (stop.signal.aborted) {
      say(`${file.name}: canceled`);
      return false;
    }
    throw problem;
  } finally {
    running.remove();
    showProgress(undefined);
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
  const lines: [string, Span[]][] = result.tracks.map(({ track, timeline }) => [`Person ${track}`, timeline]);
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

// --- live -----------------------------------------------------------------------------------------------------------

let endLive: () => void = () => undefined;

async function goLive(voice: boolean): Promise<void> {
  clearError();
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
      voiceLine.textContent = message.voice ? `Voice: ${words(message.voice)}` : "";
      say(`${Math.round(1000 * message.delay_s)} ms from frame to result`);
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

onFiles((file) => {
  const kind = file.type.split("/")[0];
  return kind === "video" ? analyzeVideo(file) : kind === "audio" ? analyzeSpeech(file) : analyzeImage(file);
}, fail);
$("camera").addEventListener("click", () => void goLive($<HTMLInputElement>("microphone").checked).catch((problem) => { endLive(); fail(problem, "camera"); }));
$("stop").addEventListener("click", () => endLive());
$("token").addEventListener("change", () => setToken($<HTMLInputElement>("token").value));
$("token-field").addEventListener("submit", (event) => { event.preventDefault(); setToken($<HTMLInputElement>("token").value); });
addEventListener("pagehide", () => endLive());
