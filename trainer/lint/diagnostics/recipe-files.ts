/** Codes that compare a recipe with its model, its data and this machine. */
import type { FactCode } from '../problems/fact-report.ts';
import type { Diagnostic } from './diagnostic.ts';

export const modelDiagnostics = {
  'model-not-found': {
    about:
      'There is no file or folder at this path, and it does not look like a name on the hub. Relative paths start from the folder of the recipe, in the editor and on the command line.',
    fix: 'Writes the nearest name in the same folder.',
  },
  'not-downloaded': {
    about:
      'A model or a data set is named as on the hub and is not in the cache of this machine. Nothing is wrong with that: a run downloads it. Until then, whatever depends on its files is not checked: the layers that settings name, the chat template, tasks, labels, columns, samples and memory. `rowtune estimate` reads the headers of a model from the hub, and reports what does not fit.',
  },
  'unsupported-model': {
    about:
      "The model's `config.json` names an architecture that Rowtune does not know, or uses an option that it does not support. The message lists what is supported.",
  },
  'unreadable-model': {
    about:
      'A file of the model is missing, damaged, or not of the type that its name says; or a file of `torch.save` asks for more than a state dict consists of. Such a file is read as data, and nothing in it is run.',
    fix: 'Use weights from a source you trust, preferably as safetensors.',
  },
  'model-mismatch': {
    about:
      "The tensors in the weights do not have the shapes that `config.json` gives. Open the model's `config.json` to see which key disagrees.",
  },
  'no-tokenizer': {
    about:
      'The model reads texts, and its folder has neither `tokenizer.json` nor an older vocabulary that is read for its kind of model, such as `tokenizer.model` or `vocab.txt`. Training refuses such a folder.',
    fix: 'Copy the files of the tokenizer from the folder or the page on the hub that the model comes from.',
  },
  'vocabulary-mismatch': {
    about:
      '`tokenizer.json`, or the vocabulary in its place, gives ids that have no row in the embedding. Training fails at the first text with such a token: the tokenizer belongs to another model. It is only a hint if no more than added tokens are concerned, such as the place of an image in a model that reads texts. An embedding with more rows than the tokenizer has ids is right: many are padded.',
  },
  'task-for-model': {
    about:
      'The model cannot be tuned for this `task`. A language model predicts the next token, an encoder gives a text a label or a number, a vision model gives an image a label. A language model can classify too: with `task: causal_lm` and `text_label` data it answers with the label.',
    fix: 'Writes a task that fits.',
  },
  'image-size': {
    about:
      '`data.image_size` asks a vision transformer for a size that its positions were not made for. Images are resized to the size of the model; only convolutional networks take any size.',
    fix: "Writes the model's own size, or deletes the key.",
  },
  'unknown-module': {
    about:
      "An entry of `target_modules` matches nothing in this model. Names match the end of a module's path, as in PEFT; `/a regular expression/` matches anywhere in it. Expressions are JavaScript's (flag `u`), without look-around and back-references, which can take exponential time.",
    fix: 'Writes the nearest name in this model.',
  },
  'nothing-to-train': { about: '`freeze` covers everything that `target_modules` names.' },
  'rank-above-layer': {
    about:
      '`r` is larger than the number of rows, or of columns, in a targeted layer (`spsft`; with `dependencies`, half of `r` is rows), or larger than the rank that a weight can have (`lora`, where it only wastes memory).',
    fix: 'Writes the largest value that fits every layer.',
  },
  'no-heads': {
    about: '`importance.heads` chooses whole heads of attention, and none of the targeted layers makes or reads heads.',
    fix: 'Sets `importance.heads` to `false`.',
  },
  'budget-below-head': {
    about:
      'With `importance.heads`, every layer of attention trains at least one head, and `r` is less than half of one: more rows are trained than `r` says.',
    fix: 'Writes the size of the largest head.',
  },
  'teacher-for-model': {
    about:
      '`distillation.teacher` predicts no next token, or its tokenizer has a different number of tokens from that of the model. Token ids must mean the same in both; embeddings may be padded to different sizes.',
    fix: 'Choose a larger or a tuned model of the same family.',
  },
  'top-k-above-vocabulary': {
    about: '`distillation.top_k` is larger than the number of tokens that the model and its teacher have in common.',
    fix: 'Writes the number of tokens.',
  },
  'no-reward-model': {
    about:
      '`eval_generation.reward_model` is a run of another task, a run without a checkpoint, or a model without a head of one number for a text. It may have another tokenizer and another chat template than the model.',
    fix: 'Name a run of the task `reward`, or a model that was exported from one.',
  },
  'length-above-positions': {
    about: '`max_length` is above the number of positions that the model was made for. A run refuses it too.',
    fix: "Writes the model's number.",
  },
} as const satisfies Readonly<Partial<Record<FactCode, Diagnostic>>>;

export const dataDiagnostics = {
  'data-not-found': {
    about: 'There is no file or folder at this path. Relative paths start from the folder of the recipe.',
    fix: 'Writes the nearest name in the same folder.',
  },
  'unreadable-data': {
    about: 'The file is of no known type (json, jsonl, csv, tsv, parquet, arrow, txt), has no sample, or cannot be read.',
  },
  'bad-sample': {
    about:
      'A sample cannot be used; up to 20 of a file are listed. The message names the line, the key, and what was expected. Chats are checked with the chat template of the model, if that is on this machine: what the template would drop, such as tools, is an error. Files of up to 4 MB are read to the end, and the first 1000 samples of others; where the template takes long, it writes the first samples only.',
    fix: 'Where only the names differ, map them with `data.columns`, for example `columns: {text: body, label: kind}`.',
  },
  'unknown-column': { about: '`data.columns` names a column that no file of the data has.', fix: 'Writes the nearest column.' },
  'nothing-left-to-train': {
    about:
      '`val_size` holds out every sample of the training data. It is reported where the samples of all files are counted: files of up to 4 MB, and longer ones with a sample on each line.',
  },
  'one-label': {
    about:
      'The training data has only one label. A classifier then has nothing to distinguish, and a language model learns to give this answer to everything, which is a warning. Files of up to 4 MB are counted, and images in one folder per class.',
  },
  'similar-labels': {
    about:
      'Labels of the training data differ only in upper case, lower case or spaces, such as `spam` and `Spam`. They are different classes, which is seldom meant. Spaces around a label do not count.',
  },
  'unknown-label': {
    about:
      'The held-out data has labels that no training sample has and `data.labels` does not name. The head has no output for them. They are counted wherever the labels of the training data are.',
  },
  'label-without-samples': {
    about:
      '`data.labels` names labels that no training sample has, or tags that no word has. The head gets an output for each of them, which only learns to stay low. Files of up to 4 MB are counted, and images in one folder per class; a run counts the samples that it trains on, without those held out, and logs the same warning.',
    fix: 'Add samples of these labels, or remove the names. Where the data gives labels as numbers, a name in the middle of the list must stay, because the place of a name is its number.',
  },
  'images-not-checked': {
    about:
      'The data has images, and the library that decodes them is not on this machine, so the linter did not open them. A run needs the library.',
    fix: 'Run `rowtune engine install --with images`.',
  },
  'class-names': {
    about:
      "The data declares names for the numbers of its classes (`ClassLabel` of Hugging Face's datasets), and they contradict `data.labels` or those of another file, or they cannot be used. Without `data.labels`, the declared names become the labels of the model.",
    fix: 'Put `data.labels` in the order of the numbers, or remove it to take the declared names.',
  },
  'plain-prompts': {
    about:
      'The data has prompts with completions (`prompt_completion`), and the model has a chat template. Such samples are trained as plain text, as in TRL: the completion follows the prompt without the marks of a chat. Programs that chat with the model, such as Ollama, write these marks, so they show little of what was learned. This is right for a model that continues texts.',
    fix: 'Names the columns `instruction` and `output`, for example `columns: {instruction: prompt, output: completion}`: they are then a question and an answer of a chat.',
  },
  'ignored-judgments': {
    about:
      'The samples have a prompt, an answer and a `label` or `kto_tag` of true or false, as for KTO. The task reads the answers alone, so the model learns the bad ones like the good ones.',
    fix: 'Sets `task: kto`.',
  },
  'same-texts': {
    about:
      'Samples of sentence embeddings have the same text as anchor and positive. Their cosine is 1 whatever the model does, so they teach nothing (unless dropout is to make the difference, as in SimCSE), and evaluations count them as found. Files of up to 4 MB are read to the end, and the first 1000 samples of others.',
  },
  'prompt-in-answer': {
    about:
      'Pairs have an answer that begins with the text of their prompt. The prompt is written before each answer already, so the model would read it twice and learn to repeat it. Files of up to 4 MB are read to the end, and the first 1000 samples of others.',
    fix: 'Remove the prompt from the answers, or leave out `prompt`: it is then what both answers begin with.',
  },
  'unseen-role': {
    about:
      '`data.trained_roles` names a role of which no training sample has a turn. Files of up to 4 MB are read to the end. A run reports how many samples have no turn of a role.',
    fix: 'Remove the role, or check the names of the roles in the data.',
  },
  'single-documents': {
    about:
      'Held-out queries of a reranker, or those that `val_size` draws from, have a single document. It ranks first whatever the model says, so these queries raise `ndcg_at_10`, `mrr_at_10` and `map` without measuring anything. Files of up to 4 MB are read.',
    fix: 'Add documents to these queries that are not relevant, or remove the queries.',
  },
  'one-judgment': {
    about:
      'The training data of `task: kto` has only desirable or only undesirable answers, so there is no margin between both. Files of up to 4 MB are counted.',
  },
  'unbalanced-judgments': {
    about:
      'The weighted numbers of desirable and undesirable answers, `preference.desirable_weight` times the one to `preference.undesirable_weight` times the other, are outside 1 to 1 and 4 to 3, which the authors of KTO advise. Files of up to 4 MB are counted; a run counts all of its data and logs the same warning.',
  },
  'labels-for-measure': {
    about:
      '`qm_taylor` takes quantiles over the classes and gives each class the same weight. With fewer than 10 labels, or with one label five times as frequent as another, they say little; the paper found so on GLUE and Caltech-101.',
    fix: 'Writes `taylor_row`.',
  },
  'measure-behind-random': {
    about:
      "On the small vision transformer of our study, rows chosen by `magnitude` or `activation` were clearly worse than random rows at each arm's own best learning rate, and those of `wanda` were better. It may be different on yours: compare a run with `importance.measure: random`.",
    fix: 'Writes `wanda`.',
  },
  'output-not-empty': {
    about:
      '`output_dir` holds a run or other files, and a run does not overwrite them. `overwrite_output_dir: true` replaces a run and nothing else: the old run stays until the new one has made its first update, and files that no run wrote are never replaced. A run that ended before its first update is replaced without asking.',
    fix: 'Resume the run, name another folder, or set `overwrite_output_dir: true`.',
  },
  'output-unusable': {
    about:
      'No folder can be created or written at `output_dir`: a file, a device or a folder of the kernel (`/proc`) is in its place, you have no permission, the file system is read-only, or its disk is full. `rowtune train` refuses such a place before it starts anything.',
  },
} as const satisfies Readonly<Partial<Record<FactCode, Diagnostic>>>;

export const machineDiagnostics = {
  'memory-above-free': {
    about:
      'The run is predicted to take more memory than is free now; the message splits it by cause. The prediction analyzes the very program that would run, for the largest batch. It is a warning, because free memory changes. `recompute: block`, a smaller `max_length` and fewer `target_modules` take less memory too; on the `pjrt` engine, `base_offload: host` takes the weights of the blocks out of the memory of a GPU, and the message says whether the run then fits.',
    fix: 'Halves the batch and doubles the accumulation, which gives the same updates; or keeps the weights of the blocks in host memory, where the run then fits.',
  },
  'stored-in-fewer-bits': {
    about:
      'The folder of the model stores its layers in few bits (GPTQ, AWQ, compressed-tensors, FP8, bitsandbytes, MLX, Model Optimizer, AutoRound). They are read as the numbers that the codes stand for, and held in the `dtype` of the run. The message compares the memory of these layers in both forms. The new codes are other than those of the file, so weights are rounded once more; 4 bits of bitsandbytes (NF4) keep their codes. Methods that train every weight or single elements get no hint, nor does a recipe that sets `quantize`.',
    fix: 'Adds `quantize: nf4`, or `quantize: int8` for 8 bits.',
  },
  'offload-without-gpu': {
    about:
      '`optimizer_offload: host` moves the state of the optimizer from the memory of a GPU to that of the host. This machine has no NVIDIA GPU, so the state is in host memory in any case; `disk` takes it out of memory. The same holds for the weights and `base_offload: host`. It is a note, because the recipe may be meant for another machine.',
  },
} as const satisfies Readonly<Partial<Record<FactCode, Diagnostic>>>;

/** Documentation of the codes; does not compile until each code is described above. */
export const factDiagnostics: Readonly<Record<FactCode, Diagnostic>> = { ...modelDiagnostics, ...dataDiagnostics, ...machineDiagnostics };
