/** Local copies of the scores of a remote run or file, for a heatmap: kept up to date, deleted with the page. */
import { mkdir, mkdtemp, open, rename, rm, utimes } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { partialPath } from '../../trainer/importance/partial-scores.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import type { DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { HEATMAP_FILES, readRunRecipe } from '../../trainer/run/run-folder.ts';

/** Maximum size of a copied file, in bytes: ten times the scores of a model with 405 billion parameters. */
const MAX_BYTES = 2 ** 30;

export interface FarScores {
  /**
   * Returns a current copy of a run's folder or of a score file. Files that are missing on the remote machine are missing in the copy.
   * @throws DaemonError
   */
  copyOf(source: string): Promise<string>;
  dispose(): Promise<void>;
}

export function createFarScores(daemon: () => Promise<Pick<DaemonClient, 'request'>>): FarScores {
  let root: Promise<string> | undefined;
  const copies = new Map<string, string>();
  /** The version of each copied remote file. */
  const versions = new Map<string, string>();

  async function placeOf(source: string): Promise<string> {
    root ??= mkdtemp(path.join(os.tmpdir(), 'rowtune-far-'));
    const place = copies.get(source) ?? path.join(await root, String(copies.size), path.basename(source));
    copies.set(source, place);
    return place;
  }

  async function bring(from: string, to: string): Promise<void> {
    const client = await daemon();
    const known = versions.get(from);
    let page = await client.request('readScores', { path: from, from: 0, version: known });
    if (page.version === known) return;
    if (page.version === '') {
      if (versions.delete(from)) await rm(to, { force: true });
      return;
    }
    if (page.size > MAX_BYTES) throw new Error(`${from} has ${page.size} bytes; at most ${MAX_BYTES} are copied`);
    const { version, size, modifiedMs } = page;
    await mkdir(path.dirname(to), { recursive: true });
    const handle = await open(`${to}.part`, 'w');
    try {
      for (let at = 0; ; ) {
        const bytes = Buffer.from(page.base64, 'base64');
        await handle.write(bytes, 0, bytes.length, at);
        at += bytes.length;
        if (at >= size) break;
        page = await client.request('readScores', { path: from, from: at, version });
        // The file was replaced in the meantime: the next look copies the new one.
        if (page.version !== version || page.base64 === '') return;
      }
    } finally {
      await handle.close();
    }
    await rename(`${to}.part`, to);
    // The modification times decide whether the complete or the partial scores are newer.
    await utimes(to, modifiedMs / 1000, modifiedMs / 1000);
    versions.set(from, version);
  }

  return {
    async copyOf(source) {
      const place = await placeOf(source);
      if (source.endsWith('.safetensors')) {
        for (const ending of [(file: string) => file, partialPath]) await bring(ending(source), ending(place));
        return place;
      }
      await mkdir(place, { recursive: true });
      for (const name of HEATMAP_FILES) await bring(path.posix.join(source, name), path.join(place, name));
      const [own, copy] = [path.posix.join(source, RUN_FILES.scores), path.join(place, RUN_FILES.scores)];
      // A run without its own scores may use a saved score file on that machine; its copy takes their place in the run's folder.
      if (versions.has(own) || versions.has(partialPath(own))) return place;
      const saved = (await readRunRecipe(place).catch(() => undefined))?.importance.scores;
      if (saved !== undefined) await bring(saved, copy);
      return place;
    },
    async dispose() {
      if (root !== undefined) await rm(await root, { recursive: true, force: true });
    },
  };
}
