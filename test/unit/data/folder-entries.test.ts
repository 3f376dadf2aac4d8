/** Tests symbolic links in data folders, as in the hub's cache: they are followed, and cycles are refused. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { listImages } from '../../../trainer/data/image/image-samples.ts';
import { listDataFiles } from '../../../trainer/data/read/list-files.ts';
import { countFolderLabels } from '../../../trainer/lint/facts/count-labels.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-links-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
function write(name: string, text = ''): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), text);
}
function link(name: string, to: string): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  symlinkSync(to, at(name));
}

describe('files', () => {
  const list = async (name: string) => (await listDataFiles([at(name)])).map(({ file, bytes }) => [file.slice(folder.length + 1), bytes]);

  it('of a snapshot in the cache of the hub, linked folders too', async () => {
    write('blobs/1f', 'text\n');
    write('elsewhere/b.txt', 'more text\n');
    link('snapshot/data/a.txt', '../../blobs/1f');
    link('snapshot/more', at('elsewhere'));
    link('snapshot/.hidden.txt', 'nowhere');
    link('snapshot/notes', 'nowhere');
    expect(await list('snapshot')).toEqual([
      ['snapshot/data/a.txt', 5],
      ['snapshot/more/b.txt', 10],
    ]);
  });

  it('a link that leads nowhere, and one that leads back up, are reported', async () => {
    link('broken/a.txt', 'nowhere');
    await expect(list('broken')).rejects.toThrow(/broken\/a\.txt: leads to no file/);
    write('circle/a.txt', 'text\n');
    link('circle/up', '.');
    await expect(list('circle')).rejects.toThrow(/folders deep\. Take out the symbolic link that leads back up/);
  });
});

it('runs, sweeps and exports are not read with the folder around them, and are refused by name', async () => {
  write('project/mails.jsonl', '{}');
  for (const name of ['recipe.yaml', 'state.json', 'metrics.jsonl']) write(`project/runs/spam/${name}`);
  write('project/runs/sweep/sweep.json');
  write('project/spam-model/rowtune_export.json');
  expect((await listDataFiles([at('project')])).map(({ file }) => file)).toEqual([at('project/mails.jsonl')]);
  await expect(listDataFiles([at('project/runs/spam')])).rejects.toThrow('is the folder of a run, which holds no data');
});

describe('images', () => {
  const list = async (name: string) =>
    (await listImages({ paths: [at(name)], columns: {}, labels: [], seed: 0 })).samples.map(({ label, file }) => [
      label,
      file.slice(folder.length + 1),
    ]);

  it('of linked classes and linked images, which the linter counts too', async () => {
    write('all/cats/1.png');
    write('all/2.png');
    write('photos/dog/3.png');
    link('photos/cat', '../all/cats');
    link('photos/dog/4.png', '../../all/2.png');
    expect(await list('photos')).toEqual([
      ['cat', 'photos/cat/1.png'],
      ['dog', 'photos/dog/3.png'],
      ['dog', 'photos/dog/4.png'],
    ]);
    expect(await countFolderLabels(at('photos'))).toEqual({ cat: 1, dog: 2 });
  });

  it('a class that leads back to itself is reported', async () => {
    write('round/cat/1.png');
    link('round/cat/again', '../cat');
    await expect(list('round')).rejects.toThrow(/folders deep/);
  });
});
