/** Answers requests to `/v1/embeddings`. */

import type { TextVectors } from '../generate/text-vectors.ts';
import { unknownToken } from '../model/known-tokens.ts';
import type { EmbeddingRequest } from './api-requests.ts';
import { RequestError } from './request-error.ts';

/** A loaded encoder, with its name. */
export interface ServedEmbedder {
  readonly name: string;
  readonly vectors: TextVectors;
}

/** Computes the vector of each input in turn. @throws RequestError for invalid ids; GenerateError for a text that is too long */
export async function embeddings({ name, vectors }: ServedEmbedder, request: EmbeddingRequest, isCanceled: () => boolean) {
  const { input, dimensions = vectors.width, encoding_format: format = 'float' } = request;
  if (dimensions > vectors.width)
    throw new RequestError(400, `dimensions: the vectors of ${name} have ${vectors.width} numbers`, { param: 'dimensions' });
  const sequences = inputsOf(input).map(each => (typeof each === 'string' ? vectors.idsOf(each) : checkedIds(each, name, vectors)));
  const data: { readonly object: 'embedding'; readonly index: number; readonly embedding: number[] | string }[] = [];
  for (const [index, ids] of sequences.entries()) {
    if (isCanceled()) throw new RequestError(499, 'the client is gone');
    const vector = shortened(await vectors.vectorOf(ids), dimensions, vectors.isNormalized);
    data.push({ object: 'embedding', index, embedding: format === 'base64' ? base64(vector) : [...vector] });
  }
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  return { object: 'list', data, model: name, usage: { prompt_tokens: tokens, total_tokens: tokens } } as const;
}

/** One text, one list of ids, or several of either. */
function inputsOf(input: EmbeddingRequest['input']): readonly (string | readonly number[])[] {
  if (typeof input === 'string') return [input];
  const ids = input.filter(each => typeof each === 'number');
  return ids.length > 0 ? [ids] : input.filter(each => typeof each !== 'number');
}

function checkedIds(ids: readonly number[], name: string, { longest, known }: TextVectors): Int32Array {
  if (ids.length > longest)
    throw new RequestError(400, `an input has ${ids.length} tokens; at most ${longest} are read`, {
      param: 'input',
      code: 'context_length_exceeded',
    });
  const missing = ids.find(id => id >= known.vocabularySize);
  if (missing !== undefined) throw new RequestError(400, `${name} has no id ${missing}`, { param: 'input' });
  const unknown = unknownToken(ids, known);
  if (unknown) throw new RequestError(400, `${name} does not read an input: ${unknown.problem}. ${unknown.advice}`, { param: 'input' });
  return Int32Array.from(ids);
}

/** The first elements of a vector, normalized to length 1 if the whole vector is. */
function shortened(vector: Float32Array, dimensions: number, isNormalized: boolean): Float32Array {
  if (dimensions === vector.length) return vector;
  const part = vector.subarray(0, dimensions);
  const length = Math.hypot(...part);
  return isNormalized && length > 0 ? part.map(value => value / length) : part;
}

/** Encodes a vector as little-endian float32, as clients of the API decode it. */
const base64 = (vector: Float32Array): string => {
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT);
  vector.forEach((value, i) => void bytes.writeFloatLE(value, i * Float32Array.BYTES_PER_ELEMENT));
  return bytes.toString('base64');
};
