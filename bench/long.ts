/** Long context on SmolLM2-135M: one sequence of 2048 and of 8192 tokens. Activations dominate, and attention grows quadratically. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Configuration, configure, describe, describeWork, inTurn } from './configuration.ts';
import { Clock, guessAll, log, measureAll, minutes, type Planned } from './measurements.ts';
import type { PartContext } from './part.ts';
import { choose, type Row } from './ratios.ts';
import { disturbed, type Facts, factLines, rowsTable, table } from './report.ts';
import { compareWork, coreSets, measureRates, type Rates, withMemory } from './run-side.ts';

export const LENGTHS = [2048, 8192] as const;

/** Measured steps per length; a step of 8192 tokens takes a minute on two cores. */
const STEPS: Readonly<Record<(typeof LENGTHS)[number], number>> = { 2048: 3, 8192: 1 };

export function longPlan(steps: number): Planned[] {
  return LENGTHS.flatMap(tokens => {
    const at = (implementation: Configuration['implementation']) => (method: Configuration['method'], setting: Configuration['setting']) =>
      configure(implementation, { method, setting, batch: 1, tokens });
    const [ours, theirs] = [at('rowtune'), at('pytorch')];
    // At 8192 tokens, activations without recomputed blocks would take more than ten gigabytes.
    const kept = tokens <= 2048;
    const mine = [
      ours('inference', 'none'),
      ours('spsft', 'block'),
      ...(kept ? [ours('spsft', 'cheap'), ours('spsft', 'none')] : [ours('spsft', 'cheap')]),
      ours('spsft', 'sqrt'),
    ];
    const others = [theirs('inference', 'none'), theirs('lora', 'checkpointing'), ...(kept ? [theirs('lora', 'none')] : [])];
    return inTurn(mine, others).map(configuration => ({ configuration, steps: Math.min(steps, STEPS[tokens]) }));
  });
}

export interface LongResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly rows: readonly Row[];
  readonly rates: Rates;
  readonly notes: readonly string[];
}

/** For each of their rows, our row closest to three quarters of its time and a third of its memory. */
function comparison(rows: readonly Row[]): string {
  const lines = rows
    .filter(row => row.implementation === 'pytorch' && row.method === 'lora')
    .flatMap(peer => {
      const mine = rows.filter(row => row.implementation === 'rowtune' && row.method === 'spsft' && row.tokens === peer.tokens);
      const ours = choose(mine, [{ peer, time: 0.75, memory: 0.35 }], 'secondsPerStep');
      if (!ours) return [];
      const [time, memory] = [ours.secondsPerStep / peer.secondsPerStep, ours.memoryBytes / peer.memoryBytes];
      return [[`${peer.tokens} tokens: ${describe(ours)} / ${describe(peer)}`, time.toFixed(2), memory.toFixed(2)]];
    });
  return table(['ours / theirs', 'time', 'memory'], lines);
}

export function longMarkdown({ facts, threads, rows, rates, notes }: LongResults): string {
  const parts = LENGTHS.map(tokens => {
    const own = rows.filter(row => row.tokens === tokens);
    const [first] = own;
    return first ? `## ${describeWork(first)}\n\n${rowsTable({ rows: own, rates })}\n` : '';
  });
  return `# Long context

Written by \`npm run bench -- --part long\`: SmolLM2-135M in float32, one
sequence, on ${threads} core${threads > 1 ? 's' : ''}; every token is a label. Times are medians of at most ${STEPS[2048]} steps with
2048 tokens and ${STEPS[8192]} with 8192, after two warm-up steps. MiB is memory over inference of the same
length by the same side; PyTorch's inference holds the logits of every token.

${factLines(facts)}

${comparison(rows)}

${parts.join('\n')}${notes.length > 0 ? `\n## Doubts\n\n${notes.map(note => `- ${note}`).join('\n')}\n` : ''}`;
}

/** @returns false if something could not be measured, or if the two sides did not do the same work */
export async function runLong({ sides, facts, store, threads, jobs, steps, results }: PartContext): Promise<boolean> {
  const params = { sides, planned: longPlan(steps), threads, jobs, store };
  const clock = new Clock(guessAll(params), jobs);
  log(`long: ${params.planned.length} processes, about ${minutes(clock.left())}`);
  const rates = await measureRates(sides, coreSets(threads, jobs));
  const { rows: raw, failures } = await measureAll({ ...params, clock });
  const rows = withMemory(raw);
  const failed = [...failures, ...compareWork(raw)];
  const found: LongResults = { facts, threads, rows, rates, notes: [...failed, ...disturbed(rows, facts.cores)] };
  await writeFile(path.join(results, 'long.md'), longMarkdown(found));
  await writeFile(path.join(results, 'long.json'), `${JSON.stringify(found)}\n`);
  log('wrote long.md and .json');
  return failed.length === 0;
}
