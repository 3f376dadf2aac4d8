/** The factor of a scaled embedding, as computed in Transformers. */

import { fromBfloat16, toBfloat16 } from '../../../../graph/types.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** The factor, rounded to the type of products if the family rounds it. */
export const multiplierFor = ({ compute }: Tracer, { factor, rounded }: DecoderConfig['embeddingMultiplier']): number =>
  rounded && compute === 'bfloat16' ? bfloat16(factor) : factor;

const bfloat16 = (x: number): number => fromBfloat16(toBfloat16(Float32Array.of(x)))[0] as number;
