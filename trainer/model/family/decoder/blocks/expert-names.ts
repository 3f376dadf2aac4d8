/** Names of a block's experts, and the forms in which files hold them: a tensor for each, or all in one. */
import type { FusedRows, StoredForm } from '../../../module-specs.ts';
import type { ExpertName, ExpertNames } from './experts.ts';

/** Returns the place in Transformers 5's memory, where gate and up are one parameter. */
type Fused = (at: string, rows: number) => FusedRows;
const fusedIn =
  (parameter: string, parts: number, part: number, folder = 'mlp'): Fused =>
  (at, rows) => ({ module: `${at}.${folder}.experts`, parameter, every: parts * rows, begin: part * rows });
const gateOf = fusedIn('gate_up_proj', 2, 0);
const upOf = fusedIn('gate_up_proj', 2, 1);
const downOf = fusedIn('down_proj', 1, 0);

/**
 * One layer per expert, `<folder>.experts.<expert>.<name>`; GGUF, MLX, and Transformers 5 in memory, have one tensor with three axes.
 * @param inMlx the name in MLX
 */
const named = (folder: string, name: string, fused: Fused, inMlx = name): ExpertName => ({
  name: `${folder}.experts.${name}`,
  fused,
  forms: (at, { experts, rows }) => {
    const { module, parameter, every, begin } = fused(at, rows);
    return [
      { kind: 'separate', names: Array.from({ length: experts }, (_, expert) => `${at}.${folder}.experts.${expert}.${name}.weight`) },
      ...[...new Set([name, inMlx])].map(
        (own): StoredForm => ({ kind: 'rows', name: `${at}.${folder}.experts.${own}.weight`, every: rows, begin: 0 }),
      ),
      { kind: 'rows', name: `${module}.${parameter}`, every, begin },
    ];
  },
});

export const mixtralExperts: ExpertNames = {
  router: 'block_sparse_moe.gate',
  routerInMemory: 'mlp.gate',
  inner: [named('block_sparse_moe', 'w1', gateOf, 'gate_proj'), named('block_sparse_moe', 'w3', upOf, 'up_proj')],
  down: named('block_sparse_moe', 'w2', downOf, 'down_proj'),
};

export const qwenExperts: ExpertNames = {
  router: 'mlp.gate',
  inner: [named('mlp', 'gate_proj', gateOf), named('mlp', 'up_proj', upOf)],
  down: named('mlp', 'down_proj', downOf),
};

/**
 * One tensor [experts, width, rows] for gate and up, and one for down; in memory, and in some files, [experts, rows, width]. GGUF has gate
 * and up in two tensors.
 */
const ofQwenVl = (name: string, fused: Fused): ExpertName => ({
  name: `mlp.experts.${name}`,
  fused,
  forms: (at, { rows }) => {
    const { module, parameter, every, begin } = fused(at, rows);
    return [
      ...(['rows', 'transposed'] as const).map(kind => ({ kind, name: `${module}.${parameter}`, every, begin })),
      { kind: 'rows', name: `${module}.${name}.weight`, every: rows, begin: 0 },
    ];
  },
});

/** Qwen3-VL's. */
export const qwenVlExperts: ExpertNames = {
  router: 'mlp.gate',
  inner: [ofQwenVl('gate_proj', gateOf), ofQwenVl('up_proj', upOf)],
  down: ofQwenVl('down_proj', downOf),
};

/** AFMoE's, with the router in a module of its own. */
export const afmoeExperts: ExpertNames = { ...qwenExperts, router: 'mlp.router.gate' };

export const lfm2Experts: ExpertNames = {
  router: 'feed_forward.gate',
  inner: [
    named('feed_forward', 'w1', fusedIn('gate_up_proj', 2, 0, 'feed_forward'), 'gate_proj'),
    named('feed_forward', 'w3', fusedIn('gate_up_proj', 2, 1, 'feed_forward'), 'up_proj'),
  ],
  down: named('feed_forward', 'w2', fusedIn('down_proj', 1, 0, 'feed_forward'), 'down_proj'),
};

/** Nemotron-H's, which have no gates. */
export const nemotronExperts: ExpertNames = {
  router: 'mixer.gate',
  inner: [named('mixer', 'up_proj', fusedIn('up_proj', 1, 0, 'mixer'))],
  down: named('mixer', 'down_proj', fusedIn('down_proj', 1, 0, 'mixer')),
};

/** One tensor [experts, rows, width] for gate and up, and one for down. @param folder of the experts in a block, with its dot */
const inStacks =
  (folder: string) =>
  (name: string, parameter: string, parts: number, part: number): ExpertName => {
    const fused = (at: string, rows: number): FusedRows => ({
      module: `${at}.${folder}experts`,
      parameter,
      every: parts * rows,
      begin: part * rows,
    });
    return {
      name: `${folder}experts.${name}`,
      fused,
      forms: (at, { rows }) => {
        const { module, every, begin } = fused(at, rows);
        // GGUF has gate and up in two tensors, as written here, or in one.
        return [
          { kind: 'rows', name: `${module}.${parameter}`, every, begin },
          { kind: 'rows', name: `${module}.${name}.weight`, every: rows, begin: 0 },
          { kind: 'rows', name: `${module}.${parameter}.weight`, every, begin },
        ];
      },
    };
  };

const stacked = (folder: string, router: string): ExpertNames => {
  const of = inStacks(folder);
  return {
    router,
    inner: [of('gate_proj', 'gate_up_proj', 2, 0), of('up_proj', 'gate_up_proj', 2, 1)],
    down: of('down_proj', 'down_proj', 1, 0),
  };
};

export const gemma4Experts = stacked('', 'router.proj');
/** Those of Granite with windows. */
export const graniteSwaExperts = stacked('block_sparse_moe.', 'block_sparse_moe.router');

const ofGranite = (name: string, file: string, fused: Fused): ExpertName => ({
  name: `block_sparse_moe.experts.${name}`,
  fused,
  forms: (at, { rows }) => {
    const { module, every, begin } = fused(at, rows);
    // GGUF has gate and up in two tensors.
    return [
      { kind: 'rows', name: `${at}.block_sparse_moe.${file}.weight`, every, begin },
      { kind: 'rows', name: `${module}.${name}.weight`, every: rows, begin: 0 },
    ];
  },
});

/** Granite: one tensor [experts, rows, width] for gate and up, and one for down, under other names than in memory. */
export const graniteExperts: ExpertNames = {
  router: 'block_sparse_moe.router.layer',
  routerInMemory: 'block_sparse_moe.router',
  inner: [
    ofGranite('gate_proj', 'input_linear', fusedIn('gate_up_proj', 2, 0, 'block_sparse_moe')),
    ofGranite('up_proj', 'input_linear', fusedIn('gate_up_proj', 2, 1, 'block_sparse_moe')),
  ],
  down: ofGranite('down_proj', 'output_linear', fusedIn('down_proj', 1, 0, 'block_sparse_moe')),
};

type InGguf = (at: string, kind: 'weight' | 'bias', rows: number) => StoredForm;

/**
 * gpt-oss: gate and up in one product, with alternating features; a tensor [experts, in, out], or blocks of four-bit values [experts, out,
 * in]. In GGUF, gate and up are separate.
 */
const transposed = (name: string, inGguf: InGguf): ExpertName => ({
  name: `mlp.experts.${name}`,
  fused: fusedIn(name, 1, 0),
  forms: (at, { rows }) => [
    { kind: 'mxfp4', blocks: `${at}.mlp.experts.${name}_blocks`, scales: `${at}.mlp.experts.${name}_scales` },
    { kind: 'transposed', name: `${at}.mlp.experts.${name}` },
    inGguf(at, 'weight', rows),
  ],
  biasForms: (at, { rows }) => [{ kind: 'rows', name: `${at}.mlp.experts.${name}_bias`, every: rows, begin: 0 }, inGguf(at, 'bias', rows)],
});

export const gptOssExperts: ExpertNames = {
  router: 'mlp.router',
  inner: [
    transposed('gate_up_proj', (at, kind) => ({
      kind: 'interleaved',
      names: [`${at}.mlp.experts.gate_proj.${kind}`, `${at}.mlp.experts.up_proj.${kind}`],
    })),
  ],
  down: transposed('down_proj', (at, kind, every) => ({ kind: 'rows', name: `${at}.mlp.experts.down_proj.${kind}`, every, begin: 0 })),
};
