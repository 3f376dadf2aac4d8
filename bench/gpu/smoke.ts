/**
 * Checks every operation and folders with reference numbers on the PJRT engine, in its own process. Prints all results so far as a JSON
 * line after each part.
 */
import path from 'node:path';
import { verifyFolder } from '../../test/support/golden/verify-folder.ts';
import { compareCase } from '../../test/support/numbers/compare-case.ts';
import { casesOf } from '../../test/support/numbers/operation-table.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { openPortable } from '../../trainer/engine/portable/engine.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { checkAttention } from '../../trainer/plan/choices/check-attention.ts';
import { checkDevice, type Device } from '../device.ts';
import { readRequest } from '../request.ts';
import { attentionForms, describeForm } from './attention-forms.ts';
import type { Smoke } from './gpu-report.ts';

/** The request of the GPU kit. */
export interface SmokeRequest {
  readonly cacheDir: string;
  readonly device: Device;
  /** Folders with reference numbers. */
  readonly goldens: readonly string[];
  /** True to check one case per operation instead of all. */
  readonly isBrief: boolean;
  /** Number of cases at a time; most of each is compilation. */
  readonly jobs: number;
  /** In milliseconds since 1970; cases that have not started by then are skipped. */
  readonly until: number;
}

export interface SmokeResults {
  /** Each part is missing if the process ended before it was done. */
  readonly operations?: Smoke;
  readonly goldens?: Smoke;
  /** Attention as one kernel of the device; missing if the device has none. */
  readonly attention?: Smoke;
  /** A description of the engine. */
  readonly engine: string;
}

interface Check {
  readonly title: string;
  /** Returns the reasons why the case fails; empty if it passes. */
  readonly run: () => Promise<readonly string[]>;
}

const request = readRequest<SmokeRequest>();
const engine = await openEngine('pjrt', { cacheDir: request.cacheDir });
checkDevice(engine, request.device);
const reference = await openPortable({ backend: 'cpu' });

const all = casesOf('pjrt');
const cases = all.filter(({ op }, i) => !request.isBrief || all.findIndex(other => other.op === op) === i);
const results: { -readonly [K in keyof SmokeResults]: SmokeResults[K] } = { engine: engine.description.summary };
// Count the attention forms as not run, in case the process ends before them.
if (engine.description.fusedAttention) results.attention = { passed: 0, failed: [], left: attentionForms.length, seconds: 0 };

results.operations = await runAll(
  cases.map(({ test }) => ({
    title: test.title,
    run: async () => (await compareCase(engine, reference, test)).map(({ what, error }) => `${what} deviates by ${error.toExponential(1)}`),
  })),
);
print();

results.goldens = await runAll(
  request.goldens.map(folder => ({
    title: path.basename(folder),
    run: async () => {
      const { checks, expected } = await verifyFolder(engine, folder);
      const wrong = checks.filter(({ ok }) => !ok).map(({ name }) => name);
      return checks.length === expected.length ? wrong : [...wrong, `${expected.length - checks.length} checks were not made`];
    },
  })),
);
print();

if (engine.description.fusedAttention)
  results.attention = await runAll(
    attentionForms.map(form => ({
      title: describeForm(form),
      run: async () => {
        const { problem } = await checkAttention(engine, form);
        return problem === undefined ? [] : [problem];
      },
    })),
  );
print();
process.exit(0);

function print(): void {
  process.stdout.write(`${JSON.stringify(results)}\n`);
}

async function runAll(checks: readonly Check[]): Promise<Smoke> {
  const started = performance.now();
  const failed: string[] = [];
  let [passed, next] = [0, 0];
  const work = async (): Promise<void> => {
    while (next < checks.length && Date.now() < request.until) {
      const { title, run } = elementAt(checks, next++);
      const reasons = await run().catch((error: unknown) => [error instanceof Error ? error.message : String(error)]);
      if (reasons.length === 0) passed++;
      else failed.push(`${title}: ${reasons.join(', ')}`);
    }
  };
  await Promise.all(Array.from({ length: request.jobs }, work));
  return { passed, failed, left: checks.length - next, seconds: (performance.now() - started) / 1000 };
}
