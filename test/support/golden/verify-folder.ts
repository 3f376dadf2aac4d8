/** Compares a model folder with its reference numbers on an engine that is already open. */
import { join } from 'node:path';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { type Golden, imageSizeOf, readGolden } from '../../../trainer/verify/golden.ts';
import { type Check, verifyModel, verifyProgram } from '../../../trainer/verify/verify-model.ts';

/** One folder of `test/golden` per kind of layer; if compiling takes seconds, these represent all folders. */
export const folderOfEachLayer: readonly string[] = [
  ...[
    'llama',
    'gemma3',
    'gemma4',
    'mixtral',
    'gpt_oss',
    'qwen3_5',
    'qwen3_next',
    'lfm2',
    'granite4_mamba',
    'nemotron_h_experts',
    'falcon_h1_normed',
    'glm4',
    'deepseek_v3',
    'hunyuan',
    'cohere2',
    'bert',
    'bert_tokens',
    'deberta',
    'modernbert',
    'vit',
    'resnet',
    'convnextv2',
    'swin',
  ],
];

/** Returns the checks of a folder, and the names of everything that its reference has a number for. */
export async function verifyFolder(engine: Engine, dir: string): Promise<{ checks: Check[]; expected: string[] }> {
  const folder = await openModel(dir);
  const golden = await readGolden(join(dir, 'golden.json'));
  const model = loadModel(folder.config, { imageSize: imageSizeOf(golden) });
  const session = await engine.compile(verifyProgram(model, golden));
  try {
    await session.load(weightStream(model, folder.weights));
    return { checks: await verifyModel(session, model, golden), expected: namesOf(golden) };
  } finally {
    await session.dispose();
    await folder.weights.close();
  }
}

function namesOf({ grads, train }: Golden): string[] {
  const inMode = (gradients: object) => ['logits', 'loss', ...Object.keys(gradients).map(parameter => `gradient of ${parameter}`)];
  if (!train) return inMode(grads);
  const training = [...inMode(train.grads), ...Object.keys(train.buffers ?? {}).map(name => `running ${name}`)];
  return [...inMode(grads), ...training.map(name => `${name} (training mode)`)];
}
