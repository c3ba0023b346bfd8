// What the page knows of the models: manifest.json, written from the records in src/mien/weights by `mien web`.
export interface Output {
  name: string;
  tensor: string | null; // null for one that is the mean of others
  labels: string[];
  temperature: number;
  bias: number[]; // subtracted from the logits; empty for nothing
  default: boolean;
  mean_of: string[];
}
// What a graph must compute before it is trusted: logits of the input of `checkInput` (mien.web.make_check_input).
export interface Check { tensor: string; shape: number[]; tolerance: number; logits: number[] }
export interface FaceModel {
  name: string;
  version: string;
  file: string;
  size: number; // side of the crop in pixels
  points: number[][]; // (5, 2): where the landmarks lie in the crop
  boxes: Record<string, { center: number[]; side: number }>; // by detector: see face/align.py
  outputs: Output[];
  check: Check;
}
export interface SpeechModel {
  name: string;
  version: string;
  file: string;
  rate_hz: number;
  min_s: number;
  window_s: number;
  hop_s: number;
  pad_s: number;
  outputs: Output[];
  check: Check;
}
export interface Manifest {
  version: string; // of mien
  face: FaceModel;
  detector: { pnet: string; rnet: string; onet: string };
  speech: SpeechModel;
  activity: string;
  wasm: string; // the runtime, relative to the manifest
  affect: Record<string, [number, number]>; // valence and arousal of each emotion: results/emotion.py
  unsure_below: number;
  baseline: { strength: number; neutral_face: Record<string, number> }; // face/adapt.py
  fusion: Record<string, unknown>; // the table [fusion] of weights/fusion-experts.toml
  sha256: Record<string, string>; // by file
}
