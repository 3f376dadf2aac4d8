/** The memory that a run on this machine may take. */
import type { DeviceHere } from '../catalog/device-card.ts';
import { USABLE_SHARE } from './machine.ts';

/** Memory in bytes, and whether each process and each device of a run has its own. */
export interface RunMemory {
  readonly availableBytes: number;
  /** The part of `availableBytes` that the run may take. */
  readonly usableBytes: number;
  readonly isPerDevice: boolean;
}

/** Returns the memory of the GPU if it is known: all that programs may take. Otherwise half of the machine's free memory. */
export const runMemory = ({ gpu }: DeviceHere, freeBytes: number): RunMemory =>
  gpu?.memoryBytes === undefined
    ? { availableBytes: freeBytes, usableBytes: USABLE_SHARE * freeBytes, isPerDevice: false }
    : { availableBytes: gpu.memoryBytes, usableBytes: gpu.memoryBytes, isPerDevice: true };
