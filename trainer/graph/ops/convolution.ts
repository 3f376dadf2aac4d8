/**
 * Convolution and pooling over [batch, height, width, channels]; filters are [out, in / groups, kh, kw], as in weight files, so that a row
 * is a channel.
 */
import type { Window2d } from '../attributes.ts';
import { inputsOf } from '../node-store.ts';
import type { OpTable } from '../op-rule.ts';
import { dimensions, elementCount, GraphError, type Shape } from '../types.ts';

/** Returns the output height and width of a window of `size` over an image. */
export function windowOutput(height: number, width: number, size: readonly [number, number], window: Window2d): [number, number] {
  const { strides, padding, dilations } = window;
  const along = (n: number, k: number, axis: 0 | 1, before: number, after: number) =>
    Math.floor((n + before + after - dilations[axis] * (k - 1) - 1) / strides[axis]) + 1;
  return [along(height, size[0], 0, padding[0], padding[1]), along(width, size[1], 1, padding[2], padding[3])];
}

type Four = readonly [number, number, number, number];

function image(shape: Shape | undefined): Four {
  if (shape?.length !== 4) throw new GraphError('an image is [batch, height, width, channels]');
  return dimensions(shape, 4);
}

function filterOf(shape: Shape | undefined): Four {
  if (shape?.length !== 4) throw new GraphError('a filter is [out, in / groups, height, width]');
  return dimensions(shape, 4);
}

const filterFlops = (filter: Shape, outputPositions: number): number => 2 * elementCount(filter) * outputPositions;

export const convolutionRules: Pick<OpTable, 'conv2d' | 'conv2dInputGrad' | 'conv2dFilterGrad' | 'maxPool2d' | 'maxPool2dGrad'> = {
  conv2d: {
    infer: ([x, filter], attrs) => {
      const [batch, height, width, channels] = image(x?.shape);
      const [out, perGroup, kh, kw] = filterOf(filter?.shape);
      if (channels !== perGroup * attrs.groups || out % attrs.groups)
        throw new GraphError(`${channels} channels, ${attrs.groups} groups and the filter disagree`);
      return { shape: [batch, ...windowOutput(height, width, [kh, kw], attrs), out], dtype: x?.dtype ?? 'float32' };
    },
    gradient: ({ graph, dy, node, wants, rows, value }) => {
      const [x, filter] = inputsOf(node, 2);
      const { attrs } = node;
      const towardsFilter = () => {
        const chosen = rows(1);
        // A group reads only its own channels, so a choice of rows across groups computes the whole gradient and keeps the chosen part.
        if (chosen && attrs.groups === 1) {
          const filterShape = [chosen.shape[0] as number, ...filter.shape.slice(1)];
          return graph.node('conv2dFilterGrad', [value(x), graph.gather(dy, chosen, -1)], { ...attrs, filterShape });
        }
        // If every channel has a filter of its own (depthwise), the chosen channels form a smaller convolution of the same kind.
        if (chosen && filter.shape[1] === 1 && filter.shape[0] === attrs.groups) {
          const groups = chosen.shape[0] as number;
          const parts = [graph.gather(value(x), chosen, -1), graph.gather(dy, chosen, -1)];
          return graph.node('conv2dFilterGrad', parts, { ...attrs, groups, filterShape: [groups, ...filter.shape.slice(1)] });
        }
        const all = graph.node('conv2dFilterGrad', [value(x), dy], { ...attrs, filterShape: filter.shape });
        return chosen ? graph.gather(all, chosen) : all;
      };
      const gradFilter = wants(1) ? towardsFilter() : undefined;
      return [wants(0) ? graph.node('conv2dInputGrad', [dy, value(filter)], { ...attrs, inputShape: x.shape }) : undefined, gradFilter];
    },
    flops: ([, filter], output) => filterFlops(filter?.shape ?? [], elementCount(output.shape.slice(0, 3))),
    buffer: 'fresh',
    rowAware: [1],
    costly: true,
  },
  conv2dInputGrad: {
    infer: ([dy], { inputShape }) => ({ shape: inputShape, dtype: dy?.dtype ?? 'float32' }),
    gradient: null,
    flops: ([dy, filter]) => filterFlops(filter?.shape ?? [], elementCount(dy?.shape.slice(0, 3) ?? [])),
    buffer: 'fresh',
    costly: true,
  },
  conv2dFilterGrad: {
    infer: ([x], { filterShape }) => ({ shape: filterShape, dtype: x?.dtype ?? 'float32' }),
    gradient: null,
    flops: ([, dy], output) => filterFlops(output.shape, elementCount(dy?.shape.slice(0, 3) ?? [])),
    buffer: 'fresh',
    costly: true,
  },
  maxPool2d: {
    infer: ([x], attrs) => {
      const [batch, height, width, channels] = image(x?.shape);
      return { shape: [batch, ...windowOutput(height, width, attrs.size, attrs), channels], dtype: x?.dtype ?? 'float32' };
    },
    gradient: ({ graph, dy, node, value }) => [graph.node('maxPool2dGrad', [value(inputsOf(node, 1)[0]), value(node), dy], node.attrs)],
    flops: (_, output, { size }) => elementCount(output.shape) * size[0] * size[1],
    buffer: 'fresh',
  },
  maxPool2dGrad: {
    infer: ([x]) => ({ shape: x?.shape ?? [], dtype: x?.dtype ?? 'float32' }),
    gradient: null,
    flops: ([, y], _, { size }) => elementCount(y?.shape ?? []) * size[0] * size[1],
    buffer: 'fresh',
  },
};
