/** Distinguishes the folder of a sweep from that of a run. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';

export const isSweepFolder = (folder: string): boolean => existsSync(path.join(folder, SWEEP_FILES.plan));
