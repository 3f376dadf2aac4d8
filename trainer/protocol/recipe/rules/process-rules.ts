/** Rules about runs with several processes or devices. */

import { engineCatalog, plannedEngine } from '../../../catalog/engines.ts';
import { namesWhere, orList } from '../../../catalog/entries.ts';
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import { transportCatalog } from '../../../catalog/transports.ts';
import { globalBatchText, partsOfBatch } from '../global-batch.ts';
import type { Rule } from './rule.ts';

export const processRules: readonly Rule[] = [
  {
    code: 'processes-of-engine',
    severity: 'error',
    doc: 'Several processes train together only on an engine that sums over them.',
    reads: ['processes', 'engine'],
    check: ({ processes, engine }) =>
      processes === 1 || engineCatalog[plannedEngine(engine)].transports.length > 0
        ? undefined
        : {
            at: 'processes',
            message: `engine: ${engine} trains in one process; for several, set engine: ${orList(namesWhere(engineCatalog, ({ transports }) => transports.length > 0))}`,
            suggestion: { kind: 'remove-key' },
          },
  },
  {
    code: 'transport-of-engine',
    severity: 'error',
    doc: 'The processes of a run are connected by a transport that their engine has.',
    reads: ['processes', 'process_transport', 'engine'],
    check: ({ processes, process_transport: transport, engine }) => {
      const { transports } = engineCatalog[plannedEngine(engine)];
      const [first] = transports;
      if (processes === 1 || first === undefined || transports.includes(transport)) return undefined;
      const message = `engine: ${engine} connects processes over ${orList(transports)}, not ${transport}`;
      return { at: 'process_transport', message, suggestion: { kind: 'replace-value', to: first } };
    },
  },
  {
    code: 'processes-and-bad-images',
    severity: 'error',
    doc: 'Several processes or devices cannot leave out images: which rows a batch has would depend on the one that reads them.',
    reads: ['processes', 'devices', 'data.bad_images', 'task'],
    check: ({ processes, devices, data, task }) =>
      partsOfBatch({ processes, devices }) > 1 && objectiveCatalog[task].reads === 'images' && data.bad_images === 'skip'
        ? {
            at: devices > 1 ? 'devices' : 'processes',
            message: `several ${devices > 1 ? 'devices' : 'processes'} need data.bad_images: error, because all of them must read the same images`,
            suggestion: { kind: 'remove-key' },
          }
        : undefined,
  },
  {
    code: 'exchange-in-one-process',
    severity: 'info',
    doc: 'gradient_exchange_dtype matters only where several processes exchange gradients.',
    reads: ['processes', 'gradient_exchange_dtype'],
    check: ({ processes, gradient_exchange_dtype }) =>
      processes > 1 || gradient_exchange_dtype === 'float32'
        ? undefined
        : {
            at: 'gradient_exchange_dtype',
            message: 'one process exchanges nothing with others: this has an effect only with processes above 1, or under mpirun or srun',
          },
  },
  {
    code: 'exchange-of-transport',
    severity: 'error',
    doc: 'Gradients travel in fewer bits only over a transport that can do it.',
    reads: ['process_transport', 'gradient_exchange_dtype'],
    check: ({ process_transport: transport, gradient_exchange_dtype: type }) =>
      type === 'float32' || transportCatalog[transport].narrows
        ? undefined
        : {
            at: 'gradient_exchange_dtype',
            message: `gradients travel in float32 over ${transport}; '${type}' needs process_transport: ${orList(namesWhere(transportCatalog, ({ narrows }) => narrows))}`,
            suggestion: { kind: 'replace-value', to: 'float32' },
          },
  },
  {
    code: 'open-ports',
    severity: 'warning',
    doc: 'A transport that opens ports is for networks in which everyone is trusted.',
    reads: ['process_transport'],
    check: ({ process_transport: transport }) =>
      transportCatalog[transport].opensPorts
        ? {
            at: 'process_transport',
            message:
              'each process listens on all addresses of its machine without asking for a password: whoever reaches the port can run programs in it and read files; the editor does not start such a run',
          }
        : undefined,
  },
  {
    code: 'global-batch',
    severity: 'info',
    doc: 'per_device_train_batch_size is the batch of each process or device; the learning rate applies to the batch of all.',
    reads: ['processes', 'devices', 'per_device_train_batch_size', 'gradient_accumulation_steps'],
    check: recipe =>
      partsOfBatch(recipe) === 1
        ? undefined
        : {
            at: recipe.devices > 1 ? 'devices' : 'processes',
            message: `each update averages over ${globalBatchText(recipe)}; an epoch has ${partsOfBatch(recipe)} times fewer updates than with one ${recipe.devices > 1 ? 'device' : 'process'}`,
          },
  },
  {
    code: 'devices-of-engine',
    severity: 'error',
    doc: 'One process trains on several devices only on an engine that sums over them within its programs.',
    reads: ['devices', 'engine'],
    check: ({ devices, engine }) =>
      devices === 1 || engineCatalog[plannedEngine(engine)].replicates
        ? undefined
        : {
            at: 'devices',
            message: `engine: ${engine} trains on one device; for several, set engine: ${orList(namesWhere(engineCatalog, ({ replicates }) => replicates === true))}, or start a process for each (processes)`,
            suggestion: { kind: 'remove-key' },
          },
  },
  {
    code: 'devices-and-processes',
    severity: 'error',
    doc: 'A run has several devices in one process, or several processes.',
    reads: ['devices', 'processes'],
    check: ({ devices, processes }) =>
      devices === 1 || processes === 1
        ? undefined
        : {
            at: 'devices',
            message: `${processes} processes train on one device each: sums over processes pass through the host, those over devices do not, and one update cannot have both`,
            suggestion: { kind: 'remove-key' },
          },
  },
  {
    code: 'devices-and-mini-batches',
    severity: 'error',
    doc: 'Devices of one process run the same program at the same time, and may have different numbers of mini-batches.',
    reads: ['devices', 'task', 'embedding.mini_batch_size'],
    check: ({ devices, task, embedding }) =>
      devices > 1 && objectiveCatalog[task].embeds === true && embedding.mini_batch_size !== undefined
        ? {
            at: 'embedding.mini_batch_size',
            message:
              'devices of one process run each program at the same time, which mini-batches do not; start a process for each device instead (processes)',
            suggestion: { kind: 'remove-key' },
          }
        : undefined,
  },
  {
    code: 'devices-and-offload',
    severity: 'error',
    doc: 'The state of the optimizer and the weights are on the devices where one process trains on several.',
    reads: ['devices', 'optimizer_offload', 'base_offload'],
    check: ({ devices, optimizer_offload, base_offload }) => {
      if (devices === 1 || (optimizer_offload === 'none' && base_offload === 'none')) return undefined;
      const [at, what] = optimizer_offload === 'none' ? (['base_offload', 'weights'] as const) : (['optimizer_offload', 'state'] as const);
      return {
        at,
        message: `several devices of one process would each keep a copy of the ${what} there, which is not supported`,
        suggestion: { kind: 'replace-value', to: 'none' },
      };
    },
  },
];
