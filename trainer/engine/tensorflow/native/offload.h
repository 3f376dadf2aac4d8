// Moves values that are not in use to a file and back.
#pragma once
#include <cstddef>
#include <cstdint>

// Reserves this many bytes of disk space for the file. Returns the system's error number; 0 on success.
int ReserveFile(int file, int64_t bytes);
// Reads the bytes at `offset` of the file into memory. Returns the system's error number; 0 on success.
int ReadBack(int file, int64_t offset, char* memory, size_t bytes);
// Writes the bytes there and returns the memory pages that hold nothing else to the system. Returns the system's error number; 0 on
// success.
int WriteOut(int file, int64_t offset, char* memory, size_t bytes);
