"""Lists the quantization_config records that libraries write: Transformers 5.24.0, GPTQModel 7.7.0, compressed-tensors 0.20.1, with default and other values.
run: python make_quantization_keys.py [folder]; needs gptqmodel and compressed-tensors"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from gptqmodel.quantization.config import QuantizeConfig
from transformers.utils.quantization_config import AwqConfig, BitsAndBytesConfig, FineGrainedFP8Config, GPTQConfig, Mxfp4Config

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
weights = QuantizationArgs(num_bits=4, type='int', strategy='group', group_size=32, symmetric=False, actorder='weight', observer='mse', observer_kwargs=dict(maxshrink=0.1),
                           scale_dtype='torch.bfloat16', zp_dtype='torch.int8')
blocks = QuantizationArgs(num_bits=8, type='float', strategy='block', block_structure=[128, 128])
inputs = QuantizationArgs(num_bits=8, type='float', strategy='token', dynamic=True)
compressed = QuantizationConfig(config_groups=dict(group_0=QuantizationScheme(targets=['Linear'], weights=weights, format='pack-quantized'),
                                                   group_1=QuantizationScheme(targets=['re:.*o_proj'], weights=blocks, input_activations=inputs, format='float-quantized')),
                                format='mixed-precision', quantization_status='compressed', kv_cache_scheme=QuantizationArgs(num_bits=8, type='float'), ignore=['lm_head'])
# A folder that GPTQModel makes while it writes has a name of its own.
made = lambda config: {**config, 'meta': {key: value for key, value in config['meta'].items() if key != 'offload_to_disk_path'}}
records = {
    'transformers bitsandbytes 4 bits': BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4').to_dict(),
    'transformers bitsandbytes 8 bits': BitsAndBytesConfig(load_in_8bit=True).to_dict(),
    'transformers gptq': GPTQConfig(bits=4).to_dict(),
    'transformers awq': AwqConfig(bits=4).to_dict(),
    'transformers fp8': FineGrainedFP8Config().to_dict(),
    'transformers mxfp4': Mxfp4Config().to_dict(),
    'gptqmodel gptq': made(QuantizeConfig(bits=4, group_size=128, dynamic={'-:lm_head': {}, '.*down_proj': dict(bits=8)}).to_dict()),
    'gptqmodel awq': made(QuantizeConfig(bits=4, group_size=128, quant_method='awq', format='gemm').to_dict()),
    'compressed-tensors': compressed.model_dump(mode='json'),
}
with open(os.path.join(OUT, 'quantization_keys.json'), 'w') as file:
    json.dump(records, file, indent=1, default=str)
