/**
 * Writes metrics to an event file of TensorBoard next to metrics.jsonl. Formats: TensorFlow's record_writer.h, event.proto and
 * summary.proto.
 */
import { appendFile, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import protobuf from 'protobufjs';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import type { MetricsLine } from '../metrics-file.ts';
import { type MetricsTracker, metricsOf, tagOf } from './tracker.ts';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
  message Summary { repeated Value value = 1; message Value { string tag = 1; float simple_value = 2; } }
`);
const Event = root.lookupType('Event');

export class TensorboardFile implements MetricsTracker {
  private readonly file: string;

  private constructor(file: string) {
    this.file = file;
  }

  /** Starts the only event file of a run with its lines so far. @param now milliseconds */
  static async begin(runDir: string, lines: readonly MetricsLine[], now = Date.now()): Promise<TensorboardFile> {
    const folder = path.join(runDir, RUN_FILES.tensorboard);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    // TensorBoard reads files whose names contain this part.
    const file = new TensorboardFile(path.join(folder, `events.out.tfevents.${Math.floor(now / 1000)}.rowtune`));
    const head = record(Event.encode({ wallTime: now / 1000, fileVersion: 'brain.Event:2' }).finish());
    await appendFile(file.file, Buffer.concat([head, ...lines.map(line => recordOf(line, now))]));
    return file;
  }

  append(line: MetricsLine, now = Date.now()): Promise<void> {
    return appendFile(this.file, recordOf(line, now));
  }
}

function recordOf(line: MetricsLine, now: number): Buffer {
  const values = metricsOf(line).map(([name, value]) => ({ tag: tagOf(name), simpleValue: value }));
  return record(Event.encode({ wallTime: now / 1000, step: line.step ?? 0, summary: { value: values } }).finish());
}

/** Encodes a record: the length, its checksum, the data, its checksum. */
function record(data: Uint8Array): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedChecksum(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedChecksum(data));
  return Buffer.concat([head, data, tail]);
}

/** The table of CRC-32C (RFC 3720), one entry per byte. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function maskedChecksum(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (TABLE[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  // Rotated and shifted as in TensorFlow, because the CRC of data that contains CRCs would be weak.
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
