/**
 * Weights of MLX: `weight`, words [rows, columns × bits / 32] whose bits are one sequence, and `scales` [rows, groups]; experts are stacks of
 * such matrices. The mode `affine` also has `biases`: value = code × scale + bias. The others have floats as codes, and bytes as scales.
 */
import { entryOf } from '../../catalog/entries.ts';
import { isRecord } from '../../narrow.ts';
import { currentName } from '../current-name.ts';
import { E2M1, E4M3, E8M0 } from '../small-floats.ts';
import type { TensorInfo } from '../tensor-source.ts';
import { type CodedForm, foundWeight } from './coded-form.ts';
import { type CodedWeight, evenGroups, plainType, unsignedLevels } from './coded-weight.ts';
import { type Parts, SCALE_TYPES } from './part-checks.ts';

const BITS: readonly number[] = [2, 3, 4, 5, 6, 8];

/** The columns of a group of the mode affine, unless a layer says others. */
const AFFINE_COLUMNS = 64;

/** Codes, scales and columns of a group of the modes of floats. */
const FLOATS = {
  mxfp4: { levels: E2M1, scales: E8M0, columns: 32 },
  mxfp8: { levels: E4M3, scales: E8M0, columns: 32 },
  nvfp4: { levels: E2M1, scales: E4M3, columns: 16 },
} as const;

interface Settings {
  readonly groupSize: number;
  readonly mode: string;
  /** The bits that the config gives this layer by name. */
  readonly bits: number | undefined;
}

/** Returns the settings of a layer: its own by its name, or those of all. Those of a layer are whole: its mode is affine if it names none. */
function settingsIn(how: Readonly<Record<string, unknown>>): (layer: string) => Settings {
  const layers = new Map(Object.entries(how).map(([name, own]) => [currentName(name), own]));
  return layer => {
    const found = layers.get(layer);
    const own = isRecord(found) ? found : undefined;
    const { group_size: groupSize, mode = 'affine' } = own ?? how;
    const usual = entryOf(FLOATS, mode)?.columns ?? AFFINE_COLUMNS;
    return { groupSize: Number(groupSize ?? usual), mode: String(mode), bits: own?.bits === undefined ? undefined : Number(own.bits) };
  };
}

export const mlx: CodedForm = (tensors, how) => {
  const settingsOf = settingsIn(how);
  return {
    layers: [...tensors.values()]
      .filter(({ name, dtype }) => dtype === 'U32' && name.endsWith('.weight'))
      .map(info => foundWeight(tensors, parts => describe(parts, info, settingsOf(info.name.replace(/\.weight$/, ''))))),
    others: [],
  };
};

function describe(parts: Parts, info: TensorInfo, { groupSize, mode, bits: named }: Settings): CodedWeight | undefined {
  const base = info.name.replace(/\.weight$/, '');
  const floats = entryOf(FLOATS, mode);
  if (!floats && mode !== 'affine') return parts.wrong(info.name, `has the mode ${mode}, which is not read`);
  const size = parts.matrices(info);
  const scale = parts.needed(`${base}.scales`, floats ? ['U8'] : SCALE_TYPES);
  const bias = floats ? undefined : parts.needed(`${base}.biases`, SCALE_TYPES);
  if (!size || !scale || (!floats && !bias)) return undefined;
  if (parts.optional(`${base}.global_scale`, ['F32']))
    return parts.wrong(`${base}.global_scale`, 'is a scale of a whole tensor, which is not read');
  const { stack, rows, columns: words } = size;
  const groups = scale.shape.at(-1) ?? 0;
  const width = groups * groupSize;
  const bits = (32 * words) / width;
  if (!BITS.includes(bits) || (named ?? bits) !== bits || (floats && 2 ** bits !== floats.levels.length))
    return parts.wrong(
      info.name,
      `is [${info.shape.join(', ')}], which does not fit ${groups} groups of ${groupSize} columns in the bits of the config`,
    );
  const grid = [...stack, rows, groups];
  if (!parts.fits(scale, ...grid) || (bias && !parts.fits(bias, ...grid))) return undefined;
  return {
    ...{ codes: info, parts: parts.names, bits, rowsPerScale: 1, groups, levels: floats?.levels ?? unsignedLevels(bits) },
    info: {
      ...{ name: info.name, shape: [...stack, rows, width], dtype: floats ? 'BF16' : plainType(scale) },
      ...{ byteLength: info.byteLength, quantization: floats ? mode : `mlx${bits}` },
    },
    layout: { kind: 'rows', rowBytes: 4 * words },
    readGrids: async files => ({
      scales: floats
        ? Float32Array.from(await files.readRaw(scale.name), code => floats.scales[code] as number)
        : await files.readFloat32(scale.name),
      ...(bias && { biases: await files.readFloat32(bias.name) }),
      groupOf: evenGroups(width, groupSize),
    }),
  };
}
