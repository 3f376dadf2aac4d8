/** The page about chosen rows, generated from all parts. Pure. */
import { table } from '../../report.ts';
import { mean } from '../statistics.ts';
import { neuronFigureName } from './neuron-figures.ts';
import { bases, neuronParts, type PairKind, sizes } from './neuron-plan.ts';
import type { AblationRow, NeuronRow, OverlapRow } from './neuron-rows.ts';

export function neuronPage(rows: readonly NeuronRow[]): string {
  const sections = [INTRODUCTION, ...bases.flatMap(base => section(base, rows)), missing(rows), compute(rows)];
  return `${sections.join('\n\n')}\n`;
}

const INTRODUCTION = `# Do chosen rows differ by task and seed?

Written by \`npm run study -- --neurons\` from \`neurons.jsonl\`, a line for each part. The tasks and their
budgets are those of the study ([plan](../study/plan.md)): 16 rows per linear layer.

**Overlap** is the Jaccard index |A ∩ B| / |A ∪ B| of two choices in a layer, averaged over layers; 1 is
the same rows. **Chance** is what two random choices have. *Halves*: two halves of a task's samples with
one seed. *Seeds*: two seeds, which draw other samples and, for a classifier, another new head. *Tasks*:
two tasks with one seed. \`random\` is a control: it must come out at chance.

**Ablation** takes rows away from a model that LoRA has tuned on a task, and measures its loss on
held-out samples of that task. *Zeroed* rows give no output. *Reset* rows are as they were before tuning,
which takes away what tuning changed in them. *Own* are the rows that the measure chooses for this task,
*only own* those of them that it chooses for no other task; *random* are as many random rows as *own*.`;

function section(base: string, rows: readonly NeuronRow[]): string[] {
  const overlaps = rows.filter((row): row is OverlapRow => row.kind === 'overlap' && row.base === base);
  const ablations = rows.filter((row): row is AblationRow => row.kind === 'ablation' && row.base === base);
  if (overlaps.length === 0) return [];
  return [
    `## ${TITLES[base] ?? base}`,
    `![Overlap of chosen rows by block](${neuronFigureName(base)})`,
    table(['measure', 'halves', 'seeds', 'tasks', 'chance', 'rows of one task alone'], overlaps.map(overlapLine)),
    ...pairTable(overlaps),
    ...ablations.map(ablationTable),
  ];
}

const TITLES: Readonly<Record<string, string>> = {
  minilm: `MiniLM, ${sizes.minilm.scored} samples`,
  smollm2: `SmolLM2-135M, ${sizes.smollm2.scored} samples`,
};

const two = (value: number): string => value.toFixed(2);

const meanOf = ({ pairs }: OverlapRow, kind: PairKind): number => mean(pairs.filter(pair => pair.kind === kind).map(pair => pair.mean));

const overlapLine = (row: OverlapRow): string[] => [
  `\`${row.measure}\``,
  ...(['halves', 'seeds', 'tasks'] as const).map(kind => two(meanOf(row, kind))),
  two(row.chance),
  `${(100 * mean(Object.values(row.ownShare))).toFixed(0)}%`,
];

/** A table with one line per pair of tasks. */
function pairTable(overlaps: readonly OverlapRow[]): string[] {
  const pairs = overlaps[0]?.pairs.filter(({ kind }) => kind === 'tasks') ?? [];
  const task = (key: string): string => key.split(',')[0] ?? key;
  const lines = pairs.map(({ a, b }) => [
    `\`${task(a)}\`, \`${task(b)}\``,
    ...overlaps.map(row => {
      const found = row.pairs.find(pair => pair.a === a && pair.b === b);
      return found ? two(found.mean) : '–';
    }),
  ]);
  return lines.length === 0 ? [] : [table(['two tasks', ...overlaps.map(({ measure }) => `\`${measure}\``)], lines)];
}

function ablationTable({ task, measure, samples, tuned, sets }: AblationRow): string {
  const lines = sets.map(({ of, from, rows, zeroed, reset }) => [
    of === 'own' || of === 'only own' || of === 'random' ? of : `${of}, \`${from}\``,
    rows.toLocaleString('en-US'),
    zeroed.toFixed(3),
    reset.toFixed(3),
  ]);
  return `\`${task}\` without the rows of \`${measure}\`: loss on ${samples} held-out samples, ${tuned.toFixed(3)} with all rows.\n\n${table(['rows taken away', 'rows', 'zeroed', 'reset'], lines)}`;
}

const missing = (rows: readonly NeuronRow[]): string =>
  rows.length >= neuronParts.length
    ? 'Every part is computed.'
    : `## Not done yet\n\n${neuronParts.length - rows.length} of ${neuronParts.length} parts: \`npm run study -- --neurons\` continues.`;

function compute(rows: readonly NeuronRow[]): string {
  const minutes = rows.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / 60;
  const dates = rows.map(({ date }) => date.slice(0, 10)).sort();
  const machines = [...new Set(rows.map(({ machine }) => machine))].join('; ');
  return `## Compute\n\n${rows.length} parts, ${minutes.toFixed(1)} CPU minutes, ${dates.at(-1) ?? '–'}, ${machines}. Scores are kept in the cache, so parts that need the same ones share them.`;
}
