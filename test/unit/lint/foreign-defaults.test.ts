/** Tests that a conversion writes out another tool's defaults if they differ from ours. */
import { expect, it } from 'vitest';
import { MAX_FOREIGN_LENGTH, mayBeForeign } from '../../../client/recipe/foreign-marks.ts';
import { convertRecipe } from '../../../trainer/lint/convert-recipe.ts';

const tuned = 'model: {_component_: a.llama3_8b}\ncheckpointer: {checkpoint_dir: m}\n';
const otherDefaults: [string, string, RegExp][] = [
  ['Axolotl tunes everything without an adapter', 'base_model: m\nmicro_batch_size: 2\nadapter:\n', /^method: full # without an adapter/m],
  ['LLaMA-Factory tunes by LoRA', 'model_name_or_path: m\nstage: sft\nlora_rank: 64\n', /^method: lora\nr: 64\nlora_alpha: 128$/m],
  [
    'mlx-lm tunes by LoRA, on prompts too',
    'model: m\niters: 10\nval_batches: 1\n',
    /^method: lora\nr: 8\nlora_alpha: 160\ndata:\n {2}completion_only: false/m,
  ],
  [
    'mlx-lm takes a folder or a data set of the hub',
    'model: m\niters: 10\nval_batches: 1\ndata: org/set\n',
    /^ {2}train: org\/set\/train\.jsonl # for a data set of the hub, write org\/set\n {2}eval: org\/set\/valid\.jsonl$/m,
  ],
  [
    'Axolotl evaluates and saves at shares of all updates',
    'base_model: m\nadapter: lora\nnum_epochs: 2\nevals_per_epoch: 1\nsaves_per_epoch: 4\n',
    /^eval_strategy: epoch\nsave_strategy: steps\nsave_steps: 0\.125 # 4 times per epoch$/m,
  ],
  [
    'samples of an update',
    'base_model: m\nbatch_size: 128\nmicro_batch_size: 4\n',
    /^per_device_train_batch_size: 4\ngradient_accumulation_steps: 32$/m,
  ],
  ['Axolotl trains one epoch', 'base_model: m\nadapter: lora\nlora_r: 8\n', /^per_device_train_batch_size: 1\nnum_train_epochs: 1$/m],
  [
    'Axolotl warms up by itself',
    'base_model: m\nadapter: lora\nwarmup_steps: 0\n',
    /^lr_scheduler_type: cosine\nwarmup_steps: 0\n(?!warmup)/m,
  ],
  ['Axolotl does not group by length', 'base_model: m\nadapter: lora\n', /^group_by_length: false$/m],
  ['Axolotl packs', 'base_model: m\nadapter: lora\nsample_packing: true\n', /^(?![\s\S]*group_by_length)/],
  [
    'LLaMA-Factory has the rate of the Trainer',
    'model_name_or_path: m\nstage: sft\n',
    /^per_device_train_batch_size: 8\nlearning_rate: 0\.00005$/m,
  ],
  ['LLaMA-Factory packs in pretraining', 'model_name_or_path: m\nstage: pt\nfinetuning_type: full\n', /^max_length: 2048\npacking: true/m],
  ['LLaMA-Factory shuffles', 'model_name_or_path: m\nstage: sft\ndisable_shuffling: true\n', /^ {2}shuffle: false$/m],
  ['LLaMA-Factory trains last answers', 'model_name_or_path: m\nstage: sft\nmask_history: true\n', /^ {2}trained_turns: last$/m],
  [
    'Axolotl leaves out ends of turns',
    'base_model: m\nadapter: lora\ndatasets: [{path: a.jsonl, type: chat_template, train_on_eos: none, roles_to_train: [assistant]}]\n',
    /^ {2}format: messages\n {2}train_end_of_turn: false$/m,
  ],
  [
    'Axolotl trains other roles',
    'base_model: m\nadapter: lora\ndatasets: [{path: a.jsonl, type: chat_template, roles_to_train: [gpt, human, critic]}]\n',
    /^ {2}trained_roles:\n {4}- assistant\n {4}- user$[\s\S]*^# datasets: {2}# roles_to_train: critic: there are no such roles here$/m,
  ],
  [
    'Axolotl trains single turns',
    'base_model: m\nadapter: lora\ndatasets: [{path: a.jsonl, type: chat_template, roles_to_train: []}]\n',
    /^ {2}trained_roles: \[\]$/m,
  ],
  [
    'TRL tunes all weights at its own rate, on whole chats of packed blocks',
    'model_name_or_path: m\ndataset_name: org/chats\npacking: true\n',
    /^model: m\n(?!.*group_by_length)[\s\S]*^method: full # without use_peft[\s\S]*^ {2}train: org\/chats$[\s\S]*^ {2}completion_only: false[\s\S]*^learning_rate: 0\.00002$/m,
  ],
  [
    'TRL by LoRA, evaluated on the split for tests',
    'model_name_or_path: m\ndataset_name: org/chats\nuse_peft: true\nlora_r: 32\nlora_target_modules: all-linear\neval_strategy: steps\neos_token: x\n',
    /^method: lora\nr: 32\nlora_alpha: 32\nlora_dropout: 0.05\ntarget_modules: all-linear\n[\s\S]*^ {2}eval: org\/chats\n {2}eval_split: test$[\s\S]*^# eos_token: x {2}# specific to the other tool$/m,
  ],
  [
    'TRL by LoRA: without use_peft, its keys have no effect',
    'model_name_or_path: m\ndataset_name: d\nlora_r: 32\n',
    /^# lora_r: 32 {2}# without use_peft, it has no effect$/m,
  ],
  ['TRL: DPO', 'model_name_or_path: m\ndataset_name: d\nbeta: 0.2\n', /^task: dpo\n[\s\S]*^learning_rate: 0\.000001$/m],
  ['TRL: KTO', 'model_name_or_path: m\ndataset_name: d\ndesirable_weight: 2\n', /^task: kto\n/m],
  [
    'LLaMA-Factory: DPO',
    'model_name_or_path: m\nstage: dpo\npref_loss: ipo\npref_beta: 0.2\ndo_train: true\n',
    /^task: dpo\n[\s\S]*^preference:\n {2}loss_type: ipo\n {2}beta: 0.2$/m,
  ],
  [
    'LLaMA-Factory: SimPO, with its own defaults',
    'model_name_or_path: m\nstage: dpo\npref_loss: simpo\nsimpo_gamma: 0.4\n',
    /^task: simpo\n[\s\S]*^preference:\n {2}beta: 0.1\n {2}gamma: 0.4$/m,
  ],
  [
    'LLaMA-Factory: KTO',
    'model_name_or_path: m\nstage: kto\npref_beta: 0.2\nkto_rejected_weight: 1.5\npref_loss: sigmoid\n',
    /^task: kto\n[\s\S]*^preference:\n {2}beta: 0.2\n {2}undesirable_weight: 1.5$/m,
  ],
  [
    'LLaMA-Factory: images',
    'model_name_or_path: m\nstage: sft\nimage_max_pixels: 262144\nimage_min_pixels: 1024\nfreeze_vision_tower: false\nfreeze_multi_modal_projector: true\n',
    /^data:\n {2}image_max_pixels: 262144\n[\s\S]*^# image_min_pixels: 1024 {2}# small images[\s\S]*^# freeze_vision_tower: false {2}# not kept: .* frozen[^\n]*\n# freeze_multi_modal_projector: true {2}# the encoder of images is always frozen here$/m,
  ],
  [
    'Axolotl: images',
    'base_model: m\nmicro_batch_size: 1\nimage_size: 512\nimage_resize_algorithm: bilinear\nprocessor_type: AutoProcessor\n',
    /^data:\n {2}image_max_pixels: 262144 # it resized images to 512 × 512; here they keep their shape\n[\s\S]*^# image_resize_algorithm: bilinear {2}# the processor/m,
  ],
  ['Axolotl: images of a width and a height', 'base_model: m\nmicro_batch_size: 1\nimage_size: [640, 480]\n', /image_max_pixels: 307200 #/],
  [
    'Unsloth: images',
    'model: m\ntraining: {training_type: lora}\nlora: {lora_r: 8, finetune_vision_layers: true}\n',
    /^# lora:.* # not kept: the encoder of images is always frozen here, so its weights are not trained/m,
  ],
  ['LLaMA-Factory: a reward model', 'model_name_or_path: m\nstage: rm\n', /^task: reward$/m],
  ['Axolotl: a reward model', 'base_model: m\nreward_model: true\nadapter: lora\n', /^task: reward$/m],
  [
    'Unsloth tunes a base of 4 bits by LoRA',
    'model: m\ntraining:\n  training_type: lora\n  max_steps: 0\nlora: {lora_r: 8, target_modules: "q_proj,v_proj"}\n',
    /^quantize: nf4\nmethod: lora\nr: 8\nlora_alpha: 16\n[\s\S]*^target_modules:\n {2}- q_proj\n {2}- v_proj\n(?![\s\S]*max_steps)/m,
  ],
  [
    'Unsloth tunes everything',
    'model: m\ndata: {local_dataset: [a.jsonl], format_type: raw}\ntraining: {training_type: full, gradient_checkpointing: none}\nlora: {lora_r: 64}\n',
    /^method: full\n[\s\S]*^data:\n {2}train: a.jsonl\n {2}format: text\n[\s\S]*^recompute: none$[\s\S]*^# lora:.*# without adapters, it has no effect$/m,
  ],
  ['Axolotl: KTO', 'base_model: m\nrl: kto\nkto_desirable_weight: 0.5\n', /^task: kto\n[\s\S]*^preference:\n {2}desirable_weight: 0.5$/m],
  ['Axolotl: ORPO', 'base_model: m\nrl: orpo\norpo_alpha: 0.3\n', /^task: orpo\n[\s\S]*^preference:\n {2}beta: 0.3$/m],
  [
    'Axolotl: IPO on pairs',
    'base_model: m\nrl: ipo\nrl_beta: 0.2\ndatasets: [{path: a.jsonl, type: chatml.intel}]\n',
    /^task: dpo\n[\s\S]*^data:\n {2}train: a.jsonl\ngroup[\s\S]*^preference:\n {2}loss_type: ipo\n {2}beta: 0.2$/m,
  ],
  [
    'mlx-lm clips nothing',
    'model: m\ntrain: true\nval_batches: 1\n',
    /^max_steps: 1000\n[\s\S]*lr_scheduler_type: constant\noptim: adam\nmax_grad_norm: 0\nseed: 0$/m,
  ],
  [
    'mlx-lm warms up before a constant rate',
    'model: m\ntrain: true\niters: 9\nlr_schedule: {name: constant, warmup: 3, arguments: [1.0e-4]}\n',
    /^lr_scheduler_type: constant_with_warmup\nwarmup_steps: 3$/m,
  ],
  [
    'torchtune decays norms too, and by the default of torch.optim',
    `${tuned}optimizer: {_component_: torch.optim.AdamW, lr: 1.0e-4}\n`,
    /^lr_scheduler_type: constant\noptim: adamw\nweight_decay: 0\.01\ndecay_norms_and_biases: true\nmax_grad_norm: 0$/m,
  ],
  [
    'torchtune keeps the order of samples',
    `${tuned}optimizer: {_component_: torch.optim.SGD, lr: 1.0e-4}\nshuffle: false\n`,
    /^ {2}shuffle: false$/m,
  ],
];

it.each(otherDefaults)('%s', (_, text, expected) => {
  expect(convertRecipe(text, false)?.text).toMatch(expected);
  // The editor checks the keys before it calls the converter.
  expect(mayBeForeign(text)).toBe(true);
});

it('text without the keys of these tools, or longer than a recipe, is not parsed', () => {
  expect(mayBeForeign('name: ci\non: push\njobs: {}\n')).toBe(false);
  expect(mayBeForeign('my_base_model: a\nx.iters: 1\n')).toBe(false);
  expect(mayBeForeign('{"base_model": "a"}')).toBe(true);
  expect(mayBeForeign(`base_model: a\n${'#'.repeat(MAX_FOREIGN_LENGTH)}`)).toBe(false);
});
