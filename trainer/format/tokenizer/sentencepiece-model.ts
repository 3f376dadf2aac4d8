/** Reads a SentencePiece model (`spm.model`, `tokenizer.model`): a protocol buffer with the field numbers of sentencepiece_model.proto. */
import type { Reader, Type } from 'protobufjs';
import { messageOf } from '../../protocol/error-facts.ts';
import { ModelFileError } from '../model-file-error.ts';

export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
const UNIGRAM = 1;
const BPE = 2;
/** Maximum number of pieces: twice the largest published vocabulary (XLM-V). */
const MAX_PIECES = 2_000_000;
const PIECES_FIELD = 1;

export interface SentencePieceModel {
  readonly kind: 'Unigram' | 'BPE';
  /** The pieces in the order of their ids. */
  readonly pieces: ReadonlyArray<{ readonly piece: string; readonly score: number; readonly type: number }>;
  readonly unknownId: number;
  /** True if text without a piece is encoded byte by byte, `<0x0A>`. */
  readonly byteFallback: boolean;
  /** The character map; empty if characters are not replaced. */
  readonly charsmap: Uint8Array;
  /** True to add a space before the text. */
  readonly addDummyPrefix: boolean;
  /** True to remove spaces at both ends, and all but one between words. */
  readonly removeExtraWhitespaces: boolean;
}

const DAMAGED = 'Download it again.';

const SCHEMA = `
    syntax = "proto2";
    message ModelProto {
      repeated SentencePiece pieces = 1;
      optional TrainerSpec trainer_spec = 2;
      optional NormalizerSpec normalizer_spec = 3;
    }
    message SentencePiece {
      optional string piece = 1;
      optional float score = 2;
      optional int32 type = 3 [default = 1];
    }
    message TrainerSpec {
      optional int32 model_type = 3 [default = 1];
      optional bool treat_whitespace_as_suffix = 24 [default = false];
      optional bool byte_fallback = 35 [default = false];
      optional int32 unk_id = 40 [default = 0];
    }
    message NormalizerSpec {
      optional bytes precompiled_charsmap = 2;
      optional bool add_dummy_prefix = 3 [default = true];
      optional bool remove_extra_whitespaces = 4 [default = true];
      optional bool escape_whitespaces = 5 [default = true];
    }`;

interface ModelProto {
  readonly type: Type;
  readonly readerOf: (bytes: Uint8Array) => Reader;
}

let known: ModelProto | undefined;

/** Loads the library with the first model: the language server does not need it at startup. */
async function modelProto(): Promise<ModelProto> {
  if (known) return known;
  const { default: protobuf } = await import('protobufjs');
  known = { type: protobuf.parse(SCHEMA).root.lookupType('ModelProto'), readerOf: bytes => protobuf.Reader.create(bytes) };
  return known;
}

/** Counts the pieces of a model before any is created: an empty one takes two bytes of the file and a hundred bytes of memory. */
function countPieces(reader: Reader): number {
  let count = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === PIECES_FIELD) count++;
    reader.skipType(tag & 7);
  }
  return count;
}

interface Decoded {
  readonly pieces: SentencePieceModel['pieces'];
  readonly trainerSpec: {
    readonly modelType: number;
    readonly treatWhitespaceAsSuffix: boolean;
    readonly byteFallback: boolean;
    readonly unkId: number;
  } | null;
  readonly normalizerSpec: {
    readonly precompiledCharsmap: Uint8Array;
    readonly addDummyPrefix: boolean;
    readonly removeExtraWhitespaces: boolean;
    readonly escapeWhitespaces: boolean;
  } | null;
}

/** @throws ModelFileError if the file is damaged, or of an unsupported kind */
export async function parseSentencePiece(path: string, bytes: Uint8Array): Promise<SentencePieceModel> {
  const proto = await decode(path, bytes);
  const { pieces, trainerSpec: trainer, normalizerSpec: normalizer } = proto;
  if (pieces.length === 0 || trainer === null || normalizer === null)
    throw new ModelFileError(path, `is no SentencePiece model, or one without pieces`, DAMAGED);
  const kind = trainer.modelType === UNIGRAM ? 'Unigram' : trainer.modelType === BPE ? 'BPE' : undefined;
  const unsupported =
    kind === undefined
      ? `was trained as the model type ${trainer.modelType}; unigram (1) and BPE (2) are read`
      : kind === 'Unigram' && trainer.byteFallback
        ? 'is a unigram model that falls back to bytes, which is not supported'
        : trainer.treatWhitespaceAsSuffix || !normalizer.escapeWhitespaces
          ? 'marks words at their ends or not at all (treat_whitespace_as_suffix, escape_whitespaces), which is not supported'
          : pieces[trainer.unkId] === undefined
            ? `gives unknown text the id ${trainer.unkId}, which no piece has`
            : undefined;
  if (kind === undefined || unsupported !== undefined)
    throw new ModelFileError(
      path,
      unsupported ?? '',
      'Save the tokenizer once with AutoTokenizer.from_pretrained(…).save_pretrained(…), which writes a tokenizer.json.',
    );
  return {
    kind,
    pieces,
    unknownId: trainer.unkId,
    byteFallback: trainer.byteFallback,
    charsmap: Uint8Array.from(normalizer.precompiledCharsmap),
    addDummyPrefix: normalizer.addDummyPrefix,
    removeExtraWhitespaces: normalizer.removeExtraWhitespaces,
  };
}

async function decode(path: string, bytes: Uint8Array): Promise<Decoded> {
  const { type, readerOf } = await modelProto();
  try {
    const count = countPieces(readerOf(bytes));
    if (count > MAX_PIECES) throw new Error(`it has ${count} pieces; at most ${MAX_PIECES} are read`);
    // The type comes from the schema whose fields `Decoded` lists, and protobufjs checks each field while decoding.
    return type.decode(bytes) as unknown as Decoded;
  } catch (error) {
    throw new ModelFileError(path, `is no SentencePiece model: ${messageOf(error)}`, DAMAGED);
  }
}
