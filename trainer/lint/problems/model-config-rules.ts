/** Rules for a config.json of any family: rope scaling, token ids, dtype. Pure. */

import type { ModelConfig } from '../../format/model-config.ts';
import type { Vocabulary } from '../../format/tokenizer/tokenizer.ts';
import { isRecord } from '../../narrow.ts';
import type { Tensors } from '../facts/folder-facts.ts';
import { idsWithoutRow } from '../facts/vocabulary.ts';
import type { ConfigReport } from './config-codes.ts';

export function* ropeProblems(config: ModelConfig): Generator<ConfigReport> {
  for (const key of ['rope_scaling', 'rope_parameters']) {
    const rope = config[key];
    if (!isRecord(rope)) continue;
    const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = rope;
    if (rope.rope_type !== undefined && rope.type !== undefined && rope.rope_type !== rope.type)
      yield {
        code: 'rope-scaling',
        severity: 'warning',
        path: [key, 'type'],
        message: `'type' (${rope.type}) has no effect, because 'rope_type' (${rope.rope_type}) takes precedence`,
      };
    if (typeof factor === 'number' && factor < 1)
      yield { code: 'rope-scaling', path: [key, 'factor'], message: `a factor below 1 (${factor}) would shorten the positions` };
    if (typeof low === 'number' && typeof high === 'number' && low >= high)
      yield {
        code: 'rope-scaling',
        path: [key, 'low_freq_factor'],
        message: `low_freq_factor (${low}) must be below high_freq_factor (${high})`,
      };
    const most = config.max_position_embeddings;
    if (typeof original === 'number' && typeof most === 'number' && original > most)
      yield {
        code: 'rope-scaling',
        severity: 'warning',
        path: [key, 'original_max_position_embeddings'],
        message: `the model was trained with ${original} positions, more than max_position_embeddings (${most})`,
      };
  }
}

const TOKEN_KEYS = [
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  'decoder_start_token_id',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'sep_token_id',
  'cls_token_id',
  'mask_token_id',
] as const;

/**
 * Problems of ids without a row in the embedding.
 * @param holder the file that contains the ids: config.json itself or generation_config.json
 * @param vocabulary the tokenizer's vocabulary, if its ids are compared too
 */
export function* tokenProblems(holder: ModelConfig, config: ModelConfig, vocabulary?: Vocabulary): Generator<ConfigReport> {
  const rows = config.vocab_size;
  if (typeof rows !== 'number' || !Number.isInteger(rows) || rows < 1) return;
  const problem = vocabulary && idsWithoutRow(vocabulary, rows);
  if (problem !== undefined) yield { code: 'vocabulary-mismatch', path: ['vocab_size'], ...problem };
  for (const key of TOKEN_KEYS) {
    const value = holder[key];
    const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const [i, id] of ids.entries()) {
      // −1 and null mean "none".
      if (typeof id !== 'number' || (id < rows && (id >= -1 || !Number.isInteger(id)))) continue;
      yield {
        code: 'token-id-out-of-range',
        path: Array.isArray(value) ? [key, i] : [key],
        message: `${key} (${id}) is not a token: the vocabulary has ids from 0 to ${rows - 1}`,
      };
    }
  }
}

/** PyTorch's names for the dtypes of safetensors. */
const dtypeNames: Readonly<Record<string, string>> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

export function* dtypeProblems(config: ModelConfig, tensors: Tensors | undefined): Generator<ConfigReport> {
  const key = ['dtype', 'torch_dtype'].find(name => typeof config[name] === 'string');
  if (key === undefined || tensors === undefined) return;
  const bytes = new Map<string, number>();
  for (const { dtype = '', byteLength = 0 } of tensors.values()) {
    const name = dtypeNames[dtype];
    if (name !== undefined) bytes.set(name, (bytes.get(name) ?? 0) + byteLength);
  }
  const [stored] = [...bytes].sort((a, b) => b[1] - a[1])[0] ?? [];
  const written = String(config[key]).replace(/^torch\./, '');
  if (stored === undefined || written === stored || written === 'auto') return;
  const message = `the weights are stored as ${stored}; other tools convert them to ${written} when they load this model`;
  yield { code: 'dtype-mismatch', severity: 'info', path: [key], message, replaceBy: stored };
}
