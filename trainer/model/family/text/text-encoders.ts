/** The table of architectures of text encoders, by their name in config.json. */

import { type ArchitectureEntry, classesOf } from '../architecture-entry.ts';
import { albertConfig, albertKeys } from './albert-config.ts';
import { bert } from './bert.ts';
import { bertConfig, bertKeys } from './bert-config.ts';
import { deberta } from './deberta.ts';
import { debertaConfig, debertaKeys } from './deberta-config.ts';
import { distilBertConfig, distilBertKeys } from './distilbert-config.ts';
import { electraConfig, electraKeys } from './electra-config.ts';
import { esm } from './esm.ts';
import { esmConfig, esmKeys } from './esm-config.ts';
import { euroBert, euroBertConfig, euroBertKeys } from './eurobert.ts';
import { gteConfig, gteKeys } from './gte-config.ts';
import { modernBert } from './modernbert.ts';
import { modernBertConfig, modernBertKeys } from './modernbert-config.ts';
import { mpnetConfig, mpnetKeys } from './mpnet-config.ts';
import { nomicBertConfig, nomicBertKeys } from './nomic-bert-config.ts';
import type { TextForm } from './text-classifier.ts';
import { ultraBert, ultraBertConfig, ultraBertKeys } from './ultrabert.ts';

const bertLike = classesOf(bertKeys, bertConfig, bert);
const distilBertLike = classesOf(distilBertKeys, distilBertConfig, bert);
const electraLike = classesOf(electraKeys, electraConfig, bert);
const albertLike = classesOf(albertKeys, albertConfig, bert);
const mpnetLike = classesOf(mpnetKeys, mpnetConfig, bert);
const gteLike = classesOf(gteKeys, gteConfig, bert);
const nomicBertLike = classesOf(nomicBertKeys, nomicBertConfig, bert);
const debertaLike = classesOf(debertaKeys, debertaConfig, deberta);
const euroBertLike = classesOf(euroBertKeys, euroBertConfig, euroBert);
const ultraBertLike = classesOf(ultraBertKeys, ultraBertConfig, ultraBert);
const esmLike = classesOf(esmKeys, esmConfig, esm);
const modernBertLike = classesOf(modernBertKeys, modernBertConfig, modernBert);

type ClassesOf<Name extends string> = `${Name}${'Model' | 'ForMaskedLM' | 'ForSequenceClassification' | 'ForTokenClassification'}`;

/**
 * Returns the classes that most families have.
 * @param form of a file without a head
 * @param headed what is different in files with a head for whole texts
 */
function usual<Name extends string, Form extends TextForm>(
  name: Name,
  like: (architecture: string, form: Form) => ArchitectureEntry,
  form: NoInfer<Form>,
  headed: NoInfer<Partial<Form>> = {},
): Readonly<Record<ClassesOf<Name>, ArchitectureEntry>> {
  const forms = {
    Model: { ...form, prefix: '' },
    ForMaskedLM: form,
    ForSequenceClassification: { ...form, ...headed, hasHead: true },
    ForTokenClassification: { ...form, hasTokenHead: true },
  };
  // Each of the four gets an entry.
  return Object.fromEntries(Object.entries(forms).map(([part, own]) => [`${name}${part}`, like(`${name}${part}`, own)])) as Record<
    ClassesOf<Name>,
    ArchitectureEntry
  >;
}

const pooled = { hasPooler: true } as const;
const bertHeads = { family: 'bert', prefix: 'bert.', hasHead: false, hasPooler: false } as const;
const robertaHeads = { family: 'roberta', prefix: 'roberta.', hasHead: false, hasPooler: false } as const;

const gteHeads = { prefix: 'gte.', hasHead: false, hasPooler: false, usual: { theta: 160_000, pad: 1 } } as const;
/** The classes of the code that came with GTE's first files. */
const newHeads = { ...gteHeads, prefix: 'new.', usual: { theta: 10_000, pad: 0 } } as const;
const electraHeads = { prefix: 'electra.', hasHead: false } as const;
const albertHeads = { prefix: 'albert.', hasHead: false, hasPooler: false } as const;
const nomicBertHeads = { prefix: 'nomic_bert.', hasHead: false, hasPooler: false } as const;

/** Encoders without a head for the task get a new one. */
export const textEncoders = {
  ...usual('Bert', bertLike, bertHeads, pooled),
  BertModel: bertLike('BertModel', { ...bertHeads, ...pooled, prefix: '' }),
  BertForPreTraining: bertLike('BertForPreTraining', { ...bertHeads, ...pooled }),
  ...usual('Roberta', bertLike, robertaHeads, pooled),
  ...usual('XLMRoberta', bertLike, robertaHeads, pooled),
  ...usual('Camembert', bertLike, robertaHeads, pooled),
  ...usual('DebertaV2', debertaLike, { prefix: 'deberta.', hasHead: false }),
  ...usual('DistilBert', distilBertLike, { prefix: 'distilbert.', hasHead: false }),
  ...usual('Electra', electraLike, electraHeads),
  ElectraForPreTraining: electraLike('ElectraForPreTraining', electraHeads),
  ...usual('Albert', albertLike, albertHeads, pooled),
  AlbertModel: albertLike('AlbertModel', { ...albertHeads, ...pooled, prefix: '' }),
  AlbertForPreTraining: albertLike('AlbertForPreTraining', { ...albertHeads, ...pooled }),
  ...usual('MPNet', mpnetLike, { prefix: 'mpnet.', hasHead: false }),
  ModernBertForMaskedLM: modernBertLike('ModernBertForMaskedLM', { hasHead: false }),
  ModernBertForSequenceClassification: modernBertLike('ModernBertForSequenceClassification', { hasHead: true }),
  ModernBertForTokenClassification: modernBertLike('ModernBertForTokenClassification', { hasHead: false, hasTokenHead: true }),
  ...usual('NomicBert', nomicBertLike, nomicBertHeads, pooled),
  // The class of the code that came with the first files.
  NomicBertForPreTraining: nomicBertLike('NomicBertForPreTraining', { ...nomicBertHeads, prefix: 'bert.' }),
  ...usual('Gte', gteLike, gteHeads, pooled),
  ...usual('New', gteLike, newHeads, pooled),
  ...usual('EuroBert', euroBertLike, { prefix: 'model.', hasHead: false }),
  ...usual('Ultrabert', ultraBertLike, { prefix: 'ultrabert.', hasHead: false }),
  ...usual('Esm', esmLike, { prefix: 'esm.', hasHead: false }),
} satisfies Record<string, ArchitectureEntry>;
