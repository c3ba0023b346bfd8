// The service's API (docs/serve.md), as far as the page uses it.
import type { Emotion, Frame, Segment } from "../../lib/src/results";
export interface VideoResult {
  width: number; height: number; start_s: number; end_s: number; warnings: string[];
  tracks: { track: number; timeline: Segment[] }[];
  frames: Frame[];
  speech: { segments: Segment[] } | null;
  fused: { segments: { start_s: number; end_s: number; fused: Emotion | null }[] } | null;
}
export interface Job {
  id: string; status: "queued" | "running" | "done" | "failed"; position: number | null;
  progress: { stage: string; fraction: number | null } | null;
  error: { detail: string } | null; url: string; events: string; results: Record<string, string>;
}

export class Problem extends Error {
  constructor(readonly status: number, message: string) { super(message); }
}

let token = "";
export function setToken(value: string): void { token = value.trim(); }

export async function call(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let answer: Response;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Problem(0, "the service does not answer");
  }
  if (answer.ok) return answer;
  let detail = `${answer.status} ${answer.statusText}`;
  try { detail = (await answer.json()).detail ?? detail; } catch { /* no JSON: the status has to do */ }
  throw new Problem(answer.status, detail);
}

export function local(url: string): string {
  // URLs in answers are absolute; the page may be served below a path.
  return url.slice(url.indexOf("/v1/") + 1);
}

export async function* follow(job: Job, signal: AbortSignal): AsyncGenerator<Job> {
  const answer = await call(local(job.events), { signal });
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = text.slice(0, end).split("\n").find((line) => line.startsWith("data:"));
      text = text.slice(end + 2);
      if (data) yield JSON.parse(data.slice(5)) as Job;
    }
  }
}

export function openLive(voice: boolean): WebSocket {
  const url = new URL(`v1/live?voice=${voice}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return new WebSocket(url, token ? ["mien.v1", `bearer.${token}`] : ["mien.v1"]);
}

export function pack(kind: 1 | 3, number: number, time_s: number, content: ArrayBuffer): ArrayBuffer {
  const message = new Uint8Array(16 + content.byteLength);
  const header = new DataView(message.buffer);
  header.setUint8(0, kind);
  header.setUint32(4, number, true);
  header.setFloat64(8, time_s, true);
  message.set(new Uint8Array(content), 16);
  return message.buffer;
}
