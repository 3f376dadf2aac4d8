/** Measures the tokens per second of serving, next to llama.cpp on the same weights: one, four and eight simultaneous answers. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { hasLlamaCpp, INSTALL_LLAMA_CPP } from '../../trainer/llama-cpp/llama-cpp-packages.ts';
import { log } from '../measurements.ts';
import type { PartContext } from '../part.ts';
import { type Facts, factLines, megabytes, table } from '../report.ts';
import { BenchError, coresFor, median, runOurs } from '../run-side.ts';
import type { ServeStepRequest, ServeStepResult } from './serve-step.ts';

const SIDES = ['rowtune', 'llama.cpp'] as const;
const PARALLEL = [1, 4, 8];
const TOKENS = { promptTokens: 256, answerTokens: 64 };

interface ServeRow extends ServeStepResult, Pick<ServeStepRequest, 'side' | 'parallel'> {}

export interface ServeResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly file: string;
  readonly rounds: number;
  readonly rows: readonly ServeRow[];
}

export function serveMarkdown({ facts, threads, file, rounds, rows }: ServeResults): string {
  const lines = rows.map(({ side, parallel, read, written, residentBytes }) => [
    side,
    String(parallel),
    median(read).toFixed(0),
    median(written).toFixed(1),
    (median(written) / parallel).toFixed(1),
    megabytes(residentBytes),
  ]);
  return `# Serving next to llama.cpp

Written by \`npm run bench -- --part serve\`: ${file} on ${threads} core${threads > 1 ? 's' : ''}, prompts of ${TOKENS.promptTokens} tokens
and answers of ${TOKENS.answerTokens}, greedy. Both sides read the same file. Rowtune unpacks its weights to float32; llama.cpp computes
with them as they are, and rounds activations to 8 bits. Rates are the median of ${rounds} round${rounds > 1 ? 's' : ''}, of all answers together.
That of answers is without the time that the prompts take alone.

${factLines(facts)}

${table(['', 'answers at the same time', 'prompt tokens/s', 'answer tokens/s', 'of each answer', 'resident, MiB'], lines)}
`;
}

/** @throws BenchError if llama.cpp is not installed */
export async function runServe({ sides, facts, threads, steps, results, cacheDir, sources }: PartContext): Promise<boolean> {
  if (!hasLlamaCpp(cacheDir)) throw new BenchError(`llama.cpp is the other side: ${INSTALL_LLAMA_CPP}`);
  const source = sources.smollm2;
  if (source === undefined) throw new BenchError('there is no GGUF file of SmolLM2');
  const cores = coresFor(threads);
  const rows: ServeRow[] = [];
  for (const parallel of PARALLEL)
    for (const side of SIDES) {
      const request = { side, source, threads, parallel, rounds: steps, ...TOKENS };
      const found = await runOurs<ServeStepResult>(sides, 'serve-step.mjs', request, cores);
      rows.push({ side, parallel, ...found });
      log(
        `${side}, ${parallel} at the same time: ${median(found.read).toFixed(0)} tokens/s read, ${median(found.written).toFixed(1)} written`,
      );
    }
  const all: ServeResults = { facts, threads, file: path.basename(source), rounds: steps, rows };
  await writeFile(path.join(results, 'serve.md'), serveMarkdown(all));
  await writeFile(path.join(results, 'serve.json'), `${JSON.stringify(all, null, 2)}\n`);
  log('wrote serve.md and .json');
  return rows.every(({ read, written }) => [...read, ...written].every(rate => Number.isFinite(rate) && rate > 0));
}
