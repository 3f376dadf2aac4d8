/**
 * `npm run study -- --neurons`: determines whether chosen rows differ by task, data and seed, part by part. Writes neurons.md and its
 * figures from all parts.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../../../trainer/files/durable-file.ts';
import { readRequest } from '../../request.ts';
import type { StudySources } from '../data.ts';
import { studyJobs } from '../jobs.ts';
import { neuronFigures } from './neuron-figures.ts';
import { neuronPage } from './neuron-page.ts';
import { neuronParts, partName, planOfPart } from './neuron-plan.ts';
import { appendNeuronRow, type NeuronRow, readNeuronRows } from './neuron-rows.ts';
import { computePart } from './neuron-work.ts';

interface Request {
  readonly cacheDir: string;
  /** The folder of neurons.jsonl, neurons.md and the figures. */
  readonly results: string;
  readonly sources: StudySources;
  readonly threads: number;
  /** Time limit for starting a part; none if absent. */
  readonly minutes?: number;
}

const request = readRequest<Request>();
const { results, cacheDir, sources, threads, minutes = Number.POSITIVE_INFINITY } = request;
const folder = path.join(cacheDir, 'study');
await mkdir(folder, { recursive: true });
const file = path.join(results, 'neurons.jsonl');
const rows = await readNeuronRows(file);
const context = { cacheDir, baseDir: folder, hub: { offline: true } };
const work = { context, folder, sources, threads, jobs: studyJobs(context) };
const isDone = (part: (typeof neuronParts)[number]): boolean =>
  rows.some(row => row.plan === planOfPart(part) && nameOf(row) === partName(part));
const nameOf = (row: NeuronRow): string => [row.kind, row.base, row.measure, ...(row.kind === 'ablation' ? [row.task] : [])].join(' ');
for (const part of neuronParts) {
  if (isDone(part)) continue;
  if (performance.now() > 60_000 * minutes) {
    process.stderr.write('the time is up; npm run study -- --neurons continues\n');
    break;
  }
  const row = await computePart(part, work);
  rows.push(row);
  await appendNeuronRow(file, row);
  process.stderr.write(`${(performance.now() / 60_000).toFixed(1)} min ${partName(part)}: ${row.cpuSeconds} CPU seconds\n`);
}
const current = neuronParts.flatMap(part => rows.findLast(row => row.plan === planOfPart(part) && nameOf(row) === partName(part)) ?? []);
await writeTextFile(path.join(results, 'neurons.md'), neuronPage(current));
for (const [name, svg] of neuronFigures(current)) await writeTextFile(path.join(results, name), svg);
