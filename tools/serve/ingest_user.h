// [appliance] ingest_user: whom deja-ingest becomes once everything it needs is open. Start-up
// code; one thread.
#pragma once

#include <string>

#include "shm/base/result.h"

namespace deja {

/// "UID:GID" of that user and its first group, for deja-ingest's --user; empty for an empty name.
/// An error where there is no such user, or where only root could become it and we are not root.
[[nodiscard]] Result<std::string> ingest_user(const std::string& name);

}  // namespace deja
