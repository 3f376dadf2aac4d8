/** Tests chat templates of published models as Go templates: what wraps each turn, and what is omitted with a reason. */
import { describe, expect, test } from 'vitest';
import { goTemplate, modelfile } from '../../../trainer/artifact/gguf/modelfile.ts';
import { createTokenizer, type Tokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { goldenPath } from '../hub/model-bytes.ts';

async function tokenizerWith(template: string, change: Readonly<Record<string, unknown>> = {}): Promise<Tokenizer> {
  const folder = await openModel(goldenPath('gguf/tiny-llama.gguf'));
  const files = new Map((await folder.loadTokenizer()).files());
  await folder.weights.close();
  const config = {
    ...JSON.parse(valueFor(files, 'tokenizer_config.json')),
    chat_template: template,
    bos_token: '<|endoftext|>',
    ...change,
  };
  files.set('tokenizer_config.json', JSON.stringify(config));
  return createTokenizer({ source: 'test', files });
}

const CHATML = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;
const LLAMA3 = `{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`;
const GEMMA = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}`;
const LLAMA2 = `{% for message in messages %}{% if message['role'] == 'user' %}{{ '<s>[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' </s>' }}{% endif %}{% endfor %}`;
const PHI3 = `{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}`;
/** A template with a header before all turns, like gpt-oss. */
const HEADED = `<|start|>system\nHEAD<|end|>{% for message in messages %}{{ '<|start|>' + ('developer' if message['role'] == 'system' else message['role']) + '\n' + message['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}`;
const COUNTING = `{% for message in messages %}{{ loop.index ~ message['role'] ~ ': ' ~ message['content'] ~ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}`;

describe('as Go templates', () => {
  test.each([
    [
      'ChatML, with its own system text',
      CHATML,
      '{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n{{ end }}{{ end }}<|im_start|>assistant\n',
      'You are helpful.',
    ],
    [
      'Llama 3, begin token included',
      LLAMA3,
      '<|endoftext|>{{ range .Messages }}{{ if eq .Role "system" }}<|start_header_id|>system<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ else if eq .Role "user" }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ else if eq .Role "assistant" }}<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n',
      undefined,
    ],
    [
      'Gemma, without a system turn',
      GEMMA,
      '<|endoftext|>{{ range .Messages }}{{ if eq .Role "user" }}<start_of_turn>user\n{{ .Content }}<end_of_turn>\n{{ else if eq .Role "assistant" }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n{{ end }}{{ end }}<start_of_turn>model\n',
      undefined,
    ],
    [
      'Phi-3, which ends the text where no prompt begins an answer',
      PHI3,
      '{{ range .Messages }}{{ if eq .Role "system" }}<|system|>\n{{ .Content }}<|end|>\n{{ else if eq .Role "user" }}<|user|>\n{{ .Content }}<|end|>\n{{ else if eq .Role "assistant" }}<|assistant|>\n{{ .Content }}<|end|>\n{{ end }}{{ end }}<|assistant|>\n',
      undefined,
    ],
  ])('%s', async (_, template, expected, system) => {
    expect(goTemplate(await tokenizerWith(template))).toEqual({ template: expected, system, isDated: false });
  });

  test('a begin token that opens every turn stays in the turns', async () => {
    const expected = goTemplate(await tokenizerWith(CHATML));
    expect(goTemplate(await tokenizerWith(CHATML, { bos_token: '<|im_start|>' }))).toEqual(expected);
  });

  test('Llama 2: no generation prompt, because the answer follows directly', async () => {
    expect(goTemplate(await tokenizerWith(LLAMA2))).toEqual({
      template:
        '{{ range .Messages }}{{ if eq .Role "user" }}<s>[INST] {{ .Content }} [/INST]{{ else if eq .Role "assistant" }} {{ .Content }} </s>{{ end }}{{ end }}',
      isDated: false,
    });
  });

  test.each([
    ['a head', HEADED, '', false],
    ['a head with the date', HEADED.replace('HEAD', "{{ strftime_now('%Y-%m-%d') }}"), '2024-07-04', true],
  ])('what begins a conversation without a system text: %s', async (_, template, date, isDated) => {
    const head = `<|start|>system\n${date || 'HEAD'}<|end|>`;
    expect(goTemplate(await tokenizerWith(template), new Date(2024, 6, 4))).toEqual({
      template: `{{ if not .System }}${head}{{ end }}{{ range .Messages }}{{ if eq .Role "system" }}${head}<|start|>developer\n{{ .Content }}<|end|>{{ else if eq .Role "user" }}<|start|>user\n{{ .Content }}<|end|>{{ else if eq .Role "assistant" }}<|start|>assistant\n{{ .Content }}<|end|>{{ end }}{{ end }}<|start|>assistant\n`,
      isDated,
    });
  });

  test('a system text with the date is marked as dated', async () => {
    const dated = CHATML.replace('You are helpful.<', "' + strftime_now('%Y-%m-%d') + '<");
    const found = { system: '2024-07-04', isDated: true };
    expect(goTemplate(await tokenizerWith(dated), new Date(2024, 6, 4))).toMatchObject(found);
  });

  test('a template that counts its turns is left out', async () => {
    expect(goTemplate(await tokenizerWith(COUNTING))).toEqual({ reason: expect.stringContaining('more than wrap each turn') });
  });
});

test('the Modelfile: stop tokens, parameters that are in effect, the context of a small model', async () => {
  const tokenizer = await tokenizerWith(CHATML, { eos_token: '<|im_end|>' });
  const text = modelfile({
    file: 'm.gguf',
    tokenizer,
    generationConfig: { do_sample: true, temperature: 0.6, top_k: 20, repetition_penalty: 1.1 },
    maxPositions: 256,
  });
  expect(text).toContain('FROM ./m.gguf\nTEMPLATE """{{ range .Messages }}');
  expect(text).toContain('SYSTEM """You are helpful."""\nPARAMETER stop "<|im_end|>"\n');
  expect(text).toContain('PARAMETER temperature 0.6\nPARAMETER top_k 20\nPARAMETER repeat_penalty 1.1\nPARAMETER num_ctx 256\n');
  const plain = modelfile({ file: 'm.gguf', tokenizer, generationConfig: { temperature: 0.6 }, maxPositions: 8192 });
  expect(plain).not.toContain('temperature');
  expect(plain).not.toContain('num_ctx');
});

test('a model without a chat template has a comment instead of TEMPLATE', async () => {
  const tokenizer = await tokenizerWith('', { chat_template: undefined });
  const text = modelfile({ file: 'm.gguf', tokenizer, generationConfig: undefined, maxPositions: 8192 });
  expect(text).toContain('# No TEMPLATE: the model has no chat template.');
});
