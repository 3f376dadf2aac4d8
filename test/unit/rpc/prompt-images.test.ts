/** Tests the images of requests: which are accepted, and that they become files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TRY_DEFAULTS } from '../../../trainer/protocol/view/try.ts';
import { checkParams } from '../../../trainer/rpc/param-schemas.ts';
import { withImageFiles } from '../../../trainer/rpc/prompt-images.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const url = (bytes: Uint8Array): string => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;

test.each([
  ['a data URL and a path', [url(new Uint8Array(3)), '/images/a.png'], undefined],
  ['a relative path', ['a.png'], 'images.0: a data URL of an image, or an absolute path'],
  ['a page of the web', ['https://a.example/b.png'], 'an absolute path'],
  ['too many', Array.from({ length: 17 }, () => '/a.png'), 'at most 16 images'],
  ['too large', [url(new Uint8Array(21e6))], 'at most 20.0 MB in total'],
])('%s', (_, images, problem) => {
  const { prompt: _style, ...sampling } = TRY_DEFAULTS;
  const request = { id: 'a', model: 'm', revision: 'main', baseDir: '/', prompt: 'x', images };
  const check = () => checkParams('generate', 'jobs/generate', { ...request, options: { ...sampling, chat: true, engine: 'auto' } });
  if (problem === undefined) expect(check().images).toEqual(images);
  else expect(check).toThrow(problem);
});

test('data URLs become files, once for each content, and everything else stays', async () => {
  const cacheDir = makeTemporaryFolder();
  const [first, second] = [new Uint8Array([1, 2]), new Uint8Array([3])];
  const text = { type: 'text', text: 'x' };
  const { images = [], conversation } = await withImageFiles(
    {
      images: [url(first), '/kept.png', url(second)],
      conversation: {
        messages: [
          { role: 'system', content: 'y' },
          { role: 'user', content: [text, { type: 'image', image: url(first) }, { type: 'image_url', image_url: { url: url(second) } }] },
          {
            role: 'user',
            content: [
              { type: 'image', image: '/kept.png' },
              { type: 'image_url', image_url: url(second) },
            ],
          },
        ],
      },
    },
    cacheDir,
  );
  const [a = '', kept, b = ''] = images;
  expect([a, b].map(file => [file.startsWith(join(cacheDir, 'vision')), [...readFileSync(file)]])).toEqual([
    [true, [1, 2]],
    [true, [3]],
  ]);
  const [partA, partB] = [a, b].map(image => ({ type: 'image', image }));
  expect([kept, conversation?.messages]).toEqual([
    '/kept.png',
    [
      { role: 'system', content: 'y' },
      { role: 'user', content: [text, partA, partB] },
      { role: 'user', content: [{ type: 'image', image: '/kept.png' }, partB] },
    ],
  ]);
});
