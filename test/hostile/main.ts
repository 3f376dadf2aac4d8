/** `npm run hostile`: runs the parts of the trial, shows progress, and writes the counts. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { parseJson } from '../support/files/read-json.ts';
import { daemonFaults } from './daemon-faults.ts';
import { faults } from './faults.ts';
import { files } from './files.ts';
import { frames } from './frames.ts';
import { kills } from './kills.ts';
import { ranks } from './ranks.ts';
import { recipes } from './recipes.ts';
import { type Counts, readPage, withCounts } from './report-page.ts';
import { FAILINGS, type Part, type TrialSettings } from './trial.ts';

export const PARTS: readonly Part[] = [kills, ranks, files, frames, recipes, faults, daemonFaults];

export interface TrialParams extends TrialSettings {
  readonly parts: readonly string[];
  /** True to continue an interrupted trial with the same seed. */
  readonly resume: boolean;
  /** The file for the counts, if they are stored. */
  readonly report?: string;
  readonly say: (line: string) => void;
}

const lineForm = z.object({ id: z.string(), count: z.number(), failing: z.enum(FAILINGS).optional(), detail: z.string().optional() });
type Line = z.infer<typeof lineForm>;

const SHOWN_EVERY_MS = 10_000;

/** @returns true if nothing was lost, hung, crashed or was wrong */
export async function runTrial(params: TrialParams): Promise<boolean> {
  // Fail now, rather than after an hour, if the page cannot take more rows.
  readPage(readReport(params.report) ?? '');
  const all: Counts[] = [];
  for (const part of PARTS.filter(({ name }) => params.parts.includes(name))) {
    params.say(`${part.name}: preparing`);
    const journal = journalOf(part, params);
    if (!params.resume) rmSync(journal, { force: true });
    const done = new Map(readJournal(journal).map(line => [line.id, line]));
    const counts = noCounts(part);
    all.push(counts);
    const started = performance.now();
    const { cases, dispose } = await part.prepare(params);
    try {
      const total = cases.reduce((sum, { count }) => sum + count, 0);
      const begun = performance.now();
      let [shownMs, fresh] = [begun, 0];
      for (const { id, count, run } of cases) {
        const known = done.get(id);
        const verdict = known ?? (await run());
        if (!known) {
          fresh += count;
          appendFileSync(journal, `${JSON.stringify({ id, count, ...verdict })}\n`);
        }
        counts.attacks += count;
        if (verdict.failing) {
          counts[verdict.failing]++;
          params.say(`${part.name}: ${verdict.failing}: ${id}: ${verdict.detail}`);
        }
        const now = performance.now();
        if (now - shownMs < SHOWN_EVERY_MS) continue;
        shownMs = now;
        const minutes = fresh === 0 ? 0 : ((now - begun) / fresh) * (total - counts.attacks) * (1 / 60_000);
        params.say(
          `${part.name}: ${counts.attacks} of ${total} ${part.unit}, ${tellFailing(counts)}; about ${Math.ceil(minutes)} min left`,
        );
      }
    } finally {
      await dispose();
    }
    counts.seconds = (performance.now() - started) / 1000;
    params.say(`${part.name}: ${counts.attacks} ${part.unit}, ${tellFailing(counts)}; ${Math.round(counts.seconds)} s`);
    if (params.report !== undefined) writeReport(params.report, counts, params.seed);
  }
  return all.every(counts => counts.lost + counts.hung + counts.crashed + counts.wrong === 0);
}

const tellFailing = ({ lost, hung, crashed, wrong }: Counts): string => `${lost} lost, ${hung} hung, ${crashed} crashed, ${wrong} wrong`;

const noCounts = ({ name, unit }: Part): Counts => ({ name, unit, attacks: 0, seconds: 0, lost: 0, hung: 0, crashed: 0, wrong: 0 });

const journalOf = ({ name }: Part, { bundles, seed, isSample }: TrialParams): string =>
  join(bundles, `journal-${name}-${seed}${isSample ? '-sample' : ''}.jsonl`);

const readJournal = (file: string): Line[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(line => line.endsWith('}'))
        .map(line => parseJson(line, lineForm))
    : [];

const readReport = (file: string | undefined): string | undefined =>
  file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : undefined;

function writeReport(file: string, counts: Counts, seed: number): void {
  mkdirSync(dirname(file), { recursive: true });
  const date = new Date().toISOString().slice(0, 'yyyy-mm-dd'.length);
  writeFileSync(file, withCounts(readReport(file), counts, { parts: PARTS, seed, date }));
}
