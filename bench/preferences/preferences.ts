/** Compares DPO with TRL's DPOTrainer and PEFT's LoRA: seconds per step and memory, including the reference model. */
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { elementAt, required } from '../../trainer/narrow.ts';
import { benchModels, LORA_RANK } from '../bench-models.ts';
import { warmUpSteps } from '../configuration.ts';
import { log } from '../measurements.ts';
import type { PartContext } from '../part.ts';
import { type Facts, factLines, megabytes, table } from '../report.ts';
import { BenchError, coresFor, median, runOurs, runTheirs, type Sides } from '../run-side.ts';
import type { PreferenceMeasured, PreferenceStepRequest } from './preference-step.ts';

/** Pairs per batch, tokens of a prompt, and tokens of a prompt with its answer. */
const WORK = { pairs: 2, promptTokens: 64, tokens: 256 } as const;

interface Case extends Pick<PreferenceStepRequest, 'method' | 'reference' | 'recompute' | 'r'> {
  readonly side: 'rowtune' | 'trl';
  readonly title: string;
}

const ours = (title: string, method: 'spsft' | 'lora', reference: 'live' | 'cached', recompute: string): Case => {
  const r = method === 'spsft' ? benchModels.smollm2.rows : LORA_RANK;
  return { side: 'rowtune', title: `Rowtune ${title}, ${reference} reference, ${recompute}`, method, reference, recompute, r };
};
const theirs = (title: string, recompute: 'none' | 'checkpointing', reference: 'live' | 'cached'): Case => ({
  ...{ side: 'trl', title: `TRL LoRA, ${title}`, method: 'lora', reference, recompute, r: LORA_RANK },
});

/** The cases; those compared with each other run close together, so that a drift of the machine affects both. */
export const preferenceCases: readonly Case[] = [
  { side: 'rowtune', title: 'Rowtune inference' },
  { side: 'trl', title: 'TRL inference' },
  ours('SPSFT', 'spsft', 'live', 'cheap'),
  theirs('reference in the step', 'none', 'live'),
  ours('LoRA', 'lora', 'live', 'cheap'),
  ours('SPSFT', 'spsft', 'live', 'block'),
  theirs('reference in the step, checkpointing', 'checkpointing', 'live'),
  ours('LoRA', 'lora', 'live', 'block'),
  ours('SPSFT', 'spsft', 'cached', 'cheap'),
  theirs('reference precomputed', 'none', 'cached'),
  ours('LoRA', 'lora', 'cached', 'cheap'),
];

export interface PreferenceRow extends Case, PreferenceMeasured {
  /** The load of the machine before the process started. */
  readonly loadAverage: number;
}

export interface PreferenceResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly steps: number;
  readonly rows: readonly PreferenceRow[];
  readonly notes: readonly string[];
}

const isInference = ({ method }: Case): boolean => method === undefined;

/** The peak of training minus the peak of inference on the same side. */
function overInference(row: PreferenceRow, rows: readonly PreferenceRow[]): number {
  const inference = rows.find(other => other.side === row.side && isInference(other));
  return row.peakBytes - required(inference, `the inference of ${row.side}`).peakBytes;
}

const secondsOf = ({ stepSeconds = [] }: PreferenceMeasured): number => median(stepSeconds);

/** True if both rows compute the reference at the same point (in the step or before it) and both or neither recompute blocks. */
const isComparable = (mine: Case, peer: Case): boolean =>
  mine.side === 'rowtune' &&
  peer.side === 'trl' &&
  !isInference(mine) &&
  mine.reference === peer.reference &&
  (mine.recompute === 'block') === (peer.recompute === 'checkpointing');

function ratioLines(rows: readonly PreferenceRow[]): string[][] {
  return rows.flatMap(mine =>
    rows
      .filter(peer => isComparable(mine, peer))
      .map(peer => [
        `${mine.title} / ${peer.title}`,
        (secondsOf(mine) / secondsOf(peer)).toFixed(2),
        (overInference(mine, rows) / overInference(peer, rows)).toFixed(2),
        (mine.peakBytes / peer.peakBytes).toFixed(2),
      ]),
  );
}

const rowLine = (row: PreferenceRow, rows: readonly PreferenceRow[], threads: number): string[] => {
  const { title, peakBytes, predictedBytes, trainable, referenceSeconds, stepSeconds = [], cpuSeconds = 0, loadAverage } = row;
  const total = stepSeconds.reduce((sum, each) => sum + each, 0);
  return [
    title,
    isInference(row) ? '–' : secondsOf(row).toFixed(2),
    typeof referenceSeconds === 'number' ? referenceSeconds.toFixed(1) : '–',
    isInference(row) ? '–' : megabytes(overInference(row, rows)),
    megabytes(peakBytes),
    predictedBytes === undefined ? '–' : megabytes(predictedBytes),
    trainable?.toLocaleString('en') ?? '–',
    isInference(row) ? '–' : `${((100 * cpuSeconds) / total / threads).toFixed(0)}%`,
    loadAverage.toFixed(1),
  ];
};

export function preferencesMarkdown({ facts, threads, steps, rows, notes }: PreferenceResults): string {
  const header = ['', 's/step', 'reference before, s', 'MiB', 'peak MiB', 'predicted', 'trained', 'CPU used', 'load before'];
  return `# Preferences (DPO) next to TRL

Written by \`npm run bench -- --part preferences\`: SmolLM2-135M in float32 on ${threads} core${threads > 1 ? 's' : ''}, ${WORK.pairs} pairs of
2 × ${WORK.tokens} tokens a batch, of which ${WORK.promptTokens} are the prompt, β 0.1, AdamW, gradients clipped at 1, all linear layers. Both sides get
the same token ids, and their first log-probabilities agree.

- Each line is a process of its own; ours and TRL's alternate. s/step is the median of ${steps} step${steps === 1 ? '' : 's'} after ${warmUpSteps(steps)} to warm up. With the
  reference in the step (\`preference.reference: live\`, TRL's default), it holds the pass of the base model.
- "Reference before" is the pass over the ${WORK.pairs * (steps + warmUpSteps(steps))} pairs of the run where the reference is computed first: ours reads the model from
  its files once more for it, TRL's includes making the trainer.
- MiB is peak resident memory minus that of inference on the same rows by the same side, counted after the weights are loaded. Peak
  MiB is the whole process, and next to it the estimate of ours, without the tokenizer that a run has and this process has not.

${factLines(facts)}

${table(
  header,
  rows.map(row => rowLine(row, rows, threads)),
)}

${table(['ours / theirs', 'time', 'memory over inference', 'whole process'], ratioLines(rows))}
${notes.length > 0 ? `\n## Doubts\n\n${notes.map(note => `- ${note}`).join('\n')}\n` : ''}`;
}

interface MeasureCase extends Pick<PartContext, 'steps' | 'threads'> {
  readonly sides: Sides;
}

async function measureCase(one: Case, { sides, steps, threads }: MeasureCase): Promise<PreferenceRow> {
  const cores = coresFor(threads);
  const folder = required(sides.folders.smollm2, 'the folder of SmolLM2');
  const warmUp = warmUpSteps(steps);
  const [loadAverage = Number.NaN] = os.loadavg();
  const { method, reference, recompute, r } = one;
  if (one.side === 'rowtune') {
    const request = { folder, method, reference, recompute, r, ...WORK, steps, warmUp };
    return { ...one, loadAverage, ...(await runOurs<PreferenceMeasured>(sides, 'preference-step.mjs', request, cores)) };
  }
  const args = [isInference(one) ? 'inference' : 'train', '--model', folder, '--rank', String(LORA_RANK)];
  const work = ['--pairs', String(WORK.pairs), '--prompt', String(WORK.promptTokens), '--tokens', String(WORK.tokens)];
  const length = ['--steps', String(steps), '--warm-up', String(warmUp)];
  const options = [...(recompute === 'checkpointing' ? ['--checkpointing'] : []), ...(reference === 'cached' ? ['--precompute'] : [])];
  return { ...one, loadAverage, ...(await runTheirs<PreferenceMeasured>(sides, [...args, ...work, ...length, ...options], cores)) };
}

/** Tolerance of log-probabilities: an answer of 192 tokens sums as many rounded numbers. */
const LOGPS_TOLERANCE = 1e-4;

/** Returns complaints if the two sides did not do the same work. */
export function comparePreferences(rows: readonly PreferenceRow[]): string[] {
  const training = rows.filter(row => !isInference(row));
  const first = elementAt(training, 0);
  return training.flatMap(({ title, logps = Number.NaN, losses = [] }) => {
    const apart = Math.abs(logps - (first.logps ?? Number.NaN)) / Math.abs(first.logps ?? Number.NaN);
    return [
      ...(apart <= LOGPS_TOLERANCE
        ? []
        : [`${title}: the better answers have log-probability ${logps}, and ${first.logps} in ${first.title}`]),
      ...(Math.abs((losses[0] ?? Number.NaN) - Math.LN2) <= 1e-4 ? [] : [`${title} starts at loss ${losses[0]}, not at log 2`]),
    ];
  });
}

/** @throws BenchError if no Python has TRL */
export async function runPreferences({ sides: given, trlPython, facts, threads, steps, results, root }: PartContext): Promise<boolean> {
  if (trlPython === undefined) throw new BenchError('there is no Python with TRL');
  const sides: Sides = { ...given, python: trlPython, peer: path.join(root, 'bench', 'peers', 'trl_dpo.py') };
  const cores = coresFor(threads);
  const versions = { ...facts.versions, ...(await runTheirs<Record<string, string>>(sides, ['versions'], cores)) };
  const rows: PreferenceRow[] = [];
  for (const one of preferenceCases) {
    const row = await measureCase(one, { sides, steps, threads });
    rows.push(row);
    const time = isInference(row) ? '' : `${secondsOf(row).toFixed(2)} s/step  `;
    log(`${row.title.padEnd(50)} ${time}peak ${megabytes(row.peakBytes)} MiB  load ${row.loadAverage.toFixed(1)}`);
  }
  const failed = comparePreferences(rows);
  const isBusy = rows.some(({ loadAverage }) => loadAverage > facts.cores + 0.5);
  const notes = [...failed, ...(isBusy ? ['other processes were at work before some of the lines started: see their load'] : [])];
  const found: PreferenceResults = { facts: { ...facts, versions }, threads, steps, rows, notes };
  await writeFile(path.join(results, 'preferences.md'), preferencesMarkdown(found));
  await writeFile(path.join(results, 'preferences.json'), `${JSON.stringify(found, null, 2)}\n`);
  log('wrote preferences.md and .json');
  return failed.length === 0;
}
