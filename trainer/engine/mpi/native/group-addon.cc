// The ranks of a run, for JavaScript. Functions that can fail return the problem as a string, empty if there is none; they block.
#include "group-addon.h"

#include <algorithm>
#include <string>
#include <vector>

#include "rank-group.h"

namespace {

constexpr size_t kMaxArguments = 2;

struct Call {
  Call(napi_env env, napi_callback_info info) : env(env) { napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr); }

  std::string Text(size_t i) const {
    size_t length = 0;
    if (i >= count || napi_get_value_string_utf8(env, arguments[i], nullptr, 0, &length) != napi_ok) return "";
    std::string text(length + 1, 0);
    napi_get_value_string_utf8(env, arguments[i], text.data(), text.size(), &length);
    text.resize(length);
    return text;
  }
  double Number(size_t i) const {
    double value = 0;
    if (i < count) napi_get_value_double(env, arguments[i], &value);
    return value;
  }
  std::vector<uint8_t> Bytes(size_t i) const {
    void* data = nullptr;
    size_t length = 0;
    if (i >= count || napi_get_typedarray_info(env, arguments[i], nullptr, &length, &data, nullptr, nullptr) != napi_ok) return {};
    const uint8_t* const bytes = static_cast<const uint8_t*>(data);
    return std::vector<uint8_t>(bytes, bytes + length);
  }
  napi_value Result(const std::string& text) const {
    napi_value value = nullptr;
    napi_create_string_utf8(env, text.data(), text.size(), &value);
    return value;
  }

  napi_env const env;
  napi_value arguments[kMaxArguments] = {};
  size_t count = kMaxArguments;
};

void Set(napi_env env, napi_value object, const char* name, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

// (library) → { problem, rank, size }
napi_value Join(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  GroupPlace place;
  const std::string problem = JoinGroup(call.Text(0), &place);
  napi_value result = nullptr;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "problem", call.Result(problem));
  Set(env, result, "rank", place.rank);
  Set(env, result, "size", place.size);
  return result;
}

napi_value Leave(napi_env, napi_callback_info) {
  LeaveGroup();
  return nullptr;
}

// (folder, seconds)
napi_value Watch(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  WatchGroup(call.Text(0), call.Number(1));
  return nullptr;
}

// (reason)
napi_value Fail(napi_env env, napi_callback_info info) {
  FailGroup(Call(env, info).Text(0));
  return nullptr;
}

napi_value Failure(napi_env env, napi_callback_info info) { return Call(env, info).Result(GroupFailure()); }

napi_value Counts(napi_env env, napi_callback_info) {
  const GroupCounts counts = CountsOfGroup();
  napi_value result = nullptr;
  napi_create_object(env, &result);
  Set(env, result, "exchanges", static_cast<double>(counts.exchanges));
  Set(env, result, "bytes", static_cast<double>(counts.bytes));
  Set(env, result, "busySeconds", counts.busy_seconds);
  Set(env, result, "waitedSeconds", counts.waited_seconds);
  return result;
}

// (bytes: Uint8Array of equal length on all ranks) → the bytes of all ranks concatenated, or the problem as a string
napi_value GatherBytes(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  std::vector<uint8_t> all;
  const std::string problem = Gather(call.Bytes(0), &all);
  if (!problem.empty()) return call.Result(problem);
  void* data = nullptr;
  napi_value buffer = nullptr, bytes = nullptr;
  if (napi_create_arraybuffer(env, all.size(), &data, &buffer) != napi_ok) return call.Result("there is no memory for what the ranks sent");
  std::copy(all.begin(), all.end(), static_cast<uint8_t*>(data));
  napi_create_typedarray(env, napi_uint8_array, all.size(), buffer, 0, &bytes);
  return bytes;
}

// () → their names
napi_value NamesOfResiduals(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  napi_value list = nullptr;
  napi_create_array(env, &list);
  uint32_t i = 0;
  for (const std::string& name : ResidualNames()) napi_set_element(env, list, i++, call.Result(name));
  return list;
}

// (name) → Float32Array, or the problem as a string
napi_value ReadResidual(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const std::vector<float> values = ResidualOf(call.Text(0));
  void* data = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  if (napi_create_arraybuffer(env, 4 * values.size(), &data, &buffer) != napi_ok) return call.Result("there is no memory for a residual");
  std::copy(values.begin(), values.end(), static_cast<float*>(data));
  napi_create_typedarray(env, napi_float32_array, values.size(), buffer, 0, &array);
  return array;
}

// (name, Float32Array)
napi_value WriteResidual(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  void* data = nullptr;
  size_t length = 0;
  if (call.count > 1 && napi_get_typedarray_info(env, call.arguments[1], nullptr, &length, &data, nullptr, nullptr) == napi_ok)
    SetResidual(call.Text(0), std::vector<float>(static_cast<float*>(data), static_cast<float*>(data) + length));
  return nullptr;
}

}  // namespace

void ExportGroup(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"joinGroup", Join},       {"leaveGroup", Leave},     {"watchGroup", Watch},           {"failGroup", Fail},
                   {"groupFailure", Failure}, {"groupCounts", Counts}, {"gatherFromRanks", GatherBytes},
                   {"residualNames", NamesOfResiduals}, {"readResidual", ReadResidual}, {"writeResidual", WriteResidual}};
  for (const auto& each : functions) {
    napi_value function = nullptr;
    napi_create_function(env, each.name, NAPI_AUTO_LENGTH, each.function, nullptr, &function);
    napi_set_named_property(env, exports, each.name, function);
  }
}
