/** Tests images in the samples of language models: where they come from, what they become in the text, and what is refused. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { type Dataset, type DatasetSettings, loadDataset } from '../../../trainer/data/load/load-dataset.ts';
import { sampleImages } from '../../../trainer/data/shown/sample-pictures.ts';
import { dataBringsImages } from '../../../trainer/data/vision/data-brings-images.ts';
import type { ImageReading } from '../../../trainer/data/vision/sample-image.ts';
import { viewsOf } from '../../../trainer/data/vision/view-pixels.ts';
import { characterTokenizer } from './character-tokenizer.ts';
import { datasetSettings as base, writeData } from './data-files.ts';

const tokenizer = characterTokenizer();
const IMAGE = '□';

/** Like the templates of vision models: content is a list of parts. */
const template = `{% for m in messages %}{{ m.role[0] }}:{% for p in m.content %}{% if p.type == 'image' %}${IMAGE}{% else %}{{ p.text }}{% endif %}{% endfor %};{% endfor %}{% if add_generation_prompt %}a:{% endif %}`;
const chatRenderer = chatRendererOf({ chatTemplate: template, specialTokens: {} }, undefined, IMAGE);

let folder: string;
let reading: ImageReading;

async function picture(name: string, width: number, height: number, orientation = 1): Promise<string> {
  const file = path.join(folder, name);
  const pixels = { width, height, channels: 3, background: { r: width, g: height, b: 0 } } as const;
  await sharp({ create: pixels }).withMetadata({ orientation }).png().toFile(file);
  return file;
}

beforeAll(async () => {
  folder = path.dirname(writeData('start.txt', ''));
  await mkdir(path.join(folder, 'spool'), { recursive: true });
  reading = {
    placeholder: IMAGE,
    imageToken: tokenizer.encode(IMAGE, { addSpecialTokens: false })[0] ?? -1,
    textOf: ({ width, height }) => ({ text: `[${IMAGE.repeat(width)}]`, vectors: width, grid: { rows: height, columns: width } }),
    folder: path.join(folder, 'spool'),
  };
  await picture('a.png', 2, 3);
  await picture('b.png', 4, 1);
});

function load(samples: readonly object[], settings: Partial<DatasetSettings> = {}, maxLength = 60): Promise<Dataset> {
  const file = path.join(folder, 'samples.jsonl');
  return writeFile(file, samples.map(sample => JSON.stringify(sample)).join('\n')).then(() =>
    loadDataset({
      paths: [file],
      settings: { ...base, ...settings },
      tokenizer,
      chatRenderer,
      maxLength,
      maxPositions: 64,
      images: reading,
    }),
  );
}

const textOf = ({ examples }: Dataset, index = 0): string =>
  tokenizer.decode([...(examples.at(index)?.ids ?? [])], { skipSpecialTokens: false });
const imagesOf = ({ examples }: Dataset, index = 0): string[] => (examples.at(index)?.images ?? []).map(image => path.basename(image.path));

const answer = { role: 'assistant', content: 'Yes' };
const part = (fields: object) => ({
  messages: [
    {
      role: 'user',
      content: [
        { type: 'image', ...fields },
        { type: 'text', text: 'Hi' },
      ],
    },
    answer,
  ],
});

describe('an image of a sample', () => {
  test.each([
    ['a path in a part', part({ image: 'a.png' })],
    ['a path in the form of Hugging Face', part({ path: 'a.png' })],
    ['an address in the form of OpenAI', part({ type: 'image_url', image_url: { url: 'a.png' } })],
    ['a column of TRL', { ...part({}), images: ['a.png'] }],
    ['a column, with a mark in the text', { messages: [{ role: 'user', content: '<image>Hi' }, answer], images: ['a.png'] }],
    [
      'a column of LLaVA',
      {
        conversations: [
          { from: 'human', value: '<image>Hi' },
          { from: 'gpt', value: 'Yes' },
        ],
        image: 'a.png',
      },
    ],
    ['a column without a mark', { messages: [{ role: 'user', content: 'Hi' }, answer], images: ['a.png'] }],
    ['a prompt', { prompt: 'Hi', completion: 'Yes', image: 'a.png' }],
    ['an instruction', { instruction: 'Hi', output: 'Yes', images: ['a.png'] }],
  ])('is read from %s', async (_, sample) => {
    const data = await load([sample]);
    expect(textOf(data)).toMatch(/^u:\[□□\]Hi;a:Yes;?$/);
    expect(imagesOf(data)).toEqual(['a.png']);
    const { train } = data.examples.at(0) ?? {};
    expect([...(train ?? [])].filter(Boolean).length).toBeGreaterThanOrEqual(3);
  });

  it('keeps its place among others and in later turns', async () => {
    const data = await load([
      {
        messages: [
          { role: 'user', content: 'x<image>y<image>z' },
          { role: 'assistant', content: 'One' },
          { role: 'user', content: '<image>?' },
          { role: 'assistant', content: 'Two' },
        ],
        images: ['b.png', 'a.png', 'b.png'],
      },
    ]);
    expect(textOf(data)).toMatch(/^u:x\[□□□□\]y\[□□\]z;a:One;u:\[□□□□\]\?;a:Two;?$/);
    expect(imagesOf(data)).toEqual(['b.png', 'a.png', 'b.png']);
  });

  it('may be bytes inside the data, which are kept once', async () => {
    const bytes = await sharp(path.join(folder, 'a.png')).jpeg().toBuffer();
    const inside = part({ type: 'image_url', image_url: { url: `data:image/jpeg;base64,${bytes.toString('base64')}` } });
    const data = await load([inside, inside]);
    const [first, second] = [...data.examples].map(({ images }) => images?.[0]);
    expect(first?.path).toBe(second?.path);
    expect(path.dirname(first?.path ?? '')).toBe(reading.folder);
    expect([first?.width, first?.height]).toEqual([2, 3]);
  });

  it('has the size in which it is shown', async () => {
    await picture('turned.png', 5, 2, 6);
    const [image] = (await load([part({ image: 'turned.png' })])).examples.at(0)?.images ?? [];
    expect([image?.width, image?.height]).toEqual([2, 5]);
    if (!image) return;
    for await (const pixels of viewsOf(image, [{ resizes: [] }], { kernel: 'cubic', rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] })) {
      expect([pixels.width, pixels.height]).toEqual([2, 5]);
      expect([...pixels.values.subarray(0, 3)]).toEqual([5, 2, 0]);
    }
  });

  it('is part of what identifies a sample', async () => {
    const keys = (data: Dataset) => data.examples.at(0)?.images?.map(({ key }) => key);
    const [a, b] = [await load([part({ image: 'a.png' })]), await load([part({ image: 'b.png' })])];
    expect(keys(a)).not.toEqual(keys(b));
  });
});

describe('text without images', () => {
  it('is reported if a column has images that nothing reads', async () => {
    const file = writeData(
      'unread.jsonl',
      JSON.stringify({ ...part({}), messages: [{ role: 'user', content: 'Hi' }, answer], images: ['a.png'] }),
    );
    const data = await loadDataset({ paths: [file], settings: base, tokenizer, chatRenderer, maxLength: 60, maxPositions: 64 });
    expect(data.report.notes).toEqual({ 'have images, which are not read: the model reads none, or the first sample has none': 1 });
  });

  it('is written as parts for a template that reads only parts', async () => {
    expect(textOf(await load([{ messages: [{ role: 'user', content: 'Hi' }, answer] }]))).toMatch(/^u:Hi;a:Yes;?$/);
  });

  it('trains the turns of users next to images', async () => {
    const data = await load([{ messages: [{ role: 'user', content: '<image>Hi' }, answer], images: ['a.png'] }], {
      trainedRoles: ['user', 'assistant'],
    });
    const { ids = new Int32Array(), train = new Uint8Array() } = data.examples.at(0) ?? {};
    const trained = [...ids].filter((_, i) => train[i] === 1);
    expect(tokenizer.decode(trained, { skipSpecialTokens: false })).toMatch(/^Hi;?Yes;?$/);
  });
});

describe('an image that cannot be used', () => {
  test.each([
    ['no file', part({ image: 'none.png' }), /samples\.jsonl:1.*no file .*none\.png/s],
    ['an address', part({ image: 'https://example.org/a.png' }), /the address https:\/\/example\.org\/a\.png/],
    ['a place without an image', part({}), /a place for an image without an image/],
    [
      'more images than places',
      { messages: [{ role: 'user', content: '<image>' }, answer], images: ['a.png', 'b.png'] },
      /2 images, but 1 place/,
    ],
    ['a file that is no image', part({ image: 'samples.jsonl' }), /an image that cannot be used/],
    [
      'a placeholder in the text',
      { messages: [{ role: 'user', content: `<image>${IMAGE}` }, answer], images: ['a.png'] },
      /1 images?, but the text .* has 2 times □/,
    ],
  ])('is named: %s', async (_, sample, message) => {
    await expect(load([sample])).rejects.toThrow(message);
  });

  it('drops a sample that would end within it', async () => {
    const short = { messages: [{ role: 'user', content: 'Hi' }, answer] };
    const data = await load([part({ image: 'a.png' }), { ...part({ image: 'b.png' }), images: [] }, short], { truncation: 'end' }, 11);
    expect(data.examples.length).toBeLessThan(3);
    for (const { ids, images = [] } of data.examples)
      expect([...ids].filter(id => id === reading.imageToken)).toHaveLength(images.reduce((sum, { vectors }) => sum + vectors, 0));
  });
});

it('data brings images if its first sample has some', async () => {
  const file = writeData('with.jsonl', JSON.stringify(part({ image: 'a.png' })));
  const without = writeData('without.jsonl', JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }, answer] }));
  expect(await dataBringsImages([without], {})).toBe(false);
  expect(await dataBringsImages([without, file], {})).toBe(true);
});

test('images of a sample are shown with their names; those from inside the data are numbered', async () => {
  const [named, own] = await Promise.all([picture('named.png', 300, 100), picture('spool/0123.image.png', 3, 2)]);
  const shown = await sampleImages(
    [named, own, path.join(folder, 'gone.png')].map(file => ({ path: file, key: '', width: 300, height: 100, text: '', vectors: 1 })),
    reading.folder,
  );
  expect(shown.map(({ name }) => name)).toEqual(['named.png', 'image 2', 'gone.png']);
  expect(shown.map(({ thumbnail }) => thumbnail?.slice(0, 23))).toEqual([...Array(2).fill('data:image/webp;base64,'), undefined]);
  const bytes = Buffer.from(shown[0]?.thumbnail?.split(',')[1] ?? '', 'base64');
  expect(await sharp(bytes).metadata()).toMatchObject({ width: 192, height: 64 });
});
