// Shared helpers of the addon's functions: JavaScript values, handles, and calls on another thread.
#pragma once
#include <node_api.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pjrt {

void Throw(napi_env env, const std::string& message);

template <typename T>
napi_value Wrap(napi_env env, std::shared_ptr<T> object) {
  napi_value value;
  const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); };
  napi_create_external(env, new std::shared_ptr<T>(std::move(object)), release, nullptr, &value);
  return value;
}

// Returns the handle's object, which is empty if the handle was closed.
template <typename T>
std::shared_ptr<T>* Unwrap(napi_env env, napi_value value) {
  void* data = nullptr;
  napi_get_value_external(env, value, &data);
  return static_cast<std::shared_ptr<T>*>(data);
}

// Returns the object of a handle; if it was closed, throws in JavaScript and returns null.
template <typename T>
std::shared_ptr<T> Open(napi_env env, napi_value handle) {
  const auto* wrapped = Unwrap<T>(env, handle);
  if (wrapped && *wrapped) return *wrapped;
  Throw(env, "this handle was closed");
  return nullptr;
}

template <size_t Count>
struct Arguments {
  napi_value values[Count];
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = Count;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  napi_value operator[](size_t i) const { return values[i]; }
};

std::string TextOf(napi_env env, napi_value value);
int64_t NumberOf(napi_env env, napi_value value);
std::vector<napi_value> ItemsOf(napi_env env, napi_value array);
std::vector<int64_t> NumbersOf(napi_env env, napi_value array);

struct Bytes {
  void* data = nullptr;
  size_t length = 0;
};

// Returns the memory of a Uint8Array.
Bytes BytesOf(napi_env env, napi_value value);

void Set(napi_env env, napi_value object, const char* name, int64_t number);
void Set(napi_env env, napi_value object, const char* name, const std::string& text);
napi_value Object(napi_env env);

// Returns handles of all objects as an array, which then owns them.
template <typename T>
napi_value WrapAll(napi_env env, std::vector<std::shared_ptr<T>>* objects) {
  napi_value array;
  napi_create_array_with_length(env, objects->size(), &array);
  for (uint32_t i = 0; i < objects->size(); i++) napi_set_element(env, array, i, Wrap(env, (*objects)[i]));
  objects->clear();
  return array;
}

// Runs `run` on a libuv thread; the promise resolves with the value of `result`.
// @param kept an array that must stay at its address until then
napi_value Start(napi_env env, std::function<void()> run, std::function<napi_value(napi_env)> result, napi_value kept = nullptr);

}  // namespace pjrt
