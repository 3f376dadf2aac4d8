/** The memory of a run, split as the paper does: the model, what fine-tuning adds, and the rest. */
import { type ProcessMemory, processMemory, resetPeak } from '../machine/process-memory.ts';

export interface MemorySplit {
  /** Memory for inference: weights and the activations of a forward pass. */
  readonly mem_M: number;
  /** Trained parameters, gradients and optimizer state, by their shapes. */
  readonly mem_FT: number;
  /** Activations stored for the backward pass, and everything else. */
  readonly mem_Aux: number;
  /** The peak of training; the three above add up to it. */
  readonly mem_TTL: number;
  /** mem_TTL − mem_M, the figure that papers report. */
  readonly mem: number;
}

export interface MemoryMeterParams {
  /** Resident before anything of the model was loaded; all figures are above it. */
  readonly baselineBytes: number;
  /**
   * Allocated from the start, in addition to the weights: trained parameters, optimizer state, gradients between
   * batches.
   */
  readonly tuningBytes: number;
  /** Allocated during an update: the gradients that clipping needs. */
  readonly gradientBytes: number;
}

/** Peaks of the resident set of this process, in bytes, without GPU memory. */
export class MemoryMeter {
  private readonly params: MemoryMeterParams;
  private inferencePeak = 0;
  private trainingPeak = 0;

  constructor(params: MemoryMeterParams) {
    this.params = params;
    collectGarbage();
    resetPeak();
  }

  /** Ends an inference interval. */
  endInference(): void {
    this.inferencePeak = Math.max(this.inferencePeak, this.take());
  }

  /** Ends a training interval. */
  endTraining(): void {
    this.trainingPeak = Math.max(this.trainingPeak, this.take());
  }

  /** For a metrics line within a training interval: resident memory now, and the peak since the previous line. */
  sample(): ProcessMemory {
    const found = processMemory();
    resetPeak();
    this.trainingPeak = Math.max(this.trainingPeak, found.peakBytes);
    return found;
  }

  /** Ends an interval that is neither: saving. */
  skip(): void {
    this.take();
  }

  private take(): number {
    const { peakBytes } = processMemory();
    resetPeak();
    return peakBytes;
  }

  split(): MemorySplit {
    const { baselineBytes, tuningBytes, gradientBytes } = this.params;
    const model = Math.max(0, this.inferencePeak - baselineBytes - tuningBytes);
    const total = Math.max(model, this.trainingPeak - baselineBytes);
    const tuning = Math.min(tuningBytes + gradientBytes, total - model);
    return { mem_M: model, mem_FT: tuning, mem_Aux: total - model - tuning, mem_TTL: total, mem: total - model };
  }
}

/** Measures the growth of the process between two looks, without file pages of the system's cache. */
export class GrowthMeter {
  private before = ownBytes();

  /** Bytes since the last look; freed memory does not count as growth. */
  take(): number {
    const now = ownBytes();
    const grown = Math.max(0, now - this.before);
    this.before = now;
    return grown;
  }
}

function ownBytes(): number {
  collectGarbage();
  const { residentBytes, codeBytes } = processMemory();
  return residentBytes - codeBytes;
}

/** Bytes resident now, without memory that the host side has released. */
export function residentBytes(): number {
  collectGarbage();
  return processMemory().residentBytes;
}

/**
 * Weights pass through the heap on their way to the engine: leftovers there would be counted. Only workers are started with `--expose-gc`; in
 * other processes (tests that run a job) figures include the garbage.
 */
function collectGarbage(): void {
  globalThis.gc?.();
}
