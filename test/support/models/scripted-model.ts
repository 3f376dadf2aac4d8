/** A real model that writes a text chosen by the test: its weights map each token to the next one, regardless of the context. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { isRecord } from '../../../trainer/narrow.ts';

/** Id of the end token in the tiny tokenizer. */
const END = 2;
const LOGIT = 10;

export interface ScriptedModelParams {
  /** The last character of the prompt. */
  readonly after: string;
  /** Distinct tokens of the answer. */
  readonly pieces: readonly string[];
  /** Returns true for special tokens, which are not part of the text. */
  readonly isSpecial?: (piece: string) => boolean;
}

const json = (file: string): Readonly<Record<string, unknown>> => {
  const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
  return isRecord(value) ? value : {};
};

/** Converts a folder with the tiny Llama and its tokenizer. The blocks add nothing, so the logits depend only on the current token. */
export async function writeScriptedModel(folder: string, { after, pieces, isSpecial = () => false }: ScriptedModelParams): Promise<void> {
  const file = (name: string): string => path.join(folder, name);
  const tokenizer = json(file('tokenizer.json'));
  const vocabulary = isRecord(tokenizer.model) && isRecord(tokenizer.model.vocab) ? tokenizer.model.vocab : {};
  const known = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const firstFree = Math.max(...Object.values(vocabulary).map(Number)) + 1;
  const added = pieces.map((content, i) => ({ ...known[0], id: firstFree + i, content, special: isSpecial(content) }));
  writeFileSync(file('tokenizer.json'), JSON.stringify({ ...tokenizer, added_tokens: [...known, ...added] }));
  const config = { ...json(file('config.json')), max_position_embeddings: 256, vocab_size: firstFree + pieces.length };
  writeFileSync(file('config.json'), JSON.stringify(config));
  const chain = [Number(vocabulary[after]), ...added.map(({ id }) => id), END];
  const valuesOf: Readonly<Record<string, (row: number, column: number) => number>> = {
    'model.embed_tokens.weight': (id, column) => (chain[column] === id ? 1 : 0),
    'lm_head.weight': (id, column) => (chain[column + 1] === id ? LOGIT : 0),
  };
  await writeSafetensors(
    file('model.safetensors'),
    loadModel(config).parameters.map(({ name, shape }) => {
      const [rows = 1, columns = 1] = shape;
      const value = valuesOf[name] ?? (() => (name.endsWith('norm.weight') ? 1 : 0));
      const numbers = Float32Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));
      return { name, shape, dtype: 'F32' as const, data: () => encodeFloat32(numbers, 'F32') };
    }),
  );
}
