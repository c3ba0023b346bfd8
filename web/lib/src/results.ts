// The shapes of results, as the library's to_dict() and the service give them.
export interface Emotion {
  top: string;
  confidence: number;
  unsure: boolean;
  valence: number | null;
  arousal: number | null;
  probabilities: Record<string, number>;
}
export interface Face {
  box: number[]; // x1, y1, x2, y2 in pixels of the image
  score: number;
  landmarks: number[][] | null; // (5, 2): left eye, right eye, nose, corners of the mouth, as seen in the image
  emotion: Emotion;
  warnings: string[];
  smoothed?: Emotion; // in a stream of frames: averaged over the last frames of the same person
  track?: number; // in a stream of frames: the number of the person, from 1
}
export interface ImageResult { width: number; height: number; faces: Face[]; warnings: string[] }
export interface Frame { time_s: number; faces: Face[] }
export interface Span { start_s: number; end_s: number; emotion: Emotion | null }
export interface Segment extends Span {
  speech: boolean; // where nobody speaks, emotion is null
  snr_db: number | null;
  warnings: string[];
}
/** What is settled of sound that comes in, and the newest window of speech that goes on. */
export interface SpeechUpdate { segments: Segment[]; current: Segment | null }
export interface SpeechResult { duration_s: number; segments: Segment[]; warnings: string[] }
