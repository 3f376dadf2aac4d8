/** Settings of distillation: the teacher, and how its predictions are compared with the model's. */
import { defaulted, group, optional } from '../setting.ts';
import { choice, filePath, integer, modelName, number, text } from '../value-type.ts';

/** Maximum number of tokens per position whose probabilities are kept: as many as a TRL or vLLM server returns, which take 8 KB. */
const MAX_TOP_K = 1024;

export const distillationGroup = group("Distillation: the teacher, and how its predictions are compared with the model's.", {
  teacher: optional(modelName(), {
    doc: 'The teacher: a model folder, a .gguf file, or a name on the Hugging Face hub, with the same vocabulary as the model. It runs once, before training.',
    memory: 'It is in memory only before training, when the model is not.',
  }),
  teacher_revision: defaulted(text({ noun: 'branch, tag or commit' }), 'main', {
    doc: 'The branch, tag or commit of a teacher on the hub.',
  }),
  logits: optional(filePath(), {
    doc: "In place of a teacher: a safetensors file with the teacher's likeliest tokens for the training samples.",
  }),
  eval_logits: optional(filePath(), {
    doc: 'The same for the held-out samples. Without it, they are evaluated without the teacher.',
  }),
  top_k: defaulted(integer({ min: 1, max: MAX_TOP_K }), 64, {
    doc: 'The number of likeliest tokens whose probabilities are kept for each trained token.',
    memory: 'The disk holds eight bytes for each; a batch takes as much memory.',
  }),
  temperature: defaulted(number({ min: 0, max: 100, aboveMin: true }), 1, {
    doc: 'Both distributions are the softmax of the logits divided by it; larger values show more of the unlikely tokens. The divergence is multiplied by its square.',
  }),
  alpha: defaulted(number({ min: 0, max: 1 }), 0.5, {
    doc: "The teacher's share of the loss; the next-token loss of the data has the rest.",
  }),
  beta: defaulted(number({ min: 0, max: 1 }), 0, {
    doc: "The divergence, as in TRL's GKD: 0 is KL(teacher ‖ model), 1 is KL(model ‖ teacher), and a value between is the generalized Jensen–Shannon divergence.",
  }),
  rest: defaulted(
    choice({
      bucket: 'All other tokens together are one more outcome, so probability that leaves the likeliest tokens is part of the divergence.',
      renormalize:
        'The probabilities of the likeliest tokens are divided by their sum, for the teacher and the model alike; other tokens are ignored.',
    }),
    'bucket',
    { doc: "The probability that is outside of the teacher's likeliest tokens." },
  ),
});
