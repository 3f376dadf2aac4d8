/** `npm run hostile`: runs the parts of the trial, shows how far it is, and writes what was counted. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { parseJson } from '../support/read-json.ts';
import { daemonFaults } from './daemon-faults.ts';
import { faults } from './faults.ts';
import { files } from './files.ts';
import { frames } from './frames.ts';
import { kills } from './kills.ts';
import { ranks } from './ranks.ts';
import { recipes } from './recipes.ts';
import { FAILINGS, type Failing, type Part, type TrialSettings } from './trial.ts';

export const PARTS: readonly Part[] = [kills, ranks, files, frames, recipes, faults, daemonFaults];

export interface TrialParams extends TrialSettings {
  readonly parts: readonly string[];
  /** Takes up what an interrupted trial of the same seed has done. */
  readonly resume: boolean;
  /** The file for the counts, if they are to be kept. */
  readonly report?: string;
  readonly say: (line: string) => void;
}

const lineForm = z.object({ id: z.string(), count: z.number(), failing: z.enum(FAILINGS).optional(), detail: z.string().optional() });
type Line = z.infer<typeof lineForm>;

interface Counts extends Record<Failing, number> {
  readonly name: string;
  readonly unit: string;
  attacks: number;
  seconds: number;
}

const SHOWN_EVERY_MS = 10_000;

/** @returns whether nothing was lost, hung, crashed or wrong */
export async function runTrial(params: TrialParams): Promise<boolean> {
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
  }
  if (params.report !== undefined) writeReport(params.report, all, params);
  return all.every(counts => counts.lost + counts.hung + counts.crashed + counts.wrong === 0);
}

const tellFailing = ({ lost, hung, crashed, wrong }: Counts): string => `${lost} lost, ${hung} hung, ${crashed} crashed, ${wrong} wrong`;

const noCounts = ({ name, unit }: Part): Counts => ({ name, unit, attacks: 0, seconds: 0, lost: 0, hung: 0, crashed: 0, wrong: 0 });

const journalOf = ({ name }: Part, { bundles, seed, isSample }: TrialParams): string =>
  join(bundles, `journal-${name}-${seed}${isSample ? '-sample' : ''}.jsonl`);

/** The cases of a part that an earlier call with the same seed has run, finished or not. */
function countJournal(part: Part, params: TrialParams): Counts {
  const counts = noCounts(part);
  for (const { count, failing } of readJournal(journalOf(part, params))) {
    counts.attacks += count;
    if (failing) counts[failing]++;
  }
  return counts;
}

const readJournal = (file: string): Line[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(line => line.endsWith('}'))
        .map(line => parseJson(line, lineForm))
    : [];

function writeReport(file: string, all: readonly Counts[], params: TrialParams): void {
  mkdirSync(dirname(file), { recursive: true });
  const rows = PARTS.map(part => {
    const whole = all.find(({ name }) => name === part.name);
    const { attacks, lost, hung, crashed, wrong, seconds } = whole ?? countJournal(part, params);
    const time = whole ? `${Math.round(seconds)} s` : attacks === 0 ? 'not run' : 'interrupted, or of an earlier call';
    return `| ${part.name} | ${attacks.toLocaleString('en-US')} ${part.unit} | ${lost} | ${hung} | ${crashed} | ${wrong} | ${time} |`;
  });
  const text = [
    '# The hostile trial',
    '',
    `Written by \`npm run hostile -- --seed ${params.seed}\`. [Reliability](../../docs/explanation/reliability.md) says what each part does.`,
    '',
    '| part | attacks | lost | hung | crashed | wrong | time |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ];
  writeFileSync(file, text.join('\n'));
}
