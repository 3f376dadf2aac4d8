/**
 * Tests that the tests' local hub accepts uploads by huggingface_hub, so it implements the hub's API, and that pushes find those files
 * there.
 */
import { execFile, spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { pushFiles } from '../../trainer/hub/hub-push.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { temporaryFolder } from '../support/machine/temporary-folder.ts';
import { localHub, WRITE_TOKEN } from '../unit/hub/hub-repositories.ts';
import { locatePython } from './python.ts';

const python = await locatePython(cacheDir);
const missing =
  'missing' in python
    ? python.missing
    : spawnSync(python.python, ['-c', 'import huggingface_hub']).status === 0
      ? undefined
      : 'ROWTUNE_PYTHON has no huggingface_hub';

const UPLOAD = `
import sys
from huggingface_hub import HfApi
endpoint, token, repo, folder = sys.argv[1:]
api = HfApi(endpoint=endpoint, token=token)
api.create_repo(repo, private=True)
api.upload_folder(repo_id=repo, folder_path=folder)
`;

test.skipIf(missing)(`a folder that huggingface_hub uploaded is not pushed again${missing ? ` (skipped: ${missing})` : ''}`, async () => {
  const { endpoint, repositories, requests } = await localHub();
  const dir = join(import.meta.dirname, '..', 'golden', 'llama');
  const program = 'python' in python ? python.python : '';
  // The other protocol needs a service separate from the hub.
  const env = { ...process.env, HF_HUB_DISABLE_XET: '1', HF_HOME: await temporaryFolder() };
  await promisify(execFile)(program, ['-c', UPLOAD, endpoint, WRITE_TOKEN, 'ada/tiny', dir], { env });
  const files = readdirSync(dir).map(name => ({ name, path: join(dir, name), size: statSync(join(dir, name)).size }));
  expect(Object.keys(repositories.get('ada/tiny')?.files ?? {})).toEqual(expect.arrayContaining(files.map(({ name }) => name)));
  const before = requests.length;
  const result = await pushFiles({
    ...{
      endpoint,
      cacheDir: await temporaryFolder(),
      files,
      repo: 'ada/tiny',
      token: WRITE_TOKEN,
      isPublic: false,
      isDryRun: false,
      message: 'Upload',
    },
  });
  expect([result.uploaded, result.visibility]).toEqual([[], 'private']);
  expect(requests.slice(before).filter(line => !line.startsWith('GET'))).toEqual([]);
});
