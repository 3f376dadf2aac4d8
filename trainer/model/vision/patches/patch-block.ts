/** Blocks of a plain vision transformer in which the patches of one image attend to each other. They are not trained. */

import type { Node } from '../../../graph/graph.ts';
import { elementAt } from '../../../narrow.ts';
import { type PreNormBlock, type PreNormConfig, projections, runPreNormBlock } from '../../family/pre-norm-block.ts';
import type { AttentionMask } from '../../layer/attention/attention.ts';
import { attend } from '../../layer/attention/self-attention.ts';
import type { RotaryTables } from '../../layer/positions/rotary.ts';
import type { Tracer } from '../../tracer.ts';
import { queriesAtOnce } from './gated-block.ts';

type PatchBlockSizes = Pick<PreNormConfig, 'hiddenSize' | 'intermediateSize' | 'heads' | 'activation' | 'epsilon'>;

/** Returns the config of a block whose layers all have biases. */
export const patchBlock = ({ hiddenSize, intermediateSize, heads, activation, epsilon }: PatchBlockSizes): PreNormConfig => ({
  ...{ hiddenSize, intermediateSize, heads, activation, epsilon },
  ...{ biased: { q: true, k: true, v: true, o: true, mlp: true }, isScaled: false },
  ...{ dropout: 0, attentionDropout: 0, pathDropout: { attention: 0, mlp: 0 } },
});

interface AttendedPatches {
  readonly mask: AttentionMask;
  /** Positions of queries and keys, if they are rotated. */
  readonly rotary?: RotaryTables;
}

/** x [patches, hiddenSize] → the same shape. */
export function runPatchBlock(tracer: Tracer, config: PreNormConfig, block: PreNormBlock, x: Node, attended: AttendedPatches): Node {
  const { mask, rotary } = attended;
  const chunk = queriesAtOnce(config.heads, elementAt(x.shape, 0));
  return runPreNormBlock(tracer, config, block, x, 1, normal => {
    const [q, k, v] = projections(tracer, config, block, normal, 1, rotary);
    const scale = elementAt(q.shape, 3) ** -0.5;
    return tracer.linear(block.o, attend(tracer, { q, k, v, mask, scale, dropout: 0, chunk }));
  });
}
