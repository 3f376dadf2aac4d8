// Runs row programs from standard input under the address sanitizer: those that the parser accepts must stay within their tensors.
// Input, in 32-bit words: the number of programs; then for each, the numbers of words, inputs and outputs, the bytes of each tensor, the words.
#include <cstdio>
#include <memory>
#include <vector>

#include "row-program.h"

int main() {
  std::vector<int32_t> all;
  int32_t word = 0;
  while (std::fread(&word, 4, 1, stdin) == 1) all.push_back(word);
  const int32_t* at = all.data();
  int accepted = 0, run = 0;
  for (int32_t n = *at++; n > 0; n--) {
    const int32_t words = *at++, inputs = *at++, outputs = *at++;
    std::vector<size_t> input_bytes(at, at + inputs), output_bytes(at + inputs, at + inputs + outputs);
    at += inputs + outputs;
    RowProgram program;
    const bool parsed = ParseRowProgram(at, static_cast<size_t>(words), &program);
    at += words;
    if (!parsed) continue;
    accepted++;
    if (!FitsTensors(program, input_bytes, output_bytes)) continue;
    // Each tensor is a separate allocation, so that the sanitizer detects accesses out of bounds.
    std::vector<std::unique_ptr<char[]>> memory;
    std::vector<const void*> from;
    std::vector<void*> to;
    for (size_t bytes : input_bytes) memory.emplace_back(new char[bytes]()), from.push_back(memory.back().get());
    for (size_t bytes : output_bytes) memory.emplace_back(new char[bytes]()), to.push_back(memory.back().get());
    if (program.rows > 1 << 20) continue;
    RunRowProgram(program, Buffers{from.data(), to.data()});
    run++;
  }
  std::printf("%d accepted, %d run\n", accepted, run);
  return 0;
}
