/**
 * `npm run gpu-kit`: writes dist/rowtune-gpu-kit.tar.gz, which contains everything that a measurement on a GPU needs on a machine without
 * network and without Node. `./run` in it is the only command. See bench/gpu/gpu-kit.ts.
 */
import { chmodSync, cpSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildProcesses, copyFiles } from './build.mjs';
import { thirdPartyNotices } from './notices.mjs';
import { ensurePackages, root, run, StepError, say } from './steps.mjs';

const NAME = 'rowtune-gpu-kit';
/** Maximum size of the kit; larger files are hard to transfer to the machines that it is for. */
const MAX_BYTES = 60e6;
/** Minimum size of a self-contained Node: a distribution's Node may be a small program with a large library, which the kit would lack. */
const MIN_NODE_BYTES = 50e6;

const PROGRAMS = { rowtune: 'trainer/cli/main.ts', worker: 'trainer/worker-main.ts', reader: 'trainer/reader/reader-process.ts' };
const BENCH = { kit: 'bench/gpu/gpu-kit.ts', step: 'bench/step.ts', smoke: 'bench/gpu/smoke.ts' };
const RUN = `#!/bin/sh
# Checks the PJRT engine on this machine's GPU and measures it next to PyTorch + PEFT: ./run --help
folder=$(dirname "$0")
exec "$folder/bin/node" "$folder/dist/bench/kit.mjs" "$@"
`;

/** Returns the Node to include. @returns {string} its path */
function portableNode() {
  const isWhole = statSync(process.execPath).size >= MIN_NODE_BYTES;
  if (process.platform === 'linux' && process.arch === 'x64' && isWhole) return process.execPath;
  throw new StepError(
    `the kit carries the Node that makes it to a Linux x64 machine, and ${process.execPath} (${process.platform} ${process.arch}) does not run there: make the kit with Node for Linux x64 from nodejs.org`,
  );
}

/** The folders of `test/golden` that represent all of them. @returns {Promise<readonly string[]>} */
async function goldenNames(stage) {
  await buildProcesses({
    entryPoints: { folders: 'test/support/golden/verify-folder.ts' },
    outdir: stage,
    isRelease: true,
    extension: '.mjs',
  });
  const file = path.join(stage, 'folders.mjs');
  const { folderOfEachLayer } = await import(pathToFileURL(file).href);
  rmSync(file);
  return folderOfEachLayer;
}

/** Creates the kit's folder, file by file. @returns {Promise<string>} its path */
async function createKit(parent) {
  const stage = path.join(parent, NAME);
  rmSync(stage, { recursive: true, force: true });
  const folder = (...parts) => {
    const made = path.join(stage, ...parts);
    mkdirSync(made, { recursive: true });
    return made;
  };
  const dist = folder('dist');
  const [programs, bench] = await Promise.all([
    buildProcesses({ entryPoints: PROGRAMS, outdir: dist, isRelease: true }),
    buildProcesses({ entryPoints: BENCH, outdir: path.join(dist, 'bench'), isRelease: true, extension: '.mjs' }),
  ]);
  const inputs = [...copyFiles(dist), ...[programs, bench].flatMap(({ metafile }) => Object.keys(metafile.inputs))];
  writeFileSync(path.join(stage, 'ThirdPartyNotices.txt'), thirdPartyNotices(root, [...new Set(inputs)]));
  cpSync(portableNode(), path.join(folder('bin'), 'node'));
  for (const file of ['bin/rowtune.mjs', 'LICENSE', 'package.json']) cpSync(path.join(root, file), path.join(stage, file));
  cpSync(path.join(root, 'bench', 'peers', 'pytorch_peft.py'), path.join(folder('bench', 'peers'), 'pytorch_peft.py'));
  const golden = folder('test', 'golden');
  const names = await goldenNames(stage);
  for (const name of names) cpSync(path.join(root, 'test', 'golden', name), path.join(golden, name), { recursive: true });
  writeFileSync(path.join(golden, 'folders.json'), JSON.stringify(names));
  writeFileSync(path.join(stage, 'run'), RUN);
  for (const program of ['run', 'bin/node']) chmodSync(path.join(stage, program), 0o755);
  return stage;
}

/**
 * Builds the kit.
 * @param {string} parent the folder for the archive
 * @returns {Promise<string>} the path of the archive
 */
export async function makeGpuKit(parent = path.join(root, 'dist')) {
  mkdirSync(parent, { recursive: true });
  const stage = await createKit(parent);
  const archive = path.join(parent, `${NAME}.tar.gz`);
  run('tar', ['-czf', archive, '-C', parent, NAME]);
  rmSync(stage, { recursive: true });
  const { size } = statSync(archive);
  if (size > MAX_BYTES) throw new StepError(`${archive} has ${size} bytes, and at most ${MAX_BYTES} are allowed`);
  return archive;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  ensurePackages();
  const archive = await makeGpuKit();
  say(
    `${path.relative(process.cwd(), archive)}: ${(statSync(archive).size / 1e6).toFixed(1)} MB. On the machine: tar xzf ${NAME}.tar.gz && ${NAME}/run`,
  );
}
