// The main of a fuzzer that is built as an ordinary test: feeds it every file of the folders that
// it is given, in the order of their names. One that makes it stop is the last one named.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void feed(const std::filesystem::path& path) {
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  std::ifstream file(path, std::ios::binary);
  // To the byte, so that a sanitizer sees who reads behind it.
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  bytes.shrink_to_fit();
  (void)LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

}  // namespace

int main(int count, char** arguments) {
  std::size_t fed = 0;
  for (int at = 1; at < count; ++at) {
    for (const auto& path : files_in(arguments[at])) {
      feed(path);
      ++fed;
    }
  }
  if (fed == 0) std::fprintf(stderr, "no inputs: name a folder that has some\n");
  return fed == 0 ? 1 : 0;
}
