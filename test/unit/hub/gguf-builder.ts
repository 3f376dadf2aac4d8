/** Builds valid and invalid GGUF files for tests. */

interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  readonly type: number;
  readonly offset: number | undefined;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([u64(BigInt(Buffer.byteLength(value))), Buffer.from(value)]);
const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);

export class GgufBuilder {
  private readonly metadata: Buffer[] = [];
  private readonly tensors: TensorSpec[] = [];
  private readonly lies: { version?: number; tensorCount?: bigint; metadataCount?: bigint; extraBytes?: number };

  constructor(lies: { version?: number; tensorCount?: bigint; metadataCount?: bigint; extraBytes?: number } = {}) {
    this.lies = lies;
  }

  raw(key: string, type: number, value: readonly number[]): this {
    this.metadata.push(Buffer.concat([text(key), u32(type), Buffer.from(value)]));
    return this;
  }

  u32(key: string, value: number): this {
    return this.raw(key, 4, [...u32(value)]);
  }

  f32(key: string, value: number): this {
    return this.raw(key, 6, [...new Uint8Array(Float32Array.of(value).buffer)]);
  }

  text(key: string, value: string): this {
    return this.raw(key, 8, [...text(value)]);
  }

  /** Adds a tensor with a row-major shape; float32 values, zeros by default. */
  tensor(name: string, shape: readonly number[], values?: Float32Array, change: { type?: number; offset?: number } = {}): this {
    const count = Math.min(
      4096,
      shape.reduce((n, d) => n * d, 1),
    );
    const data = new Uint8Array((values ?? new Float32Array(count)).slice().buffer);
    this.tensors.push({ name, shape, data, type: change.type ?? 0, offset: change.offset });
    return this;
  }

  build(): Uint8Array {
    let next = 0;
    const infos = this.tensors.map(tensor => {
      const offset = tensor.offset ?? next;
      next += padded(tensor.data).length;
      const dimensions = [...tensor.shape].reverse().map(d => u64(BigInt(d)));
      return Buffer.concat([text(tensor.name), u32(tensor.shape.length), ...dimensions, u32(tensor.type), u64(BigInt(offset))]);
    });
    const { version = 3, tensorCount = BigInt(this.tensors.length), metadataCount = BigInt(this.metadata.length) } = this.lies;
    const header = Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensorCount), u64(metadataCount), ...this.metadata, ...infos]);
    return Buffer.concat([padded(header), ...this.tensors.map(tensor => padded(tensor.data)), Buffer.alloc(this.lies.extraBytes ?? 0)]);
  }
}
