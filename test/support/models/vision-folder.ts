/** A tiny language model that reads images, with a tokenizer and a chat template like Qwen's. */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../machine/temporary-folder.ts';

const GOLDEN = fileURLToPath(new URL('../../golden/', import.meta.url));

const TEMPLATE =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/** The ids of the config: the last four are those of images. */
const FIRST = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
const LAST = ['<|video_pad|>', '<|vision_start|>', '<|vision_end|>'];
const CHARACTERS = [...'\u010a\u0120abcdefghijklmnopqrstuvwxyz0123456789.,?!:;-ABCDEFGHIJKL'];

/**
 * @param like a folder of test/golden whose config has the ids of these tokens
 * @param image the text of an image's token
 * @returns the folder
 */
export async function visionFolder(like = 'qwen3_5_vision', image = '<|image_pad|>'): Promise<string> {
  const folder = await temporaryFolder();
  await cp(join(GOLDEN, like), folder, { recursive: true });
  const added = [...FIRST.entries(), ...[image, ...LAST].map((token, i) => [FIRST.length + CHARACTERS.length + i, token] as const)];
  const tokenizer = {
    added_tokens: added.map(([id, content]) => ({ id, content, special: true, normalized: false })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries([...FIRST, ...CHARACTERS].map((token, id) => [token, id])), merges: [] },
  };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ chat_template: TEMPLATE.replace('<|image_pad|>', image), eos_token: '<|im_end|>', pad_token: '<|endoftext|>' }),
  );
  return folder;
}
