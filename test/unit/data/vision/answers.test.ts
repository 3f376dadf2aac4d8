/** Tests images in the prompts of compared and judged answers: the forms of TRL and LLaMA-Factory, and what is refused. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { chatRendererOf } from '../../../../trainer/data/chat/chat-renderer.ts';
import { loadJudged } from '../../../../trainer/data/load/load-judged.ts';
import { loadPairs } from '../../../../trainer/data/load/load-pairs.ts';
import type { TokenSequence } from '../../../../trainer/data/types.ts';
import { dataBringsImages } from '../../../../trainer/data/vision/data-brings-images.ts';
import { characterTokenizer } from '../character-tokenizer.ts';
import { datasetSettings as settings, writeData } from '../data-files.ts';

const tokenizer = characterTokenizer();
const IMAGE = '□';
const template = `{% for m in messages %}{{ m.role[0] }}:{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'image' %}${IMAGE}{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %};{% endfor %}{% if add_generation_prompt %}a:{% endif %}`;
const chatRenderer = chatRendererOf({ chatTemplate: template, specialTokens: {} }, undefined, IMAGE);
const images = {
  placeholder: IMAGE,
  imageToken: tokenizer.encode(IMAGE, { addSpecialTokens: false })[0] ?? -1,
  textOf: ({ width }: { readonly width: number }) => ({ text: `[${IMAGE.repeat(width)}]`, vectors: width }),
};

let file: string;

beforeAll(async () => {
  file = writeData('answers.jsonl', '');
  for (const [name, width] of [
    ['a.png', 2],
    ['b.png', 3],
  ] as const)
    await sharp({ create: { width, height: 1, channels: 3, background: 'red' } })
      .png()
      .toFile(path.join(path.dirname(file), name));
});

async function inputOf(sample: object, maxLength = 60) {
  await writeFile(file, JSON.stringify(sample));
  return { paths: [file], settings, tokenizer, chatRenderer, maxLength, maxPositions: 64, images };
}

const shown = ({ ids, images: own = [] }: TokenSequence) => [
  tokenizer.decode([...ids], { skipSpecialTokens: false }).replace(/;?$/, ''),
  own.map(image => path.basename(image.path)).join(),
];

const text = (given: string) => ({ type: 'text', text: given });
const turn = (role: string, ...content: object[]) => ({ role, content });
const answers = { chosen: [turn('assistant', text('Yes'))], rejected: [turn('assistant', text('No'))] };
const asked = (...parts: object[]) => turn('user', ...parts, text('Hi'));

describe('the images of a prompt', () => {
  test.each([
    [
      'a column, with a place in the prompt, as in rlaif-v_formatted',
      { images: ['a.png'], prompt: [asked({ type: 'image', text: null })], ...answers },
    ],
    ['a column without a place', { images: ['a.png'], prompt: [asked()], ...answers }],
    ['a column, next to texts', { images: ['a.png'], prompt: 'Hi', chosen: 'Yes', rejected: 'No' }],
    ['a part', { prompt: [asked({ type: 'image', image: 'a.png' })], ...answers }],
    [
      'a prompt that both answers begin with',
      {
        images: ['a.png'],
        chosen: [asked({ type: 'image' }), ...answers.chosen],
        rejected: [asked({ type: 'image' }), ...answers.rejected],
      },
    ],
    [
      "LLaMA-Factory's conversations",
      {
        images: ['a.png'],
        conversations: [{ from: 'human', value: '<image>Hi' }],
        chosen: { from: 'gpt', value: 'Yes' },
        rejected: { from: 'gpt', value: 'No' },
      },
    ],
    ["LLaMA-Factory's instruction", { images: ['a.png'], instruction: '<image>Hi', chosen: 'Yes', rejected: 'No' }],
    ['a question', { image: 'a.png', question: 'Hi', chosen: 'Yes', rejected: 'No' }],
  ])('are shared by both answers: %s', async (_, sample) => {
    const { samples } = await loadPairs(await inputOf(sample));
    expect(samples.flatMap(({ chosen, rejected }) => [shown(chosen), shown(rejected)])).toEqual([
      ['u:[□□]Hi;a:Yes', 'a.png'],
      ['u:[□□]Hi;a:No', 'a.png'],
    ]);
    expect(await dataBringsImages([file], {})).toBe(true);
  });

  test.each([
    [
      'messages',
      { images: ['b.png'], messages: [turn('user', { type: 'image' }, text('Hi')), turn('assistant', text('Yes'))], label: true },
    ],
    ['a prompt and its completion', { images: ['b.png'], prompt: [asked()], completion: answers.chosen, label: true }],
    ['texts', { image: 'b.png', prompt: '<image>Hi', completion: 'Yes', label: true }],
  ])('are those of a judged answer: %s', async (_, sample) => {
    const { samples } = await loadJudged(await inputOf(sample));
    expect(samples.map(({ sequence }) => shown(sequence))).toEqual([['u:[□□□]Hi;a:Yes', 'b.png']]);
  });

  test('several keep their order', async () => {
    const prompt = [asked({ type: 'image' }, { type: 'image', image: 'b.png' })];
    const { samples } = await loadPairs(await inputOf({ images: ['a.png'], prompt, ...answers }));
    expect(samples.map(({ rejected }) => shown(rejected))).toEqual([['u:[□□][□□□]Hi;a:No', 'a.png,b.png']]);
  });

  test('drop a pair that would end within one', async () => {
    const sample = { images: ['a.png'], prompt: [asked({ type: 'image' })], ...answers };
    await expect(loadPairs(await inputOf(sample, 4))).rejects.toThrow(/1 (cut image|no target|cut off)/);
  });

  test.each([
    [
      'an answer has',
      { prompt: [asked()], ...answers, chosen: [turn('assistant', { type: 'image', image: 'a.png' }, text('Yes'))] },
      /Images are read .* before the answers/,
    ],
    ['are more than places', { images: ['a.png', 'b.png'], prompt: [asked({ type: 'image' })], ...answers }, /2 images, but 1 places/],
    ['are missing', { images: ['none.png'], prompt: [asked()], ...answers }, /no file .*none\.png/],
  ])('are refused if %s', async (_, sample, message) => {
    await expect(loadPairs(await inputOf(sample))).rejects.toThrow(message);
  });
});
