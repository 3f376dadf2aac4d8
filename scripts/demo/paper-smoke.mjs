/**
 * Puts tiny models and small real data where `rowtune reproduce --smoke` looks for them: the models of the tests (random weights), the 8 ×
 * 8 digits as CIFAR binaries and as folders, and mails in the file formats of GLUE and Alpaca. The path of each row runs; its numbers are
 * meaningless.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../steps.mjs';
import { ensureDigits } from './digits.mjs';
import { mailsOf } from './spam-data.mjs';

const GOLDEN = path.join(root, 'test', 'golden');
/** Maps the folder names in `--models` to models of the tests. */
const MODELS = {
  'deit-base-patch16-224': 'deit',
  'vit-base-patch16-224': 'vit',
  'resnet-101': 'resnet',
  'resnext101_32x8d.tv_in1k': 'timm_resnext',
  'deberta-v3-base': 'deberta',
  'Llama-2-7b-hf': 'llama',
  'Meta-Llama-3-8B': 'llama',
};
const READS_TEXT = new Set(['deberta', 'llama']);
const PER_CLASS = { train: 3, test: 2 };
const MAILS = { train: 12, test: 6 };
const SIDE = 32;
const LONGEST = 40;

/** @returns {Promise<{ models: string, data: string }>} folders for --models and --data, written on the first call. @throws StepError */
export async function ensureSmoke(cache) {
  const folder = path.join(cache, 'paper-smoke-2');
  const places = { models: path.join(folder, 'models'), data: path.join(folder, 'data') };
  if (existsSync(folder)) return places;
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  writeModels(path.join(partial, 'models'));
  await writeImages(await ensureDigits(path.join(cache, 'digits')), path.join(partial, 'data'));
  writeTexts(path.join(partial, 'data'));
  renameSync(partial, folder);
  return places;
}

function writeModels(to) {
  for (const [name, from] of Object.entries(MODELS)) {
    const folder = path.join(to, name);
    mkdirSync(folder, { recursive: true });
    const files = ['config.json', 'model.safetensors'].map(file => path.join(GOLDEN, from, file));
    if (READS_TEXT.has(from))
      files.push(...['tokenizer.json', 'tokenizer_config.json'].map(file => path.join(GOLDEN, 'tiny-tokenizer', file)));
    for (const file of files) copyFileSync(file, path.join(folder, path.basename(file)));
    if (from === 'llama') lengthen(path.join(folder, 'config.json'));
  }
}

/** Raises the number of positions, because each letter is a token and Alpaca's prompt is long. Rotary positions need no weights. */
function lengthen(file) {
  const config = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, `${JSON.stringify({ ...config, max_position_embeddings: 1024 }, null, 2)}\n`);
}

/** Returns the first images of each class, alternating between classes. */
function digitsOf(folder, perClass) {
  const labels = readdirSync(folder).sort();
  return Array.from({ length: perClass }).flatMap((_, i) =>
    labels.map(label => ({ label, file: path.join(folder, label, readdirSync(path.join(folder, label)).sort()[i]) })),
  );
}

async function writeImages(digits, data) {
  const { default: sharp } = await import('sharp');
  const image = file => sharp(file).resize(SIDE, SIDE, { fit: 'fill' }).toColourspace('srgb').removeAlpha();
  const cifar = path.join(data, 'cifar-100-binary');
  const tiny = path.join(data, 'tiny-imagenet-200');
  mkdirSync(cifar, { recursive: true });
  mkdirSync(path.join(tiny, 'val', 'images'), { recursive: true });
  const annotations = [];
  for (const part of ['train', 'test']) {
    const records = [];
    for (const [i, { label, file }] of digitsOf(digits[part], PER_CLASS[part]).entries()) {
      const pixels = await image(file).raw().toBuffer();
      const planes = [0, 1, 2].map(channel => Uint8Array.from({ length: SIDE * SIDE }, (_, at) => pixels[3 * at + channel]));
      records.push(Buffer.concat([Uint8Array.of(0, Number(label)), ...planes]));
      const jpeg = await image(file).jpeg().toBuffer();
      if (part === 'test') {
        annotations.push(`val_${i}.JPEG\tn0${label}\t0\t0\t31\t31`);
        writeFileSync(path.join(tiny, 'val', 'images', `val_${i}.JPEG`), jpeg);
      } else {
        writeInto(path.join(tiny, 'train', `n0${label}`, 'images'), `${i}.JPEG`, jpeg);
        writeInto(path.join(data, '101_ObjectCategories', `class_${label}`), `image_${i}.jpg`, jpeg);
      }
    }
    writeFileSync(path.join(cifar, `${part}.bin`), Buffer.concat(records));
  }
  writeFileSync(path.join(tiny, 'val', 'val_annotations.txt'), `${annotations.join('\n')}\n`);
}

function writeInto(folder, name, bytes) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, name), bytes);
}

/** For each task, the header of its file and a line for a mail: `first` and `second` are subject and body, `place` is 0 or 1. */
const GLUE = {
  CoLA: { line: ({ first, place }) => ['m', place, place ? '' : '*', first] },
  'SST-2': { header: ['sentence', 'label'], line: ({ first, place }) => [first, place] },
  MRPC: {
    header: ['Quality', '#1 ID', '#2 ID', '#1 String', '#2 String'],
    line: ({ first, second, place, i }) => [place, i, i, first, second],
  },
  QQP: {
    header: ['id', 'qid1', 'qid2', 'question1', 'question2', 'is_duplicate'],
    line: ({ first, second, place, i }) => [i, i, i, first, second, place],
  },
  'STS-B': {
    header: ['index', 'genre', 'filename', 'year', 'old_index', 'source1', 'source2', 'sentence1', 'sentence2', 'score'],
    line: ({ first, second, place, i }) => [i, 'mail', 'none', 2003, i, 'none', 'none', first, second, (5 * place).toFixed(3)],
  },
  MNLI: {
    header: [
      'index',
      'promptID',
      'pairID',
      'genre',
      'sentence1_binary_parse',
      'sentence2_binary_parse',
      'sentence1',
      'sentence2',
      'gold_label',
    ],
    line: ({ first, second, place, i }) => [
      i,
      i,
      i,
      'mail',
      '(',
      '(',
      first,
      second,
      ['neutral', 'entailment', 'contradiction'][(i >> 1) % 3 || place],
    ],
    dev: 'dev_matched.tsv',
  },
  QNLI: {
    header: ['index', 'question', 'sentence', 'label'],
    line: ({ first, second, place, i }) => [i, first, second, place ? 'entailment' : 'not_entailment'],
  },
  RTE: {
    header: ['index', 'sentence1', 'sentence2', 'label'],
    line: ({ first, second, place, i }) => [i, first, second, place ? 'entailment' : 'not_entailment'],
  },
};

function writeTexts(data) {
  const mails = ['ham', 'spam'].map(label =>
    mailsOf(label)
      .slice(0, MAILS.train + MAILS.test)
      .map(shorten),
  );
  const part = (from, to) =>
    mails[0].slice(from, to).flatMap((ham, i) => [
      { ...ham, place: 0, i: 2 * i },
      { ...mails[1][from + i], place: 1, i: 2 * i + 1 },
    ]);
  const [train, test] = [part(0, MAILS.train), part(MAILS.train, MAILS.train + MAILS.test)];
  for (const [task, { header, line, dev = 'dev.tsv' }] of Object.entries(GLUE)) {
    const text = rows => [...(header ? [header] : []), ...rows.map(line)].map(fields => `${fields.join('\t')}\n`).join('');
    writeInto(path.join(data, task), 'train.tsv', text(train));
    writeInto(path.join(data, task), dev, text(test));
  }
  const alpaca = train.map(({ first, second }) => ({
    instruction: 'Give a subject.',
    input: second.slice(0, 16),
    output: first.slice(0, 16),
  }));
  writeFileSync(path.join(data, 'alpaca_data.json'), JSON.stringify(alpaca, null, 1));
  const choices = path.join(GOLDEN, 'choice');
  for (const file of readdirSync(choices).filter(name => name.endsWith('.jsonl')))
    writeInto(path.join(data, 'benchmarks'), file, readFileSync(path.join(choices, file)));
}

/** Returns the subject and body of a mail, each short, on one line, and with only the letters that the tiny tokenizer has. */
function shorten({ text }) {
  const [subject = '', ...body] = text.split('\n');
  const plain = part =>
    part
      .replaceAll(/[^ -~]/g, '')
      .trim()
      .slice(0, LONGEST) || 'none';
  return { first: plain(subject.replace(/^Subject: /, '')), second: plain(body.slice(1).join(' ')) };
}
