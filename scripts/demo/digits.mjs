/**
 * 1797 handwritten digits of 8 × 8 pixels (E. Alpaydin and C. Kaynak, UCI repository), from the data folder of scikit-learn's wheel. They
 * become PNG files with one folder per class: real images, small enough to train on in seconds.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fetchFromWheel } from './wheel-file.mjs';

const SIDE = 8;
/** Every fifth image is a test image. */
const TEST_EVERY = 5;
/** Maximum pixel value; the minimum is 0. */
const BRIGHTNESS = 16;

/**
 * @returns {Promise<{ train: string, test: string }>} folders of files such as train/3/17.png, written on the first call. @throws StepError
 */
export async function ensureDigits(folder) {
  const parts = { train: path.join(folder, 'train'), test: path.join(folder, 'test') };
  if (existsSync(parts.train) && existsSync(parts.test)) return parts;
  const table = path.join(folder, 'digits.csv.gz');
  if (!existsSync(table))
    await fetchFromWheel({
      requirement: 'scikit-learn>=1.3',
      members: ['sklearn/datasets/data/digits.csv.gz'],
      folder,
      what: "8 × 8 digits (in scikit-learn's wheel, 9 MB)",
      without: '',
    });
  const { default: sharp } = await import('sharp');
  const partial = path.join(folder, '.partial');
  rmSync(partial, { recursive: true, force: true });
  for (const [i, { pixels, label }] of readDigits(table).entries()) {
    const inside = path.join(partial, i % TEST_EVERY === 0 ? 'test' : 'train', label);
    mkdirSync(inside, { recursive: true });
    const bytes = Uint8Array.from(pixels, value => Math.min(255, value * BRIGHTNESS));
    await sharp(bytes, { raw: { width: SIDE, height: SIDE, channels: 1 } })
      .png()
      .toFile(path.join(inside, `${i}.png`));
  }
  for (const part of ['test', 'train']) {
    rmSync(parts[part], { recursive: true, force: true });
    renameSync(path.join(partial, part), parts[part]);
  }
  rmSync(partial, { recursive: true, force: true });
  return parts;
}

/** Reads lines of 64 pixels and the digit. */
function readDigits(table) {
  const lines = gunzipSync(readFileSync(table)).toString('utf8').trim().split('\n');
  return lines.map(line => {
    const numbers = line.split(',').map(Number);
    return { pixels: numbers.slice(0, SIDE * SIDE), label: String(numbers[SIDE * SIDE]) };
  });
}
