/**
 * Reduces a golden classifier to its encoder, as encoders are published: without the head, and with the names and class of the bare model.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonLike } from '../../../trainer/files/json-text.ts';
import { type TensorEntry, writeSafetensors } from '../../../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';
import { goldenFolder } from './tiny-classifier-adapter.ts';

/** A class without a head: the prefix of the classifier's tensor names, and whether this class keeps it (`bert.`) or has none. */
export interface Headless {
  readonly family: string;
  readonly architecture: string;
  readonly prefix: string;
  readonly keepsPrefix: boolean;
  readonly dropped: RegExp;
}

export const HEADLESS: readonly Headless[] = [
  { family: 'bert', architecture: 'BertModel', prefix: 'bert.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'bert', architecture: 'BertForMaskedLM', prefix: 'bert.', keepsPrefix: true, dropped: /^classifier|pooler/ },
  { family: 'deberta', architecture: 'DebertaV2ForMaskedLM', prefix: 'deberta.', keepsPrefix: true, dropped: /^classifier|^pooler/ },
  { family: 'roberta', architecture: 'RobertaModel', prefix: 'roberta.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'distilbert', architecture: 'DistilBertForMaskedLM', prefix: 'distilbert.', keepsPrefix: true, dropped: /classifier/ },
  { family: 'electra', architecture: 'ElectraForPreTraining', prefix: 'electra.', keepsPrefix: true, dropped: /^classifier/ },
  { family: 'albert', architecture: 'AlbertModel', prefix: 'albert.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'albert', architecture: 'AlbertForMaskedLM', prefix: 'albert.', keepsPrefix: true, dropped: /^classifier|pooler/ },
  { family: 'mpnet', architecture: 'MPNetModel', prefix: 'mpnet.', keepsPrefix: false, dropped: /^classifier/ },
  // An encoder of vectors that names the class of its pretraining.
  { family: 'mpnet', architecture: 'MPNetForMaskedLM', prefix: 'mpnet.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'nomic_bert', architecture: 'NomicBertModel', prefix: 'nomic_bert.', keepsPrefix: false, dropped: /^classifier|pooler/ },
  { family: 'eurobert', architecture: 'EuroBertForMaskedLM', prefix: 'model.', keepsPrefix: true, dropped: /^(classifier|dense)/ },
  { family: 'gte', architecture: 'GteModel', prefix: 'gte.', keepsPrefix: false, dropped: /^classifier|pooler/ },
  { family: 'ultrabert', architecture: 'UltrabertForMaskedLM', prefix: 'ultrabert.', keepsPrefix: true, dropped: /^classifier/ },
  { family: 'esm', architecture: 'EsmForMaskedLM', prefix: 'esm.', keepsPrefix: true, dropped: /^classifier/ },
  { family: 'esm', architecture: 'EsmModel', prefix: 'esm.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'modernbert', architecture: 'ModernBertForMaskedLM', prefix: 'model.', keepsPrefix: true, dropped: /^classifier/ },
  { family: 'vit', architecture: 'ViTModel', prefix: 'vit.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'dinov2', architecture: 'Dinov2Model', prefix: 'dinov2.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'convnextv2', architecture: 'ConvNextV2Model', prefix: 'convnextv2.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'swin', architecture: 'SwinModel', prefix: 'swin.', keepsPrefix: false, dropped: /^classifier/ },
  { family: 'resnet', architecture: 'ResNetModel', prefix: 'resnet.', keepsPrefix: false, dropped: /^classifier/ },
];

/** @returns the folder */
export async function headlessBase({ family, architecture, prefix, keepsPrefix, dropped }: Headless): Promise<string> {
  const folder = join(await temporaryFolder(), `${family}-${architecture}`);
  await cp(goldenFolder(family), folder, { recursive: true });
  const { config, weights } = await openModel(folder);
  const entries: TensorEntry[] = [...weights.tensors.values()]
    .filter(({ name }) => !dropped.test(name))
    .map(({ name, dtype, shape }) => {
      if (dtype === 'GGML') throw new Error(`${name} is quantized`);
      return { name: keepsPrefix ? name : name.replace(new RegExp(`^${prefix}`), ''), dtype, shape, data: () => weights.readRaw(name) };
    });
  // A tensor that a class for pretraining has in addition to the encoder, and that a classifier does not use.
  entries.push({ name: 'cls.predictions.bias', dtype: 'F32', shape: [2], data: () => new Uint8Array(8) });
  const written = join(folder, 'written.safetensors');
  await writeSafetensors(written, entries);
  await weights.close();
  await writeFile(join(folder, 'model.safetensors'), await readFile(written));
  await rm(written);
  const text = await readFile(join(folder, 'config.json'), 'utf8');
  await writeFile(join(folder, 'config.json'), jsonLike({ ...config, architectures: [architecture] }, text));
  return folder;
}
