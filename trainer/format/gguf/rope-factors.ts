/** The frequency factors of Llama 3's rotary scaling, and the settings that made them. */

export interface Llama3Scaling extends Record<string, unknown> {
  readonly rope_type: 'llama3';
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/** The settings published with Llama 3.1 to 3.3; `factor` is 8 or 32 by model, and is read off the tensor. */
const LOW = 1;
const HIGH = 4;
const ORIGINAL_POSITIONS = 8192;
/** The tensor is float32; other settings differ by far more. */
const TOLERANCE = 1e-3;

/**
 * The divisor of each frequency: 1 for short wavelengths, `factor` for long ones, smooth between (Transformers' `llama3` rope type).
 * Returns headDim / 2 factors.
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

/** Undefined when the factors are not those of a published Llama 3. */
export function detectLlama3Scaling(input: {
  readonly factors: Float32Array;
  readonly headDim: number;
  readonly theta: number;
}): Llama3Scaling | undefined {
  const { factors, headDim, theta } = input;
  const factor = factors.at(-1);
  if (factor === undefined || factors.length !== headDim / 2 || !(factor >= 1)) return undefined;
  const scaling: Llama3Scaling = {
    rope_type: 'llama3',
    factor,
    low_freq_factor: LOW,
    high_freq_factor: HIGH,
    original_max_position_embeddings: ORIGINAL_POSITIONS,
  };
  const expected = llama3Factors({ scaling, headDim, theta });
  return factors.every((value, i) => Math.abs(value / (expected[i] ?? Number.NaN) - 1) < TOLERANCE) ? scaling : undefined;
}
