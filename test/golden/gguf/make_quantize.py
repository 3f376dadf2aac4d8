"""Quantizes 2048 values with ggml's own quantizers, to compare ours with.

quantize.json   values   float32 bits (hex): weights of several sizes, a block of zeros, one outlier, a block of equal values, one of one sign
                bytes    by type, for types with one correct answer: the blocks by `ggml_quantize_chunk` (hex); gguf's `quants.quantize` agrees
                errors   by K-quant, for types without: root mean square error of ggml's blocks, dequantized by gguf, relative to the values

Made with gguf 0.19.0 and libggml-base.so of @node-llama-cpp/linux-x64 3.22.1.   run: python make_quantize.py PATH/libggml-base.so
"""
import ctypes, json, os, sys
import numpy as np, gguf
from gguf import GGMLQuantizationType as T, quants

here = os.path.dirname(os.path.abspath(__file__))
ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]

rng = np.random.default_rng(11)
x = rng.standard_normal(2048).astype(np.float32) * np.repeat(np.array([0.02, 0.3, 1.5, 1e-4, 0.05, 0.05, 0.7, 0.02], np.float32), 256)
x[256:288] = 0; x[300] = 9.5; x[512:544] = 0.125; x[544:576] = -np.abs(x[544:576]); x[576:608] = np.abs(x[576:608])
x[1280:1536] = rng.standard_t(3, 256).astype(np.float32) * 0.05

def quantize(t):
    elements, size = gguf.GGML_QUANT_SIZES[t]
    out = np.zeros(len(x) // elements * size, np.uint8)
    assert ggml.ggml_quantize_chunk(int(t), x.ctypes.data, out.ctypes.data, 0, 1, len(x), None) == len(out)
    return out

result = dict(values=x.tobytes().hex(), bytes={}, errors={})
for name in ['F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'MXFP4']:
    made = quantize(T[name])
    same = quants.quantize(x, T[name]).view(np.uint8).flatten()
    print(name, 'bytes that gguf has otherwise:', int((made != same).sum()))
    result['bytes'][name] = made.tobytes().hex()
for name in ['Q4_K', 'Q5_K', 'Q6_K']:
    back = quants.dequantize(quantize(T[name]).reshape(1, -1), T[name]).flatten()
    result['errors'][name] = float(np.sqrt(np.mean((back - x).astype(np.float64) ** 2)) / np.sqrt(np.mean(x.astype(np.float64) ** 2)))
print(result['errors'])
json.dump(result, open(f'{here}/quantize.json', 'w'), indent=0)
