/** Attention as one kernel, which TensorFlow does not have: models are traced with chunked attention for it. */
import { EngineError } from '../../engine.ts';
import type { LoweringTable } from '../lowering.ts';

const refused = (): never => {
  throw new EngineError('TensorFlow has no attention as one kernel: set attention: chunked');
};

export const attentionLowerings = { attention: refused, attentionGradient: refused } satisfies Partial<LoweringTable>;
