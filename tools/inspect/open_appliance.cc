#include "tools/inspect/open_appliance.h"

#include "shm/segment_names.h"

namespace deja {
namespace {

Error not_served(const ApplianceName& which) {
  return {"no appliance \"" + which.name + "\" is served in " + which.directory, 0,
          "Start it with deja serve -c FILE, or name another with --name and --directory"};
}

}  // namespace

Result<ApplianceHandle> open_appliance(const ApplianceName& which) {
  deja_appliance* opened = nullptr;
  const deja_status status = deja_open(which.name.c_str(), which.directory.c_str(), &opened);
  if (status == DEJA_OK) return ApplianceHandle(opened);
  if (status == DEJA_ABSENT) return not_served(which);
  const char* remedy = "Check --name and --directory";
  if (status == DEJA_DENIED) {
    remedy = "Run as the service's user, or join [appliance] readers_group";
  } else if (status == DEJA_NEWER) {
    remedy = "Use the deja of the same build as the appliance";
  } else if (status == DEJA_DAMAGED) {
    remedy = "Restart the appliance";
  }
  return Error{"open the appliance \"" + which.name + "\" in " + which.directory + ": " +
                   deja_status_text(status),
               0, remedy};
}

Result<Segment> open_segment(const ApplianceName& which) {
  auto segment = Segment::open(segment_path(which));
  if (segment.ok()) return segment;
  if (segment.error().error_number == ENOENT) return not_served(which);
  return segment;
}

std::string segment_path(const ApplianceName& which) {
  return segment_directory(which.directory.c_str(), which.name.c_str()).text;
}

}  // namespace deja
