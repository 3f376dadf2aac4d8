/** A decoder as a model of whole texts: the states of its tokens, without the head that predicts the next token. */

import { paddingMask } from '../../layer/attention/self-attention.ts';
import type { CausalModel, ClassifierInput, TextStates } from '../../model-spec.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import { tokensOf } from '../text/text-encoder.ts';

/** All modules except the head, unless the head is the embedding. */
export const bodyOf = ({ modules, head }: CausalModel): ModuleSpec[] =>
  modules.filter(module => module !== head || module.kind === 'embedding');

export const inputOfDecoder = ({ vocabularySize, textTokens, maxPositions }: CausalModel, padId: number): ClassifierInput => ({
  kind: 'tokens',
  vocabularySize,
  ...(textTokens !== undefined && { textTokens }),
  maxPositions,
  padId,
  tokenTypes: 0,
});

/**
 * The states of a decoder. Texts are padded at their end, where causal attention hides the padding; a mask hides it if tokens attend both
 * ways.
 */
export const statesOfDecoder = (decoder: CausalModel): TextStates => ({
  of: 'decoder',
  modules: bodyOf(decoder),
  states(tracer, batch) {
    const { ids, seen } = tokensOf(batch);
    return decoder.hidden(tracer, { ids, mask: decoder.isBidirectional ? paddingMask(tracer.graph, seen) : { kind: 'causal' } });
  },
});
