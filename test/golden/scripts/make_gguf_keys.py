"""Lists every metadata key that belongs to an architecture, from llama.cpp's package gguf.
run: python make_gguf_keys.py [folder]      (needs gguf)"""
import json, os, sys
from importlib.metadata import version
import gguf

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
keys = sorted({value.removeprefix('{arch}.') for group in vars(gguf.Keys).values() if isinstance(group, type)
               for name, value in vars(group).items() if isinstance(value, str) and value.startswith('{arch}.')})
with open(os.path.join(OUT, 'gguf_keys.json'), 'w') as file:
    json.dump(dict(meta=dict(gguf=version('gguf')), keys=keys), file, indent=0)
    file.write('\n')
print(len(keys), keys)
