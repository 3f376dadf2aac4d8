/** How each engine holds tensors and variables. */
import { type BufferRules, COMPILED_BUFFERS } from '../graph/liveness.ts';
import type { Program } from '../graph/program.ts';
import type { EngineName } from '../protocol/recipe-schema.ts';
import { portableBuffers } from './portable-buffers.ts';

export const bufferRules = (engine: EngineName, { variables }: Pick<Program, 'variables'>): BufferRules =>
  engine === 'portable' ? portableBuffers(variables) : COMPILED_BUFFERS;
