// A folder of a test's own: where TMPDIR says, else in shared memory, where segments belong. Who
// runs programs that may die gives them a TMPDIR and clears it away. Test code; any thread.
#pragma once

#include <cstdlib>
#include <string>

#include "shm/base/check.h"

namespace deja {

/// Makes "<where>/<name>-XXXXXX".
[[nodiscard]] inline std::string make_scratch_directory(const std::string& name) {
  const char* where = std::getenv("TMPDIR");
  std::string path = where != nullptr && *where != '\0' ? where : "/dev/shm";
  path += "/" + name + "-XXXXXX";
  CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

}  // namespace deja
