/** Converts traces of a forward pass to one ONNX graph for any number of texts or images and any length. */
import { ONNX_TYPES } from '../../format/onnx/onnx-schema.ts';
import type { OnnxModel, OnnxTensor, OnnxValue } from '../../format/onnx/onnx-writer.ts';
import type { OpName } from '../../graph/attributes.ts';
import { isOp, type Node } from '../../graph/node-store.ts';
import { elementCount, GraphError, sameShape } from '../../graph/types.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { elementAt, required, valueFor } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { ExportError } from '../export-error.ts';
import { Emitter, onnxType, type Value } from './emitter.ts';
import { elementwiseLowerings } from './kernels/elementwise.ts';
import { indexingLowerings } from './kernels/indexing.ts';
import { productLowerings } from './kernels/products.ts';
import { reductionLowerings } from './kernels/reductions.ts';
import { shapeLowerings } from './kernels/shapes.ts';
import { sourceLowerings } from './kernels/sources.ts';
import type { Lowering, LoweringTable } from './lowering.ts';
import { fitSize, fixedValue, type Size, valueAt } from './size.ts';
import { type Traces, traceSizes } from './trace.ts';

/** One lowering for each operation; a missing one does not compile. */
const lowerings: LoweringTable = {
  ...sourceLowerings,
  ...elementwiseLowerings,
  ...reductionLowerings,
  ...shapeLowerings,
  ...indexingLowerings,
  ...productLowerings,
};

const loweringOf = <Op extends OpName>(op: Op): Lowering<Op> => lowerings[op];

/** Optimum's names of the inputs, by our names of the feeds. */
const INPUT_NAMES = { ids: 'input_ids', seen: 'attention_mask', types: 'token_type_ids', pixels: 'pixel_values' } as const;

const isFeed = (name: string): name is keyof typeof INPUT_NAMES => name in INPUT_NAMES;

/** The name of an input, by our name of the feed. @throws GraphError for a feed that no classifier has */
export function inputName(feed: string): string {
  if (isFeed(feed)) return INPUT_NAMES[feed];
  throw new GraphError(`${feed} is not an input of a classifier`);
}

/** The names of the sizes that are only known when the model runs. */
const [BATCH, LENGTH] = ['batch_size', 'sequence_length'] as const;

/**
 * Lowers a model.
 * @param weightOf returns the bytes of a weight
 * @throws ExportError for a model that cannot be expressed in ONNX
 */
export function lowerModel(model: ClassifierModel, weightOf: (name: string) => Promise<Uint8Array>): Omit<OnnxModel, 'producerVersion'> {
  const traces = traceSizes(model);
  const { last } = traces;
  const inputs = last.feeds.map(({ attrs: { name } }): OnnxValue => inputOf(model, name));
  const emitter = new Emitter(elementAt(inputs, 0).name);
  const weights = new Map<string, OnnxTensor>();
  const values = new Map<Node, Value>();
  last.schedule.forEach((node, at) => {
    try {
      values.set(node, lowerNode(node, at));
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      throw new ExportError(`this ${model.family} is not written to ONNX (${node.op}: ${messageOf(error)}): export it as merged`);
    }
  });
  const outputs = Object.entries(last.outputs).map(([name, node]): OnnxValue => {
    const value = valueFor(values, node);
    emitter.emit('Identity', [value.name], {}, name);
    return { name, type: onnxType(value.dtype), shape: value.shape.map(size => shown(size)) };
  });
  return { name: model.family, inputs, outputs, nodes: emitter.nodes, tensors: [...weights.values(), ...emitter.tensors] };

  function lowerNode<Op extends OpName>(node: Node<Op>, at: number): Value {
    const same = (other: Node | undefined): Node<Op> => {
      if (other && isOp(other, node.op)) return other;
      throw new GraphError('the traces differ');
    };
    const samples = traces.samples.map(({ schedule }) => same(schedule[at]));
    const sizes = (of: (node: Node<Op>) => readonly number[]): Size[] => fitAll(traces, samples.map(of), of(node));
    const shape = sizes(({ shape }) => shape);
    const name = loweringOf(node.op)({
      emitter,
      attrs: node.attrs,
      inputs: node.inputs.map(input => valueFor(values, input)),
      shape,
      sizes,
      feed: name => fed(emitter, name),
      weight: name => {
        if (!weights.has(name)) weights.set(name, weightTensor(node, name));
        return name;
      },
      traced: { short: elementAt(samples, 0), long: node },
    });
    return { name, shape, dtype: node.dtype };
  }

  function weightTensor({ shape, dtype }: Node, name: string): OnnxTensor {
    const spec = required(
      model.parameters.find(parameter => parameter.name === name),
      `the parameter ${name}`,
    );
    if (!sameShape(shape, spec.shape) || dtype !== 'float32') throw new GraphError(`${name} is held in another form`);
    return { name, type: 'float32', shape, byteLength: 4 * elementCount(shape), data: () => weightOf(name) };
  }
}

/** Converts each number of a list to a size. @throws GraphError if one is not a polynomial in the sizes of the input */
function fitAll({ grid, last: { of } }: Traces, samples: readonly (readonly number[])[], expected: readonly number[]): Size[] {
  return expected.map((value, i) => {
    const size = fitSize(
      samples.map(sample => elementAt(sample, i)),
      grid,
    );
    if (valueAt(size, of.batch, of.tokens) === value) return size;
    throw new GraphError(`a size (${value}) does not follow from the number of texts or images and their length`);
  });
}

function inputOf({ input }: ClassifierModel, feed: string): OnnxValue {
  const name = inputName(feed);
  if (input.kind === 'tokens') return { name, type: 'int64', shape: [BATCH, LENGTH] };
  return { name, type: 'float32', shape: [BATCH, input.channels, input.height, input.width] };
}

/** Converts an input from the form of Transformers to ours: 32-bit ids, a float mask, channels last. */
function fed(emitter: Emitter, feed: string): string {
  const name = inputName(feed);
  if (name === INPUT_NAMES.pixels) return emitter.transpose(name, [0, 2, 3, 1]);
  return emitter.cast(name, name === INPUT_NAMES.seen ? ONNX_TYPES.float32 : ONNX_TYPES.int32);
}

/** A size of an output, as a number or a name. */
function shown(size: Size): number | string {
  const value = fixedValue(size);
  if (value !== undefined) return value;
  const [term] = size;
  return term?.tokens ? LENGTH : BATCH;
}
