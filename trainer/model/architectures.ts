/** The table of architectures, by the names that config.json gives them. */
import { bert } from './family/bert.ts';
import { type BertForm, bertConfig } from './family/bert-config.ts';
import { deberta } from './family/deberta.ts';
import { type DebertaForm, debertaConfig } from './family/deberta-config.ts';
import { llama } from './family/llama.ts';
import { llamaConfig } from './family/llama-config.ts';
import { resnet } from './family/resnet.ts';
import { type ResNetForm, resnetConfig } from './family/resnet-config.ts';
import { timm } from './family/timm.ts';
import { vit } from './family/vit.ts';
import { type VitForm, vitConfig } from './family/vit-config.ts';
import type { ConfigJson, ModelOptions } from './load-model.ts';
import type { AnyModel } from './model-spec.ts';

export type BuildModel = (config: ConfigJson, options: ModelOptions) => AnyModel;

const llamaLike =
  (architecture: Parameters<typeof llamaConfig>[0]): BuildModel =>
  config =>
    llama(llamaConfig(architecture, config));

const bertLike =
  (architecture: string, form: BertForm): BuildModel =>
  (config, options) =>
    bert(bertConfig(architecture, form, config, options));

const debertaLike =
  (architecture: string, form: DebertaForm): BuildModel =>
  (config, options) =>
    deberta(debertaConfig(architecture, form, config, options));

const vitLike =
  (architecture: string, form: VitForm): BuildModel =>
  (config, options) =>
    vit(vitConfig(architecture, form, config, options));

const resnetLike =
  (architecture: string, form: ResNetForm): BuildModel =>
  (config, options) =>
    resnet(resnetConfig(architecture, form, config, options));

const bertHeads = { family: 'bert', prefix: 'bert.', hasHead: false, hasPooler: false } as const;
const robertaHeads = { family: 'roberta', prefix: 'roberta.', hasHead: false, hasPooler: false } as const;

/** Encoders without a head for the task get a new one. */
export const architectures = {
  LlamaForCausalLM: llamaLike('LlamaForCausalLM'),
  MistralForCausalLM: llamaLike('MistralForCausalLM'),
  Qwen2ForCausalLM: llamaLike('Qwen2ForCausalLM'),
  BertModel: bertLike('BertModel', { ...bertHeads, prefix: '', hasPooler: true }),
  BertForMaskedLM: bertLike('BertForMaskedLM', bertHeads),
  BertForPreTraining: bertLike('BertForPreTraining', { ...bertHeads, hasPooler: true }),
  BertForSequenceClassification: bertLike('BertForSequenceClassification', { ...bertHeads, hasHead: true, hasPooler: true }),
  RobertaModel: bertLike('RobertaModel', { ...robertaHeads, prefix: '' }),
  RobertaForMaskedLM: bertLike('RobertaForMaskedLM', robertaHeads),
  RobertaForSequenceClassification: bertLike('RobertaForSequenceClassification', { ...robertaHeads, hasHead: true, hasPooler: true }),
  XLMRobertaModel: bertLike('XLMRobertaModel', { ...robertaHeads, prefix: '' }),
  XLMRobertaForMaskedLM: bertLike('XLMRobertaForMaskedLM', robertaHeads),
  XLMRobertaForSequenceClassification: bertLike('XLMRobertaForSequenceClassification', { ...robertaHeads, hasHead: true, hasPooler: true }),
  DebertaV2Model: debertaLike('DebertaV2Model', { prefix: '', hasHead: false }),
  DebertaV2ForMaskedLM: debertaLike('DebertaV2ForMaskedLM', { prefix: 'deberta.', hasHead: false }),
  DebertaV2ForSequenceClassification: debertaLike('DebertaV2ForSequenceClassification', { prefix: 'deberta.', hasHead: true }),
  ViTModel: vitLike('ViTModel', { family: 'vit', prefix: '', head: 'none' }),
  ViTForImageClassification: vitLike('ViTForImageClassification', { family: 'vit', prefix: 'vit.', head: 'one' }),
  DeiTModel: vitLike('DeiTModel', { family: 'deit', prefix: '', head: 'none' }),
  DeiTForImageClassification: vitLike('DeiTForImageClassification', { family: 'deit', prefix: 'deit.', head: 'one' }),
  DeiTForImageClassificationWithTeacher: vitLike('DeiTForImageClassificationWithTeacher', {
    family: 'deit',
    prefix: 'deit.',
    head: 'teacher',
  }),
  ResNetModel: resnetLike('ResNetModel', { prefix: '', hasHead: false }),
  ResNetForImageClassification: resnetLike('ResNetForImageClassification', { prefix: 'resnet.', hasHead: true }),
  TimmWrapperForImageClassification: (config, options) => timm('timm_model.', config, options),
} satisfies Record<string, BuildModel>;

export type Architecture = keyof typeof architectures;

/** What a config.json without `architectures` describes: the files of a model that was published for any task, by `model_type`. */
export const architectureOfType: Readonly<Record<string, Architecture>> = {
  bert: 'BertForMaskedLM',
  roberta: 'RobertaForMaskedLM',
  'xlm-roberta': 'XLMRobertaForMaskedLM',
  'deberta-v2': 'DebertaV2ForMaskedLM',
};

/** The class that an encoder without a head for the task becomes when it is given one. */
export const classifierOf: Readonly<Partial<Record<Architecture, Architecture>>> = {
  BertModel: 'BertForSequenceClassification',
  BertForMaskedLM: 'BertForSequenceClassification',
  BertForPreTraining: 'BertForSequenceClassification',
  RobertaModel: 'RobertaForSequenceClassification',
  RobertaForMaskedLM: 'RobertaForSequenceClassification',
  XLMRobertaModel: 'XLMRobertaForSequenceClassification',
  XLMRobertaForMaskedLM: 'XLMRobertaForSequenceClassification',
  DebertaV2Model: 'DebertaV2ForSequenceClassification',
  DebertaV2ForMaskedLM: 'DebertaV2ForSequenceClassification',
  ViTModel: 'ViTForImageClassification',
  DeiTModel: 'DeiTForImageClassification',
  ResNetModel: 'ResNetForImageClassification',
};
