/**
 * A model folder that has 7 billion parameters according to its headers: the shapes of Llama 2 7B, with weights that are holes in sparse
 * files.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

const HIDDEN = 4096;
const INTERMEDIATE = 11008;
const BLOCKS = 32;
const VOCABULARY = 32000;

/** Shapes by name, in file order. */
function tensorShapes(): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [VOCABULARY, HIDDEN]]]);
  for (let block = 0; block < BLOCKS; block++) {
    const add = (name: string, ...shape: number[]): void => void shapes.set(`model.layers.${block}.${name}.weight`, shape);
    for (const name of ['q', 'k', 'v', 'o']) add(`self_attn.${name}_proj`, HIDDEN, HIDDEN);
    for (const name of ['gate', 'up']) add(`mlp.${name}_proj`, INTERMEDIATE, HIDDEN);
    add('mlp.down_proj', HIDDEN, INTERMEDIATE);
    for (const name of ['input_layernorm', 'post_attention_layernorm']) add(name, HIDDEN);
  }
  shapes.set('model.norm.weight', [HIDDEN]);
  shapes.set('lm_head.weight', [VOCABULARY, HIDDEN]);
  return shapes;
}

/** Writes two shards in float16 with their index. */
export function makeLargeModel(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const tensors = [...tensorShapes()];
  const middle = Math.floor(tensors.length / 2);
  const weightMap: Record<string, string> = {};
  for (const [i, part] of [tensors.slice(0, middle), tensors.slice(middle)].entries()) {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    for (const [name] of part) weightMap[name] = file;
    writeHoles(path.join(folder, file), part);
  }
  writeFileSync(path.join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  writeFileSync(
    path.join(folder, 'config.json'),
    JSON.stringify({
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: HIDDEN,
      intermediate_size: INTERMEDIATE,
      num_hidden_layers: BLOCKS,
      num_attention_heads: 32,
      num_key_value_heads: 32,
      max_position_embeddings: 4096,
      vocab_size: VOCABULARY,
      torch_dtype: 'float16',
    }),
  );
}

function writeHoles(file: string, tensors: readonly (readonly [string, readonly number[]])[]): void {
  let offset = 0;
  const header = Object.fromEntries(
    tensors.map(([name, shape]) => {
      const start = offset;
      offset += 2 * shape.reduce((n, d) => n * d, 1);
      return [name, { dtype: 'F16', shape, data_offsets: [start, offset] }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const handle = openSync(file, 'w');
  writeSync(handle, Buffer.concat([length, text]));
  ftruncateSync(handle, length.length + text.length + offset);
  closeSync(handle);
}
