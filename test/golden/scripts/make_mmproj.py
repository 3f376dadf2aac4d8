"""mmproj.json: the files of encoders of images (mmproj) that llama.cpp's converter writes for golden folders: all metadata, and the type, shape and SHA-256 of
each tensor. Needs the source of llama.cpp (0.25.3 of ggml, as in llama-cpp-python 0.3.36) and safetensors. Some folders are changed before, as written in CASES:
llama.cpp has limits that tiny models do not have, and its converter reads the names of published files.
run: python make_mmproj.py LLAMA_CPP_FOLDER [name…]"""
import hashlib, json, os, runpy, shutil, sys, tempfile
LLAMA = sys.argv[1]
sys.path[:0] = [os.path.join(LLAMA, 'gguf-py'), LLAMA]
import gguf
from safetensors.torch import load_file, save_file

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
OUT = os.path.join(GOLDEN, 'mmproj.json')
# The converter has names for as many layers of a projector as the tower has blocks, which are too few in a tiny tower.
usual = gguf.get_tensor_name_map
gguf.get_tensor_name_map = lambda arch, blocks: usual(arch, max(blocks, 8))

LFM2 = dict(min_image_tokens=64, max_image_tokens=256, min_tiles=2, max_tiles=10, tile_size=512, max_pixels_tolerance=2.0)
# By folder: changes to vision_config and to the processor, which the test makes too; then names for the converter, by prefix, and its keys.
CASES = {
    'qwen3_vl': {},
    'qwen3_vl_moe': {},
    'qwen3_5_vision': {},
    'qwen2_vl': {},
    'qwen2_5_vl': dict(vision=dict(window_size=112)),
    'gemma3_vision': dict(names={'model.vision_tower.': 'vision_tower.vision_model.', 'vision_tower.': 'vision_tower.vision_model.',
                                 'model.multi_modal_projector.': 'multi_modal_projector.', 'model.language_model.': 'language_model.'},
                          keys=dict(processor=dict(image_seq_length=9))),
    'gemma4_images': dict(keys=dict(processor=dict(image_mean=[0, 0, 0], image_std=[1, 1, 1])), names={'model.language_model.': None}),
    'internvl': dict(keys=dict(vision=dict(architectures=['InternVisionModel'])),
                     names={'vision_tower.': 'model.vision_tower.', 'multi_modal_projector.': 'model.multi_modal_projector.'}),
    'smolvlm': {},
    # The converter takes patches of 16 pixels per side only.
    'lfm2_vl': dict(processor=LFM2, names={'model.vision_tower.embeddings.patch_embedding.weight': None, 'lm_head.': None,
                                           'model.vision_tower.': 'model.vision_tower.vision_model.'}),
    'glm4v': {},
    'glm_ocr': {},
    'paddleocr_vl': dict(keys=dict(whole=dict(architectures=['PaddleOCRVisionModel']), processor=dict(min_pixels=256, max_pixels=2048))),
    'lighton_ocr': dict(vision=dict(rope_parameters=dict(rope_theta=10000.0, rope_type='axial')),
                        keys=dict(whole=dict(architectures=['LightOnOCRForConditionalGeneration']))),
}


def prepared(folder, name, vision={}, processor={}, names={}, keys={}):
    at = os.path.join(folder, name)
    shutil.copytree(os.path.join(GOLDEN, name), at)
    processors = [file for file in ('preprocessor_config.json', 'processor_config.json') if os.path.exists(os.path.join(at, file))]
    for file, key, changes in (('config.json', None, keys.get('whole', {})),
                               ('config.json', 'vision_config', {**vision, **keys.get('vision', {})}),
                               (processors[0], None, {**processor, **keys.get('processor', {})})):
        path = os.path.join(at, file)
        with open(path) as read:
            config = json.load(read)
        (config[key] if key else config).update(changes)
        with open(path, 'w') as write:
            json.dump(config, write)
    weights = os.path.join(at, 'model.safetensors')
    tensors = {}
    for own, values in load_file(weights).items():
        prefix = next((prefix for prefix in names if own.startswith(prefix)), None)
        if prefix is None or names[prefix] is not None:
            tensors[own if prefix is None else names[prefix] + own[len(prefix):]] = values
    save_file(tensors, weights, metadata=dict(format='pt'))
    return at


def written(at):
    out = at + '.gguf'
    sys.argv = ['convert_hf_to_gguf.py', '--mmproj', '--outtype', 'f32', '--outfile', out, at]
    try:
        runpy.run_path(os.path.join(LLAMA, 'convert_hf_to_gguf.py'), run_name='__main__')
    except SystemExit as end:
        assert not end.code, end
    reader = gguf.GGUFReader(out)
    plain = lambda value: value.item() if hasattr(value, 'item') else value
    metadata = {key: plain(field.contents()) for key, field in reader.fields.items() if not key.startswith('GGUF.')}
    tensors = {t.name: dict(type=t.tensor_type.name, shape=[int(n) for n in reversed(t.shape)], sha256=hashlib.sha256(t.data.tobytes()).hexdigest())
               for t in reader.tensors}
    return dict(metadata=metadata, tensors=tensors)


made = {}
if sys.argv[2:] and os.path.exists(OUT):
    with open(OUT) as read:
        made = json.load(read)
only = sys.argv[2:]
with tempfile.TemporaryDirectory() as folder:
    for name, case in CASES.items():
        if not only or name in only:
            changes = {key: case[key] for key in ('vision', 'processor') if key in case}
            made[name] = dict(changes=changes, **written(prepared(folder, name, **case)))
with open(OUT, 'w') as write:
    json.dump(dict(sorted(made.items())), write, indent=1)
    write.write('\n')
