/**
 * Checksums inside a safetensors file, as metadata that other readers ignore. `tensor_crc32` holds eight digits per tensor in the order of
 * the data. `header_crc32` covers the length and the header, including the tensors' checksums, so it represents the whole file. There are
 * two keys because one flipped bit in a single key would make the file look like one without checksums.
 */
import { CHECKSUM_DIGITS, checksum, showChecksum } from '../../files/checksum.ts';

const HEADER_KEY = 'header_crc32';
const TENSOR_KEY = 'tensor_crc32';
const BLANK = '0'.repeat(CHECKSUM_DIGITS);

/** The metadata of a file whose header is not sealed yet. */
export const checksumMetadata = (tensors: readonly number[]): Record<string, string> => ({
  [HEADER_KEY]: BLANK,
  [TENSOR_KEY]: tensors.map(showChecksum).join(''),
});

/** Inserts the checksum of a header (length and JSON) into it. Returns the checksum's digits. */
export function sealHeader(header: Uint8Array): string {
  const digits = showChecksum(checksum(header));
  header.set(Buffer.from(digits), valueAt(header));
  return digits;
}

export interface FileChecksums {
  /** The checksum of the header, and therefore of the whole file; undefined in a file from an older version or another program. */
  readonly file: string | undefined;
  /** One checksum per tensor, in the order of the data. */
  readonly tensors: readonly number[] | undefined;
  readonly problems: readonly string[];
}

/**
 * Removes the checksums from the metadata and verifies that of the header.
 * @param text the header's JSON, exactly as in the file
 */
export function takeChecksums(
  metadata: Readonly<Record<string, string>>,
  text: Uint8Array,
): { readonly metadata: Readonly<Record<string, string>>; readonly checksums: FileChecksums } {
  const { [HEADER_KEY]: file, [TENSOR_KEY]: list, ...others } = metadata;
  if (file === undefined && list === undefined) return { metadata, checksums: { file, tensors: undefined, problems: [] } };
  const digits = list?.match(/[0-9a-f]{8}/g) ?? [];
  const isList = list !== undefined && digits.join('') === list;
  const isGood = isList && file !== undefined && file === headerChecksum(text);
  return {
    metadata: others,
    checksums: { file, tensors: digits.map(word => Number.parseInt(word, 16)), problems: isGood ? [] : [MISMATCHED_HEADER] },
  };
}

const MISMATCHED_HEADER = 'its header does not match its checksum: the file was damaged, or another program changed it';

function headerChecksum(text: Uint8Array): string | undefined {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  const at = valueAt(text);
  if (at < 0) return undefined;
  const blanked = Uint8Array.from(text);
  blanked.set(Buffer.from(BLANK), at);
  return showChecksum(checksum(blanked, checksum(length)));
}

/**
 * The start of the digits of the header's checksum; −1 if there is none. Quotes within names are escaped, so nothing else can match the
 * key.
 */
function valueAt(header: Uint8Array): number {
  const key = `"${HEADER_KEY}":"`;
  const at = Buffer.from(header.buffer, header.byteOffset, header.byteLength).indexOf(key);
  return at < 0 ? -1 : at + key.length;
}
