#include "tools/serve/single_instance.h"

namespace deja {

Result<SingleInstance> SingleInstance::take(const std::string& path, const std::string& what) {
  auto place = PlaceLock::take(path);
  if (place.ok()) return SingleInstance(std::move(place.value()));
  if (place.error().error_number != EAGAIN) return place.error();
  const pid_t pid = PlaceLock::holder(path);
  const std::string who = pid > 0 ? " (process " + std::to_string(pid) + ")" : "";
  return Error{"deja serve" + who + " already " + what, 0,
               "Stop it, or give this appliance a name and directories of its own"};
}

}  // namespace deja
