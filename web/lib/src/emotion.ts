// From a model's logits to an emotion: the arithmetic of models/emotion.py and results/emotion.py.
import type { Manifest, Output } from "./models";
import type { Emotion } from "./results";

export type Affect = Pick<Manifest, "affect" | "unsure_below">;

const LEAST = 1e-30; // probabilities below this count as this: the logarithm of zero has no mean

export function softmax(logits: ArrayLike<number>, temperature = 1): number[] {
  const scaled = Array.from(logits, (value) => value / temperature);
  const top = Math.max(...scaled);
  return normalize(scaled.map((value) => Math.exp(value - top)));
}

// Shares of a sum.
export function normalize(values: number[]): number[] {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.map((value) => value / sum);
}

// The output of that name, or the model's own default.
export function chooseOutput(outputs: Output[], name?: string): Output {
  const found = outputs.find((output) => (name === undefined ? output.default : output.name === name));
  if (!found) throw new Error(`output must be one of ${outputs.map((output) => output.name).join(", ")}, but got ${name}`);
  return found;
}

// The graph's tensors that an output is computed from.
export function tensorsOf(output: Output, outputs: Output[]): string[] {
  return output.tensor === null ? output.mean_of.map((name) => chooseOutput(outputs, name).tensor!) : [output.tensor];
}

// The distribution of an output from one row of logits for each tensor.
export function distribution(output: Output, outputs: Output[], logits: Record<string, ArrayLike<number>>): number[] {
  const own = output.tensor === null ? meanLogits(output, outputs, logits) : Array.from(logits[output.tensor]!);
  return softmax(own.map((value, i) => value - (output.bias[i] ?? 0)), output.temperature);
}

// The logarithms of an output that is the geometric mean of heads.
function meanLogits(output: Output, outputs: Output[], logits: Record<string, ArrayLike<number>>): number[] {
  const heads = output.mean_of.map((name) => chooseOutput(outputs, name));
  const shares = heads.map((head) => softmax(logits[head.tensor!]!, head.temperature));
  const share = (head: number, label: string): number => shares[head]![heads[head]!.labels.indexOf(label)]!;
  const common = output.labels.filter((label) => heads.every((head) => head.labels.includes(label)));
  const mean = softmax(
    common.map((label) => heads.reduce((sum, _, i) => sum + Math.log(Math.max(share(i, label), LEAST)), 0) / heads.length),
  );
  // What only the first head can answer keeps its probability there; the others share the rest.
  const rest = common.reduce((sum, label) => sum + share(0, label), 0);
  return output.labels.map((label) => {
    const at = common.indexOf(label);
    return Math.log(Math.max(at < 0 ? share(0, label) : rest * mean[at]!, LEAST));
  });
}

export function toEmotion(labels: string[], probabilities: ArrayLike<number>, { affect, unsure_below }: Affect): Emotion {
  const shares = Array.from(probabilities);
  const confidence = Math.max(...shares);
  const coordinate = (axis: 0 | 1): number | null => {
    let sum = 0;
    let total = 0;
    labels.forEach((label, i) => {
      const known = affect[label];
      if (!known) return;
      sum += known[axis] * shares[i]!;
      total += shares[i]!;
    });
    return total >= 0.5 ? sum / total : null;
  };
  return {
    top: labels[shares.indexOf(confidence)]!,
    confidence,
    unsure: confidence < unsure_below,
    valence: coordinate(0),
    arousal: coordinate(1),
    probabilities: Object.fromEntries(labels.map((label, i) => [label, shares[i]!])),
  };
}
