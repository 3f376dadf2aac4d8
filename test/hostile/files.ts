/** Reads mutated files of every format: each must give a result or an error of ours, within bounds of time and memory. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { elementAt } from '../../trainer/narrow.ts';
import { examplesOf, formats } from './formats.ts';
import { type FuzzRequest, fuzzAnswer } from './fuzz-messages.ts';
import { type Case, failed, OK, type Part, type PreparedPart, type TrialSettings, type Verdict } from './trial.ts';

const WHOLE = 500;
const SAMPLE = 40;
/** Number of mutations per case. */
const BATCH = 20;
/** Time limit in ms: a file of some kilobytes is read in milliseconds, or in a second on a busy machine. */
const HANG_MS = 30_000;
const HEAP_MB = 512;
/** Maximum memory of the reading process: its own hundred megabytes, the heap, and memory outside the heap. */
const MAX_PEAK_BYTES = 1.5 * 2 ** 30;

export const files: Part = {
  name: 'files',
  unit: 'mutated files',
  async prepare(settings: TrialSettings): Promise<PreparedPart> {
    const { root, seed, isSample, bundles } = settings;
    const found = join(bundles, 'found');
    mkdirSync(found, { recursive: true });
    const reader = new Reader(bundles);
    const cases: Case[] = [];
    for (const [index, [name, format]] of Object.entries(formats).entries()) {
      const examples = examplesOf(root, format, name === 'parquet' ? '.parquet' : undefined);
      for (const example of examples) {
        const run = async () => {
          const verdict = await reader.judge({ format: name, example, keepAs: join(found, 'whole') });
          return verdict;
        };
        cases.push({ id: `${name} ${relative(root, example)} as it is`, count: 1, run });
      }
      for (let start = 0; start < (isSample ? SAMPLE : WHOLE); start += BATCH) {
        const run = async (): Promise<Verdict> => {
          let verdict = OK;
          for (let i = start; i < start + BATCH; i++) {
            const example = elementAt(examples, i % examples.length);
            const keepAs = join(found, `${name.replaceAll(' ', '-')}-${seed}-${i}`);
            const one = await reader.judge({ format: name, example, seed: [seed, index, i], keepAs });
            if (one.failing) verdict = failed(one.failing, `${one.detail}\n  kept as ${relative(root, keepAs)}`);
            else rmSync(keepAs, { force: true });
          }
          return verdict;
        };
        cases.push({ id: `${name} ${start}`, count: BATCH, run });
      }
    }
    return { cases, dispose: () => reader.stop() };
  },
};

class Reader {
  private readonly bundles: string;
  private child: ChildProcess | undefined;

  constructor(bundles: string) {
    this.bundles = bundles;
  }

  judge(request: FuzzRequest): Promise<Verdict> {
    const child = this.child ?? this.start();
    return new Promise(resolve => {
      const finish = (verdict: Verdict, isOver: boolean): void => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (isOver) this.stop();
        resolve(verdict);
      };
      const timer = setTimeout(() => finish(failed('hung', `no answer in ${HANG_MS / 1000} s`), true), HANG_MS);
      child.once('exit', (status, signal) => finish(failed('crashed', `the process ended: ${signal ?? `status ${status}`}`), true));
      child.once('message', message => {
        const { problem, peakBytes } = fuzzAnswer.parse(message);
        const isLarge = peakBytes > MAX_PEAK_BYTES;
        if (problem !== undefined) finish(failed('crashed', problem), true);
        else if (isLarge) finish(failed('crashed', `reading took ${Math.round(peakBytes / 2 ** 20)} MB`), true);
        else finish(OK, false);
      });
      child.send(request);
    });
  }

  private start(): ChildProcess {
    this.child = fork(join(this.bundles, 'fuzz-process.mjs'), [], {
      execArgv: [`--max-old-space-size=${HEAP_MB}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    return this.child;
  }

  stop(): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }
}
