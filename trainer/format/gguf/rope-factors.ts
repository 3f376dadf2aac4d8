/** The frequency factors of Llama 3's rotary scaling, and the settings that produce them. */

export interface Llama3Scaling extends Record<string, unknown> {
  readonly rope_type: 'llama3';
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/** The settings published with Llama 3.1 to 3.3; `factor` is 8 or 32 depending on the model, and is derived from the tensor. */
const LOW = 1;
const HIGH = 4;
const ORIGINAL_POSITIONS = 8192;
/** Tolerance for the tensor's float32 rounding; other settings differ far more. */
const TOLERANCE = 1e-3;

/**
 * The divisor of each frequency: 1 for short wavelengths, `factor` for long ones, with a smooth transition (Transformers' `llama3` rope
 * type). Returns headDim / 2 factors.
 */
export function llama3Factors(input: { readonly scaling: Llama3Scaling; readonly headDim: number; readonly theta: number }): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = input.scaling;
  return Float32Array.from({ length: input.headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * input.theta ** ((2 * i) / input.headDim);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * Returns settings that produce these factors: those published with Llama 3 if they match, otherwise equivalent ones with frequency bounds
 * close to the published ones. Undefined if no settings match.
 */
export function detectLlama3Scaling(given: GivenFactors): Llama3Scaling | undefined {
  const { factors, headDim } = given;
  const factor = factors.at(-1);
  if (factor === undefined || factors.length !== headDim / 2 || !(factor >= 1)) return undefined;
  const published: Llama3Scaling = {
    rope_type: 'llama3',
    factor,
    low_freq_factor: LOW,
    high_freq_factor: HIGH,
    original_max_position_embeddings: ORIGINAL_POSITIONS,
  };
  return [published, fitted(given, factor)].find(scaling => scaling && gives(scaling, given));
}

interface GivenFactors {
  readonly factors: Float32Array;
  readonly headDim: number;
  readonly theta: number;
}

function gives(scaling: Llama3Scaling, { factors, headDim, theta }: GivenFactors): boolean {
  const expected = llama3Factors({ scaling, headDim, theta });
  return factors.every((value, i) => Math.abs(value / (expected[i] ?? Number.NaN) - 1) < TOLERANCE);
}

/**
 * Fits settings. Between the bounds, `smooth` is linear in the frequency, with slope `original / (high - low)` and intercept `-low / (high
 * - low)`. The factors determine only these two values of the three settings; `low` is chosen as close to 1 as an integer `original`
 * allows.
 */
function fitted({ factors, headDim, theta }: GivenFactors, factor: number): Llama3Scaling | undefined {
  const points = Array.from(factors, (value, i) => ({
    frequency: theta ** ((-2 * i) / headDim) / (2 * Math.PI),
    smooth: (1 / value - 1 / factor) / (1 - 1 / factor),
  })).filter(({ smooth }) => smooth > TOLERANCE && smooth < 1 - TOLERANCE);
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first === last) return undefined;
  const slope = (first.smooth - last.smooth) / (first.frequency - last.frequency);
  const start = last.smooth - slope * last.frequency;
  const original = Math.round(-slope / start);
  if (!Number.isSafeInteger(original) || original < 1) return undefined;
  const low = (-start * original) / slope;
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: shortened(low),
    high_freq_factor: shortened(low + original / slope),
    original_max_position_embeddings: original,
  };
}

/** Rounds to a few digits, as in settings; the factors are float32. */
const shortened = (value: number): number => Number(value.toPrecision(5));
