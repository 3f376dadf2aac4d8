/** Wheels from PyPI: downloads with pip, extracts what is needed, and verifies every byte of it. */

import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { recordIn } from '../../narrow.ts';
import { EngineError } from '../engine.ts';
import { runCommand } from './run-command.ts';
import { isAtLeast, type Python } from './toolchain.ts';
import { EXTRACT_SCRIPT } from './wheel-script.ts';

export interface Progress {
  readonly step: string;
  readonly elapsedSeconds: number;
  readonly bytes?: number;
  readonly totalBytes?: number;
}

export interface WheelContext {
  readonly python: Python;
  readonly downloads: string;
  readonly log: (line: string) => void;
  readonly onProgress: (progress: Progress) => void;
}

/** PyPI writes a wheel's project with `_` in place of any of `-_.`. */
const projectOf = (requirement: string): string =>
  (/^[A-Za-z0-9._-]+/.exec(requirement)?.[0] ?? requirement).toLowerCase().replaceAll(/[-_.]+/g, '_');

/** Finds the complete wheel of a requirement in a listing of the downloads folder; an exact version (`==`) must match. */
export function findWheel(files: readonly string[], requirement: string): string | undefined {
  const version = /==\s*([^\s,;]+)/.exec(requirement)?.[1];
  return files.find(file => {
    const [project, wheelVersion] = file.split('-');
    return file.endsWith('.whl') && project?.toLowerCase() === projectOf(requirement) && (!version || wheelVersion === version);
  });
}

const isMissingForThisPython = (output: string): boolean => /no matching distribution|could not find a version/i.test(output);

/**
 * Downloads one wheel without its dependencies, or finds it already downloaded. libtensorflow needs no Python at run time, so if the
 * running Python has no wheel, another version's wheel is used.
 * @param pythonTag version of the Python whose wheel is taken, instead of the running one's
 * @returns the path of the wheel
 * @throws EngineError with pip's own message
 */
export async function downloadWheel(context: WheelContext, requirement: string, pythonTag?: string): Promise<string> {
  const { python, downloads, log, onProgress } = context;
  mkdirSync(downloads, { recursive: true });
  const present = findWheel(readdirSync(downloads), requirement);
  if (present) {
    log(`${present} is downloaded already`);
    return path.join(downloads, present);
  }
  // pip writes to a temporary file and moves it when it is complete; this one is in the same folder, so that its growth can be shown.
  const temporary = path.join(downloads, '.tmp');
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  const resume = isAtLeast(python.pipVersion, [25, 1]) ? ['--resume-retries', '5'] : [];
  const pip = (extra: string[]) =>
    runCommand(
      python.command,
      [
        '-m',
        'pip',
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--no-cache-dir',
        '--progress-bar',
        'off',
        '--disable-pip-version-check',
      ].concat(resume, extra, ['--dest', downloads, requirement]),
      {
        env: { TMPDIR: temporary },
        onTick: elapsedSeconds => onProgress({ step: `download ${requirement}`, elapsedSeconds, bytes: folderBytes(temporary) }),
      },
    );
  log(`downloading ${requirement} with pip ${python.pipVersion}`);
  const forPython = (version: string): string[] => ['--python-version', version, '--implementation', 'cp'];
  let result = await pip(pythonTag === undefined ? [] : forPython(pythonTag));
  if (pythonTag === undefined && result.status !== 0 && isMissingForThisPython(result.output)) {
    log(`no wheel of ${requirement} for Python ${python.pythonVersion}; taking that of Python 3.12 (the engine does not use Python)`);
    result = await pip(forPython('3.12'));
  }
  rmSync(temporary, { recursive: true, force: true });
  const wheel = findWheel(readdirSync(downloads), requirement);
  if (result.status !== 0 || !wheel)
    throw new EngineError(
      `pip could not download ${requirement}:\n${result.output.trim()}\nRun rowtune engine install again when the network is back.`,
    );
  return path.join(downloads, wheel);
}

export interface Extracted {
  /** Requirements of the wheel's `and-cuda` extra. */
  readonly cudaRequirements: readonly string[];
}

type ExtractResult = ({ readonly corrupt?: undefined } & Extracted) | { readonly corrupt: string };

async function tryExtract(
  context: WheelContext,
  wheel: string,
  target: string,
  kind: string,
  wanted: readonly string[],
): Promise<ExtractResult> {
  let corrupt: string | undefined;
  let cudaRequirements: string[] = [];
  const started = Date.now();
  const result = await runCommand(context.python.command, ['-c', EXTRACT_SCRIPT, wheel, target, kind, ...wanted], {
    onLine: line => {
      const said = recordIn(line) ?? {};
      if (typeof said.corrupt === 'string') corrupt = said.corrupt;
      if (Array.isArray(said.requires)) cudaRequirements = said.requires.filter(item => typeof item === 'string');
      if (typeof said.done === 'number' && typeof said.total === 'number') {
        const elapsedSeconds = Math.round((Date.now() - started) / 1000);
        context.onProgress({ step: `unpack ${path.basename(wheel)}`, elapsedSeconds, bytes: said.done, totalBytes: said.total });
      }
    },
  });
  if (corrupt !== undefined) return { corrupt };
  if (result.status !== 0) throw new EngineError(`could not unpack ${wheel}:\n${result.output.trim()}`);
  return { cudaRequirements };
}

/**
 * Downloads a wheel and unpacks the files that the engine needs into `target`, checked against the wheel's own checksums. A damaged wheel
 * is deleted and downloaded once more.
 * @throws EngineError if it is damaged again
 */
export async function fetchWheel(
  context: WheelContext,
  requirement: string,
  target: string,
  kind: 'tensorflow' | 'nvidia' | 'plugin',
  wanted: readonly string[],
): Promise<Extracted & { readonly wheel: string }> {
  for (let attempt = 1; ; attempt++) {
    const wheel = await downloadWheel(context, requirement);
    context.log(`unpacking ${path.basename(wheel)} and checking it against its checksums`);
    const result = await tryExtract(context, wheel, target, kind, wanted);
    if (result.corrupt === undefined) return { cudaRequirements: result.cudaRequirements, wheel };
    rmSync(wheel, { force: true });
    if (attempt === 2)
      throw new EngineError(`${path.basename(wheel)} is damaged twice over (${result.corrupt}); run rowtune engine install again`);
    context.log(`${path.basename(wheel)} is damaged (${result.corrupt}); downloading it again`);
  }
}

/** A wheel that this version of Rowtune was tested with. */
export interface KnownWheel {
  /** Includes an exact version. */
  readonly requirement: string;
  readonly sha256: string;
  /** The Python whose wheel is taken, if the checksum is that of one of several. */
  readonly python?: string | undefined;
}

/**
 * Downloads as `fetchWheel` does, for a wheel whose checksum is known.
 * @returns the path of the wheel
 * @throws EngineError if it is a different file, which is then deleted
 */
export async function fetchKnownWheel(
  context: WheelContext,
  { requirement, sha256: known, python }: KnownWheel,
  target: string,
  kind: Parameters<typeof fetchWheel>[3],
  wanted: readonly string[],
): Promise<string> {
  const wheel = await downloadWheel(context, requirement, python);
  const sha256 = await sha256OfFile(wheel);
  if (sha256 !== known) {
    rmSync(wheel, { force: true });
    throw new EngineError(
      `${path.basename(wheel)} is not the file that Rowtune was tested with: its SHA-256 is ${sha256} instead of ${known}. It was removed; run the installation again`,
    );
  }
  await fetchWheel(context, requirement, target, kind, wanted);
  return wheel;
}

export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  const chunks: AsyncIterable<Uint8Array> = createReadStream(file, { highWaterMark: 1 << 20 });
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

function folderBytes(folder: string): number {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
  } catch {
    return 0; // pip moved a file away meanwhile
  }
}
