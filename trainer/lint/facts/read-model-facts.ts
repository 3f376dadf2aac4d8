/** Reads the files of a model: its config if it describes a model with exactly these weights, otherwise its problems. */
import { createChatTemplate } from '../../format/chat-template/chat-template.ts';
import { readOptionalFolderConfig } from '../../format/folder-config.ts';
import { ModelFileError } from '../../format/model-file-error.ts';
import { type FolderVectors, poolingIn, sentencePrompts } from '../../format/sentence-modules.ts';
import { missingTokenizer } from '../../format/tokenizer/tokenizer.ts';
import { type ModelHeaders, readChatTemplate, readModelHeaders } from '../../hub/open-model.ts';
import { loadModel, weightMismatches } from '../../model/load-model.ts';
import { ModelConfigError } from '../../model/model-spec.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { type ModelFileFacts, readsTexts, type StoredBits, type VectorFacts } from './model-facts.ts';
import { lacksTokenizer, readVocabulary } from './vocabulary.ts';

/** Maximum number of modules: an editor goes through all of them on every keystroke. Supported models have up to 2,000. */
const MAX_MODULES = 20_000;

/** Reads the facts. Never rejects. */
export async function readModelFacts(file: string): Promise<ModelFileFacts> {
  try {
    const headers = await readModelHeaders(file);
    const { config, tensors } = headers;
    const model = loadModel(config);
    const [first, ...more] = weightMismatches(model, tensors);
    if (model.modules.length > MAX_MODULES) {
      const reason = `the model has ${model.modules.length} modules; at most ${MAX_MODULES} are supported here`;
      return { kind: 'unsupported', path: file, reason };
    }
    if (first === undefined) {
      if (readsTexts(model)) await checkTemplate(file);
      const vectors = await vectorFacts(file, headers);
      const vocabulary = await readVocabulary(file, config);
      const noTokenizer = vocabulary === undefined && readsTexts(model) ? await tokenizerProblem(headers) : undefined;
      return {
        kind: 'ready',
        path: file,
        config,
        vocabulary,
        ...storedBits(headers),
        ...(vectors && { vectors }),
        ...(noTokenizer !== undefined && { noTokenizer }),
      };
    }
    const rest = more.length === 0 ? '' : `, and ${more.length} more`;
    return { kind: 'mismatch', path: file, reason: `the weights do not fit config.json: ${first}${rest}` };
  } catch (error) {
    const reason = remedied(error) ?? messageOf(error);
    const isUnsupported = error instanceof ModelConfigError && !error.problems.some(({ kind }) => kind === 'invalid');
    const others = error instanceof ModelConfigError ? undefined : await configReason(file);
    return {
      kind: isUnsupported ? 'unsupported' : 'unreadable',
      path: file,
      reason: others === undefined ? reason : `${reason} ${others}`,
    };
  }
}

/** The weights that are stored in few bits; those of a GGUF file are not counted, since every such file has some. */
function storedBits({ tensors }: ModelHeaders): { readonly stored?: StoredBits } {
  const coded = [...tensors.values()].filter(({ dtype, quantization }) => quantization !== undefined && dtype !== 'GGML');
  const values = coded.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
  const codes = coded.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return values === 0 ? {} : { stored: { bits: Math.round((8 * codes) / values), values } };
}

/** The reason why a folder has no tokenizer; undefined if it has one, or if it was not looked for. */
async function tokenizerProblem({ config, tokenizerDir }: ModelHeaders): Promise<string | undefined> {
  const isMissing = tokenizerDir !== undefined && (await lacksTokenizer(tokenizerDir, config));
  return isMissing ? remedied(missingTokenizer(tokenizerDir)) : undefined;
}

/** Reads the prompts; undefined for a folder that is not of sentence-transformers. */
async function vectorFacts(file: string, found: FolderVectors): Promise<VectorFacts | undefined> {
  try {
    return poolingIn(found) && { prompts: await sentencePrompts(file) };
  } catch (error) {
    return { refused: remedied(error) ?? messageOf(error) };
  }
}

/** Parses the chat template, as every run with texts does. @throws ChatTemplateError, or ModelFileError for a damaged file */
async function checkTemplate(file: string): Promise<void> {
  const { chatTemplate: template, specialTokens } = await readChatTemplate(file);
  if (template !== undefined) createChatTemplate({ template, specialTokens });
}

/** Problems of the config next to unreadable weights: a missing file must not hide them. */
async function configReason(folder: string): Promise<string | undefined> {
  const config = await readOptionalFolderConfig(folder).catch(() => undefined);
  try {
    if (config !== undefined) loadModel(config);
    return undefined;
  } catch (error) {
    return error instanceof ModelConfigError ? error.message : undefined;
  }
}

/** The message of an error without the path, which the recipe already contains. */
function remedied(error: unknown): string | undefined {
  return error instanceof ModelFileError ? `${error.summary}. ${error.remedy}` : undefined;
}
