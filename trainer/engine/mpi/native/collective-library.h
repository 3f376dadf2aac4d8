// Implements the exchanges of mpi-library.h with TensorFlow's collective operations over gRPC, for machines without MPI. Each rank runs a
// TensorFlow server, which listens on all addresses of its machine and does not authenticate its peers.
#pragma once
#include <memory>
#include <string>

#include "mpi-library.h"

// `place` is "<rank>,<host:port of rank 0>,<host:port of rank 1>…". The first exchange waits for the other ranks. Returns null and sets
// `problem` if the server does not start.
std::unique_ptr<MpiLibrary> OpenCollectives(const std::string& place, std::string* problem);
