/** One block of a decoder: its modules, and their forward pass. */

import type { Node } from '../../../../graph/graph.ts';
import { elementAt, required } from '../../../../narrow.ts';
import type { TokenInputs } from '../../../model-spec.ts';
import { inParts, type ModuleSpec, type ParameterSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { type AddedExperts, addedExpertModules, addedExperts, traceAddedExperts } from './added-experts.ts';
import { type AltUp, altUpBlock, altUpModules, traceAltUp } from './alt-up.ts';
import { type AttentionBlock, type AttentionParams, attentionBlock, attentionModules, traceAttention } from './attention.ts';
import { type ConvolutionBlock, convolutionBlock, convolutionModules, traceConvolution } from './convolution.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { type DeltaBlock, deltaBlock, deltaModules, traceDelta } from './delta.ts';
import { type ExpertBlock, expertBlock, expertModules, traceExperts } from './experts.ts';
import { type LatentBlock, latentBlock, latentModules, traceLatent } from './latent.ts';
import { type Laurel, laurelModules, laurelOf, traceLaurel } from './laurel.ts';
import { type BlockInput, blockInput, blockInputModules, traceBlockInput } from './layer-inputs.ts';
import { type MambaBlock, mambaBlock, mambaModules, traceMamba } from './mamba.ts';
import { type Mlp, mlpModules, mlpOf, traceMlp } from './mlp.ts';
import type { BlockNames } from './names.ts';
import { type Norm, normed, normModules, normOf } from './norms.ts';

const isMixture = (mlp: Mlp | ExpertBlock): mlp is ExpertBlock => 'router' in mlp;

/** The part of a block in which tokens exchange information. */
type Mixer = AttentionBlock | DeltaBlock | ConvolutionBlock | MambaBlock | LatentBlock;

const isDelta = (mixer: Mixer): mixer is DeltaBlock => 'products' in mixer;
const isConvolution = (mixer: Mixer): mixer is ConvolutionBlock => 'gatesAndInput' in mixer;
const isMamba = (mixer: Mixer): mixer is MambaBlock => 'skip' in mixer;
const isLatent = (mixer: Mixer): mixer is LatentBlock => 'keysAndValues' in mixer;

export interface Block {
  readonly beforeAttention: Norm;
  /** None in blocks of an MLP alone; the outputs of several are added. */
  readonly mixers: readonly Mixer[];
  readonly afterAttention: Norm;
  readonly beforeMlp: Norm;
  /** Left out in blocks of a token mixer alone. */
  readonly mlp: Mlp | ExpertBlock | undefined;
  /** Experts in addition to the MLP. */
  readonly added: AddedExperts | undefined;
  readonly afterMlp: Norm;
  readonly input: BlockInput | undefined;
  readonly laurel: Laurel | undefined;
  readonly altUp: AltUp | undefined;
  /** Multiplies the output of the block, [1]. */
  readonly scale: ParameterSpec | undefined;
}

export function blockOf(config: DecoderConfig, layer: number): Block {
  const { names, parts } = config;
  const own = names.block(layer);
  const norm = (place: keyof BlockNames['norms']): Norm => {
    const [name, other] = [own.norms[place], own.otherNorms?.[place]];
    if (name === undefined) return undefined;
    const spec = normOf(config, name, layer);
    return other === undefined || spec === 'without weight' ? spec : inParts(spec, { [other]: config.hiddenSize });
  };
  const [mixes, feeds] = [parts?.[layer] !== 'mlp', parts?.[layer] !== 'mixer'];
  return {
    beforeAttention: mixes ? norm('beforeAttention') : undefined,
    mixers: mixersOf(config, layer),
    afterAttention: norm('afterAttention'),
    beforeMlp: feeds ? norm('beforeMlp') : undefined,
    mlp: feeds ? feedOf(config, layer) : undefined,
    added: addedExperts(config, layer),
    afterMlp: norm('afterMlp'),
    input: blockInput(config, layer),
    laurel: laurelOf(config, layer),
    altUp: altUpBlock(config, layer),
    scale: config.scalesBlocks ? { name: own.scale, shape: [1], buffer: true } : undefined,
  };
}

function feedOf({ names, hiddenSize, mlp, experts }: DecoderConfig, layer: number): Mlp | ExpertBlock {
  const own = names.block(layer);
  if (experts?.layers[layer] && !experts.isAdded) return expertBlock(experts, hiddenSize, layer, own.at);
  const { intermediateSizes, biased, multipliers, cutoffs } = mlp;
  const sizes = { hiddenSize, inner: elementAt(intermediateSizes, layer), biased, multipliers, cutoff: cutoffs?.[layer] };
  return mlpOf(own, sizes, layer);
}

const feedModules = (mlp: Mlp | ExpertBlock): readonly ModuleSpec[] => (isMixture(mlp) ? expertModules(mlp) : mlpModules(mlp));

/** True if a block has attention: others have a state in its place, or an MLP alone. */
export const attends = ({ delta, convolution, mamba, parts }: DecoderConfig, layer: number): boolean =>
  parts?.[layer] !== 'mlp' &&
  !delta?.layers[layer] &&
  !convolution?.layers[layer] &&
  (!mamba?.layers[layer] || mamba.hasAttention === true);

function mixersOf(config: DecoderConfig, layer: number): readonly Mixer[] {
  const { delta, convolution, mamba, latent, hiddenSize, names } = config;
  const { at } = names.block(layer);
  if (delta?.layers[layer]) return [deltaBlock(delta, hiddenSize, layer, at)];
  if (convolution?.layers[layer]) return [convolutionBlock(convolution, hiddenSize, layer, at)];
  const recurrent = mamba?.layers[layer] ? [mambaBlock(mamba, hiddenSize, layer, at)] : [];
  if (!attends(config, layer)) return recurrent;
  return [...recurrent, latent ? latentBlock(config, latent, layer) : attentionBlock(config, layer)];
}

function mixerModules(mixer: Mixer): readonly (ModuleSpec | undefined)[] {
  if (isDelta(mixer)) return deltaModules(mixer);
  if (isMamba(mixer)) return mambaModules(mixer);
  if (isLatent(mixer)) return latentModules(mixer);
  return isConvolution(mixer) ? convolutionModules(mixer) : attentionModules(mixer);
}

/** The modules in the order of the forward pass. */
export const modulesOf = (block: Block): ModuleSpec[] =>
  [
    ...(block.altUp ? altUpModules(block.altUp) : []),
    ...[
      ...normModules(block.beforeAttention),
      ...(block.laurel ? laurelModules(block.laurel) : []),
      ...block.mixers.flatMap(mixerModules),
      ...normModules(block.afterAttention),
    ],
    ...[...normModules(block.beforeMlp), ...(block.mlp ? feedModules(block.mlp) : [])],
    ...[...(block.added ? addedExpertModules(block.added) : []), ...normModules(block.afterMlp)],
    ...(block.input ? blockInputModules(block.input) : []),
  ].filter(module => module !== undefined);

/** The parameters of a block that get no gradient. */
export const buffersOf = ({ mlp, scale }: Block): ParameterSpec[] =>
  [scale, ...(mlp ? fixedOf(mlp) : [])].filter(spec => spec !== undefined);

const fixedOf = (mlp: Mlp | ExpertBlock): readonly (ParameterSpec | undefined)[] =>
  isMixture(mlp) ? [mlp.choiceBias] : [mlp.xielu?.slope, mlp.xielu?.ceiling];

export interface BlockParams extends AttentionParams {
  readonly block: Block;
  readonly inputs: TokenInputs;
  /** The inputs of all blocks, if the model has them: see `traceLayerInputs`. */
  readonly blockInputs: Node | undefined;
}

/** x [batch · tokens, hidden], or [batch · tokens, streams, hidden] in families with several streams → the same shape. */
export function traceBlock(tracer: Tracer, x: Node, params: BlockParams): Node {
  const { graph } = tracer;
  const { config, block, layer, blockInputs } = params;
  const { altUp, input, scale } = block;
  const inputs = () => required(blockInputs, 'the inputs of the blocks');
  const added = (own: BlockInput, y: Node) => traceBlockInput(tracer, own, y, { config, layer, inputs: inputs() });
  if (altUp) {
    const own = required(input, 'the input of the block');
    return traceAltUp(tracer, altUp, x, { config, compute: y => traceParts(tracer, y, params), input: y => added(own, y) });
  }
  const fed = traceParts(tracer, x, params);
  const y = input ? graph.add(fed, added(input, fed)) : fed;
  return scale ? graph.mul(y, tracer.parameter(scale)) : y;
}

/** The token mixer and the MLP of a block, x [batch · tokens, hidden] → the same shape. */
function traceParts(tracer: Tracer, x: Node, params: BlockParams): Node {
  const { graph } = tracer;
  const { config, block } = params;
  const { residualMultiplier, residualDropout, mlpDropout } = config;
  const { mixers, mlp, laurel } = block;
  const added = (to: Node, y: Node, rate: number) => graph.add(to, graph.mul(tracer.dropout(y, rate), residualMultiplier));
  const read = normed(tracer, config, block.beforeAttention, x);
  const [first, ...others] = mixers.map(mixer => mix(tracer, mixer, read, params));
  const mixed = first && others.reduce((sum, y) => graph.add(sum, y), first);
  const plain = mixed ? added(x, normed(tracer, config, block.afterAttention, mixed), residualDropout) : x;
  const middle = laurel ? graph.mul(graph.add(plain, traceLaurel(tracer, laurel, read, config)), Math.SQRT1_2) : plain;
  const fedBySide = () => (block.beforeMlp ? normed(tracer, config, block.beforeMlp, x) : read);
  const feeding = (own: Mlp | ExpertBlock): Node => {
    const ofMlp = feed(tracer, config, own, config.sideBySide ? fedBySide() : normed(tracer, config, block.beforeMlp, middle));
    const ofBoth = block.added ? traceAddedExperts(tracer, block.added, { config, states: middle, fed: ofMlp }) : ofMlp;
    return added(middle, normed(tracer, config, block.afterMlp, ofBoth), mlpDropout);
  };
  return mlp ? feeding(mlp) : middle;
}

function mix(tracer: Tracer, mixer: Mixer, x: Node, params: BlockParams): Node {
  const { config } = params;
  if (isConvolution(mixer)) return traceConvolution(tracer, mixer, x, params);
  if (isLatent(mixer)) {
    const latent = required(config.latent, 'the description of latent attention');
    return traceLatent(tracer, x, { ...params, latent, block: mixer });
  }
  if (isMamba(mixer)) {
    const mamba = required(config.mamba, 'the description of Mamba');
    return traceMamba(tracer, x, { ...params, mamba, block: mixer, epsilon: config.norms.epsilon });
  }
  if (isDelta(mixer)) {
    const delta = required(config.delta, 'the description of the recurrent state');
    return traceDelta(tracer, x, { ...params, delta, block: mixer });
  }
  const { graph } = tracer;
  const { inputMultiplier, outputMultiplier } = config.attention;
  return graph.mul(traceAttention(tracer, mixer, graph.mul(x, inputMultiplier), params), outputMultiplier);
}

function feed(tracer: Tracer, config: DecoderConfig, mlp: Mlp | ExpertBlock, x: Node): Node {
  if (isMixture(mlp)) return traceExperts(tracer, required(config.experts, 'the description of the experts'), mlp, x);
  return traceMlp(tracer, mlp, config.mlp, x);
}
