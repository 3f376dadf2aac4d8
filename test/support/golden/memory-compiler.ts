/** Compiles programs only to learn their memory, which XLA decides before it compiles kernels, the slowest part. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';
import { z } from 'zod';
import { type CardCompiler, hostOperations, openCardCompiler } from '../../../trainer/engine/pjrt/card-compiler.ts';
import { type CardProgramMemory, cardPrograms } from '../../../trainer/engine/pjrt/card-programs.ts';
import { KERNELS } from '../../../trainer/engine/pjrt/compile-options.ts';
import { makeTemporaryFolder } from '../machine/temporary-folder.ts';

/** Fields of XLA's HloProto that are read: the program and its buffers. `color` is the memory that a buffer is in. */
const SCHEMA = `
  syntax = "proto2";
  message HloProto { optional bytes module = 1; optional BufferAssignment buffers = 3; }
  message BufferAssignment { repeated Allocation allocations = 3; }
  message Allocation {
    optional int64 size = 2; optional bool isThreadLocal = 3; optional bool isParameter = 5; optional bool isOutput = 7; optional int64 color = 8;
    optional bool isConstant = 12; optional bool isAliased = 13;
  }
`;

const allocationSchema = z.object({
  size: z.number(),
  isThreadLocal: z.boolean(),
  isParameter: z.boolean(),
  isOutput: z.boolean(),
  color: z.number(),
  isConstant: z.boolean(),
  isAliased: z.boolean(),
});
const programSchema = z.object({ module: z.instanceof(Uint8Array), buffers: z.object({ allocations: z.array(allocationSchema) }) });
type Allocation = z.infer<typeof allocationSchema>;

const hloProto = protobuf.parse(SCHEMA).root.lookupType('HloProto');
/** The color of XLA's host memory. */
const HOST = 5;
/** End of the name of the file with the finished program. */
const FINISHED = '_gpu_after_optimizations.hlo.pb';

/** Returns the memory of the program that XLA wrote into a folder, as PJRT counts it; undefined if it wrote none. Machine code takes 0 bytes. */
function memoryIn(folder: string): Omit<CardProgramMemory, 'seconds'> | undefined {
  const name = readdirSync(folder).find(file => file.endsWith(FINISHED));
  if (name === undefined) return undefined;
  const message = hloProto.decode(readFileSync(path.join(folder, name)));
  const { module, buffers } = programSchema.parse(hloProto.toObject(message, { longs: Number, defaults: true }));
  const total = (isCounted: (allocation: Allocation) => boolean): number =>
    buffers.allocations.filter(isCounted).reduce((sum, { size }) => sum + size, 0);
  const onCard = (isCounted: (allocation: Allocation) => boolean): number => total(each => each.color !== HOST && isCounted(each));
  return {
    arguments: onCard(({ isParameter }) => isParameter),
    outputs: onCard(({ isOutput }) => isOutput),
    aliased: onCard(({ isAliased }) => isAliased),
    temporaries: onCard(each => !each.isParameter && !each.isOutput && !each.isThreadLocal && !each.isConstant),
    code: 0,
    host: total(({ color }) => color === HOST),
    hostOperations: hostOperations(module),
  };
}

/** Compiles for the memory of programs alone, one after the other, until XLA has written their buffers. */
export function openMemoryCompiler(cacheDir: string): CardCompiler {
  const buffers = makeTemporaryFolder();
  const { plugin, compile } = openCardCompiler(cacheDir, { buffers });
  const programs = cardPrograms(cacheDir, plugin);
  return {
    plugin,
    compile: async (card, module, mark) => {
      for (const file of readdirSync(buffers)) rmSync(path.join(buffers, file));
      writeFileSync(path.join(buffers, KERNELS), 'none');
      const started = Date.now();
      try {
        return await compile(card, module, mark);
      } catch (error) {
        const found = memoryIn(buffers);
        if (!found) throw error;
        const memory = { ...found, seconds: (Date.now() - started) / 1000 };
        await programs.keep(card, module, memory);
        return { ...memory, found: false };
      }
    },
  };
}
