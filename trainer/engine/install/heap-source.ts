/** A small addon of our own, built next to TensorFlow's: it controls when glibc's heap returns memory to the system. */

/**
 * `trim()` returns free pages to the system. `mapFrom(bytes)` makes blocks of this size or larger be mapped individually, so they are
 * returned when freed. Without glibc, both do nothing.
 */
export const HEAP_SOURCE = `
#include <node_api.h>
#include <cstdint>
#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
static napi_value Trim(napi_env, napi_callback_info) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
  return nullptr;
}
static napi_value MapFrom(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int64_t bytes = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1) return nullptr;
  if (napi_get_value_int64(env, argument, &bytes) != napi_ok) return nullptr;
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(bytes));
#endif
  return nullptr;
}
static napi_value Init(napi_env env, napi_value exports) {
  napi_value trim, map_from;
  napi_create_function(env, "trim", NAPI_AUTO_LENGTH, Trim, nullptr, &trim);
  napi_create_function(env, "mapFrom", NAPI_AUTO_LENGTH, MapFrom, nullptr, &map_from);
  napi_set_named_property(env, exports, "trim", trim);
  napi_set_named_property(env, exports, "mapFrom", map_from);
  return exports;
}
NAPI_MODULE(rowtune_heap, Init)
`;
