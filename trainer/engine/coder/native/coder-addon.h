// The functions of weight-codes.h, for JavaScript.
#pragma once
#include <node_api.h>

// Sets these functions on `exports`. Each computes on other threads than JavaScript's and returns a promise. `values` are a Float32Array, or
// bfloat16 bits in a Uint16Array; no array may change until the promise settles.
//   widen(values, to: Float32Array)
//   encodeRows(values, codes: Int8Array, scales: Float32Array): one scale per row
//   encodeBlocks(values, borders: Float64Array, codes: Uint8Array, scales: Uint8Array, low: Float32Array, step: Float32Array)
void ExportCoder(napi_env env, napi_value exports);
