// Numbers that lie in a file while nobody uses them.
#pragma once
#include <cstddef>
#include <cstdint>

// Sets so many bytes of the file's disk aside. The number of the system's error; 0 where all went well.
int ReserveFile(int file, int64_t bytes);
// Reads the bytes at `offset` of the file into memory. The number of the system's error, or 0.
int BringBack(int file, int64_t offset, char* memory, size_t bytes);
// Writes them there and gives the pages of memory that hold nothing else back to the system. The number of the system's error, or 0.
int PutAway(int file, int64_t offset, char* memory, size_t bytes);
