/** One valid frame for each message that a client may send; mutations start from these. */
import { join } from 'node:path';
import { valueFor } from '../../../trainer/narrow.ts';
import { PROTOCOL_VERSION, requests } from '../../../trainer/protocol/messages/rpc-messages.ts';

export const handshake = { protocol: PROTOCOL_VERSION, client: { name: 'hostile', version: '1' }, capabilities: { events: true } };

/** True for frames that would really stop the daemon: `shutdown` and the notification `exit`. */
export const isOrder = (text: string): boolean => /"(shutdown|exit)"/.test(text);

const methodOf = new Map(Object.entries(requests).map(([name, { method }]) => [name, method]));

/** @param folder the folder that paths point to */
export function validFrames(folder: string): readonly object[] {
  const recipe = { text: 'model: ./model\nlearning_rate: 1e-4\n', fileName: 'x.rowtune.yaml', baseDir: folder };
  const options = { engine: 'portable', chat: false, maxNewTokens: 4, temperature: 0, topP: 1, topK: 0, seed: 1 };
  const inside = join(folder, 'run');
  /** Parameters of each request; `shutdown` and the notification `exit` would really stop the daemon. */
  const params = {
    initialize: handshake,
    daemonStatus: {},
    listModels: { folders: [folder] },
    readsImages: { model: 'm', revision: 'main', baseDir: folder },
    listChatModels: { folders: [folder] },
    countTokens: { runDir: inside, texts: ['x'] },
    listRuns: { folders: [folder] },
    tailRun: { runDir: inside, file: 'log', from: 0, version: '' },
    readScores: { path: join(inside, 'scores.safetensors'), from: 0 },
    deleteRun: { runDir: inside },
    noteRun: { runDir: inside, change: { name: 'x', addTags: ['a'], pinned: true } },
    estimate: { recipe },
    train: { id: 'a', recipe, runDir: inside },
    resume: { id: 'b', runDir: inside, overrides: ['max_steps=1'] },
    sweep: { id: 's', recipe, sweepDir: join(inside, 'sweep') },
    readSweep: { sweepDir: inside },
    importance: { id: 'c', recipe, outputFile: join(folder, 'x.scores.safetensors') },
    evaluate: { id: 'd', recipe },
    generate: { id: 'e', model: 'm', revision: 'main', baseDir: folder, prompt: 'x', images: [join(folder, 'x.png')], options },
    exportRun: { id: 'f', adapter: inside, format: 'peft', outputDir: join(folder, 'out'), overwrite: false },
    verify: { id: 'g', modelDir: folder, engine: 'portable' },
    doctor: { id: 'h', engine: 'portable' },
    listJobs: {},
    waitForJob: { id: 'g', progressToken: 'p', abortOnCancel: true },
    stopJob: { id: 'g' },
    abortJob: { id: 'h' },
    prioritizeJob: { id: 'g', priority: 1 },
    eventsSince: { seq: 0, epoch: 'now' },
  } satisfies Partial<Record<keyof typeof requests, object>>;
  return [
    ...Object.entries(params).map(([name, value], id) => ({ jsonrpc: '2.0', id, method: valueFor(methodOf, name), params: value })),
    { jsonrpc: '2.0', method: 'initialized', params: {} },
    { jsonrpc: '2.0', method: '$/cancelRequest', params: { id: 1 } },
    { jsonrpc: '2.0', method: '$/progress', params: { token: 'p', value: {} } },
    { jsonrpc: '2.0', id: 1, result: {} },
    { jsonrpc: '2.0', id: 1, error: { code: 1, message: 'x' } },
  ];
}
