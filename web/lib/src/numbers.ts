// Rounding as Python does it: of two numbers that are equally near, the even one.
export function roundEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/** A number with some digits after the point; toFixed rounds what lies between two away from zero. */
export function fixed(value: number, digits: number): string {
  const exact = value.toFixed(digits + 30); // without rounding: toFixed is exact, and a half has no further digits
  const below = exact.slice(0, -30).replace(/\.$/, "");
  return /50{29}$/.test(exact) && /[02468]$/.test(below) ? below : value.toFixed(digits);
}

/** Waves one after the other. */
export function join(...waves: Float32Array[]): Float32Array {
  const whole = new Float32Array(waves.reduce((length, wave) => length + wave.length, 0));
  let at = 0;
  for (const wave of waves) {
    whole.set(wave, at);
    at += wave.length;
  }
  return whole;
}
