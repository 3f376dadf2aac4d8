"""Converts every weight of a GGUF file to the float32 values that its blocks represent; llama.cpp then does not round activations to blocks.
run: python gguf_to_float32.py FROM.gguf TO.gguf      (made with gguf 0.19.0)"""
import sys
import numpy as np
import gguf
from gguf import GGUFValueType, quants

source, target = sys.argv[1:]
reader = gguf.GGUFReader(source)
architecture = reader.fields['general.architecture'].contents()
writer = gguf.GGUFWriter(target, architecture)
for name, field in reader.fields.items():
    if name.startswith('GGUF.') or name in ('general.architecture', 'general.file_type'):
        continue
    kind = field.types[0]
    writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
writer.add_file_type(gguf.LlamaFileType.ALL_F32)
shapes = {tensor.name: [int(size) for size in reversed(tensor.shape)] for tensor in reader.tensors}
for tensor in reader.tensors:
    writer.add_tensor_info(tensor.name, shapes[tensor.name], np.dtype(np.float32), 4 * int(np.prod(shapes[tensor.name])))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_ti_data_to_file()
for tensor in reader.tensors:
    values = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    writer.write_tensor_data(values.reshape(shapes[tensor.name]))
writer.close()
