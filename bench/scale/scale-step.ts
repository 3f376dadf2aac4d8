/** One rank of a measurement of exchanges alone, started by mpiexec; rank 0 prints one JSON line. */
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { required } from '../../trainer/narrow.ts';
import { readRequest } from '../request.ts';

export interface ExchangeTime {
  /** Bytes that each rank contributes. */
  readonly bytes: number;
  /** Median of the repetitions, on the slowest rank. */
  readonly seconds: number;
}

export interface ScaleStepRequest {
  readonly cacheDir: string;
  readonly library: string;
  /** Number of float32 elements in each sum. */
  readonly counts: readonly number[];
  readonly repetitions: number;
}

const request = readRequest<ScaleStepRequest>();
const engine = await openEngine('tensorflow', { cacheDir: request.cacheDir });
const group = required(engine.join, 'an engine that joins processes')(request.library);
const exchanges: ExchangeTime[] = [];
for (const count of request.counts) exchanges.push({ bytes: 4 * count, seconds: await measure(count) });
if (group.rank === 0) console.log(JSON.stringify({ ranks: group.size, exchanges }));
group.leave();
process.exit(0);

/** @returns the seconds that a sum of `count` elements takes */
async function measure(count: number): Promise<number> {
  const graph = new Graph();
  const x = graph.feed('x', [count]);
  const y = graph.sum(graph.endSum(graph.beginSum(graph.mul(x, 2), 'float32')), [0]);
  const session = await engine.compile(assemble({ sum: { graph, outputs: { y }, effects: [] } }));
  const feeds = { x: new Float32Array(count).fill(0.5) };
  const times: number[] = [];
  // The first repetition opens connections.
  for (let i = 0; i <= request.repetitions; i++) {
    group.gather(new Uint8Array(1));
    const before = group.counts();
    const { y: sums } = await session.run('sum', feeds);
    const seconds = group.counts().busySeconds - before.busySeconds;
    const expected = count * group.size;
    if (Math.abs((sums?.[0] ?? 0) - expected) > 1e-4 * expected)
      throw new Error(`${count} numbers over ${group.size} ranks sum to ${sums?.[0]}`);
    if (i > 0) times.push(seconds);
  }
  await session.dispose();
  times.sort((a, b) => a - b);
  const own = Float64Array.of(required(times[Math.floor(times.length / 2)], 'a repetition'));
  return Math.max(...group.gather(new Uint8Array(own.buffer)).map(bytes => required(new Float64Array(bytes.slice().buffer)[0], 'a time')));
}
