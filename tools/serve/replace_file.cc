#include "tools/serve/replace_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "shm/base/descriptor.h"

namespace deja {
namespace {

std::string made_for(const std::string& path) {
  return path + ".new";
}

}  // namespace

Status replace_file(const std::string& path, std::string_view bytes, ReplaceTo to) {
  const std::string made_path = made_for(path);
  const Descriptor file(open(made_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.open() ||
      write(file.number(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      (to == ReplaceTo::kDisk && fsync(file.number()) != 0) ||
      rename(made_path.c_str(), path.c_str()) != 0) {
    return system_error("write " + path);
  }
  return Done{};
}

void remove_replaced_file(const std::string& path) {
  unlink(path.c_str());
  unlink(made_for(path).c_str());
}

}  // namespace deja
