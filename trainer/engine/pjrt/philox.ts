/** Philox4x32-10 as a function of a StableHLO module: bit-identical to `engine/portable/philox.ts`. */
import { Emitter } from './emitter.ts';
import { tensorType, type Value } from './hlo-type.ts';

const MULTIPLIER = [0xd2511f53, 0xcd9e8d57] as const;
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

export const philoxName = (blocks: number): string => `philox_${blocks}`;

export const philoxResult = (blocks: number): Pick<Value, 'shape' | 'type'> => ({ shape: [8 * blocks], type: 'ui32' });

/** Returns a function from a seed, i32 [2], to 8 random 16-bit values per block, ui32 [8 · blocks]. @param blocks fewer than 2³² */
export function philoxFunction(blocks: number): string[] {
  const emitter = new Emitter();
  const seed: Value = { name: '%seed', shape: [2], type: 'i32' };
  const shape = [blocks];
  const words = emitter.bitcast(seed, 'ui32');
  const keyOf = (i: number): Value => emitter.reshape(emitter.slice(words, [i], [1]), []);
  const zeros = emitter.fill(0, 'ui32', shape);
  let [a, b, c, d]: [Value, Value, Value, Value] = [emitter.iota(shape, 0, 'ui32'), zeros, zeros, zeros];
  let keys: [Value, Value] = [keyOf(0), keyOf(1)];
  const next = (key: Value, weyl: number): Value => emitter.zip('add', key, emitter.fill(weyl, 'ui32'));
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, low0] = multiply(emitter, MULTIPLIER[0], a);
    const [high1, low1] = multiply(emitter, MULTIPLIER[1], c);
    const mixed = (high: Value, word: Value, key: Value): Value => emitter.zip('xor', emitter.zip('xor', high, word), key);
    [a, b, c, d] = [mixed(high1, b, keys[0]), low1, mixed(high0, d, keys[1]), low0];
    keys = [next(keys[0], WEYL[0]), next(keys[1], WEYL[1])];
  }
  // The lower half of each word comes first.
  const halves = [a, b, c, d].flatMap(word => [
    emitter.zip('and', word, emitter.fill(0xffff, 'ui32')),
    emitter.zip('shift_right_logical', word, emitter.fill(16, 'ui32')),
  ]);
  const columns = halves.map(half => emitter.reshape(half, [blocks, 1]));
  const drawn = emitter.reshape(emitter.concat(columns, 1), [8 * blocks]);
  const type = tensorType(philoxResult(blocks));
  return [
    `func.func private @${philoxName(blocks)}(%seed: ${tensorType(seed)}) -> ${type} {`,
    ...emitter.lines,
    `return ${drawn.name} : ${type}`,
    '}',
  ];
}

/** Returns the high and low words of the products. */
function multiply(emitter: Emitter, factor: number, x: Value): [Value, Value] {
  const wide = emitter.zip('multiply', emitter.convert(x, 'ui64'), emitter.fill(factor, 'ui64'));
  const high = emitter.zip('shift_right_logical', wide, emitter.fill(32, 'ui64'));
  return [emitter.convert(high, 'ui32'), emitter.convert(wide, 'ui32')];
}
