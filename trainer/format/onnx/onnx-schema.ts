/** The ONNX protocol buffers that an export uses, with the field numbers of the public `onnx.proto`. */
import protobuf from 'protobufjs';

const SCHEMA = `
  syntax = "proto2";
  message ModelProto {
    optional int64 ir_version = 1; optional string producer_name = 2; optional string producer_version = 3;
    optional GraphProto graph = 7; repeated OperatorSetIdProto opset_import = 8;
  }
  message OperatorSetIdProto { optional string domain = 1; optional int64 version = 2; }
  message GraphProto {
    repeated NodeProto node = 1; optional string name = 2; repeated TensorProto initializer = 5;
    repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12;
  }
  message NodeProto {
    repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
    repeated AttributeProto attribute = 5;
  }
  message AttributeProto {
    optional string name = 1; optional float f = 2; optional int64 i = 3; repeated int64 ints = 8; optional int32 type = 20;
  }
  message ValueInfoProto { optional string name = 1; optional TypeProto type = 2; }
  message TypeProto { optional TensorType tensor_type = 1; }
  message TensorType { optional int32 elem_type = 1; optional TensorShapeProto shape = 2; }
  message TensorShapeProto { repeated Dimension dim = 1; }
  message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
  message TensorProto {
    repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9;
    repeated StringStringEntryProto external_data = 13; optional int32 data_location = 14;
  }
  message StringStringEntryProto { optional string key = 1; optional string value = 2; }
`;

/** Numbers of the fields that are written as streams. */
export const FIELDS = { graph: 7, initializer: 5, rawData: 9 } as const;

let root: protobuf.Root | undefined;

/** A message type of the schema, which is parsed on first use: parsing takes 5 ms, and few jobs need it. */
export function messageType(name: 'ModelProto' | 'GraphProto' | 'TensorProto'): protobuf.Type {
  root ??= protobuf.parse(SCHEMA, { keepCase: true }).root;
  return root.lookupType(name);
}

/** The ONNX element types that an export uses, by their numbers in `TensorProto.DataType`. */
export const ONNX_TYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 } as const;
export type OnnxType = keyof typeof ONNX_TYPES;

/** Numbers in `AttributeProto.AttributeType`. */
export const ATTRIBUTE_TYPES = { f: 1, i: 2, ints: 7 } as const;

/** `TensorProto.DataLocation`: the data is in another file. */
export const EXTERNAL = 1;
