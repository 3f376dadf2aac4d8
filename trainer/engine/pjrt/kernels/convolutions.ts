/** Convolution and pooling over [batch, height, width, channels], with filters [out, in / groups, height, width]. */
import type { Pool2d, Window2d } from '../../../graph/attributes.ts';
import { dimensions, GraphError, type Shape } from '../../../graph/types.ts';
import { type Emitter, functionType, namesOf } from '../emitter.ts';
import { tensorType, type Value } from '../hlo-type.ts';
import { type LoweringTable, one, three, two } from '../lowering.ts';

interface Convolution {
  /** The layouts of image, filter and result, in StableHLO syntax. */
  readonly layout: string;
  readonly strides?: readonly [number, number];
  /** [[top, bottom], [left, right]] */
  readonly padding: readonly (readonly [number, number])[];
  readonly imageDilation?: readonly [number, number];
  readonly filterDilation?: readonly [number, number];
  readonly featureGroups?: number;
  readonly batchGroups?: number;
}

const ONES = [1, 1] as const;

function convolve(emitter: Emitter, image: Value, filter: Value, shape: Shape, convolution: Convolution): Value {
  const { layout, padding, strides = ONES, imageDilation = ONES, filterDilation = ONES, featureGroups = 1, batchGroups = 1 } = convolution;
  const pads = padding.map(pair => `[${pair.join(', ')}]`).join(', ');
  const window = `stride = [${strides.join(', ')}], pad = [${pads}], lhs_dilate = [${imageDilation.join(', ')}], rhs_dilate = [${filterDilation.join(', ')}]`;
  const precision = image.type === 'f32' ? ', precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGHEST>]' : '';
  const groups = `batch_group_count = ${batchGroups} : i64, feature_group_count = ${featureGroups} : i64${precision}`;
  const operation = `stablehlo.convolution(${namesOf([image, filter])}) dim_numbers = ${layout}, window = {${window}} {${groups}}`;
  return emitter.emit(shape, image.type, `${operation} : ${functionType([image, filter], { shape, type: image.type })}`);
}

/** Returns, for both axes of an image, the sizes of image, kernel and output, and the padding before and after. */
function axesOf(image: Shape, kernel: readonly [number, number], output: Shape, { padding }: Window2d) {
  return ([0, 1] as const).map(axis => ({
    axis,
    size: image[axis + 1] as number,
    kernel: kernel[axis],
    output: output[axis + 1] as number,
    before: padding[2 * axis] as number,
  }));
}

/** Returns the dilated size of a kernel or an image. */
const dilated = (size: number, by: number): number => (size - 1) * by + 1;

const pairs = ({ padding: [top, bottom, left, right] }: Window2d) =>
  [
    [top, bottom],
    [left, right],
  ] as const;

function poolWindow({ size, strides, dilations, padding: [top, bottom, left, right] }: Pool2d): string {
  const around = (sizes: readonly number[]): string => `array<i64: 1, ${sizes.join(', ')}, 1>`;
  return `window_dimensions = ${around(size)}, window_strides = ${around(strides)}, window_dilations = ${around(dilations)}, padding = dense<[[0, 0], [${top}, ${bottom}], [${left}, ${right}], [0, 0]]> : tensor<4x2xi64>`;
}

type Convolutions = 'conv2d' | 'conv2dInputGrad' | 'conv2dFilterGrad' | 'maxPool2d' | 'maxPool2dGrad';

export const convolutionLowerings: Pick<LoweringTable, Convolutions> = {
  conv2d: ({ emitter, inputs, node, attrs }) => {
    const [x, filter] = two(inputs);
    return convolve(emitter, x, filter, node.shape, {
      layout: '[b, 0, 1, f]x[o, i, 0, 1]->[b, 0, 1, f]',
      strides: attrs.strides,
      padding: pairs(attrs),
      filterDilation: attrs.dilations,
      featureGroups: attrs.groups,
    });
  },
  // The output's gradient, dilated by the strides, convolved with the flipped filter.
  conv2dInputGrad: ({ emitter, inputs, node, attrs }) => {
    const [dy, filter] = two(inputs);
    const [out, perGroup, kh, kw] = dimensions(filter.shape, 4);
    const { groups } = attrs;
    const reversed = emitter.reverse(filter, [2, 3]);
    const split = emitter.transpose(emitter.reshape(reversed, [groups, out / groups, perGroup, kh, kw]), [0, 2, 1, 3, 4]);
    const padding = axesOf(node.shape, [kh, kw], dy.shape, attrs).map(({ axis, size, kernel, output, before }) => {
      const reach = dilated(kernel, attrs.dilations[axis]);
      const first = reach - 1 - before;
      return [first, size + reach - 1 - dilated(output, attrs.strides[axis]) - first] as const;
    });
    return convolve(emitter, dy, emitter.reshape(split, [groups * perGroup, out / groups, kh, kw]), node.shape, {
      layout: '[b, 0, 1, f]x[o, i, 0, 1]->[b, 0, 1, f]',
      padding,
      imageDilation: attrs.strides,
      filterDilation: attrs.dilations,
      featureGroups: groups,
    });
  },
  // The image convolved with the output's gradient: the batch is summed over, and channels take its place.
  conv2dFilterGrad: ({ emitter, inputs, node, attrs }) => {
    const [x, dy] = two(inputs);
    const [, , kh, kw] = dimensions(attrs.filterShape, 4);
    const padding = axesOf(x.shape, [kh, kw], dy.shape, attrs).map(({ axis, size, kernel, output, before }) => {
      const reach = dilated(kernel, attrs.dilations[axis]);
      return [before, dilated(output, attrs.strides[axis]) - size + reach - before - 1] as const;
    });
    return convolve(emitter, x, dy, node.shape, {
      layout: '[f, 0, 1, b]x[i, 0, 1, o]->[f, b, 0, 1]',
      strides: attrs.dilations,
      padding,
      filterDilation: attrs.strides,
      batchGroups: attrs.groups,
    });
  },
  maxPool2d: ({ emitter, inputs, node, attrs }) => {
    const x = one(inputs);
    const start = emitter.fill(Number.NEGATIVE_INFINITY, x.type);
    const scalar = tensorType(start);
    return emitter.emit(
      node.shape,
      x.type,
      `"stablehlo.reduce_window"(${namesOf([x, start])}) <{${poolWindow(attrs)}}> ({ ^bb0(%old: ${scalar}, %new: ${scalar}): %most = stablehlo.maximum %old, %new : ${scalar} stablehlo.return %most : ${scalar} }) : ${functionType([x, start], { shape: node.shape, type: x.type })}`,
    );
  },
  // dy goes to the first position, in row order, that attains the maximum. The zeros that it is added to wait for dy: XLA allocated them
  // when the program started, and on some cards shared them with the zeros of an activation, and copied them.
  maxPool2dGrad: ({ emitter, inputs, node, attrs }) => {
    const [x, , dy] = three(inputs);
    if (attrs.dilations.some(d => d !== 1)) throw new GraphError('dilated max pooling is not supported by this engine');
    const start = emitter.after(emitter.fill(0, x.type), [dy]);
    const scalar = tensorType(start);
    const window = poolWindow(attrs).replace(/window_dilations = array<[^>]*>, /, '');
    return emitter.emit(
      node.shape,
      x.type,
      `"stablehlo.select_and_scatter"(${namesOf([x, dy, start])}) <{${window}}> ({ ^bb0(%old: ${scalar}, %new: ${scalar}): %first = stablehlo.compare GE, %old, %new : (${scalar}, ${scalar}) -> tensor<i1> stablehlo.return %first : tensor<i1> }, { ^bb0(%old: ${scalar}, %new: ${scalar}): %sum = stablehlo.add %old, %new : ${scalar} stablehlo.return %sum : ${scalar} }) : ${functionType([x, dy, start], { shape: node.shape, type: x.type })}`,
    );
  },
};
