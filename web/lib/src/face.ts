// Reads the emotions of detected faces: face/analyzer.py.
import * as ort from "onnxruntime-web/wasm";
import { cropMatrix, sample } from "./align";
import { type Affect, chooseOutput, distribution, tensorsOf, toEmotion } from "./emotion";
import type { Image } from "./image";
import type { FaceModel, Output } from "./models";
import type { Faces } from "./mtcnn";
import { roundEven } from "./numbers";
import type { Emotion, Face } from "./results";

const SMALL_FACE_PX = 24;

export class FaceAnalyzer {
  private readonly output: Output;

  constructor(
    private readonly model: FaceModel,
    private readonly session: ort.InferenceSession,
    private readonly affect: Affect,
    output?: string,
  ) {
    this.output = chooseOutput(model.outputs, output);
  }

  // Reads the emotions of the faces of an image, in one run of the model.
  async analyze(image: Image, faces: Faces): Promise<Face[]> {
    const found = Array.from(faces.scores, (score, i) => ({
      box: Array.from(faces.boxes.subarray(4 * i, 4 * i + 4)),
      score,
      landmarks: Array.from({ length: 5 }, (_, k) => Array.from(faces.landmarks.subarray(10 * i + 2 * k, 10 * i + 2 * k + 2))),
    }));
    const shares = await this.classify(this.crops(image, found), found.length);
    return found.map((face, i) => ({
      ...face,
      emotion: this.emotion(shares[i]!),
      warnings: sizeWarnings(face.box),
    }));
  }

  // The emotion of a distribution in the order of the output's labels.
  emotion(shares: number[]): Emotion {
    return toEmotion(this.output.labels, shares, this.affect);
  }

  // What the model sees of faces, uint8 (n, size, size, 3).
  crops(image: Image, faces: Pick<Face, "box" | "landmarks">[]): Uint8Array {
    const { size } = this.model;
    const length = 3 * size * size;
    const crops = new Uint8Array(faces.length * length);
    faces.forEach(({ box, landmarks }, i) => {
      sample(image, cropMatrix(box, landmarks, this.model), size, crops.subarray(i * length, (i + 1) * length));
    });
    return crops;
  }

  // The distributions of ready crops, in the order of the output's labels.
  async classify(crops: Uint8Array, count: number): Promise<number[][]> {
    if (!count) return [];
    const { outputs, size } = this.model;
    const tensors = tensorsOf(this.output, outputs);
    const feeds = { [this.session.inputNames[0]!]: new ort.Tensor("uint8", crops, [count, size, size, 3]) };
    const result = await this.session.run(feeds, tensors);
    return Array.from({ length: count }, (_, i) => {
      const rows = tensors.map((name) => {
        const { data, dims } = result[name]!;
        return [name, (data as Float32Array).subarray(i * dims[1]!, (i + 1) * dims[1]!)] as const;
      });
      return distribution(this.output, outputs, Object.fromEntries(rows));
    });
  }
}

function sizeWarnings(box: number[]): string[] {
  const width = box[2]! - box[0]!;
  if (width >= SMALL_FACE_PX) return [];
  return [`the face is only ${roundEven(width)} px wide: under ${SMALL_FACE_PX} px the answer is a guess`];
}
