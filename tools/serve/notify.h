// Telling whoever started us how it goes: systemd's notification socket (NOTIFY_SOCKET, see
// sd_notify(3)) and --ready-fd. Any thread; never blocks for long, never fails loudly.
#pragma once

#include <string>

namespace deja {

/// "READY=1", "STOPPING=1"; nothing happens when not started by systemd.
void notify_service_manager(const std::string& state);

}  // namespace deja
