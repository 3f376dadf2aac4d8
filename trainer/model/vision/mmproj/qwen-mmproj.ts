/** The encoders of Qwen's models in llama.cpp's files. */
import { elementAt } from '../../../narrow.ts';
import type { ParameterSpec } from '../../module-specs.ts';
import type { QwenTower } from '../families/qwen/qwen-vision-config.ts';
import type { TowerSizes } from '../patches/tower-sizes.ts';
import {
  commonReason,
  dividedFrames,
  dividedRows,
  fixedReason,
  type Mmproj,
  type MmprojNames,
  type MmprojTensor,
  type NoMmproj,
  renamed,
} from './mmproj.ts';

/** The first side that llama.cpp resizes to; nothing depends on it. */
const USUAL_SIDE = 560;
/** llama.cpp computes squares of two by two patches, stills as two frames, and this base of the rotary positions. */
const [MERGED, FRAMES, THETA] = [2, 2, 10_000];
/** Side of a window in pixels, which llama.cpp does not read from the file. */
const WINDOW = 112;
const PATCHES = ['v.patch_embd.weight', 'v.patch_embd.weight.1'];
const NORMS = { 'v.blk.{}.ln1': 'visual.blocks.{}.norm1', 'v.blk.{}.ln2': 'visual.blocks.{}.norm2' } as const;
const OUTPUT = { 'v.blk.{}.attn_out': 'visual.blocks.{}.attn.proj' } as const;
const MERGER = { 'v.post_ln': 'visual.merger.ln_q', 'mm.0': 'visual.merger.mlp.0', 'mm.2': 'visual.merger.mlp.2' } as const;

/** Qwen3-VL's tower, with a table of positions and further sets of vectors; Qwen3.5's has none of the latter. */
const NAMES3: MmprojNames = {
  'v.patch_embd': 'visual.patch_embed.proj',
  'v.position_embd': 'visual.pos_embed',
  ...NORMS,
  ...OUTPUT,
  'v.blk.{}.attn_qkv': 'visual.blocks.{}.attn.qkv',
  'v.blk.{}.ffn_up': 'visual.blocks.{}.mlp.linear_fc1',
  'v.blk.{}.ffn_down': 'visual.blocks.{}.mlp.linear_fc2',
  'v.post_ln': 'visual.merger.norm',
  'mm.0': 'visual.merger.linear_fc1',
  'mm.2': 'visual.merger.linear_fc2',
  'v.deepstack.{}.norm': 'visual.deepstack_merger_list.{}.norm',
  'v.deepstack.{}.fc1': 'visual.deepstack_merger_list.{}.linear_fc1',
  'v.deepstack.{}.fc2': 'visual.deepstack_merger_list.{}.linear_fc2',
};

const NAMES2: MmprojNames = {
  ...NORMS,
  ...OUTPUT,
  ...MERGER,
  'v.blk.{}.ffn_up': 'visual.blocks.{}.mlp.fc1',
  'v.blk.{}.ffn_down': 'visual.blocks.{}.mlp.fc2',
};

const NAMES25: MmprojNames = {
  ...NORMS,
  ...OUTPUT,
  ...MERGER,
  'v.blk.{}.ffn_gate': 'visual.blocks.{}.mlp.gate_proj',
  'v.blk.{}.ffn_up': 'visual.blocks.{}.mlp.up_proj',
  'v.blk.{}.ffn_down': 'visual.blocks.{}.mlp.down_proj',
};

/** The parts that all generations share. @param names the names without the folder of the whole model */
function described(
  tower: TowerSizes,
  projector: string,
  { parameters, epsilon, names, imageSize }: TowerFile & { readonly names: MmprojNames; readonly imageSize: number },
): Mmproj | NoMmproj {
  const { hiddenSize, intermediateSize, blocks, heads, patch, outputSize, activation, merged, frames, theta } = tower;
  const sizes = { imageSize, patch, hiddenSize, intermediateSize, blocks, heads, outputSize, epsilon, activation };
  const fixed = { spatial_merge_size: [merged, MERGED], temporal_patch_size: [frames, FRAMES], rope_theta: [theta, THETA] } as const;
  const reason = fixedReason(fixed) ?? commonReason(tower.scale, tower);
  if (reason !== undefined) return { reason };
  const inTower = parameters.map(spec => ({ ...spec, own: spec.name, name: spec.name.replace(/^model\./, '') }));
  const tensors = inTower.flatMap(({ own, ...spec }): MmprojTensor[] =>
    tensorsOf(spec, names).map(tensor => ({ ...tensor, parameter: own })),
  );
  return { projector, sizes, settings: {}, tensors };
}

function tensorsOf(spec: ParameterSpec, names: MmprojNames): MmprojTensor[] {
  if (spec.name.endsWith('patch_embed.proj.weight')) return dividedFrames(spec, PATCHES);
  const [, block, end] = /\.blocks\.(\d+)\.attn\.qkv\.(\w+)$/.exec(spec.name) ?? [];
  if (block !== undefined && !Object.hasOwn(names, 'v.blk.{}.attn_qkv'))
    return dividedRows(
      spec,
      ['q', 'k', 'v'].map(kind => `v.blk.${block}.attn_${kind}.${end}`),
    );
  return renamed([spec], names);
}

interface TowerFile {
  readonly parameters: readonly ParameterSpec[];
  readonly epsilon: number;
}

/** Qwen2-VL, Qwen3-VL and Qwen3.5. */
export function qwenMmproj(tower: QwenTower, file: TowerFile): Mmproj | NoMmproj {
  const { table, patch, deepstack, blocks, merged } = tower;
  if (table === undefined) return described(tower, 'qwen2vl_merger', { ...file, names: NAMES2, imageSize: USUAL_SIDE });
  const found = described(tower, 'qwen3vl_merger', { ...file, names: NAMES3, imageSize: table.side * patch });
  if ('reason' in found) return found;
  // The file numbers them by the blocks that they read, which llama.cpp takes in this order.
  if (deepstack.some((block, i) => i > 0 && block <= elementAt(deepstack, i - 1)))
    return { reason: `deepstack_visual_indexes [${deepstack}] is not in order, and llama.cpp takes the blocks in order` };
  return {
    ...found,
    settings: {
      'vision.spatial_merge_size': merged,
      'vision.is_deepstack_layers': Array.from({ length: blocks }, (_, block) => deepstack.includes(block)),
    },
    tensors: found.tensors.map(tensor => ({
      ...tensor,
      name: tensor.name.replace(/^(v\.deepstack\.)(\d+)/, (_, at, i) => `${at}${elementAt(deepstack, Number(i))}`),
    })),
  };
}

/** A tower in which most blocks attend within windows. */
export interface WindowedTower extends TowerSizes {
  /** Side of a window, in vectors. */
  readonly side: number;
  /** The blocks in which all patches attend to each other. */
  readonly whole: readonly number[];
}

/** Qwen2.5-VL. */
export function qwenWindowMmproj(tower: WindowedTower, file: TowerFile): Mmproj | NoMmproj {
  const found = described(tower, 'qwen2.5vl_merger', { ...file, names: NAMES25, imageSize: USUAL_SIDE });
  if ('reason' in found) return found;
  const { side, whole, patch, merged, blocks } = tower;
  const windowed = Math.floor(Math.floor(WINDOW / patch) / merged);
  if (side !== windowed)
    return { reason: `windows are ${side} vectors wide, and ${windowed} in llama.cpp, for a window_size of ${WINDOW}` };
  const every = (whole[0] ?? blocks) + 1;
  const expected = Array.from({ length: blocks }, (_, block) => block).filter(block => (block + 1) % every === 0);
  if (whole.join() !== expected.join())
    return { reason: `fullatt_block_indexes is [${whole}], and llama.cpp takes every n-th block, such as [${expected}]` };
  return { ...found, settings: { 'vision.n_wa_pattern': every } };
}
