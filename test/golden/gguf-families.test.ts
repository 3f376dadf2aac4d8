/**
 * Tests GGUF files of mixtures of experts and of Ministral 3, written with llama.cpp's package: they match the numbers of Transformers and
 * the weights of their source folders.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { float32Of } from '../../trainer/graph/types.ts';
import { type ModelFolder, openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { required } from '../../trainer/narrow.ts';
import { readGolden } from '../../trainer/verify/golden.ts';
import { verifyModel, verifyProgram } from '../../trainer/verify/verify-model.ts';
import { describeOn, openOthers } from '../support/engines.ts';

const names = ['mixtral', 'qwen3_moe', 'gpt_oss', 'gpt_oss_mxfp4', 'ministral3'];
const at = (...parts: readonly string[]): string => join(import.meta.dirname, ...parts);
const openFile = (name: string): Promise<ModelFolder> => openModel(at('gguf', `${name}.gguf`));

describeOn(await openOthers(), engine => {
  test.each(names)('%s: logits, loss and gradients', async name => {
    const own = at('gguf', `${name}.json`);
    const golden = await readGolden(existsSync(own) ? own : at(name, 'golden.json'));
    const { config, weights } = await openFile(name);
    const model = causalModel(config);
    const session = await engine.compile(verifyProgram(model, golden));
    await session.load(weightStream(model, weights));
    const checks = await verifyModel(session, model, golden);
    await session.dispose();
    await weights.close();
    expect(checks.length).toBe(2 + Object.keys(golden.grads).length);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  });
});

test.each(names.filter(name => name !== 'qwen3_moe'))('%s: every number of the folder', async name => {
  const [file, folder] = [await openFile(name), await openModel(at(name))];
  const [ours, theirs] = [causalModel(file.config), causalModel(folder.config)];
  expect(ours.parameters.map(({ name, shape }) => [name, shape])).toEqual(theirs.parameters.map(({ name, shape }) => [name, shape]));
  const expected = weightStream(theirs, folder.weights)[Symbol.asyncIterator]();
  for await (const { name: parameter, data } of weightStream(ours, file.weights)) {
    const { value } = await expected.next();
    const other = float32Of(required(value, parameter).data);
    // Zeros in four-bit blocks have no sign in GGUF.
    expect(float32Of(data).every((x, i) => x === other[i]), parameter).toBe(true);
  }
  await file.weights.close();
  await folder.weights.close();
});
