/** Four steps of AdamW on a folder of each family of decoders, for rows, LoRA and everything, against PyTorch: losses within 1e-4. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { targetModules } from '../../trainer/method/targets.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { CausalModel } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { optimizerFeeds } from '../../trainer/train/optimizer.ts';
import { trainProgram, trainSignature } from '../../trainer/train/train-program.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { openOthers } from '../support/engines.ts';
import { settingsOf } from '../support/method-settings.ts';

const golden: {
  readonly lr: number;
  readonly tokens: number;
  readonly rank: number;
  readonly alpha: number;
  readonly folders: Readonly<Record<string, Readonly<Record<'full' | 'spsft' | 'lora', readonly number[]>>>>;
} = JSON.parse(readFileSync(join(import.meta.dirname, 'decoder_traces.json'), 'utf8'));
const { lr, tokens, rank, alpha } = golden;
const BATCH = 2;
const optimizer = { name: 'adamw', weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 } as const;
const settings = settingsOf({ rank, loraAlpha: alpha, seed: 0 });

// Ids, rows and the start of LoRA are those of make_decoder_traces.py.
const idsOf = (vocabulary: number) =>
  Int32Array.from({ length: BATCH * tokens }, (_, at) => (((at % tokens) * 37 + Math.floor(at / tokens) * 11 + 5) % (vocabulary - 3)) + 3);
const rowsOf = (count: number) => Int32Array.from(new Set([0, 2, Math.floor(count / 2), count - 1])).sort();
const linearsOf = (model: CausalModel) => targetModules(model, settings);

function startOf(model: CausalModel): Map<string, HostArray> {
  const start = new Map<string, HostArray>();
  for (const { name, weight } of linearsOf(model)) {
    const [out = 1, width = 1] = weight.shape;
    const a = Float32Array.from({ length: rank * width }, (_, at) => (((Math.floor(at / width) * 31 + (at % width) * 17) % 23) - 11) / 100);
    start.set(`${name}.lora_A.weight`, a).set(`${name}.lora_B.weight`, new Float32Array(out * rank));
  }
  return start;
}

async function losses(engine: Engine, folderName: string, method: MethodName): Promise<number[]> {
  const folder = await openModel(join(import.meta.dirname, folderName));
  const model = causalModel(folder.config);
  const selection = new Map(
    method === 'spsft' ? linearsOf(model).map(({ name, weight }) => [name, rowsOf(weight.shape[0] as number)] as const) : [],
  );
  const attachment = methods[method].attach(model, settings, selection);
  const shape = { batch: BATCH, tokens, targets: BATCH * (tokens - 1) };
  const session = await engine.compile(
    trainProgram({
      ...{ task: causalTask(model), attachment, optimizer, maxGradNorm: 0, accumulationSteps: 1, recompute: 'none' },
      ...{ trainShapes: [shape], evalShapes: [] },
    }),
  );
  const start = method === 'lora' ? startOf(model) : new Map<string, HostArray>();
  await loadVariables(session, { model: weightStream(model, folder.weights), attachment, optimizer, start });
  const ids = idsOf(model.vocabularySize);
  const positions = [...ids.keys()].filter(i => i % tokens < tokens - 1);
  const feeds = {
    ids,
    targetPositions: Int32Array.from(positions),
    targetIds: Int32Array.from(positions, i => ids[i + 1] as number),
    targetWeights: new Float32Array(positions.length).fill(1 / positions.length),
    seed: Int32Array.of(0, 0),
  };
  const found: number[] = [];
  for (let step = 1; step <= 5; step++) {
    const scalars = Object.entries(optimizerFeeds(optimizer, lr, step)).map(([name, value]) => [name, Float32Array.of(value)]);
    const { loss } = await session.run(trainSignature(shape), { ...feeds, ...Object.fromEntries(scalars) });
    found.push((loss as Float32Array)[0] as number);
  }
  await session.dispose();
  await folder.weights.close();
  return found;
}

for (const { name, engine, missing } of await openOthers())
  describe.skipIf(!engine)(`${name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    test.each(Object.entries(golden.folders))('%s', async (folder, wanted) => {
      for (const method of ['full', 'spsft', 'lora'] as const) {
        const found = await losses(engine as Engine, folder, method);
        found.forEach((loss, i) => expect(loss, `${method}, step ${i}`).toBeCloseTo(wanted[method][i] as number, 4));
      }
    });
  });
