/**
 * Names of ViT's and DeiT's layers: files have those of Transformers 4, which version 5 changes as it loads them; PEFT's adapters go by the
 * names of the model in memory. Those of version 5 are written, and both are read.
 */

/** In files → in memory; the place of a layer stands between. */
const NAMES: readonly (readonly [string, string])[] = [
  ['attention.attention.query', 'attention.q_proj'],
  ['attention.attention.key', 'attention.k_proj'],
  ['attention.attention.value', 'attention.v_proj'],
  ['attention.output.dense', 'attention.o_proj'],
  ['intermediate.dense', 'mlp.fc1'],
  ['output.dense', 'mlp.fc2'],
  ['layernorm_before', 'layernorm_before'],
  ['layernorm_after', 'layernorm_after'],
];
const IN_FILE = /((?:^|\.)(?:vit|deit)\.)encoder\.layer\.(\d+)\.(.+)$/;
const IN_MEMORY = /((?:^|\.)(?:vit|deit)\.)layers\.(\d+)\.(.+)$/;

/** Of a module, or of a tensor of it, with whatever stands before it. */
export const nameInMemory = (name: string): string => renamed(name, IN_FILE, { layers: 'layers', from: 0, to: 1 });
export const nameInFile = (name: string): string => renamed(name, IN_MEMORY, { layers: 'encoder.layer', from: 1, to: 0 });

function renamed(name: string, pattern: RegExp, { layers, from, to }: { layers: string; from: 0 | 1; to: 0 | 1 }): string {
  const [whole, before, layer, rest] = pattern.exec(name) ?? [];
  if (whole === undefined || rest === undefined) return name;
  const names = NAMES.find(pair => rest === pair[from] || rest.startsWith(`${pair[from]}.`));
  return names ? `${name.slice(0, -whole.length)}${before}${layers}.${layer}.${names[to]}${rest.slice(names[from].length)}` : name;
}
