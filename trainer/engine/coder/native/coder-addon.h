// The functions of weight-codes.h, for JavaScript.
#pragma once
#include <node_api.h>

// Sets on `exports`, each of which gives a promise, and computes on other threads than JavaScript's. `values` are a Float32Array, or bits of bfloat16 in a
// Uint16Array; no array may change until then.
//   widen(values, to: Float32Array)
//   encodeRows(values, codes: Int8Array, scales: Float32Array): a scale for each row
//   encodeBlocks(values, borders: Float64Array, codes: Uint8Array, scales: Uint8Array, low: Float32Array, step: Float32Array)
void ExportCoder(napi_env env, napi_value exports);
