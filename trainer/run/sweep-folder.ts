/** Distinguishes the folder of a sweep from that of a run, and a finished sweep from others. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';

export const isSweepFolder = (folder: string): boolean => existsSync(path.join(folder, SWEEP_FILES.plan));

/** True if all decisions of the sweep have been made: none of its paused runs continues. */
export const isFinishedSweep = (folder: string): boolean => existsSync(path.join(folder, SWEEP_FILES.result));
