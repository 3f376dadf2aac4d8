// The exchanges of mpi-library.h through TensorFlow's own collective operations over gRPC, for machines without MPI. Each rank has a server of
// TensorFlow, which listens on all addresses of its machine and asks nobody who they are.
#pragma once
#include <memory>
#include <string>

#include "mpi-library.h"

// `place` is "<rank>,<host:port of rank 0>,<host:port of rank 1>…". The first exchange waits for the other ranks. Null with `problem` if the server
// does not start.
std::unique_ptr<MpiLibrary> OpenCollectives(const std::string& place, std::string* problem);
