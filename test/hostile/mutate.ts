/** Mutates files by a seed, as a broken disk, an interrupted download or an attacker might. */

import { elementAt } from '../../trainer/narrow.ts';

type Random = () => number;

const below = (random: Random, n: number): number => Math.floor(random() * n);
const pick = <T>(random: Random, from: readonly T[]): T => elementAt(from, below(random, from.length));

/** Sizes, counts and offsets at the limits of formats. */
const NUMBERS: readonly bigint[] = [
  0n,
  1n,
  127n,
  128n,
  255n,
  65_535n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

const binary: readonly ((bytes: Buffer, random: Random) => Buffer)[] = [
  (bytes, random) => {
    for (let n = 1 + below(random, 8); n > 0 && bytes.length > 0; n--) {
      const at = below(random, bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8));
    }
    return bytes;
  },
  (bytes, random) => {
    if (bytes.length > 0) bytes[below(random, bytes.length)] = pick(random, [0, 1, 127, 128, 255, below(random, 256)]);
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, below(random, bytes.length + 1)),
  (bytes, random) => {
    const [one, other] = [below(random, bytes.length + 1), below(random, bytes.length + 1)];
    const [from, to] = [Math.min(one, other), Math.max(one, other)];
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (bytes, random) => {
    const at = below(random, bytes.length + 1);
    const from = below(random, bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + below(random, 200)), bytes.subarray(at)]);
  },
  (bytes, random) => {
    const at = below(random, bytes.length + 1);
    const noise = Buffer.from(Array.from({ length: 1 + below(random, 64) }, () => below(random, 256)));
    return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
  },
  (bytes, random) => {
    const width = pick(random, [2, 4, 8]);
    if (bytes.length < width) return bytes;
    const at = below(random, bytes.length - width + 1);
    const number = BigInt.asUintN(8 * width, pick(random, NUMBERS));
    for (let i = 0; i < width; i++) bytes[at + i] = Number((number >> BigInt(8 * i)) & 255n);
    return bytes;
  },
];

/** JSON and YAML values to put in place of others. */
const VALUES: readonly string[] = [
  'null',
  'true',
  '[]',
  '{}',
  '""',
  '"x"',
  '-1',
  '0',
  '0.5',
  '1e5555',
  '-1e5555',
  'NaN',
  '9007199254740993',
  '18446744073709551616',
  '[[[[]]]]',
  '"__proto__"',
  '"\\u0000"',
  '"\\ud800"',
];

const NESTED = ['[', '{"a":', '(', '- ', '? ', '&a [', '!!map {a: '];

/** A JSON scalar, or the start of a list or an object. */
const VALUE = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\b(?:true|false|null)\b/g;

const textual: readonly ((text: string, random: Random) => string)[] = [
  (text, random) => replaceOne(text, random, VALUE, () => pick(random, VALUES)),
  (text, random) => replaceOne(text, random, VALUE, found => `[${found}]`),
  (text, random) => replaceOne(text, random, /-?\d+(?:\.\d+)?/g, () => String(pick(random, NUMBERS))),
  (text, random) => replaceOne(text, random, /"(?:[^"\\]|\\.)*"/g, found => `"${found.slice(1, -1).repeat(1 + below(random, 2000))}"`),
  (text, random) => replaceOne(text, random, VALUE, () => pick(random, NESTED).repeat(1 + below(random, 20_000))),
  (text, random) => {
    const lines = text.split('\n');
    const from = below(random, lines.length);
    const moved = lines.splice(from, 1 + below(random, 3));
    lines.splice(below(random, lines.length + 1), 0, ...moved, ...(random() < 0.5 ? moved : []));
    return lines.join('\n');
  },
  (text, random) => replaceOne(text, random, /[{}[\]:,]/g, () => pick(random, ['{', '}', '[', ']', ':', ',', ''])),
];

function replaceOne(text: string, random: Random, pattern: RegExp, by: (found: string) => string): string {
  const found = [...text.matchAll(pattern)];
  if (found.length === 0) return text;
  const match = pick(random, found);
  const at = match.index ?? 0;
  return text.slice(0, at) + by(match[0]) + text.slice(at + match[0].length);
}

/** Maximum size, because mutations repeat text and are repeated themselves. */
const MAX_BYTES = 2 ** 20;

/** Applies one to four mutations; text is usually changed as text, and sometimes as bytes. */
export function mutated(original: Buffer, isText: boolean, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(original);
  for (let n = 1 + below(random, 4); n > 0 && bytes.length < MAX_BYTES; n--) {
    if (isText && random() < 0.8) bytes = Buffer.from(pick(random, textual)(bytes.toString('utf8'), random));
    else bytes = Buffer.from(pick(random, binary)(bytes, random));
  }
  return bytes;
}
