/** Names of a block's experts, and the forms in which files hold them: a tensor for each, or all in one. */
import type { StoredForm } from '../module-specs.ts';
import type { ExpertName, ExpertNames } from './decoder-experts.ts';

type Fused = (at: string, rows: number) => StoredForm;

/** A layer for each expert, `<folder>.experts.<expert>.<name>`. @param fused the form of files that hold all experts in one tensor */
const named = (folder: string, name: string, fused?: Fused): ExpertName => ({
  name: `${folder}.experts.${name}`,
  forms: (at, { experts, rows }) => [
    { kind: 'apart', names: Array.from({ length: experts }, (_, expert) => `${at}.${folder}.experts.${expert}.${name}.weight`) },
    // GGUF: one tensor of three axes.
    { kind: 'rows', name: `${at}.${folder}.experts.${name}.weight`, every: rows, begin: 0 },
    ...(fused ? [fused(at, rows)] : []),
  ],
});

/** Forms of Transformers 5 as it computes: gate and up in one tensor. */
const gateOf: Fused = (at, rows) => ({ kind: 'rows', name: `${at}.mlp.experts.gate_up_proj`, every: 2 * rows, begin: 0 });
const upOf: Fused = (at, rows) => ({ kind: 'rows', name: `${at}.mlp.experts.gate_up_proj`, every: 2 * rows, begin: rows });
const downOf: Fused = (at, rows) => ({ kind: 'rows', name: `${at}.mlp.experts.down_proj`, every: rows, begin: 0 });

export const mixtralExperts: ExpertNames = {
  router: 'block_sparse_moe.gate',
  inner: [named('block_sparse_moe', 'w1'), named('block_sparse_moe', 'w3')],
  down: named('block_sparse_moe', 'w2'),
};

export const qwenExperts: ExpertNames = {
  router: 'mlp.gate',
  inner: [named('mlp', 'gate_proj', gateOf), named('mlp', 'up_proj', upOf)],
  down: named('mlp', 'down_proj', downOf),
};

type InGguf = (at: string, kind: 'weight' | 'bias', rows: number) => StoredForm;

/**
 * gpt-oss: gate and up in one product, entry by entry in turn; a tensor [experts, in, out], or blocks of four-bit numbers [experts, out, in].
 * GGUF has gate and up apart.
 */
const turned = (name: string, inGguf: InGguf): ExpertName => ({
  name: `mlp.experts.${name}`,
  forms: (at, { rows }) => [
    { kind: 'mxfp4', blocks: `${at}.mlp.experts.${name}_blocks`, scales: `${at}.mlp.experts.${name}_scales` },
    { kind: 'turned', name: `${at}.mlp.experts.${name}` },
    inGguf(at, 'weight', rows),
  ],
  biasForms: (at, { rows }) => [{ kind: 'rows', name: `${at}.mlp.experts.${name}_bias`, every: rows, begin: 0 }, inGguf(at, 'bias', rows)],
});

export const gptOssExperts: ExpertNames = {
  router: 'mlp.router',
  inner: [
    turned('gate_up_proj', (at, kind) => ({
      kind: 'woven',
      names: [`${at}.mlp.experts.gate_proj.${kind}`, `${at}.mlp.experts.up_proj.${kind}`],
    })),
  ],
  down: turned('down_proj', (at, kind, every) => ({ kind: 'rows', name: `${at}.mlp.experts.down_proj.${kind}`, every, begin: 0 })),
};
