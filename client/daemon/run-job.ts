/** Starts a job and waits for its end. A notification shows progress and a Cancel button. */
import { randomUUID } from 'node:crypto';
import { ProgressLocation, window } from 'vscode';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import type { App } from '../app.ts';
import { progressText } from '../status/status-text.ts';
import { hasEnded } from './job-store.ts';

export interface WaitedJob {
  readonly title: string;
  readonly start: (client: DaemonClient, id: string) => Promise<JobRecord>;
}

/**
 * @returns the record of a job that succeeded; undefined if the user canceled it
 * @throws DaemonError with the failure's code and hint
 */
export function runJob(app: App, { title, start }: WaitedJob): Promise<JobRecord | undefined> {
  const { daemon, store } = app;
  const id = randomUUID();
  return Promise.resolve(
    window.withProgress({ location: ProgressLocation.Notification, title, cancellable: true }, async (progress, token) => {
      let shown = 0;
      const show = (record: JobRecord): void => {
        const share = record.progress && record.progress.total > 0 ? (100 * record.progress.done) / record.progress.total : 0;
        // Each phase starts at 0, but the bar can only move forward.
        const increment = Math.max(0, share - shown);
        shown = Math.max(0, share);
        progress.report({ message: progressText(record), increment: increment > 0 && increment < 100 ? increment : undefined });
      };
      const ended = new Promise<JobRecord>(resolve => {
        const forget = [
          store.onChanged(record => {
            if (record.id !== id) return;
            if (!hasEnded(record)) return show(record);
            for (const each of forget) each();
            resolve(record);
          }),
          store.onEvent(({ jobId }) => {
            const record = jobId === id ? store.get(id) : undefined;
            if (record) show(record);
          }),
        ];
      });
      const client = await daemon.ensure();
      store.put(await start(client, id));
      token.onCancellationRequested(() => {
        daemon.current?.request('abortJob', { id }).catch(error => app.notify.error(error));
      });
      const record = await ended;
      if (record.state === 'failed') {
        const { code, message, hint } = record.failure ?? { code: 'failed', message: `${title} failed`, hint: undefined };
        throw new DaemonError(code, message, { hint });
      }
      return record.state === 'succeeded' ? record : undefined;
    }),
  );
}
