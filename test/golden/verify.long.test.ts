/** Compares a folder of every family with Transformers: logits, loss and the gradient of every parameter, on every engine. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { logitsTolerance, TOLERANCES } from '../../trainer/verify/verify-model.ts';
import { casesOn, describeOn, openAll } from '../support/engines.ts';
import { folderOfEachLayer, verifyFolder } from '../support/golden/verify-folder.ts';

const folders = [
  ...['llama', 'llama3_tied', 'llama_biased', 'llama_linear_rope', 'qwen2', 'qwen2_window', 'mistral_window', 'qwen3', 'qwen3_window'],
  ...['qwen3_5', 'qwen3_5_images', 'qwen3_vl', 'qwen3_vl_moe', 'qwen2_vl', 'qwen2_5_vl', 'olmo_hybrid', 'olmo_hybrid_saved', 'lfm2', 'lfm2_untied', 'lfm3', 'lfm3_untied', 'granite_swa', 'granitemoe_swa', 'hyperclovax', 'hyperclovax_plain', 'nemotron'],
  ...['gemma', 'gemma2', 'gemma2_untied', 'gemma3', 'gemma3_untied', 'gemma3_images', 'gemma3n', 'gemma3n_text', 'gemma4', 'gemma4_untied', 'gemma4_images', 'gemma4_unified', 'gemma4_experts', 'smollm3', 'smollm3_window'],
  ...['phi3', 'phi3_short', 'phi3_long', 'llama_yarn', 'qwen3_yarn', 'llama_longrope', 'llama_dynamic', 'olmo3_yarn', 'ministral', 'ministral3', 'mistral3_images', 'smolvlm', 'idefics3', 'gemma3_vision', 'lfm2_vl', 'lfm3_vl', 'minicpm_v', 'lighton_ocr', 'glm4v', 'glm_ocr', 'paddleocr_vl', 'internvl'],
  ...['olmo2', 'olmo2_tied', 'olmo3', 'granite', 'granite_untied', 'granite4', 'granite4_untied', 'granite4_mamba', 'granite4_mamba_untied', 'glm', 'glm4', 'exaone4', 'exaone4_untied', 'seed_oss', 'seed_oss_tied', 'apertus', 'gpt_neox', 'gpt_neox_sequential', 'gpt2', 'gpt2_bare', 'starcoder2', 'stablelm', 'stablelm_parallel', 'phi', 'vaultgemma', 'jais2', 'helium', 'arcee', 'ernie4_5'],
  ...['hunyuan', 'hunyuan_untied', 'cohere', 'cohere2', 'cohere2_untied', 'cwm', 'nanochat', 'nanochat_tied', 'modernbert_decoder', 'modernbert_decoder_biased'],
  ...['mixtral', 'mixtral_window', 'qwen3_moe', 'qwen3_moe_step', 'qwen3_5_moe', 'qwen3_5_moe_images', 'qwen3_next', 'qwen3_next_step', 'lfm2_moe', 'glm4_moe', 'deepseek_v2', 'deepseek_v3', 'glm4_moe_lite', 'mistral4', 'ernie4_5_moe', 'afmoe', 'afmoe_tied', 'mellum', 'youtu', 'youtu_tied', 'olmoe', 'granite4_experts', 'granitemoe', 'qwen2_moe', 'cohere2_moe', 'flint', 'kolibri1', 'nemotron_h', 'nemotron_h_experts', 'falcon_h1', 'falcon_h1_normed', 'gpt_oss', 'gpt_oss_mxfp4', 'qwen3_fp8', 'qwen3_fp8_exponents', 'qwen3_modelopt', 'qwen3_auto_round', 'qwen3_bnb4', 'qwen3_bnb8', 'qwen3_mlx', 'qwen3_mlx_floats', 'qwen3_moe_mlx', 'mixtral_mlx', 'gpt_oss_mlx', 'deepseek_v3_mlx', 'qwen3_next_mlx', 'qwen3_5_mlx', 'lfm2_mlx', 'lfm2_moe_mlx', 'granite4_mlx', 'granite4_experts_mlx', 'nemotron_h_mlx', 'olmo_hybrid_mlx', 'qwen3_compressed', 'qwen3_compressed_mx', 'qwen3_gptq', 'qwen3_gptq3', 'qwen3_awq'],
  ...['bert', 'vit', 'deit', 'resnet', 'deberta', 'deberta_regression'],
  ...['deberta_torch', 'bert_torch', 'llama_torch'],
  ...['roberta', 'deberta_own_keys', 'deberta_c2p', 'deit_teacher', 'resnet_basic'],
  ...['resnet_gelu', 'vit_cropped', 'roberta_padded', 'bert_padded', 'llama_own_head', 'llama_repeated_head'],
  ...['timm_resnet', 'timm_resnext', 'timm_vit', 'timm_deit_distilled'],
  ...['distilbert', 'distilbert_regression', 'electra', 'electra_wide', 'albert', 'albert_groups', 'xlm_roberta', 'camembert', 'mpnet', 'mpnet_regression', 'nomic_bert', 'eurobert', 'eurobert_mean', 'ultrabert', 'ultrabert_mean', 'gte', 'esm', 'esm_learned'],
  ...['modernbert', 'modernbert_mean'],
  ...['bert_tokens', 'roberta_tokens', 'xlm_roberta_tokens', 'camembert_tokens', 'distilbert_tokens', 'electra_tokens', 'albert_tokens', 'deberta_tokens', 'modernbert_tokens', 'mpnet_tokens', 'nomic_bert_tokens', 'eurobert_tokens', 'ultrabert_tokens', 'gte_tokens', 'esm_tokens', 'bert_several'],
  ...['llama_score', 'qwen3_score', 'gpt_neox_score', 'gpt2_score', 'modernbert_decoder_score'],
  ...['dinov2', 'dinov2_resized', 'dinov2_registers', 'dinov3', 'dinov3_gated'],
  ...['convnext', 'convnext_plain', 'convnextv2', 'swin', 'swin_uneven', 'siglip'],
  ...['timm_convnext', 'timm_convnextv2', 'timm_swin', 'timm_dinov2', 'timm_dinov2_registers'],
];

test('the tolerances are those that the project promises', () => {
  expect(TOLERANCES).toEqual({ logits: 1e-4, loss: 1e-5, gradients: 1e-3 });
  expect([[0.5, -20], [36.6, -8], []].map(logitsTolerance)).toEqual([1e-4, 5e-6 * 36.6, 1e-4]);
});

describeOn(await openAll(), (engine, name) => {
  test.each(casesOn(name, folders, folder => folderOfEachLayer.includes(folder)))('%s', async folder => {
    const { checks, expected } = await verifyFolder(engine, join(import.meta.dirname, folder));
    expect(checks.map(check => check.name)).toEqual(expected);
    expect(checks.filter(check => !check.ok)).toEqual([]);
  });
});
