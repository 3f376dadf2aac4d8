/** A model of texts with the blocks of a decoder, in which tokens attend both ways. */
import type { ClassifierModel } from '../../model-spec.ts';
import type { DecoderConfig } from '../decoder/blocks/decoder-config.ts';
import { decoder } from '../decoder/decoder.ts';
import { bodyOf, statesOfDecoder } from '../decoder/decoder-states.ts';
import type { Labels } from '../labels.ts';
import { type TextClassifierParams, textClassifier } from './text-classifier.ts';

export interface TwoWayDecoder extends Pick<TextClassifierParams, 'head' | 'logits'> {
  /** With `attention.isBidirectional`. */
  readonly blocks: DecoderConfig;
  readonly labels: Labels;
}

export function twoWayDecoder({ blocks, labels, head, logits }: TwoWayDecoder): ClassifierModel {
  const model = decoder(blocks);
  const { states } = statesOfDecoder(model);
  const { vocabularySize, hiddenSize, padId = 0 } = blocks;
  return textClassifier({
    family: model.family,
    config: { ...labels, vocabularySize, hiddenSize, padId },
    tokenTypes: 0,
    maxPositions: model.maxPositions,
    blocks: model.blocks,
    body: bodyOf(model),
    head,
    hidden: states,
    logits,
  });
}
