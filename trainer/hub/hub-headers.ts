/** Reads a model on the hub without its weights: config.json, and the headers of its weight files by range requests. */
import { describePlain, plainTensors, quantizedIn } from '../format/bnb-weights.ts';
import type { ByteFile } from '../format/byte-file.ts';
import { plainHeaders } from '../format/coded/coded-weights.ts';
import { currentName } from '../format/current-name.ts';
import type { PlainInfo } from '../format/decoded-weights.ts';
import { CONFIG_FILE, QUANT_FILE, withQuantFile } from '../format/folder-config.ts';
import { PROCESSOR_FILES, processorSettings } from '../format/image/processor-config.ts';
import { type ModelConfig, parseConfig } from '../format/model-config.ts';
import { MAX_HEADER_BYTES, parseSafetensorsHeader } from '../format/safetensors/safetensors-header.ts';
import type { TensorInfo } from '../format/tensor-source.ts';
import { readTorchHeader } from '../format/torch/torch-header.ts';
import { torchTensorInfo } from '../format/torch/torch-source.ts';
import type { WeightEntry } from '../format/weight-entry.ts';
import { mapAtOnce } from '../machine/map-at-once.ts';

import { findComplete, repoFolder } from './hub-cache.ts';
import { clientOf, type DownloadOptions, fetchListing } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, neededFiles } from './hub-files.ts';
import { bodyOf, type HubClient, requestSoon } from './hub-http.ts';
import { type ModelHeaders, readModelHeaders } from './open-model.ts';

/** Size of the first request per file: the headers of most shards are shorter and need no second one. */
const FIRST_BYTES = 64 * 1024;
/** Block size for a file of torch.save: its table of contents at the end and its pickle at the beginning take two or three blocks. */
const BLOCK_BYTES = 128 * 1024;
const LENGTH_BYTES = 8;
/** Number of concurrent requests: the hub answers each in about 100 ms. */
const AT_ONCE = 8;
/** Maximum size of config.json. */
const MAX_CONFIG_BYTES = 16 * 2 ** 20;

/**
 * Reads the headers from the cache if the model is there; otherwise fetches a few kilobytes of each file, and stores nothing.
 * @throws HubError; 'missing' for a model whose weights are GGUF
 */
export async function readHubHeaders(repo: string, options: DownloadOptions): Promise<ModelHeaders> {
  const revision = options.revision ?? 'main';
  const cached = await findComplete(repoFolder(options.cacheDir, repo), revision);
  if (cached !== undefined) return readModelHeaders(cached);
  if (options.offline) throw new HubError('offline', `${repo} (${revision}) is not in the cache and the network is switched off`);
  const client = clientOf(options);
  const listing = await fetchListing(client, { repo, revision });
  const files = neededFiles(listing, repo);
  const urlOf = ({ name }: HubFile): string => `${client.endpoint}/${repo}/resolve/${listing.commit}/${encodeURIComponent(name)}`;
  const configFile = files.find(({ name }) => name === CONFIG_FILE);
  const shards = files.filter(({ name }) => /\.(safetensors|bin)$/.test(name));
  if (!configFile || shards.length === 0)
    throw new HubError('missing', `${repo} has no config.json with safetensors or PyTorch files, whose headers could be read alone`);
  const settingsIn = async (file: HubFile): Promise<ModelConfig> => {
    const bytes = await readRange(client, urlOf(file), 0, Math.min(file.size, MAX_CONFIG_BYTES));
    return parseConfig(`${repo}/${file.name}`, new TextDecoder().decode(bytes));
  };
  const quantFile = files.find(({ name }) => name === QUANT_FILE);
  const config = withQuantFile(await settingsIn(configFile), quantFile && (await settingsIn(quantFile)), `${repo}/${QUANT_FILE}`);
  const processor = await Promise.all(
    PROCESSOR_FILES.map(async name => {
      const file = files.find(each => each.name === name);
      return file && settingsIn(file).catch(() => undefined);
    }),
  );
  const tensors = new Map<string, TensorInfo>();
  const plain = new Map<string, PlainInfo>();
  const headers = await mapAtOnce(shards, AT_ONCE, async file => {
    if (file.name.endsWith('.bin')) return readTorch(client, urlOf(file), file.size);
    const entries = await readHeader(client, urlOf(file), file.size);
    for (const info of (await quantizedWeights(client, urlOf(file), entries)).map(renamed)) plain.set(info.name, info);
    return entries;
  });
  for (const { name, dtype, shape, byteLength } of headers.flat()) {
    const info = renamed({ name, dtype, shape, byteLength });
    tensors.set(info.name, info);
  }
  const [whole, own] = processor;
  return { config, tensors: plainHeaders(plainTensors(tensors, plain), config, repo), processor: processorSettings(whole, own) };
}

async function readHeader(client: HubClient, url: string, fileSize: number): Promise<readonly WeightEntry[]> {
  const start = await readRange(client, url, 0, Math.min(FIRST_BYTES, fileSize));
  if (start.length < LENGTH_BYTES) throw new HubError('damaged', `${url} is too short for a safetensors file`);
  const declared = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES) || Number(declared) + LENGTH_BYTES > fileSize)
    throw new HubError('damaged', `${url} says that its header has ${declared} bytes: it is not a safetensors file`);
  const end = LENGTH_BYTES + Number(declared);
  const rest = end > start.length ? await readRange(client, url, start.length, end) : new Uint8Array(0);
  const text = Buffer.concat([start, rest]).subarray(LENGTH_BYTES, end);
  return parseSafetensorsHeader({ path: url, text, fileSize }).entries;
}

const renamed = <Info extends TensorInfo>(info: Info): Info => ({ ...info, name: currentName(info.name) });

/** Reads the shapes of weights in 4 bits, which are in small tensors of the file. */
async function quantizedWeights(client: HubClient, url: string, entries: readonly WeightEntry[]): Promise<readonly PlainInfo[]> {
  const byName = new Map(entries.map(entry => [entry.name, entry]));
  return mapAtOnce(
    quantizedIn(byName, url),
    AT_ONCE,
    async ({ weight, holder: { position, byteLength } }) =>
      describePlain(weight, await readRange(client, url, position, position + byteLength), url).info,
  );
}

async function readTorch(client: HubClient, url: string, size: number): Promise<readonly TensorInfo[]> {
  const { tensors } = await readTorchHeader(rangeFile(client, url, size));
  return tensors.map(torchTensorInfo);
}

/** A file on the hub, read in cached blocks: the parts of a zip file's header are short and close together. */
function rangeFile(client: HubClient, url: string, size: number): ByteFile {
  const blocks = new Map<number, Promise<Uint8Array>>();
  const block = (index: number): Promise<Uint8Array> => {
    const known = blocks.get(index) ?? readRange(client, url, index * BLOCK_BYTES, Math.min(size, (index + 1) * BLOCK_BYTES));
    blocks.set(index, known);
    return known;
  };
  const readInto = async (target: Uint8Array, position: number): Promise<void> => {
    if (position + target.length > size) throw new HubError('damaged', `${url} ends after ${size} bytes, within its header`);
    for (let done = 0; done < target.length; ) {
      const index = Math.floor((position + done) / BLOCK_BYTES);
      const inside = position + done - index * BLOCK_BYTES;
      const part = (await block(index)).subarray(inside, inside + target.length - done);
      target.set(part, done);
      done += part.length;
    }
  };
  return {
    path: url,
    size,
    readInto,
    async read(position, length) {
      const target = new Uint8Array(Math.min(length, size));
      await readInto(target, position);
      return target;
    },
    close: async () => undefined,
  };
}

/** The bytes [start, end) of a file. Anything that a server sends beyond this is cut off. */
async function readRange(client: HubClient, url: string, start: number, end: number): Promise<Uint8Array> {
  const response = await requestSoon(client, url, { range: `bytes=${start}-${end - 1}` });
  const { host } = new URL(url);
  if (start > 0 && response.status !== 206) {
    await response.body?.cancel();
    throw new HubError('server', `${host} does not answer range requests: download the model instead`);
  }
  const { bytes } = await bodyOf(response, url, end - start);
  if (bytes.length < end - start) throw new HubError('server', `${host} sent ${bytes.length} of ${end - start} bytes of ${url}`);
  return bytes;
}
