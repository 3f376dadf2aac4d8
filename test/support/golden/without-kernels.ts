/** Compiles programs only to learn their memory, which is decided before kernels are compiled, the slowest part. */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cudaToolkit, locateCardCompiler } from '../../../trainer/engine/install/pjrt-folder.ts';
import { type CardCompiler, openCardCompiler } from '../../../trainer/engine/pjrt/card-compiler.ts';
import { cacheDir } from '../cache-dir.ts';
import { makeTemporaryFolder } from '../machine/temporary-folder.ts';

/** The assembler in NVIDIA's toolkit. */
const ASSEMBLER = 'ptxas';

/**
 * Returns a stand-in for the assembler that reports its supported versions but writes no machine code, because no card is present to run
 * it.
 */
const standIn = (assembler: string): string => `#!/bin/sh
case " $* " in *" -o "*) ;; *) exec '${assembler}' "$@" ;; esac
while [ "$1" != -o ]; do shift; done
printf none > "$2"
`;

/** Links everything in a folder into another one, except the file with this name. */
function linkAll(from: string, to: string, but: string): void {
  mkdirSync(to);
  for (const name of readdirSync(from)) if (name !== but) symlinkSync(path.join(from, name), path.join(to, name));
}

/** Creates a toolkit whose assembler writes no machine code, and a kernel cache for steps that are compiled one after the other. */
export function withoutKernels(): { readonly kernels: string; readonly toolkit?: string } {
  const folder = makeTemporaryFolder();
  const kernels = path.join(folder, 'kernels');
  const installed = locateCardCompiler(cacheDir);
  const real = installed && cudaToolkit(installed);
  if (real === undefined) return { kernels };
  const toolkit = path.join(folder, 'toolkit');
  linkAll(real, toolkit, 'bin');
  linkAll(path.join(real, 'bin'), path.join(toolkit, 'bin'), ASSEMBLER);
  const assembler = path.join(toolkit, 'bin', ASSEMBLER);
  writeFileSync(assembler, standIn(path.join(real, 'bin', ASSEMBLER)));
  chmodSync(assembler, 0o755);
  return { kernels, toolkit };
}

/**
 * Forces Triton with its smallest tiles. Even without tuning, XLA compiles each product to find the first way that compiles, and once more
 * for the program. No buffer depends on the tiles: for 59 families, on one to three cards each, all bytes equal those found by a search.
 */
const SMALL_TILES =
  'backend: TRITON backend_config { triton { block_m: 16 block_n: 16 block_k: 16 split_k: 1 num_stages: 1 num_warps: 4 num_ctas: 1 } }';

/**
 * Compiles programs only to learn their memory. XLA searches only for programs with a product that Triton cannot compute and therefore
 * rejects.
 */
export function openMemoryCompiler(folder: string, { kernels, toolkit } = withoutKernels()): CardCompiler {
  const searching = openCardCompiler(folder, { kernels, toolkit });
  const forced = openCardCompiler(folder, { kernels, toolkit, products: SMALL_TILES });
  const refused = new Set<string>();
  return {
    plugin: forced.plugin,
    compile: async (card, module, mark) => {
      if (refused.has(module.text)) return searching.compile(card, module, mark);
      try {
        return await forced.compile(card, module, mark);
      } catch {
        refused.add(module.text);
        return searching.compile(card, module, mark);
      }
    },
  };
}
