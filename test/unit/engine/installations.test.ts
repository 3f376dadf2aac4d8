/** Tests that the sizes which the editor shows before a download are those of the files. */
import { expect, test } from 'vitest';
import { installations } from '../../../trainer/catalog/installations.ts';
import { toolCatalog } from '../../../trainer/catalog/tools.ts';
import { TENSORFLOW_WHEEL_BYTES } from '../../../trainer/engine/install/engine-folder.ts';
import { type PjrtPlugin, pjrtPlugins, pjrtVariants } from '../../../trainer/engine/install/pjrt-plugins.ts';
import { byteSize } from '../../../trainer/protocol/text/format.ts';

const sum = (wheels: readonly { readonly bytes: number }[]): number => wheels.reduce((bytes, wheel) => bytes + wheel.bytes, 0);
const toCompute = ({ wheel, compiler = [], runtime = [] }: PjrtPlugin): number => sum([wheel, ...compiler, ...runtime]);

test('TensorFlow for processors', () =>
  expect(installations.tensorflow.download).toMatch(new RegExp(`^${byteSize(TENSORFLOW_WHEEL_BYTES)},`)));

test.each(['cuda13', 'rocm7'] as const)('a compiler of %s', name => {
  const { wheel, compiler = [] } = pjrtPlugins[name];
  expect(installations[name].download).toBe(byteSize(sum([wheel, ...compiler])));
});

test('the plugins, from the smallest to the largest', () => {
  const sizes = pjrtVariants.map(name => toCompute(pjrtPlugins[name])).sort((a, b) => a - b);
  const [least = 0, most = 0] = [sizes[0], sizes.at(-1)];
  expect(installations.pjrt.download).toBe(`${(least / 1e6).toFixed(0)} MB to ${(most / 1e9).toFixed(0)} GB, by accelerator`);
});

test('a tool', () => expect(installations.images.download).toBe(`${toolCatalog.images.megabytes} MB`));
