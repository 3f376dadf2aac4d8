/** Writes a SavedModel: the protocol buffers that TensorFlow loads, with the field numbers of its public .proto files. */
import protobuf from 'protobufjs';
import type { NodeDef } from './node-def.ts';

type Fields = Record<string, readonly [id: number, type: string, rule?: 'repeated' | 'map']>;

const messages: Record<string, Fields> = {
  SavedModel: { savedModelSchemaVersion: [1, 'int64'], metaGraphs: [2, 'MetaGraphDef', 'repeated'] },
  MetaGraphDef: { metaInfoDef: [1, 'MetaInfoDef'], graphDef: [2, 'GraphDef'] },
  MetaInfoDef: { tags: [4, 'string', 'repeated'] },
  GraphDef: { node: [1, 'NodeDef', 'repeated'], versions: [4, 'VersionDef'] },
  VersionDef: { producer: [1, 'int32'], minConsumer: [2, 'int32'] },
  NodeDef: {
    name: [1, 'string'],
    op: [2, 'string'],
    input: [3, 'string', 'repeated'],
    device: [4, 'string'],
    attr: [5, 'AttrValue', 'map'],
  },
  AttrValue: {
    list: [1, 'ListValue'],
    s: [2, 'bytes'],
    i: [3, 'int64'],
    f: [4, 'float'],
    b: [5, 'bool'],
    type: [6, 'int32'],
    shape: [7, 'TensorShapeProto'],
    tensor: [8, 'TensorProto'],
  },
  ListValue: { i: [3, 'int64', 'repeated'], type: [6, 'int32', 'repeated'] },
  TensorShapeProto: { dim: [2, 'Dim', 'repeated'] },
  Dim: { size: [1, 'int64'] },
  TensorProto: { dtype: [1, 'int32'], tensorShape: [2, 'TensorShapeProto'], tensorContent: [4, 'bytes'] },
};

/** An AttrValue has exactly one field, which is written even if it is 0 or false. */
const ONE_OF = 'AttrValue';

const root = protobuf.Root.fromJSON({
  options: { syntax: 'proto3' },
  nested: Object.fromEntries(
    Object.entries(messages).map(([name, fields]) => [
      name,
      {
        fields: Object.fromEntries(
          Object.entries(fields).map(([field, [id, type, rule]]) => [
            field,
            rule === 'map' ? { keyType: 'string', type, id } : { id, type, ...(rule && { rule }) },
          ]),
        ),
        ...(name === ONE_OF && { oneofs: { value: { oneof: Object.keys(fields) } } }),
      },
    ]),
  ),
});

/** A GraphDef version of 2024: recent enough for the current semantics of every operation used. */
const GRAPH_PRODUCER = 1882;

/** The tag of the only graph. */
export const SERVE_TAG = 'serve';

/** Returns the bytes of `saved_model.pb` for a graph. It has no `variables/` folder: values are assigned by running nodes of the graph. */
export function encodeSavedModel(nodes: readonly NodeDef[]): Uint8Array {
  return root
    .lookupType('SavedModel')
    .encode({
      savedModelSchemaVersion: 1,
      metaGraphs: [
        { metaInfoDef: { tags: [SERVE_TAG] }, graphDef: { node: nodes, versions: { producer: GRAPH_PRODUCER, minConsumer: 0 } } },
      ],
    })
    .finish();
}
