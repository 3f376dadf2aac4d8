/** Measures the memory of a run, split as in the paper: the model, the addition of fine-tuning, and the rest. */
import { type ProcessMemory, processMemory, resetPeak } from '../machine/process-memory.ts';

export interface MemorySplit {
  /** Memory for inference: weights, and the activations of a forward pass. */
  readonly mem_M: number;
  /** Trained parameters, gradients and optimizer state, computed from their shapes. */
  readonly mem_FT: number;
  /** Activations stored for the backward pass, and everything else. */
  readonly mem_Aux: number;
  /** The peak of the process, in training or inference; the three values above add up to it. */
  readonly mem_TTL: number;
  /** mem_TTL − mem_M, which papers report. */
  readonly mem: number;
}

export interface MemoryMeterParams {
  /** Resident memory before any part of the model was loaded; all values are relative to it. */
  readonly baselineBytes: number;
  /** Memory allocated from the start, in addition to the weights: trained parameters, optimizer state, gradients between batches. */
  readonly tuningBytes: number;
  /** Memory allocated during an update: the gradients that clipping needs. */
  readonly gradientBytes: number;
}

/** Measures peaks of this process's resident set in bytes, without GPU memory. */
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

  /** Samples within a training interval for a metrics line: current resident memory, and the peak since the previous line. */
  sample(): ProcessMemory {
    const found = processMemory();
    resetPeak();
    this.trainingPeak = Math.max(this.trainingPeak, found.peakBytes);
    return found;
  }

  /** Ends an interval of another kind, such as saving. */
  skip(): void {
    this.take();
  }

  private take(): number {
    const { peakBytes } = processMemory();
    resetPeak();
    return peakBytes;
  }

  split(): MemorySplit {
    return memorySplit(this.params, this.inferencePeak, this.trainingPeak);
  }
}

/**
 * Splits the measured peaks. The trained parameters and the state of the optimizer are there during inference as well, so a run whose
 * evaluations take more than its steps still counts them.
 */
export function memorySplit(params: MemoryMeterParams, inferencePeak: number, trainingPeak: number): MemorySplit {
  const { baselineBytes, tuningBytes, gradientBytes } = params;
  const model = Math.max(0, inferencePeak - baselineBytes - tuningBytes);
  const total = Math.max(0, Math.max(inferencePeak, trainingPeak) - baselineBytes);
  const tuning = Math.min(tuningBytes + gradientBytes, total - model);
  return { mem_M: model, mem_FT: tuning, mem_Aux: total - model - tuning, mem_TTL: total, mem: total - model };
}

/** Measures the growth of the process between two calls, without file pages in the system's cache. */
export class GrowthMeter {
  private before = ownBytes();

  /** Bytes of growth since the last call; freed memory does not count. */
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

/** Current resident memory in bytes, without memory that the host side has released. */
export function residentBytes(): number {
  collectGarbage();
  return processMemory().residentBytes;
}

/**
 * Collects garbage. Weights pass through the heap on their way to the engine, and leftovers would be counted. Only workers are started with
 * `--expose-gc`; in other processes (tests that run a job), values include the garbage.
 */
function collectGarbage(): void {
  globalThis.gc?.();
}
