/** The options of a GPU's client, as the plugin for NVIDIA's GPUs itself checks them: it does so before it looks for a GPU. */
import { describe, expect, test } from 'vitest';
import { engineRequire } from '../../../trainer/engine/install/engine-folder.ts';
import { locateCardCompiler, pjrtAddonIsCurrent, pjrtAddonPath, pjrtLibrary } from '../../../trainer/engine/install/pjrt-folder.ts';
import { type ClientOption, clientOptions } from '../../../trainer/engine/install/pjrt-plugins.ts';
import type { Addon } from '../../../trainer/engine/pjrt/addon.ts';
import { messageOf } from '../../../trainer/protocol/error-facts.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { noCompiler } from '../../support/golden/card-steps.ts';

const located = locateCardCompiler(cacheDir);
const installed = located !== undefined && pjrtAddonIsCurrent(located.folder) ? located : undefined;

describe.skipIf(!installed)(`the client of a GPU (skipped without the plugin: ${noCompiler})`, () => {
  /** Returns what the plugin says to these options; undefined where there is a GPU that it opens. */
  async function answerTo(options: readonly ClientOption[]): Promise<string | undefined> {
    if (!installed) return undefined;
    // Compiled from `engine/pjrt/native`; `Addon` is what it exports.
    const addon = engineRequire(installed.folder)(pjrtAddonPath(installed.folder)) as Addon;
    return addon.open(pjrtLibrary(installed), options).then(() => undefined, messageOf);
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
