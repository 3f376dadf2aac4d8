/** Reports the results of `--part gpu` as Markdown. Pure. */
import { benchModels, type GpuModel, LORA_RANK } from '../bench-models.ts';
import { checkpoints, describe, describeWork } from '../configuration.ts';
import { type Facts, factLines, table, usefulFlops } from '../report.ts';
import type { RawRow } from '../run-side.ts';
import { peakOfCard } from './card-peaks.ts';

/** The result of a check before the measurements: all operations, or folders with reference numbers. */
export interface Smoke {
  readonly passed: number;
  /** The failed cases, each with the reason. */
  readonly failed: readonly string[];
  /** Number of cases for which there was no time. */
  readonly left: number;
  readonly seconds: number;
}

export interface GpuResults {
  readonly facts: Facts;
  /** The card as its driver names it; the name of the processor in a trial. */
  readonly device: string;
  readonly steps: number;
  readonly models: readonly GpuModel[];
  readonly rows: readonly RawRow[];
  /** Bytes that `rowtune estimate` predicts for each row. */
  readonly predicted: ReadonlyMap<RawRow, number>;
  readonly operations?: Smoke;
  readonly goldens?: Smoke;
  /** Attention as one kernel, in several forms; undefined if the device has no kernel for it. */
  readonly attention?: Smoke | undefined;
  readonly failures: readonly string[];
  /** Configurations for which there was no time. */
  readonly left: readonly string[];
  /** True for a trial of the kit on a processor, which says nothing about a GPU. */
  readonly isTrial: boolean;
}

/** The project's goals, relative to PEFT's LoRA at equal parameters. */
const GOALS = { time: 0.75, memory: 0.6, utilization: 0.45, prediction: 0.05 } as const;

const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);
const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;
const signed = (share: number): string => `${share >= 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)}%`;

/** Floating-point operations that the method needs, as a share of what the card can compute in that time. */
export function utilization(row: RawRow, rows: readonly RawRow[], device: string): number | undefined {
  const [peak, flops] = [peakOfCard(device), usefulFlops(row, rows)];
  return peak === undefined || flops === undefined ? undefined : flops / row.secondsPerStep / peak.flops;
}

function rowLine(row: RawRow, { rows, predicted, device }: GpuResults): string[] {
  const [used, bytes] = [utilization(row, rows, device), predicted.get(row)];
  return [
    describe(row),
    (row.trainable / 1e6).toFixed(1),
    row.secondsPerStep.toFixed(3),
    ((row.batch * row.tokens) / row.secondsPerStep).toFixed(0),
    used === undefined ? '–' : percent(used),
    gibibytes(row.peakBytes),
    bytes === undefined ? '–' : gibibytes(bytes),
    bytes === undefined ? '–' : signed(bytes / row.peakBytes - 1),
    row.losses[0]?.toFixed(3) ?? '–',
  ];
}

const HEADER = ['', 'million trained', 's/step', 'tokens/s', 'MFU', 'peak GiB', 'predicted GiB', 'error', 'first loss'];

/** A run of ours next to PyTorch's fastest LoRA with the same budget and the same kind of recomputation. */
export interface GpuRatio {
  readonly own: RawRow;
  readonly peer: RawRow;
  readonly time: number;
  readonly memory: number;
  readonly isReached: boolean;
}

export function gpuRatios(rows: readonly RawRow[]): GpuRatio[] {
  return rows
    .filter(row => row.implementation === 'rowtune' && row.method !== 'full')
    .flatMap(own => {
      const peers = rows.filter(
        other =>
          other.implementation === 'pytorch' &&
          other.method === 'lora' &&
          other.model === own.model &&
          checkpoints(other) === checkpoints(own) &&
          Math.abs(other.trainable / own.trainable - 1) < 0.1,
      );
      const [peer] = peers.sort((a, b) => a.secondsPerStep - b.secondsPerStep);
      if (!peer) return [];
      const [time, memory] = [own.secondsPerStep / peer.secondsPerStep, own.peakBytes / peer.peakBytes];
      return [{ own, peer, time, memory, isReached: time <= GOALS.time && memory <= GOALS.memory }];
    });
}

const ratiosTable = (ratios: readonly GpuRatio[]): string =>
  table(
    ['ours', 'theirs', 'time', 'memory', 'reached'],
    ratios.map(({ own, peer, time, memory, isReached }) => [
      `${benchModels[own.model].title}: ${describe(own)}`,
      describe(peer),
      time.toFixed(2),
      memory.toFixed(2),
      isReached ? 'yes' : 'no',
    ]),
  );

function smokeLine(what: string, smoke: Smoke | undefined): string {
  if (!smoke) return `- ${what}: not run.`;
  const { passed, failed, left, seconds } = smoke;
  const out = left > 0 ? ` ${left} more were skipped for lack of time.` : '';
  const wrong = failed.map(reason => `\n  - ${reason}`).join('');
  return `- ${what}: ${passed} passed, ${failed.length} failed, in ${seconds.toFixed(0)} s.${out}${wrong}`;
}

const NO_KERNEL = '- Attention as one kernel of the device: it has none.';

/** Describes how attention was computed in our measured steps. */
function attentionText(rows: readonly RawRow[]): string {
  const ours = rows.filter(({ implementation }) => implementation === 'rowtune');
  const fused = ours.filter(({ fusesAttention }) => fusesAttention).length;
  if (fused === 0) return 'Attention of ours is computed in chunks by the compiler, without a fused kernel.';
  return `Attention of ours is one kernel of cuDNN in ${fused} of ${ours.length} lines, and computed in chunks in the others. The workspace of the kernel is not predicted.`;
}

const listed = (title: string, lines: readonly string[]): string =>
  lines.length > 0 ? `\n## ${title}\n\n${lines.map(line => `- ${line}`).join('\n')}\n` : '';

/** The file name of a card's results. */
export const resultsName = (device: string): string =>
  `gpu-${device
    .toLowerCase()
    .replace(/^nvidia /, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')}`;

export function gpuMarkdown(results: GpuResults): string {
  const { facts, device, steps, models, rows, operations, goldens, attention, failures, left, isTrial } = results;
  const peak = peakOfCard(device);
  const parts = models.flatMap(model => {
    const own = rows.filter(row => row.model === model);
    const [first] = own;
    if (!first) return [];
    const lines = own.map(row => rowLine(row, results));
    return [`## ${describeWork(first)}\n\n${table(HEADER, lines)}\n`];
  });
  const ratios = gpuRatios(rows);
  const trial = isTrial ? '\n**A trial of the kit on a processor. GPU: unmeasured.**\n' : '';
  return `# A training step on ${device}
${trial}
Written by \`npm run bench -- --part gpu\`, or by the kit that \`npm run gpu-kit\` makes. bfloat16, all
linear layers, AdamW, dropout 0; the sizes of the models, with weights drawn by a seed that both sides
load. Each line is a process of its own; s/step is the median of ${steps} ${steps === 1 ? 'step' : 'steps'} after warm-up.

- MFU: the floating-point operations that the method needs, of what the card can do in that time
  (${peak ? `${peak.label}: ${peak.flops / 1e12} TFLOP/s of its data sheet` : 'unknown for this card'}). Operations computed again do not count.
- Peak: the most that the allocator of each side had given out, weights included.
- Predicted: what \`rowtune estimate\` says for the same recipe.
- ${attentionText(rows)}

${factLines(facts)}

## Checks

${smokeLine('Operations, values and gradients, next to the interpreter', operations)}
${smokeLine('Model folders, next to Transformers', goldens)}
${operations && !attention ? NO_KERNEL : smokeLine('Attention as one kernel of the device, next to chunks', attention)}

## Goals

Time ≤ ${GOALS.time} and memory ≤ ${GOALS.memory} of PEFT's LoRA at equal parameters (r ${LORA_RANK} and SPSFT, …), MFU ≥ ${percent(GOALS.utilization)}
with eight billion parameters, memory predicted within ${percent(GOALS.prediction)}.

${ratios.length > 0 ? ratiosTable(ratios) : 'No pair was measured.'}

${parts.join('\n')}${listed('Failed', failures)}${listed('Left out, since the time was over', left)}`;
}
