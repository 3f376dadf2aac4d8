/** How each engine holds tensors and variables. */

import type { EngineName } from '../../catalog/engines.ts';
import { type BufferRules, COMPILED_BUFFERS } from '../../graph/liveness.ts';
import type { Program } from '../../graph/program.ts';
import { portableBuffers } from './portable-buffers.ts';

type RulesOf = (variables: Program['variables']) => BufferRules;

const rules: Readonly<Record<EngineName, RulesOf>> = { tensorflow: () => COMPILED_BUFFERS, portable: portableBuffers };

export const bufferRules = (engine: EngineName, { variables }: Pick<Program, 'variables'>): BufferRules => rules[engine](variables);
