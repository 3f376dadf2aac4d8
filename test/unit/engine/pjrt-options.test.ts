/** Options of a GPU's client and compiler, held against the plugin for NVIDIA's GPUs itself: it checks them before it looks for a GPU. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { engineRequire } from '../../../trainer/engine/install/engine-folder.ts';
import {
  cudaToolkit,
  type InstalledPjrt,
  locateCardCompiler,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
} from '../../../trainer/engine/install/pjrt-folder.ts';
import { type ClientOption, clientOptions } from '../../../trainer/engine/install/pjrt-plugins.ts';
import type { Addon } from '../../../trainer/engine/pjrt/addon.ts';
import { describeCard } from '../../../trainer/engine/pjrt/card-description.ts';
import { cardCompileOptions, withFolders } from '../../../trainer/engine/pjrt/compile-options.ts';
import { lowerSignature } from '../../../trainer/engine/pjrt/lower.ts';
import { required } from '../../../trainer/narrow.ts';
import { trainingStep } from '../../../trainer/plan/memory/counted-passes.ts';
import { messageOf } from '../../../trainer/protocol/error-facts.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { describeWith } from '../../support/describe-with.ts';
import { COMPILE_MS, cardPlan, configOf, noCompiler } from '../../support/golden/card-steps.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const located = locateCardCompiler(cacheDir);
const installed = located !== undefined && pjrtAddonIsCurrent(located.folder) ? located : undefined;

// Compiled from `engine/pjrt/native`; `Addon` is what it exports.
const addonOf = ({ folder }: InstalledPjrt): Addon => engineRequire(folder)(pjrtAddonPath(folder)) as Addon;

describe.skipIf(!installed)(`the client of a GPU (skipped without the plugin: ${noCompiler})`, () => {
  /** Returns what the plugin says to these options; undefined where there is a GPU that it opens. */
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

describeWith('a program for a GPU', installed, noCompiler, plugin => {
  /** Bytes of the temporaries of a small step, compiled for an H100 with so much memory. */
  async function temporariesWith(memoryBytes: number): Promise<number> {
    const addon = addonOf(plugin);
    const description = describeCard('h100').replace(/(?<=device_memory_size: )\d+/, `${memoryBytes}`);
    const card = await addon.describeDevice(pjrtLibrary(plugin), 'h100', [
      ['topology', '1x1x1'],
      ['target_config', description],
    ]);
    const options = withFolders(cardCompileOptions(), { toolkit: cudaToolkit(plugin), tuned: makeTemporaryFolder() });
    const plan = cardPlan({ ...configOf('llama'), hidden_size: 128, intermediate_size: 256, num_hidden_layers: 3 });
    const { signature, variables } = trainingStep(plan, 'cheap');
    const { text } = lowerSignature(signature, new Map(variables.map(spec => [spec.name, spec])), { places: plan.places });
    const compiled = await addon.compileFor(card, Buffer.from(text), options);
    const { temporaries } = addon.compiledForMemory(compiled);
    addon.closeCompiled(compiled);
    addon.closeTopology(card);
    return temporaries;
  }

  test("is compiled by NVIDIA's compiler that came with the plugin, whatever is on the path", () => {
    const toolkit = required(cudaToolkit(plugin), 'the compiler of the plugin');
    for (const program of ['ptxas', 'nvlink'])
      expect(execFileSync(path.join(toolkit, 'bin', program), ['--version'], { encoding: 'utf8' })).toContain('NVIDIA');
    const options = cardCompileOptions();
    const given = withFolders(options, { toolkit: '/x'.repeat(200) });
    expect(given.subarray(0, options.length)).toEqual(options);
    // The map's entry: its field, 429 bytes in two, the name, then a text of 400 bytes in a field of a field.
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
