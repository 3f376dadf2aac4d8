// Parses a row program from its words, and validates it, so that running it only accesses the tensors that it names.
#include "row-program.h"

#include <algorithm>

#include "../kernels/vector-math.h"

namespace {

class Reader {
 public:
  Reader(const int32_t* words, size_t count) : at_(words), end_(words + count) {}
  int32_t Next() {
    if (at_ == end_) {
      failed = true;
      return 0;
    }
    return *at_++;
  }
  float NextFloat() { return FromBits(static_cast<uint32_t>(Next())); }
  // Returns the length of a list. A length that exceeds the remaining words makes the program invalid.
  int32_t Count() {
    const int32_t count = Next();
    if (count < 0 || count > end_ - at_) failed = true;
    return failed ? 0 : count;
  }
  // Returns an integer below `limit`.
  int32_t Below(int64_t limit) {
    const int32_t value = Next();
    if (value < 0 || value >= limit) failed = true;
    return failed ? 0 : value;
  }
  bool done() const { return at_ == end_; }
  bool failed = false;

 private:
  const int32_t *at_, *end_;
};

Access ReadAccess(Reader& reader, const RowProgram& program, bool is_load) {
  Access access{};
  access.tensor = reader.Below(kMaxTensors);
  access.type = static_cast<Type>(reader.Below(kTypes));
  access.reg = reader.Below(static_cast<int64_t>(program.registers.size()));
  access.offset = reader.Next();
  access.column = reader.Next();
  for (size_t i = 0; i < program.lead.size(); i++) access.lead.push_back(reader.Next());
  if (!is_load) return access;
  for (int32_t n = reader.Count(); n > 0; n--) {
    Window window{};
    window.axis = reader.Below(static_cast<int64_t>(program.lead.size()));
    window.low = reader.Next();
    window.high = reader.Next();
    access.windows.push_back(window);
  }
  access.fill = reader.NextFloat();
  return access;
}

Instruction ReadInstruction(Reader& reader, const RowProgram& program) {
  const int64_t registers = static_cast<int64_t>(program.registers.size());
  Instruction instruction{};
  instruction.code = static_cast<Code>(reader.Below(kCodes));
  instruction.target = reader.Below(registers);
  instruction.a = reader.Below(registers);
  instruction.b = reader.Below(registers);
  instruction.c = reader.Below(registers);
  return instruction;
}

Output ReadOutput(Reader& reader) {
  Output output{};
  output.type = static_cast<Type>(reader.Below(kTypes));
  for (int32_t n = reader.Count(); n > 0; n--) output.shape.push_back(reader.Below(INT32_MAX));
  for (int32_t n = reader.Count(); n > 0; n--) output.candidates.push_back(reader.Below(kMaxTensors));
  return output;
}

// Returns the widest kind among the operands: one value per element, per row, or for all rows.
Kind Widest(const RowProgram& program, const Instruction& i) {
  Kind widest = Kind::kScalar;
  const int32_t operands[] = {i.a, i.b, i.c};
  for (int32_t n = 0; n < kCodeInfo[static_cast<int32_t>(i.code)].operands; n++)
    widest = std::min(widest, program.registers[operands[n]]);
  return widest;
}

bool IsValid(const RowProgram& program) {
  if (program.columns < 1 || program.lead.size() > kMaxLeadAxes || program.instructions.size() > kMaxInstructions) return false;
  if (program.reduces && program.columns > kMaxReducedColumns) return false;
  if (std::count(program.registers.begin(), program.registers.end(), Kind::kFull) > kMaxFullRegisters) return false;
  for (const auto& [reg, value] : program.constants)
    if (program.registers[reg] != Kind::kScalar) return false;
  for (const Instruction& i : program.instructions) {
    const Kind target = program.registers[i.target];
    const CodeInfo& info = kCodeInfo[static_cast<int32_t>(i.code)];
    // A reduction gives one value per row, or one for all rows if all rows are equal; any other result has the widest kind of its operands.
    const bool fits = info.reduces ? program.reduces && program.registers[i.a] == Kind::kFull && target != Kind::kFull : target == Widest(program, i);
    if (!fits) return false;
  }
  return true;
}

int64_t BytesOf(Type type) {
  switch (type) {
    case Type::kFloat32:
    case Type::kInt32: return 4;
    case Type::kBfloat16: return 2;
    case Type::kBool:
    case Type::kUint8:
    case Type::kInt8: return 1;
  }
  return 0;
}

// Returns true if every element that an access reaches is within a tensor of this many bytes.
bool IsWithin(const RowProgram& program, const Access& access, size_t bytes) {
  int64_t first = access.offset, last = access.offset;
  const auto walk = [&](int64_t stride, int64_t low, int64_t high) {
    first += std::min(stride * low, stride * high);
    last += std::max(stride * low, stride * high);
  };
  for (size_t axis = 0; axis < program.lead.size(); axis++) {
    int64_t low = 0, high = program.lead[axis] - 1;
    for (const Window& window : access.windows)
      if (window.axis == static_cast<int32_t>(axis)) {
        low = std::max<int64_t>(low, window.low);
        high = std::min<int64_t>(high, window.high - 1);
      }
    // The windows contain no rows, so nothing is read.
    if (high < low) return true;
    walk(access.lead[axis], low, high);
  }
  walk(access.column, 0, program.columns - 1);
  return first >= 0 && (last + 1) * BytesOf(access.type) <= static_cast<int64_t>(bytes);
}

}  // namespace

bool ParseRowProgram(const int32_t* words, size_t count, RowProgram* program) {
  Reader reader(words, count);
  program->columns = reader.Next();
  program->reduces = reader.Next() != 0;
  for (int32_t n = reader.Count(); n > 0; n--) program->lead.push_back(reader.Below(INT32_MAX));
  for (int64_t size : program->lead)
    if (__builtin_mul_overflow(program->rows, size, &program->rows)) return false;
  for (int32_t n = reader.Count(); n > 0; n--) program->registers.push_back(static_cast<Kind>(reader.Below(kKinds)));
  for (int32_t n = reader.Count(); n > 0; n--) {
    const int32_t reg = reader.Below(static_cast<int64_t>(program->registers.size()));
    program->constants.emplace_back(reg, reader.NextFloat());
  }
  for (int32_t n = reader.Count(); n > 0; n--) program->loads.push_back(ReadAccess(reader, *program, true));
  for (int32_t n = reader.Count(); n > 0; n--) program->instructions.push_back(ReadInstruction(reader, *program));
  for (int32_t n = reader.Count(); n > 0; n--) program->stores.push_back(ReadAccess(reader, *program, false));
  for (int32_t n = reader.Count(); n > 0; n--) program->outputs.push_back(ReadOutput(reader));
  return !reader.failed && reader.done() && IsValid(*program);
}

bool FitsTensors(const RowProgram& program, const std::vector<size_t>& inputs, const std::vector<size_t>& outputs) {
  if (program.rows == 0) return true;
  const auto fits = [&](const std::vector<Access>& accesses, const std::vector<size_t>& tensors) {
    return std::all_of(accesses.begin(), accesses.end(), [&](const Access& access) {
      return access.tensor < static_cast<int64_t>(tensors.size()) && IsWithin(program, access, tensors[access.tensor]);
    });
  };
  return fits(program.loads, inputs) && fits(program.stores, outputs);
}
