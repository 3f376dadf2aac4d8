/** decisions.jsonl: the parts that a sweep started, in order, and the number of results that each decision was based on. */

import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeTextFile } from '../files/durable-file.ts';
import { readRegularText } from '../files/regular-file.ts';
import { SWEEP_FILES } from '../protocol/run/sweep.ts';
import { RunError } from '../run-error.ts';

export interface RecordedDecision {
  readonly index: number;
  readonly run: string;
  readonly until: number | 'end';
  /** Number of results, in order, that the decision was based on. */
  readonly by: number;
}

const decisionSchema: z.ZodType<RecordedDecision> = z.object({
  index: z.int().nonnegative(),
  run: z.string(),
  until: z.union([z.number(), z.literal('end')]),
  by: z.int().nonnegative(),
});

/** A line has about 60 bytes, and a sweep tens of thousands of lines at most. */
const MAX_BYTES = 16 * 2 ** 20;

/** Opens the log. Drops an incomplete last line, left by a killed process. */
export async function openDecisions(sweepDir: string): Promise<DecisionLog> {
  const file = path.join(sweepDir, SWEEP_FILES.decisions);
  const text = await readRegularText(file, MAX_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) await writeTextFile(file, whole);
  const earlier = whole.split('\n').flatMap(line => {
    try {
      const found = decisionSchema.safeParse(JSON.parse(line));
      return found.success ? [found.data] : [];
    } catch {
      return [];
    }
  });
  return new DecisionLog(file, new Map(earlier.map(decision => [decision.index, decision])));
}

export class DecisionLog {
  private readonly file: string;
  private readonly earlier: ReadonlyMap<number, RecordedDecision>;

  constructor(file: string, earlier: ReadonlyMap<number, RecordedDecision>) {
    this.file = file;
    this.earlier = earlier;
  }

  /** Appends a new decision. @throws RunError 'bad-sweep' if it differs from that of an earlier process */
  async record(decision: RecordedDecision): Promise<void> {
    const before = this.earlier.get(decision.index);
    if (before === undefined) {
      await appendFile(this.file, `${JSON.stringify(decision)}\n`);
      return;
    }
    if (before.run === decision.run && before.until === decision.until) return;
    throw new RunError(
      'bad-sweep',
      `decision ${decision.index + 1} of the sweep was run ${before.run} until ${before.until}, and is now run ${decision.run} until ${decision.until}: the results in the folders of its runs have changed`,
      `Restore the runs, or delete ${this.file} to decide anew`,
    );
  }
}
