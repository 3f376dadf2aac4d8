/**
 * The kind of `$/progress` notification for a job's events; separate from the sessions, so that a client needs none of the daemon's code.
 */
import { ProgressType } from 'vscode-jsonrpc/node';
import type { WorkerEvent } from '../../protocol/messages/job-messages.ts';

export const WORKER_PROGRESS = new ProgressType<WorkerEvent>();
