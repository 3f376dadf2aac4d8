/** Tests the error of a plugin that does not load: what the loader says, and the software that the plugin needs. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { enginesFolder } from '../../../../trainer/engine/install/engine-folder.ts';
import { locatePjrt, pjrtAddonIsCurrent, pjrtName } from '../../../../trainer/engine/install/pjrt-folder.ts';
import { pjrtPlugins } from '../../../../trainer/engine/install/pjrt-plugins.ts';
import { openPjrt } from '../../../../trainer/engine/pjrt/engine.ts';
import { cacheDir } from '../../../support/cache-dir.ts';
import { describeWith } from '../../../support/describe-with.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

const installed = locatePjrt(cacheDir);
const withAddon = installed && pjrtAddonIsCurrent(installed.folder) ? installed : undefined;

describeWith('a plugin that does not load', withAddon, 'rowtune engine install --variant pjrt-cpu', ({ folder }) => {
  it("says what Intel's plugin needs", async () => {
    const cache = makeTemporaryFolder();
    const own = path.join(enginesFolder(cache), pjrtName('oneapi'));
    const { library, wheel } = pjrtPlugins.oneapi;
    const file = path.join(own, 'runtime', library);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, 'not a library');
    symlinkSync(path.join(folder, 'addon'), path.join(own, 'addon'));
    const manifest = {
      format: 1,
      variant: 'oneapi',
      version: wheel.version,
      wheel: { name: 'a.whl', sha256: wheel.sha256 },
      installedAt: '',
    };
    writeFileSync(path.join(own, 'manifest.json'), JSON.stringify(manifest));
    await expect(openPjrt({ cacheDir: cache })).rejects.toThrow(
      /^oneapi-0\.11\.2 does not load: .*(file too short|invalid ELF header).* It needs .*Level Zero loader.*setvars\.sh puts them$/,
    );
  });
});
