/** A small decoder of any family with random weights and a byte-level tokenizer, to test exports to other programs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFloat32 } from '../../../trainer/format/float-format.ts';
import { writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { isTransposed } from '../../../trainer/model/module-specs.ts';
import { isRecord } from '../../../trainer/narrow.ts';
import { createRandom, hashSeed } from '../../../trainer/random.ts';
import { readRecord } from '../files/read-json.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';

const GOLDEN = join(import.meta.dirname, '..', '..', 'golden');

export interface TinyDecoderParams {
  /** A folder of test/golden whose config.json is used. */
  readonly like: string;
  /** Changes to the config; to its text part if the model also takes images. */
  readonly changes?: Readonly<Record<string, unknown>>;
  /** Files of a tokenizer; by default, that of tiny-llama.gguf with 320 tokens. */
  readonly tokenizer?: ReadonlyMap<string, string>;
  /** Number of rows of the embedding. */
  readonly rows?: number;
  readonly dtype?: 'F32' | 'F16' | 'BF16';
  /**
   * Size of the weights that norm queries; 1 by default. Models that do not divide scores by the square root of the head size have smaller
   * weights.
   */
  readonly queryNorm?: number;
}

/** @returns the folder */
export async function tinyDecoder({
  like,
  changes,
  tokenizer,
  rows = 320,
  dtype = 'F32',
  queryNorm = 1,
}: TinyDecoderParams): Promise<string> {
  const dir = await temporaryFolder();
  const given = readRecord(join(GOLDEN, like, 'config.json'));
  const own = { vocab_size: rows, max_position_embeddings: 256, pad_token_id: 2, bos_token_id: 1, eos_token_id: 2, ...changes };
  const config = isRecord(given.text_config) ? { ...given, text_config: { ...given.text_config, ...own } } : { ...given, ...own };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  await writeSafetensors(
    join(dir, 'model.safetensors'),
    loadModel(config).parameters.map(spec => {
      const name = spec.name;
      const shape = isTransposed(spec) ? [...spec.shape].reverse() : spec.shape;
      const size = name.endsWith('q_norm.weight') ? queryNorm : 1;
      return {
        name,
        shape,
        dtype,
        data: () =>
          encodeFloat32(
            numbers(name, shape).map(value => size * value),
            dtype,
          ),
      };
    }),
  );
  for (const [name, text] of tokenizer ?? (await tinyTokenizer())) await writeFile(join(dir, name), text);
  return dir;
}

/** The numbers of Apertus's activation. */
const ACTIVATION = { 'act_fn.alpha_p': 0.5, 'act_fn.alpha_n': 0.4, 'act_fn.beta': 0.5, 'act_fn.eps': -1e-6 };

/** Returns values near one for norms, and otherwise values that keep activations near one. */
function numbers(name: string, shape: readonly number[]): Float32Array {
  const usual = Object.entries(ACTIVATION).find(([end]) => name.endsWith(end));
  if (usual) return new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(usual[1]);
  const random = createRandom(hashSeed(7, name));
  const isNorm = name.includes('norm');
  const size = isNorm ? 0.2 : 1.5 / Math.sqrt(shape.at(-1) ?? 1);
  return Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => (isNorm ? 0.9 : 0) + size * (2 * random.uniform() - 1));
}

async function tinyTokenizer(): Promise<ReadonlyMap<string, string>> {
  const folder = await openModel(join(GOLDEN, 'gguf', 'tiny-llama.gguf'));
  try {
    return (await folder.loadTokenizer()).files();
  } finally {
    await folder.weights.close();
  }
}
