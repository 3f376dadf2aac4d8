/** Our engine's matrix-multiply rate, in a process of its own: prints one JSON line. */
import { measureMatmul } from '../trainer/engine/measure-matmul.ts';
import { openEngine } from '../trainer/engine/open-engine.ts';

const { cacheDir } = JSON.parse(process.argv[2] as string) as { cacheDir: string };
const engine = await openEngine('tensorflow', { cacheDir });
console.log(JSON.stringify({ gflops: await measureMatmul(engine) }));
