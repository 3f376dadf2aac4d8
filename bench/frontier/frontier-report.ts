/** Reports the frontier as Markdown and as a picture. Pure. */
import { elementAt } from '../../trainer/narrow.ts';
import { benchModels, type ModelName } from '../bench-models.ts';
import { chart, type Marker, type Panel, type Series } from '../chart.ts';
import { type BenchMethod, type Configuration, describe, describeWork, type Setting } from '../configuration.ts';
import type { Row } from '../ratios.ts';
import { type Facts, factLines, rowsTable, table } from '../report.ts';
import type { Precision } from './frontier-plan.ts';
import {
  type FrontierRows,
  type Goal,
  goals,
  MAX_MEMORY,
  MAX_TIME,
  type Pair,
  precisionOf,
  type Verdict,
  verdicts,
} from './frontier-ratios.ts';

/** The measurements of one model. */
export interface Frontier extends FrontierRows {
  readonly model: ModelName;
  readonly facts: Facts;
  readonly threads: number;
  /** Number of processes that ran at the same time, each on its own cores. */
  readonly jobs: number;
  readonly steps: number;
  readonly notes: readonly string[];
}

const PRECISIONS: readonly Precision[] = ['float32', 'bfloat16'];

const yesNo = (reached: boolean): string => (reached ? 'yes' : 'no');
const pairCells = (pair: Pair | undefined): string[] =>
  pair
    ? [describe(pair.ours).replace('rowtune ', ''), pair.time.toFixed(2), pair.memory.toFixed(2), yesNo(pair.reached)]
    : ['–', '–', '–', '–'];

const verdictTable = (all: readonly Verdict[]): string =>
  table(
    ['theirs', 'the best of ours', 'time', 'memory', 'reached', 'of the same method', 'time', 'memory', 'reached'],
    all.map(({ peer, any, same }) => [describe(peer).replace('pytorch ', ''), ...pairCells(any), ...pairCells(same)]),
  );

const percentOf = ({ bound, value }: Pick<Goal, 'bound' | 'value'>): string =>
  bound === 'least' ? `${(100 * value).toFixed(0)}%` : value.toFixed(2);

const goalTable = (all: readonly Goal[]): string =>
  table(
    ['', 'is', 'to reach', 'reached', 'points'],
    all.map(({ name, value, target, bound, reached, points }) => [
      name,
      percentOf({ bound, value }),
      `${bound === 'most' ? '≤' : '≥'} ${percentOf({ bound, value: target })}`,
      yesNo(reached),
      points.map(describe).join(' / '),
    ]),
  );

/** @param picture name of the picture file in the same folder */
export function frontierMarkdown(frontier: Frontier, picture: string): string {
  const { model, facts, threads, jobs, steps, rows, rates, notes } = frontier;
  const [first] = rows;
  const { weights, withoutCheckpointing, convolutional, withExperts, rows: rowsOfEach } = benchModels[model];
  const parts = PRECISIONS.filter(precision => rows.some(row => precisionOf(row) === precision)).map(precision => {
    const found = verdicts(rows, precision);
    const rate = rates[precision];
    const own = rows.filter(row => precisionOf(row) === precision);
    return `## ${precision}

${rate ? `Matrix products: ours ${rate.rowtune.toFixed(0)} GFLOP/s, PyTorch ${rate.pytorch.toFixed(0)} GFLOP/s.\n` : ''}
${found.filter(({ any }) => any.reached).length} of ${found.length} points of theirs have one of ours with time ≤ ${MAX_TIME} and memory ≤ ${MAX_MEMORY} of theirs.

${verdictTable(found)}

${rate ? rowsTable({ rows: own, rates: rate }) : ''}
`;
  });
  return `# The frontier of ${first ? describeWork(first) : benchModels[model].title}

Written by \`npm run bench -- --part frontier --models ${model}\`: PyTorch with PEFT and
Rowtune alternate, with the same ${weights} weights, the same batch and equal first losses.

- Each line is a process of its own on ${threads === 1 ? 'one core' : `${threads} cores`}${jobs > 1 ? `, ${jobs} at a time` : ''}.
- s/step is the median of ${steps} steps after warm-up (3 steps for a line that is far from every target).
- MiB is peak memory minus that of inference by the same side at the same precision.
- SPSFT trains ${rowsOfEach} rows of each layer, the nearest to the trained parameters of LoRA's rank 16.
- The head of a classifier is trained whole, batch norm keeps its statistics, and the models' own
  dropout is off.
- \`autocast\` has float32 weights and bfloat16 products; its memory is compared with inference in
  float32. \`compile\` is torch.compile; its memory counts, as that of our own compilation does.${withoutCheckpointing ? ' Transformers has no checkpointing for this model.' : ''}${convolutional ? " PEFT's SHiRA knows no convolutions." : ''}${withExperts ? '\n- Rows and factors are trained in every expert. Gate and up are two layers here and one parameter in PEFT, so its\n  rank 16 has fewer numbers.' : ''}

Measured on:

${factLines(facts)}

![Time against memory](${picture})

## Goals

${goalTable(goals(frontier))}

${parts.join('\n')}${notes.length > 0 ? `\n## Doubts\n\n${notes.map(note => `- ${note}`).join('\n')}\n` : ''}`;
}

/** Returns one line per model and precision. */
export function summaryMarkdown(all: readonly Frontier[]): string {
  const lines = all.flatMap(frontier =>
    PRECISIONS.flatMap(precision => {
      const found = verdicts(frontier.rows, precision);
      if (found.length === 0) return [];
      const reached = found.filter(({ any }) => any.reached).length;
      const same = found.filter(({ same: own }) => own?.reached).length;
      return [
        [`[${benchModels[frontier.model].title}](frontier-${frontier.model}.md)`, precision, `${reached} of ${found.length}`, `${same}`],
      ];
    }),
  );
  const reached = all.map(frontier => `### ${benchModels[frontier.model].title}\n\n${goalTable(goals(frontier))}\n`);
  return `# The frontier

Time and memory of a training step compared with PyTorch + PEFT, written by
\`npm run bench -- --part frontier\`. A point of theirs is passed if one of ours takes at most
${MAX_TIME} of its time and ${MAX_MEMORY} of its memory at the same precision.

${table(['model', 'precision', 'points passed', 'by the same method'], lines)}

## Goals

${reached.join('\n')}`;
}

const MARKERS: Readonly<Record<Setting, Marker>> = {
  none: 'circle',
  cheap: 'triangle',
  block: 'square',
  checkpointing: 'square',
  sqrt: 'diamond',
  disk: 'diamond',
  compile: 'cross',
  'compile+checkpointing': 'cross',
};

const MEANINGS = [
  { marker: 'circle', meaning: 'all is kept' },
  { marker: 'triangle', meaning: 'recompute: cheap' },
  { marker: 'square', meaning: 'block, checkpointing' },
  { marker: 'diamond', meaning: 'recompute: sqrt, moments in memory or on disk' },
  { marker: 'cross', meaning: 'torch.compile' },
] as const;

/** Colors by method; theirs are hollow. From a palette that color-blind readers can distinguish (Okabe and Ito 2008). */
const COLORS: Readonly<Record<string, string>> = {
  spsft: '#0072b2',
  columns: '#56b4e9',
  lora: '#d55e00',
  dora: '#cc79a7',
  full: '#000000',
  shira: '#009e73',
};

const ORDER: readonly Setting[] = ['compile', 'none', 'cheap', 'block', 'checkpointing', 'compile+checkpointing', 'sqrt', 'disk'];

function seriesOf(rows: readonly Row[]): Series[] {
  const groups = new Map<string, Row[]>();
  const oursFirst = [...rows].sort((a, b) => b.implementation.localeCompare(a.implementation));
  for (const row of oursFirst.filter(({ method }) => method !== 'inference'))
    groups.set(seriesName(row), [...(groups.get(seriesName(row)) ?? []), row]);
  return [...groups].map(([name, own]) => {
    const first = elementAt(own, 0);
    return {
      name,
      color: COLORS[first.method] ?? '#666',
      line: first.dropout > 0 || first.dtype === 'autocast' ? 'dashed' : 'solid',
      hollow: first.implementation === 'pytorch',
      points: [...own]
        .sort((a, b) => ORDER.indexOf(a.setting) - ORDER.indexOf(b.setting))
        .map(({ memoryBytes, secondsPerStep, setting }) => ({ x: memoryBytes / 2 ** 20, y: secondsPerStep, marker: MARKERS[setting] })),
    };
  });
}

const SERIES: Readonly<Record<BenchMethod, string>> = {
  spsft: 'SPSFT, rows',
  columns: 'SPSFT, columns',
  full: 'full',
  lora: 'LoRA',
  dora: 'DoRA',
  shira: 'SHiRA',
  inference: '',
};

function seriesName({ implementation, method, dropout, dtype }: Configuration): string {
  return [
    implementation === 'rowtune' ? 'ours:' : 'PEFT:',
    SERIES[method],
    dropout > 0 ? dropout : '',
    dtype === 'autocast' ? 'autocast' : '',
  ]
    .filter(part => part !== '')
    .join(' ');
}

export function frontierPicture({ model, rows }: Pick<Frontier, 'model' | 'rows'>): string {
  const panels = PRECISIONS.flatMap((precision): Panel[] => {
    const own = rows.filter(row => precisionOf(row) === precision);
    return own.length === 0
      ? []
      : [
          {
            title: precision,
            x: { label: 'MiB over inference', scale: 'log' },
            y: { label: 'seconds a step', scale: 'linear' },
            series: seriesOf(own),
          },
        ];
  });
  const drawn = new Set(panels.flatMap(({ series }) => series).flatMap(({ points }) => points.map(({ marker }) => marker)));
  const title = `${benchModels[model].title}: time against memory`;
  return chart({ title, panels, markers: MEANINGS.filter(({ marker }) => drawn.has(marker)) });
}
