/** A decoder as a model of whole texts: the states of its tokens, without the head that predicts the next token. */

import { paddingMask } from '../../layer/attention/self-attention.ts';
import type { CausalModel, ClassifierInput, TextStates } from '../../model-spec.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import { tokensOf } from '../text/text-encoder.ts';

/** All modules except the head and the layers before it; an embedding that is the head stays. */
export function bodyOf({ modules, head, headBias, headLayers }: CausalModel): ModuleSpec[] {
  const left = new Set([...(headLayers?.modules ?? []), ...(head.kind === 'embedding' ? [] : [head]), ...(headBias ? [headBias] : [])]);
  return modules.filter(module => !left.has(module));
}

/** The last hidden states, [batch · tokens, hiddenSize]. */
export const lastStates = (decoder: CausalModel): CausalModel['hidden'] => decoder.headLayers?.before ?? decoder.hidden;

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
    return lastStates(decoder)(tracer, { ids, mask: decoder.isBidirectional ? paddingMask(tracer.graph, seen) : { kind: 'causal' } });
  },
});
