/** Collects memory and speed of each process of a run with every metrics line of its training. */
import os from 'node:os';
import path from 'node:path';
import type { ExchangeCounts } from '../../../engine/engine.ts';
import { writeJson } from '../../../files/durable-file.ts';
import type { Ranks } from '../../../job/ranks.ts';
import type { ProcessMemory } from '../../../machine/process-memory.ts';
import { RUN_FILES } from '../../../protocol/run/run-files.ts';
import { byteSize, percent } from '../../../protocol/text/format.ts';
import type { RanksView, RankView } from '../../../protocol/view/run.ts';

/** Sums over the updates since the previous line. */
const EMPTY_WINDOW = { updates: 0, seconds: 0, waitedSeconds: 0, exchangeSeconds: 0, bytes: 0 };
/** Milliseconds between writes of the file, which only people read: rare enough not to load the disk. */
const WRITE_INTERVAL_MS = 1000;

export class RankMeter {
  private readonly ranks: Ranks;
  private readonly file: string;
  private window = EMPTY_WINDOW;
  private before: ExchangeCounts;
  private peakBytes = 0;
  private latest: RanksView | undefined;
  private writtenMs = Number.NEGATIVE_INFINITY;

  constructor(ranks: Ranks, runDir: string) {
    this.ranks = ranks;
    this.file = path.join(runDir, RUN_FILES.byRank);
    this.before = ranks.counts();
  }

  /** Starts measuring an update. Exchanges between updates are not counted. */
  begin(): void {
    this.before = this.ranks.counts();
  }

  /** Ends measuring an update. @param seconds duration of the update */
  end(seconds: number): void {
    const { window, before } = this;
    const now = this.ranks.counts();
    this.window = {
      updates: window.updates + 1,
      seconds: window.seconds + seconds,
      waitedSeconds: window.waitedSeconds + now.waitedSeconds - before.waitedSeconds,
      exchangeSeconds: window.exchangeSeconds + now.busySeconds - before.busySeconds,
      bytes: window.bytes + now.bytes - before.bytes,
    };
  }

  /** Reports a line; all ranks call this after the same updates. @param memory the memory of this process */
  async report(step: number, { residentBytes, peakBytes }: ProcessMemory): Promise<void> {
    const { updates, seconds, waitedSeconds, exchangeSeconds, bytes } = this.window;
    this.window = EMPTY_WINDOW;
    this.peakBytes = Math.max(this.peakBytes, peakBytes);
    const all = this.ranks.all<RankView>({
      rank: this.ranks.rank,
      host: os.hostname(),
      pid: process.pid,
      residentBytes,
      peakBytes: this.peakBytes,
      secondsPerUpdate: seconds / updates,
      waitedSeconds: waitedSeconds / updates,
      exchangeSeconds: exchangeSeconds / updates,
      bytesPerUpdate: bytes / updates,
    });
    this.latest = { step, ranks: all };
    if (performance.now() - this.writtenMs >= WRITE_INTERVAL_MS) await this.write();
  }

  /** Writes the last line, and returns its summary of the exchange; undefined before the first line. */
  async finish(): Promise<string | undefined> {
    if (this.latest === undefined) return undefined;
    await this.write();
    return describeExchange(this.latest);
  }

  private async write(): Promise<void> {
    if (!this.ranks.isFirst) return;
    this.writtenMs = performance.now();
    await writeJson(this.file, this.latest);
  }
}

/** Describes the exchange of the slowest rank, for which the others wait. */
function describeExchange({ ranks }: RanksView): string {
  const most = (of: (rank: RankView) => number): number => Math.max(...ranks.map(of));
  const waited = Math.min(...ranks.map(({ waitedSeconds, secondsPerUpdate }) => waitedSeconds / secondsPerUpdate));
  return `each process gave ${byteSize(most(({ bytesPerUpdate }) => bytesPerUpdate))} per update; the one that waited least waited for ${percent(waited)} of its time`;
}
