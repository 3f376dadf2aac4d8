/** GGUF metadata of decoders whose tokens have a place in time, row and column, for the vectors of images. */
import type { GgufFamily } from '../../format/gguf/families/gguf-family.ts';
import { DEEPSTACK, GRID_SECTIONS } from '../../format/gguf/families/gguf-vision.ts';
import type { DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';
import type { Positions } from '../../model/layer/positions/rope-scaling.ts';
import { ExportError } from '../export-error.ts';

/** Keys with integer values. */
export const GRID_INTEGERS: readonly string[] = [DEEPSTACK];

/**
 * The settings of such positions. @returns an empty object for a family without them
 * @throws ExportError for pairs of features that llama.cpp cannot rotate
 */
export function gridSettings(
  full: Positions | undefined,
  { vision }: Pick<DecoderConfig, 'vision'>,
  { gridPairs }: Pick<GgufFamily, 'gridPairs'>,
): Readonly<Record<string, number | readonly number[]>> {
  const axes = full?.axes;
  if (gridPairs === undefined || axes === undefined) return {};
  return { [GRID_SECTIONS]: gridPairs === 'in turn' ? pairsInTurn(axes) : pairsInOrder(axes), [DEEPSTACK]: vision?.deepstack ?? 0 };
}

/** Number of pairs of each axis; the fourth axis has none. @param axes 0 for a pair that rotates by time, 1 by row, 2 by column */
const countsOf = (axes: readonly number[]): number[] => [0, 1, 2].map(axis => axes.filter(each => each === axis).length);

const pairsInOrder = (axes: readonly number[]): readonly number[] => [...countsOf(axes), 0];

/**
 * The share of pairs that may rotate by a row or column in place of time. Qwen3-VL divides 64 pairs into 24, 20 and 20, so pairs 61 and 62
 * rotate by time. Their frequency is below a millionth.
 */
const SHARE_ELSEWHERE = 1 / 8;

/**
 * In llama.cpp, pair i belongs to axis i mod 3 while i is less than three times the axis's number. Further pairs do not rotate, so each
 * number is large enough for all pairs: in text, where the three places are equal, the result is exact.
 */
function pairsInTurn(axes: readonly number[]): readonly number[] {
  const elsewhere = axes.filter((axis, pair) => axis !== pair % 3).length;
  if (elsewhere > SHARE_ELSEWHERE * axes.length)
    throw new ExportError(
      `llama.cpp would rotate ${elsewhere} of ${axes.length} pairs of features of images by other places (mrope_section): export it as merged`,
    );
  return [...countsOf(axes).map((count, axis) => Math.max(count, Math.ceil((axes.length - axis) / 3))), 0];
}
