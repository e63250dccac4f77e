// Writes the seeds that are no text: make_seeds tests/fuzz/corpus. They are in the tree; to be run
// again when a layout has changed so that they are no longer understood (a seed that is refused at
// once is still fed, but finds little).
#include <cstdio>

#include "tests/fuzz/seeds/seed.h"

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: make_seeds CORPUS_FOLDER\n");
    return 2;
  }
  const std::string corpus = arguments[1];
  deja::fuzz::write_stream_seeds(corpus);
  deja::fuzz::write_ring_seeds(corpus);
  deja::fuzz::write_profile_seeds(corpus);
  deja::fuzz::write_file_seeds(corpus);
  return 0;
}
