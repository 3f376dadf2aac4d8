/** Tests that what killed processes left half-written is removed, and what other processes and machines are writing is not. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { removeHalfWritten } from '../../../trainer/files/durable-file.ts';
import { recoverFolders } from '../../../trainer/files/durable-folder.ts';
import { temporaryName } from '../../../trainer/files/temporary-name.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const { pid: dead } = spawnSync(process.execPath, ['-e', '']);
const own = basename(temporaryName('a'));
/** A name that a process of this machine, or of another one, wrote under. */
const nameOf = (pid: number, isHere: boolean): string => {
  const mark = own.slice(-16, -12);
  return own.replace(`.${process.pid}-${mark}`, `.${pid}-${isHere ? mark : mark.replace(/./g, digit => (digit === '0' ? '1' : '0'))}`);
};
const WEEKS_AGO = new Date(Date.now() - 15 * 86_400_000);

test('files of dead processes of this machine are removed, those of other machines only after a week', async () => {
  const folder = makeTemporaryFolder();
  const [leftHere, leftThere, atWorkThere] = [nameOf(dead, true), nameOf(dead + 1, false), nameOf(dead, false)];
  const ofOldVersion = `a.${dead}-0a1b2c3d.tmp`;
  for (const name of ['a', own, leftHere, leftThere, atWorkThere, ofOldVersion, leftHere.replace('a.', 'b.')])
    writeFileSync(join(folder, name), '');
  utimesSync(join(folder, leftThere), WEEKS_AGO, WEEKS_AGO);
  utimesSync(join(folder, own), WEEKS_AGO, WEEKS_AGO);
  await removeHalfWritten(folder, name => name === 'a');
  expect(readdirSync(folder).sort()).toEqual(['a', own, atWorkThere, leftHere.replace('a.', 'b.')].sort());
});

test('folders likewise', async () => {
  const folder = makeTemporaryFolder();
  const [leftHere, atWorkThere] = [nameOf(dead, true), nameOf(dead, false)];
  for (const name of [`.${leftHere}`, `.${atWorkThere}`, `.${leftHere.replace('a.', 'b.')}.old`]) mkdirSync(join(folder, name));
  await recoverFolders(folder, () => true);
  expect(readdirSync(folder).sort()).toEqual([`.${atWorkThere}`, 'b'].sort());
});
