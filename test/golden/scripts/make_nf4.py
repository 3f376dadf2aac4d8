"""Writes nf4.json: a weight quantized by bitsandbytes to NF4 with plain and with doubly quantized scales. Needs torch and bitsandbytes."""

import base64
import json
import sys

import bitsandbytes
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit


def encoded(tensor):
    return base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()


# A row is a multiple of the block size; otherwise, the CPU kernel of bitsandbytes 0.50 uses wrong scales.
torch.manual_seed(0)
weight = torch.randn(40, 128) * 0.02
weight[3] *= 10
weight[5] = 0
plain, state = quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=False)
double = quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)
json.dump(
    {
        "shape": list(weight.shape),
        "values": encoded(weight),
        "codes": encoded(plain.flatten()),
        "scales": encoded(state.absmax),
        "nf4": encoded(dequantize_4bit(plain, state)),
        "double": encoded(dequantize_4bit(*double)),
        "bitsandbytes": bitsandbytes.__version__,
    },
    open(sys.argv[1], "w"),
    indent=1,
)
