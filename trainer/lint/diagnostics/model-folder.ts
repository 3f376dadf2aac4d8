/** Codes about the configs of a model folder. */
import type { ConfigCode } from '../problems/config-codes.ts';
import type { FactCode } from '../problems/fact-report.ts';
import type { Diagnostic } from './diagnostic.ts';

/** Documentation of the codes; does not compile until each code is described. Codes shared with recipes are described there. */
export const configDiagnostics: Readonly<Record<Exclude<ConfigCode, FactCode>, Diagnostic>> = {
  'invalid-config': { about: 'The file is not JSON, or not an object.' },
  'unsupported-architecture': { about: 'The file is right, but Rowtune does not know the architecture.' },
  'contradictory-config': {
    about:
      'Keys are missing, out of bounds, or contradict each other: a hidden size that the heads do not divide, key-value heads that do not divide the heads, a rope scaling without its factor.',
  },
  'unsupported-config': {
    about:
      'The key asks for something that Rowtune does not compute: another activation or rope scaling, a convolution in DeBERTa, heads of another size. The file is right. It is refused, because a model is never computed differently from what its config says. An activation that does not exist in Transformers either is a misspelling, and a similar one is offered.',
  },
  'unknown-config-key': {
    about:
      'Neither Rowtune nor the versions of Transformers that it was compared with know this key for this kind of model. Whatever it asks for is not computed. A key of another tool does no harm.',
    fix: 'Check the spelling.',
  },
  'config-weights-mismatch': {
    about: 'The weights next to the file have other shapes than this key gives, or tensors that it implies are missing.',
    fix: 'Writes the size in the weights, where the key alone decides it.',
  },
  'missing-shard': { about: 'The index names a weight file that is not in the folder.', fix: 'Download it again.' },
  'damaged-weights': { about: 'The header of a weight file cannot be read: the file is cut short, or not of the type that its name says.' },
  'rope-scaling': { about: 'The scaling of positions lacks its factor, or its numbers contradict each other.' },
  'token-id-out-of-range': { about: 'The id of a special token is not in the vocabulary.' },
  'dtype-mismatch': {
    about: 'The weights are stored in a different type from the one that this key names. It is a hint: other tools convert when they load.',
    fix: 'Writes the type of the weights.',
  },
  'generation-range': { about: 'A number in `generation_config.json` is outside its range, as Transformers checks it.' },
  'generation-ignored': { about: 'Temperature, top-p and top-k are read only with `"do_sample": true`.' },
  'generation-length': { about: '`max_length` is above the number of positions of the model.', fix: "Writes the model's number." },
  'unsupported-adapter': {
    about: 'The adapter is of a type, or sets a switch, that is not read here.',
    fix: 'Merge it into its base with PEFT, and train the merged model.',
  },
  'adapter-range': { about: 'The rank, alpha or dropout of the adapter is missing or out of range.' },
  'adapter-base-missing': {
    about: 'The path of the base model leads nowhere from here. It is often the path on the machine that trained the adapter.',
    fix: 'Writes the nearest name.',
  },
  'adapter-weights-mismatch': {
    about: '`adapter_model.safetensors` is missing or damaged, or its factors have a different rank or targets from what this file says.',
  },
};
