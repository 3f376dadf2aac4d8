/** Tests options of a GPU's client and compiler with NVIDIA's plugin itself, which checks them before it looks for a GPU. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { engineRequire } from '../../../../trainer/engine/install/engine-folder.ts';
import {
  cudaToolkit,
  type InstalledPjrt,
  locateCardCompiler,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
} from '../../../../trainer/engine/install/pjrt-folder.ts';
import { type ClientOption, clientOptions, pjrtPlugins, pjrtVariants } from '../../../../trainer/engine/install/pjrt-plugins.ts';
import type { Addon } from '../../../../trainer/engine/pjrt/addon.ts';
import { describeCard } from '../../../../trainer/engine/pjrt/card-description.ts';
import { cardCompileOptions, compileOptions, MARKS, NO_MODULE, withFolders } from '../../../../trainer/engine/pjrt/compile-options.ts';
import { lowerSignature } from '../../../../trainer/engine/pjrt/lower.ts';
import { required } from '../../../../trainer/narrow.ts';
import { trainingStep } from '../../../../trainer/plan/memory/counted-passes.ts';
import { messageOf } from '../../../../trainer/protocol/error-facts.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { COMPILE_MS, type Config, cardPlan, configOf, noCompiler } from '../../../support/golden/card-steps.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

const located = locateCardCompiler(cacheDir, 'nvidia');
const installed = located !== undefined && pjrtAddonIsCurrent(located.folder) ? located : undefined;

// Compiled from `engine/pjrt/native`; `Addon` is what it exports.
const addonOf = ({ folder }: InstalledPjrt): Addon => engineRequire(folder)(pjrtAddonPath(folder)) as Addon;

describe.skipIf(!installed)(`the client of a GPU (skipped without the plugin: ${noCompiler})`, () => {
  /** Returns the plugin's answer to these options; undefined if it opens a GPU. */
  async function answerTo(options: readonly ClientOption[]): Promise<string | undefined> {
    if (!installed) return undefined;
    return addonOf(installed)
      .open(pjrtLibrary(installed), options)
      .then(() => undefined, messageOf);
  }

  test('has options of the names and kinds that the plugin knows', async () => {
    const options = installed ? clientOptions(installed.plugin, 1) : [];
    expect(options.map(([name]) => name)).toContain('memory_fraction');
    expect((await answerTo(options)) ?? '').not.toMatch(/option/i);
  });

  test.each([
    [[['memory_fraction', 'integer', 1]], /memory_fraction has type/],
    [[['preallocate', 'float', 0]], /preallocate has type/],
    [[['share', 'float', 1]], /Unexpected option name.*share/],
  ] as const)('other options are refused: %j', async (options, message) => {
    expect(await answerTo(options)).toMatch(message);
  });
});

/** The module of a small step, with rows or with `more` lines of the recipe. */
function moduleOf(config: Config, more?: string, tokens?: number): string {
  const plan = cardPlan(config, more, { tokens });
  const { signature, variables } = trainingStep(plan, 'cheap');
  return lowerSignature(signature, new Map(variables.map(spec => [spec.name, spec])), { places: plan.places }).text;
}

describe('a module that adds in an order that a device may choose', () => {
  test.each([
    ['rows of a decoder, whose targets are distinct', 'llama', undefined, false],
    ['an embedding that is trained', 'llama', 'method: full\n', true],
    ['columns, which are written to places of their own', 'llama', 'trains: columns\nr: 2\n', false],
    ['distances between tokens that share parameters', 'deberta', undefined, true],
    ["attention by cuDNN's kernel", 'llama', 'dtype: bfloat16\nattention: fused\nr: 2\n', true],
  ] as const)('is known by its first line: %s', (_, folder, more, expected) => {
    const text = moduleOf({ ...configOf(folder), ...(folder === 'llama' && { head_dim: 16 }) }, more);
    expect(text.startsWith(`${MARKS.unordered}\n`)).toBe(expected);
    const plain = compileOptions({ text }, {});
    expect(plain).toEqual(compileOptions(NO_MODULE, { orders: true }));
    expect(Buffer.from(compileOptions({ text }, { orders: true })).includes('xla_gpu_exclude_nondeterministic_ops')).toBe(expected);
  });
});

describe('a module that computes few values', () => {
  test.each([
    ['a small model', {}, true],
    ['a wide model with long samples', { hidden_size: 4096, intermediate_size: 4096 }, false],
  ])('is marked before its first line, and its code is not optimized for a processor: %s', (_, wide, expected) => {
    const text = moduleOf({ ...configOf('llama'), ...wide }, 'r: 2\n', 128);
    expect(text.slice(0, text.indexOf('module')).includes(MARKS.small)).toBe(expected);
    const has = (options: Uint8Array) => Buffer.from(options).includes('xla_backend_optimization_level');
    expect(has(compileOptions({ text }, pjrtPlugins['pjrt-cpu']))).toBe(expected);
    for (const variant of pjrtVariants.filter(each => each !== 'pjrt-cpu'))
      expect(has(compileOptions({ text }, pjrtPlugins[variant]))).toBe(false);
    expect(has(cardCompileOptions({ text }))).toBe(false);
  });
});

describeWith('a program for a GPU', installed, noCompiler, plugin => {
  /** Bytes of a small step's temporaries, compiled for an H100 with this much memory. */
  async function temporariesWith(memoryBytes: number): Promise<number> {
    const addon = addonOf(plugin);
    const description = describeCard('h100').replace(/(?<=device_memory_size: )\d+/, `${memoryBytes}`);
    const card = await addon.describeDevice(pjrtLibrary(plugin), 'h100', [
      ['topology', '1x1x1'],
      ['target_config', description],
    ]);
    const text = moduleOf({ ...configOf('llama'), hidden_size: 128, intermediate_size: 256, num_hidden_layers: 3 });
    const options = withFolders(cardCompileOptions({ text }), { toolkit: cudaToolkit(plugin), tuned: makeTemporaryFolder() });
    const compiled = await addon.compileFor(card, Buffer.from(text), options);
    const { temporaries } = addon.compiledForMemory(compiled);
    addon.closeCompiled(compiled);
    addon.closeTopology(card);
    return temporaries;
  }

  test(
    'adds in one order: ids are sorted before their rows are added, where the options ask for it',
    async () => {
      const addon = addonOf(plugin);
      const card = await addon.describeDevice(pjrtLibrary(plugin), 'h100', [
        ['topology', '1x1x1'],
        ['target_config', describeCard('h100')],
      ]);
      const text = moduleOf({ ...configOf('llama'), num_hidden_layers: 1 }, 'method: full\n');
      /** Returns true if the module, compiled with these options, contains a sort; each opcode is a text in the binary form. */
      const sorts = async (options: Uint8Array): Promise<boolean> => {
        const compiled = await addon.compileFor(card, Buffer.from(text), withFolders(options, { toolkit: cudaToolkit(plugin) }));
        const opcode = Buffer.from([4, ...Buffer.from('sort')]);
        const found = Buffer.from(await addon.optimized(compiled)).includes(opcode);
        addon.closeCompiled(compiled);
        return found;
      };
      expect([await sorts(cardCompileOptions({ text })), await sorts(cardCompileOptions(NO_MODULE))]).toEqual([true, false]);
      addon.closeTopology(card);
    },
    COMPILE_MS,
  );

  test("is compiled by NVIDIA's compiler that came with the plugin, whatever is on the path", () => {
    const toolkit = required(cudaToolkit(plugin), 'the compiler of the plugin');
    for (const program of ['ptxas', 'nvlink'])
      expect(execFileSync(path.join(toolkit, 'bin', program), ['--version'], { encoding: 'utf8' })).toContain('NVIDIA');
    const options = cardCompileOptions(NO_MODULE);
    const given = withFolders(options, { toolkit: '/x'.repeat(200) });
    expect(given.subarray(0, options.length)).toEqual(options);
    // The map's entry: its field, 429 bytes in two, the name, then a text of 400 bytes in a nested field.
    const name = Buffer.from('xla_gpu_cuda_data_dir');
    const text = [0x0a, 0x90, 3, ...Buffer.from('/x'.repeat(200))];
    const value = [0x12, 0x93, 3, ...text];
    const key = [0x0a, name.length, ...name];
    const length = key.length + value.length;
    expect([...given.subarray(options.length)]).toEqual([0x3a, (length & 127) | 128, length >> 7, ...key, ...value]);
  });

  test(
    'is the same where the memory is small: nothing is computed twice that the plan does not compute twice',
    async () => expect(await temporariesWith(2 ** 20)).toBe(await temporariesWith(2 ** 36)),
    COMPILE_MS,
  );
});
