/**
 * The memory of a program from the buffers that XLA assigns to it. It writes them before it compiles kernels, the slowest part, which then
 * is left out.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import protobuf from 'protobufjs';
import { z } from 'zod';
import type { CardProgramMemory } from './card-programs.ts';
import { KERNELS } from './compile-options.ts';

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

/** The color of XLA's host memory. */
const HOST = 5;
/** End of the name of the file with the finished program. */
const FINISHED = '_gpu_after_optimizations.hlo.pb';

type ProgramMemory = Omit<CardProgramMemory, 'seconds'>;

/** Returns the memory of the program that XLA wrote into a folder, as PJRT counts it; undefined if it wrote none. Machine code takes 0 bytes. */
function memoryIn(folder: string): ProgramMemory | undefined {
  const name = readdirSync(folder).find(file => file.endsWith(FINISHED));
  if (name === undefined) return undefined;
  const hloProto = protobuf.parse(SCHEMA).root.lookupType('HloProto');
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

/**
 * Returns the memory of a program.
 * @param compile compiles it with options that contain the given folder (`CompilerFolders.buffers`), and usually fails after the buffers
 * are written, because kernels are missing
 * @throws the error of the compiler if it wrote no buffers
 */
export async function memoryOfBuffers(compile: (folder: string) => Promise<void>): Promise<ProgramMemory> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-buffers-'));
  try {
    writeFileSync(path.join(folder, KERNELS), 'none');
    const failure = await compile(folder).catch((error: unknown) => error);
    const found = memoryIn(folder);
    if (!found) throw failure ?? new Error('the compiler wrote no buffers');
    return found;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** XLA operations that leave the device: each opcode is a separate string in the binary format. */
const HOST_OPERATIONS = ['infeed', 'outfeed', 'send', 'recv', 'MoveToHost', 'MoveToDevice', 'xla_ffi_python_gpu_callback'] as const;

/** Returns the names found in a binary program. A string field in a protobuf is its length followed by its characters. */
export const hostOperations = (program: Uint8Array): string[] =>
  HOST_OPERATIONS.filter(name => Buffer.from(program).includes(Buffer.from([name.length, ...Buffer.from(name)])));
