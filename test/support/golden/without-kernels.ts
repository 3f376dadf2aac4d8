/** Compiling for the memory of a program alone. It is decided before kernels are compiled, which takes most of the time. */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cudaToolkit, locateCardCompiler } from '../../../trainer/engine/install/pjrt-folder.ts';
import { cacheDir } from '../cache-dir.ts';
import { makeTemporaryFolder } from '../machine/temporary-folder.ts';

/** The assembler of NVIDIA's toolkit. */
const ASSEMBLER = 'ptxas';

/** It answers which versions it is for, and writes no machine code: no card is there to run it. */
const standIn = (assembler: string): string => `#!/bin/sh
case " $* " in *" -o "*) ;; *) exec '${assembler}' "$@" ;; esac
while [ "$1" != -o ]; do shift; done
printf none > "$2"
`;

/** Links everything in a folder into another, but what has this name. */
function linkAll(from: string, to: string, but: string): void {
  mkdirSync(to);
  for (const name of readdirSync(from)) if (name !== but) symlinkSync(path.join(from, name), path.join(to, name));
}

/** A toolkit whose assembler writes no machine code, and a file of kernels for steps that are compiled one after the other. */
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
