/** Encodes weights in their stored forms, in native code (`native/`) on all cores. */
import { emptyBlocks, type WeightCoder } from '../../graph/weight-coder.ts';

/** The functions of `native/coder-addon.h`, which every addon exports. */
export interface CoderAddon {
  widen(values: Uint16Array, to: Float32Array): Promise<void>;
  encodeRows(values: Float32Array | Uint16Array, codes: Int8Array, scales: Float32Array): Promise<void>;
  encodeBlocks(
    values: Float32Array | Uint16Array,
    borders: Float64Array,
    codes: Uint8Array,
    scales: Uint8Array,
    low: Float32Array,
    step: Float32Array,
  ): Promise<void>;
}

export const nativeCoder = (addon: CoderAddon): Required<WeightCoder> => ({
  widen: async bits => {
    const values = new Float32Array(bits.length);
    await addon.widen(bits, values);
    return values;
  },
  encodeRows: async (values, rows) => {
    const [codes, scales] = [new Int8Array(values.length), new Float32Array(rows)];
    await addon.encodeRows(values, codes, scales);
    return { codes, scales };
  },
  encodeBlocks: async (values, borders) => {
    const blocks = emptyBlocks(values.length);
    await addon.encodeBlocks(values, borders, blocks.codes, blocks.scales, blocks.low, blocks.step);
    return blocks;
  },
});
