/** A task whose training data has many bytes but trains quickly: the tiny Llama with a byte tokenizer. */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteLevelTokenizer } from '../models/byte-tokenizer.ts';
import { makeTinyTask, type TinyTask } from './tiny-task.ts';

export const LARGE_TEMPLATE =
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

const SAMPLES = 1200;
/** A column that is not read; 36 MB total. */
const note = 'n'.repeat(30_000);

/** @param change replaces fields of a sample */
export const largeData = (change: (sample: number) => object = () => ({})): string =>
  Array.from({ length: SAMPLES }, (_, i) => {
    const input = i % 3 === 0 ? 'now '.repeat(i % 25) : '';
    return JSON.stringify({ instruction: `What is ${i}?`, input, output: `It is ${'so '.repeat(i % 9)}${i}.`, note, ...change(i) });
  }).join('\n');

export interface LargeTask extends TinyTask {
  /** Gives the model another chat template. */
  setTemplate(template: string): void;
}

export function makeLargeTask(): LargeTask {
  const task = makeTinyTask();
  const model = join(task.folder, 'model');
  const setTemplate = (template: string): void =>
    writeFileSync(join(model, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|endoftext|>', chat_template: template }));
  rmSync(model, { recursive: true });
  // This model's embedding has a row for each byte.
  cpSync(join(import.meta.dirname, '..', '..', 'golden', 'llama_torch'), model, { recursive: true });
  rmSync(join(model, 'tokenizer.model'));
  writeFileSync(join(model, 'tokenizer.json'), byteLevelTokenizer({ merges: [] }));
  setTemplate(LARGE_TEMPLATE);
  writeFileSync(join(task.folder, 'train.jsonl'), largeData());
  return { ...task, setTemplate };
}

/** Settings with which training starts before all samples are tokenized. */
export const IN_ORDER = ['data.eval=[]', 'max_length=64', 'group_by_length=false', 'method=full'];
