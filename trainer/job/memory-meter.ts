/** The memory of a run, split as the paper does: the model, what fine-tuning adds, and the rest. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ProcessMemory, processMemory, resetPeak } from '../machine/process-memory.ts';

export interface MemorySplit {
  /** What inference of the same model takes: weights and the activations of a forward pass. */
  readonly mem_M: number;
  /** Trained factors, gradients and optimizer state, by their shapes. */
  readonly mem_FT: number;
  /** Activations kept for the backward pass and everything else. */
  readonly mem_Aux: number;
  /** The peak of training; the three above add up to it. */
  readonly mem_TTL: number;
  /** mem_TTL − mem_M, the figure that papers quote. */
  readonly mem: number;
}

export interface MemoryMeterParams {
  /** Resident before anything of the model was loaded; all figures are above it. */
  readonly baselineBytes: number;
  /** Held from the start beside the weights: factors, optimizer state, gradients between batches. */
  readonly tuningBytes: number;
  /** Held during an update: the gradients that clipping waits for. */
  readonly gradientBytes: number;
}

/** Peaks of the resident set of this process, in bytes; a GPU's own memory is not in it. */
export class MemoryMeter {
  private readonly params: MemoryMeterParams;
  private inferencePeak = 0;
  private trainingPeak = 0;

  constructor(params: MemoryMeterParams) {
    this.params = params;
    collectGarbage();
    resetPeak();
  }

  /** Ends a stretch of inference. */
  endInference(): void {
    this.inferencePeak = Math.max(this.inferencePeak, this.take());
  }

  /** Ends a stretch of training. */
  endTraining(): void {
    this.trainingPeak = Math.max(this.trainingPeak, this.take());
  }

  /** For a line of metrics within a stretch of training: resident now, and the peak since the line before. */
  sample(): ProcessMemory {
    const found = processMemory();
    resetPeak();
    this.trainingPeak = Math.max(this.trainingPeak, found.peakBytes);
    return found;
  }

  /** Ends a stretch that belongs to neither: saving. */
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

/** By what the process grows from one look to the next, without the pages of files that the system lends it. */
export class GrowthMeter {
  private before = ownBytes();

  /** Bytes since the last look; what was given back meanwhile is no growth. */
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

/** Bytes resident now, without what the host's side has let go of. */
export function residentBytes(): number {
  collectGarbage();
  return processMemory().residentBytes;
}

/** Weights pass through the heap on their way to the engine: what is left of them there would be counted. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
}
