/** Feeds, constants, variables and random values. */
import { elementCount } from '../../../graph/types.ts';
import type { Emitter } from '../emitter.ts';
import type { LoweringTable } from '../lowering.ts';
import { type AttrValue, attr, shapeProto } from '../node-def.ts';

export const sourceLowerings = {
  // lower.ts creates feeds, and records their names.
  feed: () => undefined,
  constant: ({ emitter, attrs }) => emitter.constant(attrs.value, attrs.shape, attrs.dtype),
  read: ({ emitter, node, attrs, handle }) => emitter.emit('ReadVariableOp', [handle(attrs.variable)], { dtype: attr.type(node.dtype) }),
  // Two 16-bit draws from each word; TensorFlow compares them as signed integers.
  randomMask: ({ emitter, inputs: [seed = ''], node, attrs }) => {
    const { skip = 0 } = attrs;
    const [block, inBlock] = [Math.floor(skip / DRAWS_OF_BLOCK), skip % DRAWS_OF_BLOCK];
    const count = inBlock + elementCount(node.shape);
    const words = Math.ceil(count / 2);
    const random = block === 0 ? drawWords(emitter, words, seed) : drawWordsFrom(emitter, words, seed, block);
    const halves = emitter.emit('Bitcast', [random], { T: attr.type('int32'), type: INT16 });
    const ofShorts = { T: INT16, Tshape: attr.type('int32') };
    const flat = (): string => emitter.emit('Reshape', [halves, emitter.ints([2 * words])], ofShorts);
    const drawn =
      inBlock === 0 && count % 2 === 0
        ? halves
        : emitter.emit('Slice', [flat(), emitter.ints([inBlock]), emitter.ints([count - inBlock])], {
            T: INT16,
            Index: attr.type('int32'),
          });
    const shaped = emitter.emit('Reshape', [drawn, emitter.ints(attrs.shape)], ofShorts);
    return emitter.emit('Less', [shaped, leastWithout(emitter, attrs.ones)], { T: INT16 });
  },
} satisfies Partial<LoweringTable>;

/** Draws per Philox block: four words of two draws each. */
const DRAWS_OF_BLOCK = 8;

const drawWords = (emitter: Emitter, words: number, seed: string): string =>
  emitter.emit('StatelessRandomUniformFullInt', [emitter.ints([words]), seed], {
    dtype: attr.type('int32'),
    T: attr.type('int32'),
    Tseed: attr.type('int32'),
  });

/** Draws the same sequence from a later block on, by advancing the counter that TensorFlow derives from the seed. */
function drawWordsFrom(emitter: Emitter, words: number, seed: string, block: number): string {
  const start = emitter.emit('StatelessRandomGetKeyCounter', [seed], { Tseed: attr.type('int32') });
  const bytes = new BigUint64Array([BigInt(block), 0n]);
  const tensor = { dtype: UINT64, tensorShape: shapeProto([2]), tensorContent: new Uint8Array(bytes.buffer) };
  const ahead = emitter.source('Const', { dtype: { type: UINT64 }, value: { tensor } });
  const counter = emitter.emit('AddV2', [`${start}:1`, ahead], { T: { type: UINT64 } });
  return emitter.emit('StatelessRandomUniformFullIntV2', [emitter.ints([words]), start, counter, emitter.int(PHILOX)], {
    dtype: attr.type('int32'),
    Tshape: attr.type('int32'),
  });
}

/** TensorFlow's DT_UINT64, and its code for the Philox generator. */
const UINT64 = 23;
const PHILOX = 1;

/** TensorFlow's DT_INT16, which no tensor of a graph has. */
const INT16: AttrValue = { type: 5 };

const limits = new WeakMap<Emitter, Map<number, string>>();

/** Returns the smallest signed 16-bit value that is not among the first `ones`; all masks of an emitter share the node. */
function leastWithout(emitter: Emitter, ones: number): string {
  const known = limits.get(emitter) ?? new Map<number, string>();
  limits.set(emitter, known);
  const value = Int16Array.of(Math.min(ones, 65535) - 32768);
  const tensor = { dtype: 5, tensorShape: shapeProto([]), tensorContent: new Uint8Array(value.buffer) };
  const made = known.get(ones) ?? emitter.source('Const', { dtype: INT16, value: { tensor } });
  known.set(ones, made);
  return made;
}
