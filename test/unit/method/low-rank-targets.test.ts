/** Tests which layers of convolutional networks are tuned by methods with low-rank factors. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { trainableCount } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { required } from '../../../trainer/narrow.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { settingsOf } from '../../support/models/method-settings.ts';

const configOf = (family: string) => loadModel(readRecord(join(import.meta.dirname, '..', '..', 'golden', family, 'config.json')));
const resnet = configOf('resnet');
const attach = (method: 'lora' | 'dora' | 'vera', targetModules: string[], model = resnet) =>
  methods[method].attach(model, settingsOf({ targetModules, rank: 2 }), new Map());

test('vera of a ResNet: it has no linear layers, and convolutions are named where they are asked for', () => {
  expect(() => attach('vera', ['all-linear'])).toThrow('vera tunes linear layers of the blocks, and this resnet has none there: spsft');
  expect(() => attach('vera', ['convolution'])).toThrow(/target_modules also match resnet\.embedder\.embedder\.convolution/);
  expect(() => attach('dora', ['convolution', 'normalization'])).toThrow(/dora tunes linear layers and convolutions of the blocks/);
});

test('of a grouped convolution [out, in / groups, kh, kw] all groups share the filters of A', () => {
  const { name, weight } = required(
    configOf('timm_resnext').modules.find(module => module.name === 'layer1.0.conv2'),
    'a convolution',
  );
  const [out = 0, ofGroup = 0, kh = 0, kw = 0] = weight.shape;
  const [a, b] = attach('lora', [name], configOf('timm_resnext')).trainables;
  expect(a?.shape).toEqual([2, ofGroup, kh, kw]);
  expect(b?.shape).toEqual([out, 2, 1, 1]);
  expect(trainableCount(attach('dora', [name], configOf('timm_resnext')))).toBe(2 * (ofGroup * kh * kw + out) + out);
});
