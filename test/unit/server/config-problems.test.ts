/** Model configs: each fixture is a config.json with carets under what is wrong, checked against the tensors of the tiny Llama. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { configProblems, isModelConfig } from '../../../trainer/lint/config-problems.ts';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { annotate } from './check-view.ts';

const folder = path.join(import.meta.dirname, '..', '..', 'golden', 'llama');
const good = readFileSync(path.join(folder, 'config.json'), 'utf8');
const { tensors } = await readModelHeaders(folder);

/** The lines with a problem, and their notes. */
function notes(text: string): string[] {
  const all = annotate(text.split('\n'), configProblems(text, 'config.json', tensors)).split('\n');
  return all.flatMap((line, i) => (/^\s*\^/.test(line) ? [`${all[i - 1]?.trim()} ${line.trim().replace(/^\^+ /, '')}`] : []));
}

const change = (from: string, to: string): string => {
  expect(good).toContain(from);
  return good.replace(from, to);
};

describe('model configs', () => {
  it('a good one has no problem', () => expect(notes(good)).toEqual([]));

  it.each([
    ['"LlamaForCausalLM"', '"BertForMaskedLM"', '"BertForMaskedLM" warning unsupported-architecture'],
    ['"num_attention_heads": 4', '"num_attention_heads": 3', '"num_attention_heads": 3, error contradictory-config'],
    ['"hidden_act": "silu"', '"hidden_act": "tanhish"', '"hidden_act": "tanhish", error contradictory-config'],
    ['"vocab_size": 128', '"vocab_size": -1', '"vocab_size": -1 error contradictory-config'],
    ['"vocab_size": 128', '"vocab_size": 130', '"vocab_size": 130 error config-weights-mismatch'],
    ['"intermediate_size": 96', '"intermediate_size": 90', '"intermediate_size": 90, error config-weights-mismatch'],
    ['"num_hidden_layers": 2', '"num_hidden_layers": 1', '"num_hidden_layers": 1, error config-weights-mismatch'],
    ['"num_hidden_layers": 2', '"num_hidden_layers": 3', '"num_hidden_layers": 3, error config-weights-mismatch'],
    ['"num_key_value_heads": 2', '"num_key_value_heads": 1', '"num_key_value_heads": 1, error config-weights-mismatch'],
    ['"rope_type": "default"', '"rope_type": "spiral"', '"rope_parameters": { error contradictory-config'],
  ])('%s → %s', (from, to, note) => expect(notes(change(from, to))).toContain(note));

  it('a syntax error is shown where it is', () => {
    const [found] = configProblems('{\n  "architectures": [,]\n}', 'config.json', undefined);
    expect(found).toMatchObject({ code: 'invalid-config', range: { start: { line: 1, column: 20 } } });
  });

  it('half a file never throws', () => {
    for (let end = 0; end < good.length; end += 7)
      expect(Array.isArray(configProblems(good.slice(0, end), 'config.json', tensors))).toBe(true);
  });

  it('other config.json files are left alone', () => expect(isModelConfig('{"compilerOptions": {}}')).toBe(false));
});
