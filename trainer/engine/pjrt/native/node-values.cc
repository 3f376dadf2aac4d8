#include "node-values.h"

#include "client.h"

namespace pjrt {
namespace {

// A call on another thread.
struct Task {
  std::function<void()> run;
  std::function<napi_value(napi_env)> result;
  std::string problem;
  int code = 0;
  bool failed = false;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  // Keeps an array alive, at a fixed address, until the call is over.
  napi_ref kept = nullptr;
};

void RunTask(napi_env, void* data) {
  Task* task = static_cast<Task*>(data);
  try {
    task->run();
  } catch (const Failure& failure) {
    task->failed = true;
    // Plugins omit the name of the code from their messages, and word this error in many ways.
    task->problem = failure.code == kExhausted ? std::string("RESOURCE_EXHAUSTED: ") + failure.what() : failure.what();
    task->code = failure.code;
  } catch (const std::exception& failure) {
    task->failed = true;
    task->problem = failure.what();
  }
}

void EndTask(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (task->failed) {
    napi_value message, error;
    napi_create_string_utf8(env, task->problem.data(), task->problem.size(), &message);
    napi_create_error(env, nullptr, message, &error);
    Set(env, error, "status", task->code);
    napi_reject_deferred(env, task->deferred, error);
  } else {
    napi_resolve_deferred(env, task->deferred, task->result(env));
  }
  if (task->kept) napi_delete_reference(env, task->kept);
  napi_delete_async_work(env, task->work);
}

}  // namespace

void Throw(napi_env env, const std::string& message) { napi_throw_error(env, nullptr, message.c_str()); }

std::string TextOf(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

int64_t NumberOf(napi_env env, napi_value value) {
  int64_t number = 0;
  napi_get_value_int64(env, value, &number);
  return number;
}

Bytes BytesOf(napi_env env, napi_value value) {
  Bytes bytes;
  napi_get_typedarray_info(env, value, nullptr, &bytes.length, &bytes.data, nullptr, nullptr);
  return bytes;
}

std::vector<napi_value> ItemsOf(napi_env env, napi_value array) {
  uint32_t length = 0;
  napi_get_array_length(env, array, &length);
  std::vector<napi_value> items(length);
  for (uint32_t i = 0; i < length; i++) napi_get_element(env, array, i, &items[i]);
  return items;
}

void Set(napi_env env, napi_value object, const char* name, int64_t number) {
  napi_value value;
  napi_create_int64(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

void Set(napi_env env, napi_value object, const char* name, const std::string& text) {
  napi_value value;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  napi_set_named_property(env, object, name, value);
}

napi_value Object(napi_env env) {
  napi_value object;
  napi_create_object(env, &object);
  return object;
}

std::vector<int64_t> NumbersOf(napi_env env, napi_value array) {
  std::vector<int64_t> numbers;
  for (napi_value item : ItemsOf(env, array)) numbers.push_back(NumberOf(env, item));
  return numbers;
}

napi_value Start(napi_env env, std::function<void()> run, std::function<napi_value(napi_env)> result, napi_value kept) {
  auto task = std::make_unique<Task>();
  task->run = std::move(run);
  task->result = std::move(result);
  napi_value promise, name;
  napi_create_promise(env, &task->deferred, &promise);
  napi_create_string_utf8(env, "pjrt", NAPI_AUTO_LENGTH, &name);
  if (kept) napi_create_reference(env, kept, 1, &task->kept);
  napi_create_async_work(env, nullptr, name, RunTask, EndTask, task.get(), &task->work);
  napi_queue_async_work(env, task->work);
  task.release();
  return promise;
}

}  // namespace pjrt
