#include "tools/serve/ingest_user.h"

#include <pwd.h>
#include <unistd.h>

namespace deja {

Result<std::string> ingest_user(const std::string& name) {
  if (name.empty()) return std::string();
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) {
    return Error{"look up the user '" + name + "'", 0,
                 "Create it (useradd --system " + name + "), or correct [appliance] ingest_user"};
  }
  if (geteuid() != 0 && entry->pw_uid != geteuid()) {
    return Error{"run deja-ingest as the user '" + name + "'", EPERM,
                 "Only root can: start deja serve as root, or leave out [appliance] ingest_user"};
  }
  return std::to_string(entry->pw_uid) + ":" + std::to_string(entry->pw_gid);
}

}  // namespace deja
