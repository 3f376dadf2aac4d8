/**
 * The smallest demo that really runs: a Llama of two layers with random weights from the tests, on the subjects of mails. Needs no
 * download.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../steps.mjs';
import { mailsOf } from './spam-data.mjs';

const MODEL_FILES = [
  'llama/config.json',
  'llama/generation_config.json',
  'llama/model.safetensors',
  'tiny-tokenizer/tokenizer.json',
  'tiny-tokenizer/tokenizer_config.json',
];
/** Maximum length of a subject; the model has 64 positions and reads characters. */
const LONGEST_SUBJECT = 48;
const PER_LABEL = 200;

/** @returns {{ model: string, data: string }} a model folder and a file of {"text", "label"} */
export function ensureTiny(folder) {
  const model = path.join(folder, 'model');
  const data = path.join(folder, `subjects-${PER_LABEL}.jsonl`);
  mkdirSync(model, { recursive: true });
  for (const file of MODEL_FILES) copyFileSync(path.join(root, 'test', 'golden', file), path.join(model, path.basename(file)));
  if (!existsSync(data)) {
    const records = ['ham', 'spam'].flatMap(label => subjects(label).map(text => ({ text, label })));
    writeFileSync(`${data}.tmp`, records.map(record => `${JSON.stringify(record)}\n`).join(''));
    renameSync(`${data}.tmp`, data);
  }
  return { model, data };
}

const subjects = label =>
  mailsOf(label)
    .map(({ text }) => /^Subject: (.*)$/m.exec(text)?.[1]?.slice(0, LONGEST_SUBJECT) ?? '')
    .filter(subject => subject !== '')
    .slice(0, PER_LABEL);
