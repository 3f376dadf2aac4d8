#include "coder-addon.h"

#include <functional>
#include <memory>
#include <utility>

#include "weight-codes.h"

namespace {

constexpr size_t kMaxArrays = 6;

struct Array {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;

  template <typename T>
  T* As() const {
    return static_cast<T*>(data);
  }
};

// Work on another thread, its promise, and the arrays that must stay alive until then.
struct Task {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  napi_ref kept[kMaxArrays] = {};
  std::function<void()> run;
};

void End(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  for (napi_ref kept : task->kept)
    if (kept) napi_delete_reference(env, kept);
  napi_value undefined = nullptr;
  napi_get_undefined(env, &undefined);
  napi_resolve_deferred(env, task->deferred, undefined);
  napi_delete_async_work(env, task->work);
}

// The arguments of a call.
struct Arrays {
  Arrays(napi_env env, napi_callback_info info) : env(env) {
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
    for (size_t i = 0; i < count && i < kMaxArrays; i++)
      if (napi_get_typedarray_info(env, values[i], &arrays[i].type, &arrays[i].length, &arrays[i].data, nullptr, nullptr) != napi_ok) count = 0;
  }

  // Returns true if there are this many arrays, and those after the first have these types.
  template <size_t Count>
  bool Are(const napi_typedarray_type (&types)[Count]) const {
    if (count != Count + 1 || (arrays[0].type != napi_float32_array && arrays[0].type != napi_uint16_array)) return false;
    for (size_t i = 0; i < Count; i++)
      if (arrays[i + 1].type != types[i]) return false;
    return true;
  }

  Values values_of_first() const {
    const bool is_wide = arrays[0].type == napi_float32_array;
    return {is_wide ? arrays[0].As<float>() : nullptr, is_wide ? nullptr : arrays[0].As<uint16_t>(), static_cast<int64_t>(arrays[0].length)};
  }

  napi_value Refuse() const {
    napi_throw_type_error(env, nullptr, "the arrays are not those of a weight and its codes");
    return nullptr;
  }

  napi_value Start(std::function<void()> run) const {
    auto task = std::make_unique<Task>();
    task->run = std::move(run);
    for (size_t i = 0; i < count; i++) napi_create_reference(env, values[i], 1, &task->kept[i]);
    napi_value promise = nullptr, name = nullptr;
    napi_create_promise(env, &task->deferred, &promise);
    napi_create_string_utf8(env, "rowtune weights", NAPI_AUTO_LENGTH, &name);
    napi_create_async_work(env, nullptr, name, [](napi_env, void* data) { static_cast<Task*>(data)->run(); }, End, task.get(), &task->work);
    napi_queue_async_work(env, task->work);
    task.release();
    return promise;
  }

  napi_env const env;
  napi_value values[kMaxArrays] = {};
  Array arrays[kMaxArrays];
  size_t count = kMaxArrays;
};

napi_value StartWiden(napi_env env, napi_callback_info info) {
  const Arrays arrays(env, info);
  const Array* const a = arrays.arrays;
  if (!arrays.Are({napi_float32_array}) || a[0].type != napi_uint16_array || a[1].length != a[0].length) return arrays.Refuse();
  return arrays.Start([values = arrays.values_of_first(), to = a[1].As<float>()] { Widen(values, to); });
}

napi_value StartRows(napi_env env, napi_callback_info info) {
  const Arrays arrays(env, info);
  const Array* const a = arrays.arrays;
  const bool fits = arrays.Are({napi_int8_array, napi_float32_array}) && a[1].length == a[0].length && a[2].length > 0 && a[0].length % a[2].length == 0;
  if (!fits) return arrays.Refuse();
  return arrays.Start([values = arrays.values_of_first(), rows = static_cast<int64_t>(a[2].length), codes = a[1].As<int8_t>(),
                       scales = a[2].As<float>()] { EncodeRows(values, rows, codes, scales); });
}

napi_value StartBlocks(napi_env env, napi_callback_info info) {
  const Arrays arrays(env, info);
  const Array* const a = arrays.arrays;
  const int64_t count = static_cast<int64_t>(a[0].length);
  const auto has = [&](size_t i, int64_t length) { return a[i].length == static_cast<size_t>(length); };
  const bool fits = arrays.Are({napi_float64_array, napi_uint8_array, napi_uint8_array, napi_float32_array, napi_float32_array}) && has(1, kBorders) &&
                    has(2, BlocksOf(count) * kBlock / 2) && has(3, RangesOf(count) * kRange) && has(4, RangesOf(count)) && has(5, RangesOf(count));
  if (!fits) return arrays.Refuse();
  const BlockCodes to{a[2].As<uint8_t>(), a[3].As<uint8_t>(), a[4].As<float>(), a[5].As<float>()};
  return arrays.Start([values = arrays.values_of_first(), borders = a[1].As<double>(), to] { EncodeBlocks(values, borders, to); });
}

}  // namespace

void ExportCoder(napi_env env, napi_value exports) {
  const std::pair<const char*, napi_callback> functions[] = {{"widen", StartWiden}, {"encodeRows", StartRows}, {"encodeBlocks", StartBlocks}};
  for (const auto& [name, callback] : functions) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  }
}
