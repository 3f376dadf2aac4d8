/** Reads a run's folder line by line: for the daemon's clients, and for an editor with a local folder. */
import type { TailParams, TailResult } from '../protocol/messages/rpc-messages.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import { tailFile } from './tail-file.ts';

export const tailRun = ({ runDir, file, from, version }: TailParams): Promise<TailResult> =>
  tailFile(runDir, RUN_FILES[file], from, version);
