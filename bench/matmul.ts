/** Measures the rates of our engine's matrix products, in its own process: prints one JSON line. */
import type { EngineName } from '../trainer/engine/engine.ts';
import { measureMatmul } from '../trainer/engine/measure-matmul.ts';
import { openEngine } from '../trainer/engine/open-engine.ts';
import { checkDevice, type Device } from './device.ts';
import { readRequest } from './request.ts';

interface MatmulRequest {
  readonly cacheDir: string;
  readonly device: Device;
  readonly engine: EngineName;
  readonly dtype: 'float32' | 'bfloat16';
}

const { cacheDir, device, engine: name, dtype } = readRequest<MatmulRequest>();
const engine = await openEngine(name, { cacheDir });
checkDevice(engine, device);
console.log(JSON.stringify({ gflops: await measureMatmul(engine, dtype), engine: engine.description.summary }));
