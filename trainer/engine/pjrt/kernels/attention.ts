/**
 * Attention with cuDNN's kernels, through XLA's custom calls. Targets, operands, results and the JSON configuration are the same as in
 * JAX's `jax/_src/cudnn/fused_attention_stablehlo.py` (version 0.10).
 */
import type { AttentionScores } from '../../../graph/attributes.ts';
import { dimensions, GraphError } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { type LoweringContext, type LoweringTable, three } from '../lowering.ts';

const FORWARD = '__cudnn$fmhaSoftmax';
const BACKWARD = '__cudnn$fmhaSoftmaxBackward';

/** Placeholder for the kernel's workspace: XLA allocates it, and its size is only known on the device. */
const WORKSPACE = { shape: [0], type: 'ui8' } as const;

/**
 * Returns the axes of one product within the kernel: the contracted axis of its left and right side; batch and heads come first on both.
 */
const product = (left: number, right: number) => ({
  lhs_contracting_dimensions: [String(left)],
  rhs_contracting_dimensions: [String(right)],
  lhs_batch_dimensions: ['0', '1'],
  rhs_batch_dimensions: ['0', '1'],
});

/** Q·Kᵀ and P·V. */
const FORWARD_PRODUCTS = { bmm1_dot_dimension_numbers: product(3, 3), bmm2_dot_dimension_numbers: product(3, 2) };

/** dSᵀ·Q, dS·K, Pᵀ·dO and dO·Vᵀ. */
const BACKWARD_PRODUCTS = {
  bmm1_grad_gemm1_dot_dimension_numbers: product(2, 2),
  bmm1_grad_gemm2_dot_dimension_numbers: product(3, 2),
  bmm2_grad_gemm1_dot_dimension_numbers: product(2, 2),
  bmm2_grad_gemm2_dot_dimension_numbers: product(3, 3),
};

function maskOf({ causal }: AttentionScores, hasLengths: boolean): string {
  if (hasLengths) return causal ? 'PADDING_CAUSAL' : 'PADDING';
  return causal ? 'CAUSAL' : 'NO_MASK';
}

function configOf(q: Value, scores: AttentionScores, hasLengths: boolean, products: object): unknown {
  const [batch, heads, tokens] = dimensions(q.shape, 4);
  const layout = { minor_to_major: ['3', '2', '1', '0'], element_size_in_bits: '0', memory_space: '0' };
  return {
    operation_queue_id: '0',
    cudnn_fmha_backend_config: {
      algorithm: {
        algo_id: '0',
        math_type: 'TENSOR_OP_MATH',
        tuning_knobs: { '17': '1', '24': '0' },
        is_cudnn_frontend: true,
        workspace_size: '0',
      },
      fmha_scale: scores.scale,
      intermediate_tensor_shape: {
        element_type: 'BF16',
        dimensions: [batch, heads, tokens, tokens].map(String),
        layout,
        is_dynamic_dimension: [false, false, false, false],
      },
      is_flash_attention: true,
      mask_type: maskOf(scores, hasLengths),
      ...products,
      dropout_rate: 0,
      seed: 0,
      // Includes the query's own key; 0 means no window.
      sliding_window_length: scores.window ?? 0,
      max_seg_per_batch: 1,
      is_paged_attention: false,
    },
  };
}

/**
 * Returns the numbers of queries and keys of each sample, which the kernel needs with padding. Padded queries are computed too, as in
 * chunked attention.
 */
function lengthsOf(emitter: Emitter, q: Value, lengths: Value | undefined): readonly Value[] {
  return lengths ? [emitter.fill(q.shape[2] as number, 'i32', lengths.shape), lengths] : [];
}

/** Returns a key: nodes with the same inputs share a call. */
const keyOf = ({ node }: Pick<LoweringContext<'attention' | 'attentionGradient'>, 'node'>, { scale, causal, window }: AttentionScores) =>
  `${node.op} ${node.inputs.map(({ id }) => id).join()} ${scale} ${causal} ${window}`;

function checkType({ type }: Value): void {
  if (type !== 'bf16') throw new GraphError('attention as one kernel is for bfloat16');
}

export const attentionLowerings: Pick<LoweringTable, 'attention' | 'attentionGradient'> = {
  attention: ({ emitter, node, attrs, inputs, once }) => {
    const [q, k, v] = three(inputs);
    const lengths = inputs[3];
    checkType(q);
    const results = once(keyOf({ node }, attrs), () => {
      const logSum = { shape: q.shape.slice(0, 3), type: 'f32' } as const;
      const config = configOf(q, attrs, lengths !== undefined, FORWARD_PRODUCTS);
      return emitter.call(FORWARD, [q, k, v, ...lengthsOf(emitter, q, lengths)], [q, logSum, WORKSPACE], config);
    });
    return attrs.of === 'output' ? elementAt(results, 0) : emitter.reshape(elementAt(results, 1), node.shape);
  },
  attentionGradient: ({ emitter, node, attrs, inputs, once }) => {
    const [q, k, v] = three(inputs);
    const [logSum, output, dy] = three(inputs.slice(3));
    const lengths = inputs[6];
    checkType(q);
    const results = once(keyOf({ node }, attrs), () => {
      const config = configOf(q, attrs, lengths !== undefined, BACKWARD_PRODUCTS);
      const read = [q, k, v, emitter.reshape(logSum, logSum.shape.slice(0, 3)), dy, output, ...lengthsOf(emitter, q, lengths)];
      emitter.isUnordered = true;
      return emitter.call(BACKWARD, read, [q, k, v, WORKSPACE], config);
    });
    return elementAt(results, { q: 0, k: 1, v: 2 }[attrs.toward]);
  },
};
