/** Measures the tokens per second of serving, next to Transformers and llama.cpp on the same weights: one answer, and four at the same time. */

import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { NamedType } from '../../trainer/artifact/gguf/quantization.ts';
import { WORKER_FLAGS, workerEnvironment } from '../../trainer/engine/tensorflow/environment.ts';
import { hasLlamaCpp, INSTALL_LLAMA_CPP } from '../../trainer/llama-cpp/llama-cpp-packages.ts';
import type { Precision } from '../../trainer/model/weight-storage.ts';
import { required } from '../../trainer/narrow.ts';
import { log } from '../measurements.ts';
import type { PartContext } from '../part.ts';
import { type Facts, factLines, megabytes, table } from '../report.ts';
import { BenchError, coresFor, median } from '../run-side.ts';
import { ggufInType } from './gguf-forms.ts';
import { ServeProcess } from './serve-process.ts';
import type { ServeResult, ServeRound, ServeStepRequest } from './serve-step.ts';

const SIDES = ['rowtune', 'transformers', 'llama.cpp'] as const;
type Side = (typeof SIDES)[number];
const PARALLEL = [1, 4];
const TOKENS = { promptTokens: 128, answerTokens: 48 };

interface Form {
  readonly name: string;
  readonly precision: Precision;
  /** The type of llama.cpp's file. */
  readonly file: NamedType;
  /** Transformers' type; undefined if it has none without further packages. */
  readonly dtype?: string;
}

const FORMS: readonly Form[] = [
  { name: 'float32', precision: { dtype: 'float32', quantize: 'none' }, file: 'F32', dtype: 'float32' },
  { name: 'bfloat16', precision: { dtype: 'bfloat16', quantize: 'none' }, file: 'BF16', dtype: 'bfloat16' },
  { name: '8 bits', precision: { dtype: 'float32', quantize: 'int8' }, file: 'Q8_0' },
];

export interface ServeRow {
  readonly form: string;
  readonly side: Side;
  readonly parallel: number;
  /** Tokens per second of all prompts and of all answers together, by round. */
  readonly read: readonly number[];
  readonly written: readonly number[];
  /** Milliseconds of processor time per token of an answer, by round. */
  readonly processorMs: readonly number[];
  readonly residentBytes: number;
}

export interface ServeResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly file: string;
  readonly rounds: number;
  /** The system's load before the first round, of all cores. */
  readonly load: number;
  readonly rows: readonly ServeRow[];
}

export function serveMarkdown({ facts, threads, file, rounds, load, rows }: ServeResults): string {
  const ratios = ({ form, parallel, written, processorMs, side }: ServeRow): string[] => {
    const own = rows.find(row => row.form === form && row.parallel === parallel && row.side === 'rowtune');
    if (!own || side === 'rowtune') return ['', ''];
    return [median(own.written) / median(written), median(processorMs) / median(own.processorMs)].map(ratio => ratio.toFixed(2));
  };
  const lines = rows.map(row => [
    `${row.form}, ${row.side}`,
    String(row.parallel),
    median(row.read).toFixed(0),
    median(row.written).toFixed(1),
    median(row.processorMs).toFixed(1),
    ...ratios(row),
    megabytes(row.residentBytes),
  ]);
  return `# Serving next to Transformers and llama.cpp

Written by \`npm run bench -- --part serve\`: the weights of ${file} on ${threads} core${threads > 1 ? 's' : ''}, prompts of ${TOKENS.promptTokens} tokens
and answers of ${TOKENS.answerTokens}, greedy, with a cache. With 8 bits, Rowtune holds int8 weights and float32 activations, and llama.cpp a Q8_0
file and activations of 8 bits. All processes stay loaded and take turns, round by round. Rates are the median of ${rounds} round${rounds > 1 ? 's' : ''},
of all answers together, without the time that the prompts take alone. The ratios are Rowtune's rate of answers divided by the other's,
by the clock and by processor time: more than 1 means that Rowtune is faster. Resident memory is that of a process for
${Math.max(...PARALLEL)} answers. Before the measurement, the load of the machine's ${facts.cores} cores was ${load.toFixed(1)}; other work slows down whoever waits
for a second thread, and processor time shows less of it.

${factLines(facts)}

${table(['', 'answers at the same time', 'prompt tokens/s', 'answer tokens/s', 'ms of processor', 'ratio', 'by processor', 'resident, MiB'], lines)}
`;
}

interface Served {
  readonly form: string;
  readonly side: Side;
  readonly process: ServeProcess<ServeRound, ServeResult>;
}

/** Starts a process for each form and side. */
async function startAll({ sides, threads, cacheDir }: PartContext, source: string): Promise<Served[]> {
  const cores = coresFor(threads);
  const pinned = ['taskset', '-c', cores.join(',')];
  const model = required(sides.folders.smollm2, 'the folder of SmolLM2');
  const most = Math.max(...PARALLEL);
  const started: Served[] = [];
  const start = (form: string, side: Side, command: readonly string[], env: Readonly<Record<string, string>>) =>
    started.push({ form, side, process: new ServeProcess([...pinned, ...command], { OMP_NUM_THREADS: String(threads), ...env }) });
  for (const { name, precision, file, dtype } of FORMS) {
    const ours = (side: ServeStepRequest['side'], own: string) => {
      const request: ServeStepRequest = { side, source: own, precision, cacheDir, device: sides.device, threads, most, ...TOKENS };
      const script = path.join(sides.scripts, 'serve-step.mjs');
      start(name, side, [process.execPath, ...WORKER_FLAGS, script, JSON.stringify(request)], workerEnvironment({ threads }));
    };
    ours('rowtune', source);
    if (dtype !== undefined && sides.python !== undefined) {
      const values = { model, dtype, 'prompt-tokens': TOKENS.promptTokens, 'answer-tokens': TOKENS.answerTokens, threads };
      const script = path.join(path.dirname(sides.peer), 'transformers_serve.py');
      const options = Object.entries(values).flatMap(([option, value]) => [`--${option}`, String(value)]);
      start(name, 'transformers', [sides.python, '-W', 'ignore', script, ...options], {});
    }
    ours('llama.cpp', await ggufInType(source, file, path.join(cacheDir, 'bench')));
  }
  return started;
}

/** @throws BenchError if llama.cpp is not installed */
export async function runServe(context: PartContext): Promise<boolean> {
  const { facts, threads, steps: rounds, results, cacheDir, sources } = context;
  if (!hasLlamaCpp(cacheDir)) throw new BenchError(`llama.cpp is the other side: ${INSTALL_LLAMA_CPP}`);
  const source = sources.smollm2;
  if (source === undefined) throw new BenchError('there is no GGUF file of SmolLM2');
  const all = await startAll(context, source);
  for (const { process: own } of all) await own.ready();
  const [load = 0] = os.loadavg();
  // The first answer of each process warms up.
  for (const { process: own } of all) await own.measure({ parallel: 1, round: rounds });
  const found = new Map<string, ServeRow & Readonly<Record<'read' | 'written' | 'processorMs', number[]>>>();
  for (let round = 0; round < rounds; round++)
    for (const parallel of PARALLEL)
      for (const { form, side, process: own } of all) {
        const { readSeconds, writeSeconds, writeProcessorSeconds, residentBytes } = await own.measure({ parallel, round });
        const key = [form, parallel, side].join(' ');
        const { read = [], written = [], processorMs = [] } = found.get(key) ?? {};
        const tokens = parallel * TOKENS.answerTokens;
        read.push((parallel * TOKENS.promptTokens) / readSeconds);
        written.push(tokens / writeSeconds);
        processorMs.push((1000 * writeProcessorSeconds) / tokens);
        found.set(key, { form, side, parallel, read, written, processorMs, residentBytes });
        log(
          `${key}: ${read.at(-1)?.toFixed(0)} tokens/s read, ${written.at(-1)?.toFixed(1)} written, ${processorMs.at(-1)?.toFixed(1)} ms of processor`,
        );
      }
  for (const { process: own } of all) await own.end();
  const rows = FORMS.flatMap(({ name }) =>
    PARALLEL.flatMap(parallel => SIDES.flatMap(side => found.get([name, parallel, side].join(' ')) ?? [])),
  );
  const whole: ServeResults = { facts, threads, file: path.basename(source), rounds, load, rows };
  await writeFile(path.join(results, 'serve.md'), serveMarkdown(whole));
  await writeFile(path.join(results, 'serve.json'), `${JSON.stringify(whole, null, 2)}\n`);
  log('wrote serve.md and .json');
  return rows.every(({ read, written }) => [...read, ...written].every(rate => Number.isFinite(rate) && rate > 0));
}
