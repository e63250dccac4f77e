// What a start found out, kept for `deja stat` and `deja replay` as report.<incarnation> beside the
// segment's files: where the appliance listens, what the host gave, which features were kept. One
// line of text each, "key value". Written once by the supervisor. Any thread.
#pragma once

#include <string>
#include <vector>

#include "shm/base/result.h"

namespace deja {

struct StartReport {
  std::string http;  ///< empty: not listened on
  std::vector<std::string> streams;
  std::string console;
  std::string ingest_user;  ///< "UID:GID" that ingest has become; empty: the service's own
  std::string features;     ///< "keeps …; starts empty: …"
  std::vector<std::string> notes;

  Status write(const std::string& path) const;
  [[nodiscard]] static Result<StartReport> read(const std::string& path);
};

}  // namespace deja
