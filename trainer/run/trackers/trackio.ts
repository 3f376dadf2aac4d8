/**
 * Sends metrics as a run to Trackio: to a server with its HTTP API, or as fragments in the inbox of its folder on this machine, which the
 * dashboard (`trackio show`) imports. Lines have fixed ids, so a resumed run repeats none.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TrackerSettings } from '../../protocol/messages/job-messages.ts';
import { askServer } from './ask-server.ts';
import { LineSender, type LineTarget, type SenderTimes, type TimedLine } from './line-sender.ts';
import { finiteMetricsOf, type MetricsTracker, settingsOf, type TrackedRun, tagOf } from './tracker.ts';
import { keepTrackerIds, readTrackerIds } from './tracker-file.ts';

/** The version of Trackio's fragment format. */
const FRAGMENT_VERSION = 1;

interface LogEntry {
  readonly project: string;
  readonly run: string;
  readonly run_id: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly step: number;
  readonly timestamp: string;
  readonly config: unknown;
  readonly log_id: string;
}

export function trackioTracker({ lines, ...run }: TrackedRun, times?: SenderTimes): MetricsTracker {
  const settings = settingsOf(run).trackio;
  return new LineSender(() => new TrackioRun(run, settings), lines, { times });
}

class TrackioRun implements LineTarget {
  private readonly run: Omit<TrackedRun, 'lines'>;
  private readonly settings: TrackerSettings['trackio'];
  /** Part of the fragments' names, which sort by time and differ from those of an earlier part of the run. */
  private readonly begun = Date.now();
  private id = '';
  private fragments = 0;

  constructor(run: Omit<TrackedRun, 'lines'>, settings: TrackerSettings['trackio']) {
    this.run = run;
    this.settings = settings;
  }

  async open(): Promise<void> {
    const { runDir } = this.run;
    this.id = (await readTrackerIds(runDir)).trackio?.runId ?? randomUUID().replaceAll('-', '');
    await keepTrackerIds(runDir, { trackio: { runId: this.id } });
  }

  async send(lines: readonly TimedLine[]): Promise<void> {
    const { url, token } = this.settings;
    const logs = lines.map(line => this.entryOf(line));
    if (url === undefined) return this.writeFragment(logs);
    const { base, token: ofUrl } = splitToken(url);
    const secret = ofUrl ?? token;
    await askServer({
      url: `${base}/api/bulk_log`,
      headers: secret === undefined ? {} : { 'x-trackio-write-token': secret },
      body: { logs, hf_token: null },
    });
  }

  async close(): Promise<void> {
    // Trackio stores no state of a run.
  }

  private entryOf({ line, at, place }: TimedLine): LogEntry {
    const { runDir, recipe } = this.run;
    return {
      project: this.settings.project,
      run: path.basename(runDir),
      run_id: this.id,
      metrics: Object.fromEntries(finiteMetricsOf(line).map(([name, value]) => [tagOf(name), value])),
      step: line.step ?? 0,
      timestamp: new Date(at).toISOString(),
      config: place === 0 ? recipe : null,
      log_id: `${this.id}-${place}`,
    };
  }

  /** Writes a fragment atomically, because the dashboard may read at any moment. */
  private async writeFragment(logs: readonly LogEntry[]): Promise<void> {
    const folder = path.join(this.settings.folder, 'inbox', this.id);
    const file = path.join(folder, `${this.begun}-${String(this.fragments).padStart(8, '0')}`);
    const text = logs.map(entry => `${JSON.stringify({ v: FRAGMENT_VERSION, kind: 'metric', ...entry })}\n`).join('');
    // The dashboard removes folders that it has emptied.
    await mkdir(folder, { recursive: true });
    await writeFile(`${file}.tmp`, text);
    await rename(`${file}.tmp`, `${file}.jsonl`);
    this.fragments++;
  }
}

/** Separates the token, which is in the query of the address that `trackio.show()` prints. */
function splitToken(url: string): { readonly base: string; readonly token: string | undefined } {
  const { origin, pathname, searchParams } = new URL(url);
  return { base: `${origin}${pathname}`.replace(/\/+$/, ''), token: searchParams.get('write_token') ?? undefined };
}
