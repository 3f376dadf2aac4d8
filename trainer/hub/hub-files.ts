/** Selects the files of a repository that a model needs. */

import { CONFIG_FILE, QUANT_FILE } from '../format/folder-config.ts';
import { isModelGguf } from '../format/gguf/gguf-file-name.ts';
import { SINGLE_FILE } from '../format/safetensors/safetensors-source.ts';
import { LENGTH_FILE, MODULES_FILE, POOLING_FILE, SENTENCE_CONFIG } from '../format/sentence-modules.ts';
import { TOKENIZER_FILES } from '../format/tokenizer/tokenizer.ts';
import { VOCABULARY_FILES } from '../format/tokenizer/tokenizer-files.ts';
import { TORCH_FILE } from '../format/torch/torch-source.ts';
import { WEIGHT_FORMS } from '../format/weight-forms.ts';
import { isRecord } from '../narrow.ts';
import { HubError } from './hub-error.ts';

export interface HubFile {
  readonly name: string;
  readonly size: number;
  /** The hash of the content, for large files. */
  readonly sha256: string | undefined;
  /** Git's blob hash, for small files. */
  readonly gitSha1: string | undefined;
}

export interface HubListing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const SMALL_FILES: ReadonlySet<string> = new Set([
  CONFIG_FILE,
  QUANT_FILE,
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
  MODULES_FILE,
  POOLING_FILE,
  LENGTH_FILE,
  SENTENCE_CONFIG,
  ...TOKENIZER_FILES,
]);
/** Maximum size of a file other than weights; the largest tokenizer.json has 33 MB. */
const MAX_SMALL_FILE_BYTES = 256 * 1024 * 1024;

/** Matches the config and the weights of a dense layer of sentence-transformers. */
const DENSE_FILE = /^\d_Dense\/(?:config\.json|model\.safetensors|pytorch_model\.bin)$/;

/** Matches files at the top of a repository, like those of a model, or of a module of sentence-transformers. */
const FLAT_NAME = /^(?:1_Pooling\/|\d_Dense\/)?[\w-][\w.-]{0,200}$/;

/** The name of a file in a URL. */
export const urlPath = (name: string): string => name.split('/').map(encodeURIComponent).join('/');

/** @param names matches the names to list @throws HubError if the hub's answer is not a listing */
export function parseListing(json: unknown, repo: string, names = FLAT_NAME): HubListing {
  const commit = isRecord(json) ? json.sha : undefined;
  const siblings = isRecord(json) ? json.siblings : undefined;
  if (typeof commit !== 'string' || !/^[0-9a-f]{40}$/.test(commit) || !Array.isArray(siblings)) {
    throw new HubError('server', `the listing of ${repo} has no commit or no files: check the endpoint`);
  }
  return { commit, files: siblings.filter(isRecord).flatMap(raw => parseFile(raw, names)) };
}

function parseFile(raw: Record<string, unknown>, names: RegExp): HubFile[] {
  const { rfilename: name, blobId } = raw;
  const lfs = isRecord(raw.lfs) ? raw.lfs : undefined;
  const size = lfs?.size ?? raw.size;
  if (typeof name !== 'string' || !names.test(name)) return []; // Unusual names are never needed.
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return [];
  const sha256 = lfs?.sha256;
  const isHash = (value: unknown, length: number): value is string =>
    typeof value === 'string' && value.length === length && /^[0-9a-f]+$/.test(value);
  return [
    { name, size, sha256: isHash(sha256, 64) ? sha256 : undefined, gitSha1: lfs === undefined && isHash(blobId, 40) ? blobId : undefined },
  ];
}

/**
 * Selects config, tokenizer and weights: one safetensors file, else its shards with their index, else the PyTorch equivalents, else the
 * only GGUF file. Small files come first.
 * @throws HubError if there are no supported weights, or several GGUF files
 */
export function neededFiles(listing: HubListing, repo: string): HubFile[] {
  const hasTokenizer = listing.files.some(file => file.name === 'tokenizer.json');
  const small = listing.files.filter(
    ({ name }) => SMALL_FILES.has(name) || DENSE_FILE.test(name) || (!hasTokenizer && VOCABULARY_FILES.includes(name)),
  );
  const tooLarge = small.find(file => file.size > MAX_SMALL_FILE_BYTES);
  if (tooLarge !== undefined)
    throw new HubError('server', `${tooLarge.name} of ${repo} has ${tooLarge.size} bytes; at most ${MAX_SMALL_FILE_BYTES} are read`);
  return [...small, ...weightFiles(listing, repo)];
}

function weightFiles({ files }: HubListing, repo: string): HubFile[] {
  for (const { single, index, shard } of WEIGHT_FORMS) {
    const whole = files.find(file => file.name === single);
    if (whole !== undefined) return [whole];
    const list = files.find(file => file.name === index);
    if (list !== undefined) return [list, ...files.filter(file => shard.test(file.name))];
  }
  const gguf = files.filter(file => isModelGguf(file.name));
  if (gguf.length === 1) return gguf;
  const names = gguf.map(file => file.name).join(', ');
  throw new HubError(
    'missing',
    gguf.length > 1
      ? `${repo} has ${gguf.length} GGUF files (${names}): download the one you want and give its path`
      : `${repo} has neither safetensors (${SINGLE_FILE}), PyTorch's ${TORCH_FILE} nor a GGUF file: choose a repository with one of them`,
  );
}
