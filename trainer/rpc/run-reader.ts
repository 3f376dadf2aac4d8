/** Reads a run's folder line by line: for the daemon's clients, and for an editor with a local folder. */
import type { RunInfo, TailParams, TailResult } from '../protocol/rpc-messages.ts';
import { RUN_FILES } from '../protocol/run-files.ts';
import { summarizeRun } from '../run/run-folder.ts';
import { tailFile } from './tail-file.ts';

export const tailRun = ({ runDir, file, from, version }: TailParams): Promise<TailResult> =>
  tailFile(runDir, RUN_FILES[file], from, version);

/** Undefined if the folder is not a run. */
export const readRun = (runDir: string): Promise<RunInfo | undefined> => summarizeRun(runDir);
