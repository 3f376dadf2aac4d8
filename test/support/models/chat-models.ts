/** Models with various chat templates, each of which writes one fixed answer. */
import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { writeScriptedModel } from './scripted-model.ts';

const TEMPLATE =
  '{{ bos_token }}{% for m in messages %}{{ m.role[0] }}:{{ m.content }}; {% endfor %}{% if tools %}{{ tools[0].function.name }} {% endif %}{% if add_generation_prompt %}a:{% endif %}';

/** A template that writes tool calls as JSON after a marker. */
const CALLING =
  '{{ bos_token }}{% if tools %}{{ tools[0].function.name }} {% endif %}{% for m in messages %}{{ m.role[0] }}:{{ m.content or "" }}{% for c in m.tool_calls or [] %}<tool_call>{{ {"name": c.function.name, "arguments": c.function.arguments} | tojson }}</tool_call>{% endfor %}; {% endfor %}{% if add_generation_prompt %}a:{% endif %}';
export const CALL = ['<tool_call>', '{"name": "find", ', '"arguments": {"text": "a note"}}', '</tool_call>'];

/** A template that writes tool calls in tags, which are special tokens. */
const TAGGING =
  '{{ bos_token }}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}{{ m.role[0] }}:{{ m.content or "" }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}{% for k, v in c.function.arguments.items() %}<key>{{ k }}<is>{{ v }}<end>{% endfor %}</call>{% endfor %}; {% endfor %}{% if add_generation_prompt %}a:{% endif %}';
const TAGS = ['<call>', 'find', '<key>', 'text', '<is>', 'a note', '<end>', '</call>'];

/** Templates that write reasoning in plain-text tags, and in messages whose headers are special tokens. */
export const REASONING = {
  thinker: {
    template:
      '{{ bos_token }}{% for m in messages %}{{ m.role[0] }}:{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}; {% endfor %}{% if add_generation_prompt %}a:{% endif %}',
    pieces: ['<think>', 'We', ' look.', '</think>', 'It is', ' there.'],
  },
  speaker: {
    template:
      '{{ bos_token }}{% for m in messages %}{{ m.role[0] }}:{% if m.role == "assistant" %}{% if m.thinking %}<c>analysis<m>{{ m.thinking }}<e><n>{% endif %}<c>final<m>{% endif %}{{ m.content }}; {% endfor %}{% if add_generation_prompt %}a:{% endif %}',
    pieces: ['<c>analysis<m>', 'We', ' look.', '<e>', '<n>', '<c>final<m>', 'It is', ' there.'],
  },
} as const;

/** Creates the folders `caller`, `talker`, `tagger`, `thinker`, `speaker` and `chatty` from the folder `model`. */
export async function writeChatModels(folder: string): Promise<void> {
  for (const [name, { template, pieces }] of Object.entries(REASONING)) {
    cpSync(path.join(folder, 'model'), path.join(folder, name), { recursive: true });
    writeFileSync(path.join(folder, name, 'chat_template.jinja'), template);
    const isSpecial = (piece: string): boolean => name === 'speaker' && piece.startsWith('<');
    await writeScriptedModel(path.join(folder, name), { after: ':', pieces, isSpecial });
  }
  for (const [name, pieces] of [
    ['caller', CALL],
    ['talker', ['Let me look. ', ...CALL]],
  ] as const) {
    cpSync(path.join(folder, 'model'), path.join(folder, name), { recursive: true });
    writeFileSync(path.join(folder, name, 'chat_template.jinja'), CALLING);
    await writeScriptedModel(path.join(folder, name), { after: ':', pieces });
  }
  cpSync(path.join(folder, 'model'), path.join(folder, 'tagger'), { recursive: true });
  writeFileSync(path.join(folder, 'tagger', 'chat_template.jinja'), TAGGING);
  await writeScriptedModel(path.join(folder, 'tagger'), { after: ':', pieces: TAGS, isSpecial: () => true });
  cpSync(path.join(folder, 'model'), path.join(folder, 'chatty'), { recursive: true });
  writeFileSync(path.join(folder, 'chatty', 'chat_template.jinja'), TEMPLATE);
}
