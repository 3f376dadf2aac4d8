/** Why a method that multiplies by low-rank factors finds nothing to tune. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { methods } from '../../../trainer/method/methods.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { settingsOf } from '../../support/method-settings.ts';

const resnet = loadModel(JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'golden', 'resnet', 'config.json'), 'utf8')));
const attach = (method: 'lora' | 'dora' | 'vera', targetModules: string[]) =>
  methods[method].attach(resnet, settingsOf({ targetModules, rank: 2 }), new Map());

test.each(['dora', 'vera'] as const)(
  '%s of a ResNet: it has no linear layers, and convolutions are named where they are asked for',
  method => {
    expect(() => attach(method, ['all-linear'])).toThrow(
      `${method} tunes linear layers of the blocks, and this resnet has none there: spsft`,
    );
    expect(() => attach(method, ['convolution'])).toThrow(/target_modules also match resnet\.embedder\.embedder\.convolution/);
    expect(attach('lora', ['all-linear']).trainables.length).toBeGreaterThan(0);
  },
);
