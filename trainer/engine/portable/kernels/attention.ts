/** Attention and its gradient as written in the papers: the reference for a device's kernel. */

import * as tf from '@tensorflow/tfjs-core';
import type { AttentionScores } from '../../../graph/attributes.ts';
import { dimensions, type HostArray } from '../../../graph/types.ts';
import { type KernelTable, three } from '../kernel.ts';
import { matmul } from './product.ts';

/** Repeats each head of keys or values [batch, kvHeads, tokens, headDim] for the query heads that share it. */
function ofEachHead(x: tf.Tensor, heads: number): tf.Tensor {
  const [batch, kvHeads, tokens, width] = dimensions(x.shape, 4);
  const grouped = tf.reshape(x, [batch, kvHeads, 1, tokens * width]);
  return tf.reshape(tf.tile(grouped, [1, 1, heads / kvHeads, 1]), [batch, heads, tokens, width]);
}

/** Sums over the query heads that share a key head: the reverse of `ofEachHead`. */
function ofSharedHead(x: tf.Tensor, kvHeads: number): tf.Tensor {
  const [batch, heads, tokens, width] = dimensions(x.shape, 4);
  return tf.reshape(tf.sum(tf.reshape(x, [batch, kvHeads, heads / kvHeads, tokens * width]), 2), [batch, kvHeads, tokens, width]);
}

/** Returns the mask [batch or 1, 1, tokens, tokens]: 0 if a query attends to a key, −∞ if not. */
function hidden(tokens: number, { causal, window }: AttentionScores, lengths: HostArray | undefined): tf.Tensor {
  const samples = lengths?.length ?? 1;
  const values = new Float32Array(samples * tokens * tokens);
  for (let i = 0; i < values.length; i++) {
    const [sample, query, key] = [Math.floor(i / tokens ** 2), Math.floor(i / tokens) % tokens, i % tokens];
    const isSeen = (!causal || key <= query) && (window === undefined || key > query - window) && key < (lengths?.[sample] ?? tokens);
    if (!isSeen) values[i] = Number.NEGATIVE_INFINITY;
  }
  return tf.tensor(values, [samples, 1, tokens, tokens]);
}

/** Returns the scores of all heads, [batch, heads, tokens, tokens]. */
function scoresOf([q, k]: readonly [tf.Tensor, tf.Tensor, tf.Tensor], attrs: AttentionScores, lengths: HostArray | undefined): tf.Tensor {
  const [, heads, tokens] = dimensions(q.shape, 4);
  const products = matmul(q, ofEachHead(k, heads), false, true);
  return tf.add(tf.mul(products, attrs.scale), hidden(tokens, attrs, lengths));
}

export const attentionKernels: Pick<KernelTable, 'attention' | 'attentionGradient'> = {
  attention: {
    guides: [3],
    guided: ({ inputs, attrs }, [lengths]) => {
      const given = three(inputs);
      const scores = scoresOf(given, attrs, lengths);
      if (attrs.of === 'logSum') return tf.logSumExp(scores, -1, true);
      return matmul(tf.softmax(scores), ofEachHead(given[2], given[0].shape[1] as number), false, false);
    },
  },
  attentionGradient: {
    guides: [6],
    /**
     * Computes, with P = exp(S − logSum) and D = Σ dO∘O: dV = Pᵀ·dO, dS = P∘(dO·Vᵀ − D), dQ = dS·K, dK = dSᵀ·Q (Dao et al. 2022, eq. 4).
     */
    guided: ({ inputs, attrs }, [lengths]) => {
      const [q, k, v] = three(inputs);
      const [logSum, output, dy] = three(inputs.slice(3));
      const heads = q.shape[1] as number;
      const kvHeads = k.shape[1] as number;
      const probabilities = tf.exp(tf.sub(scoresOf([q, k, v], attrs, lengths), logSum));
      if (attrs.toward === 'v') return ofSharedHead(matmul(probabilities, dy, true, false), kvHeads);
      const drift = tf.sum(tf.mul(dy, output), -1, true);
      const towardScores = tf.mul(probabilities, tf.sub(matmul(dy, ofEachHead(v, heads), false, true), drift));
      const towardProducts = tf.mul(towardScores, attrs.scale);
      if (attrs.toward === 'q') return matmul(towardProducts, ofEachHead(k, heads), false, false);
      return ofSharedHead(matmul(towardProducts, q, true, false), kvHeads);
    },
  },
};
