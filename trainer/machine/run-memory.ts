/** The memory that a run of this machine may take. */
import type { DeviceHere } from '../catalog/device-card.ts';
import { USABLE_SHARE } from './machine.ts';

/** Bytes, and whether each process and each device of a run has so many of its own. */
export interface RunMemory {
  readonly availableBytes: number;
  /** Those of them that the run may take. */
  readonly usableBytes: number;
  readonly apart: boolean;
}

/** The memory of the GPU where that is known: all that programs may take. Else half of the free memory of the machine. */
export const runMemory = ({ gpu }: DeviceHere, freeBytes: number): RunMemory =>
  gpu?.memoryBytes === undefined
    ? { availableBytes: freeBytes, usableBytes: USABLE_SHARE * freeBytes, apart: false }
    : { availableBytes: gpu.memoryBytes, usableBytes: gpu.memoryBytes, apart: true };
