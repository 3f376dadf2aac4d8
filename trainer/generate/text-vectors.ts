/** Computes the vectors of texts with an encoder that stays loaded. */
import { type Adapter, modelOfAdapter } from '../adapter/adapter.ts';
import { adaptedModel } from '../adapter/apply-adapter.ts';
import { createSegmentEncoder, type SegmentEncoder } from '../data/example/segment-encoder.ts';
import type { Engine, Session } from '../engine/engine.ts';
import { poolingIn, sentenceLength } from '../format/sentence-modules.ts';
import { Graph } from '../graph/graph.ts';
import { assemble, type Program } from '../graph/program.ts';
import { float32Of } from '../graph/types.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { Attachment } from '../method/method.ts';
import { declareClassifierBatch } from '../model/classifier-batch.ts';
import type { KnownTokens } from '../model/known-tokens.ts';
import { loadModel } from '../model/load-model.ts';
import { type ClassifierModel, vectorWidth } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import type { Precision } from '../model/weight-storage.ts';
import { required } from '../narrow.ts';
import type { TextPrompts } from '../protocol/pooling.ts';
import { loadVariables, storedWeights } from '../train/variables.ts';
import { checkKnown, GenerateError } from './decoder.ts';

export interface TextVectorsParams {
  readonly engine: Engine;
  /** A base model or a merged export. The caller closes it. */
  readonly folder: ModelFolder;
  /** The adapter to apply to the base. */
  readonly adapter: Adapter | undefined;
  /** How the base is stored; all float32 if left out. */
  readonly precision?: Precision | undefined;
  readonly onLoad?: (done: number, total: number) => void;
}

/** Maximum text length if the folder does not state one: each length needs its own program. */
const MAX_TOKENS = 2048;
/** Length of the shortest program; each further one is twice as long. */
const FIRST_TOKENS = 16;

/**
 * The encoder of a folder that computes vectors: a run or an export of embeddings, or an encoder without a head. Undefined for other
 * models.
 */
export function embedderOf({ folder, adapter }: Pick<TextVectorsParams, 'folder' | 'adapter'>): ClassifierModel | undefined {
  const { config } = folder;
  const pooling = adapter === undefined && folder.ggufPath === undefined ? poolingIn(folder) : undefined;
  const model = pooling ? loadModel(config, { problem: 'embedding', pooling }) : modelOfAdapter(config, adapter?.description ?? {});
  if (model.kind !== 'classifier' || model.encoder === undefined) return undefined;
  if (model.pooling !== undefined) return model;
  const isHeadless = adapter === undefined && !/For\w+Classification$/.test(String([config.architectures].flat()[0]));
  const headless = isHeadless ? loadModel(config, { problem: 'embedding' }) : undefined;
  return headless?.kind === 'classifier' ? headless : undefined;
}

export class TextVectors {
  /** Length of a vector. */
  readonly width: number;
  /** Length of the longest text, in tokens. */
  readonly longest: number;
  readonly known: KnownTokens;
  /** True if vectors are normalized to length 1. */
  readonly isNormalized: boolean;
  /** The prompts that texts started with when the model was tuned. */
  readonly prompts: TextPrompts | undefined;
  private readonly model: ClassifierModel;
  private readonly encoder: SegmentEncoder;
  private readonly session: Session;

  private constructor(model: ClassifierModel, encoder: SegmentEncoder, session: Session, longest: number) {
    this.width = vectorWidth(model);
    this.longest = longest;
    this.known = model.input.kind === 'tokens' ? model.input : { vocabularySize: 0 };
    this.isNormalized = model.pooling?.normalize === true;
    this.prompts = model.pooling?.prompts;
    this.model = model;
    this.encoder = encoder;
    this.session = session;
  }

  /** Loads the weights. @throws AdapterError if the adapter does not fit */
  static async open(model: ClassifierModel, { engine, folder, adapter, precision, onLoad }: TextVectorsParams): Promise<TextVectors> {
    const { weights, attachment, start } = await adaptedModel({
      model,
      weights: folder.weights,
      adapter,
      hostFrom: engine.hostFrom,
      precision,
    });
    const encoder = createSegmentEncoder(await folder.loadTokenizer());
    const longest = Math.min((await sentenceLength(folder.dir)) ?? MAX_TOKENS, positionsOf(model), MAX_TOKENS);
    const session = await engine.compile({ ...vectorProgram(model, attachment, longest), places: attachment.hosted });
    try {
      await loadVariables(session, {
        model: storedWeights(model, weights, attachment, onLoad),
        attachment,
        start,
      });
    } catch (error) {
      await session.dispose();
      throw error;
    }
    return new TextVectors(model, encoder, session, longest);
  }

  /** @throws GenerateError for a text longer than the model's limit, or with a token that the model does not read */
  idsOf(text: string): Int32Array {
    const { ids, truncated } = this.encoder.encode(text, undefined, this.longest);
    if (truncated) throw new GenerateError(`a text has more than the ${this.longest} tokens that the model reads: divide it`);
    checkKnown(ids, this.known);
    return ids;
  }

  /** The vector of one text of at most `longest` tokens. */
  async vectorOf(ids: Int32Array): Promise<Float32Array> {
    const { input } = this.model;
    if (input.kind !== 'tokens') throw new Error('an encoder of texts reads tokens');
    const tokens = required(
      lengthsUpTo(this.longest).find(length => length >= ids.length),
      'a program of this length',
    );
    const feeds = { ids: new Int32Array(tokens).fill(input.padId), seen: new Float32Array(tokens).fill(1, 0, ids.length) };
    feeds.ids.set(ids);
    const outputs = await this.session.run(signatureOf(tokens), input.tokenTypes > 1 ? { ...feeds, types: new Int32Array(tokens) } : feeds);
    return float32Of(required(outputs.vectors, 'the vector'));
  }

  async dispose(): Promise<void> {
    await this.session.dispose();
  }
}

const positionsOf = ({ input }: ClassifierModel): number => (input.kind === 'tokens' ? input.maxPositions : 0);

const signatureOf = (tokens: number): string => `vectors_${tokens}`;

/** The program lengths: 16, 32, … and `longest` itself. */
function lengthsUpTo(longest: number): number[] {
  const lengths: number[] = [];
  for (let length = FIRST_TOKENS; length < longest; length *= 2) lengths.push(length);
  return [...lengths, longest];
}

/** One signature per length, from the feeds of one text to `vectors` [1, width]. */
const vectorProgram = (model: ClassifierModel, { linearHook, storage }: Attachment, longest: number): Program =>
  assemble(
    Object.fromEntries(
      lengthsUpTo(longest).map(tokens => {
        const graph = new Graph();
        const batch = declareClassifierBatch(graph, model.input, { batch: 1, tokens });
        const vectors = model.logits(new Tracer({ graph, linearHook, ...(storage && { storage }) }), batch);
        return [signatureOf(tokens), { graph, outputs: { vectors }, effects: [] }];
      }),
    ),
  );
