#include "tools/inspect/get.h"

#include <unistd.h>

#include <cstdio>

#include "shm/base/clock.h"
#include "tools/cli/terminal.h"
#include "tools/replay/time_text.h"

namespace deja {
namespace {

constexpr int kBusyAttemptsMax = 100;
/// How long one who is not in memory is waited for, where the store may have him.
constexpr int kStoreWaitMs = 200;
constexpr int kAskAgainMs = 20;

int complain(int status, const std::string& text) {
  std::fprintf(stderr, "deja: %s\n", text.c_str());
  return status;
}

/// Now for an empty text; nothing for one that is no moment.
std::optional<std::int64_t> moment_of(const std::string& at) {
  const std::int64_t now_us = wall_us();
  return at.empty() ? now_us : parse_moment(at, now_us);
}

constexpr const char* kMomentRemedy =
    "--at takes an instant in RFC 3339 (2026-02-03T04:05:06Z) or an offset from now (-2h, +1d)";

deja_status get_profile(deja_appliance* appliance, const deja_key& key, deja_profile* into) {
  deja_status status = DEJA_BUSY;
  for (int attempt = 0; status == DEJA_BUSY && attempt < kBusyAttemptsMax; ++attempt) {
    status = deja_get(appliance, key, into);
  }
  return status;
}

/// The same for one who may have left the memory.
deja_status fetch_profile(deja_appliance* appliance, const deja_key& key, deja_profile* into) {
  deja_status status = get_profile(appliance, key, into);
  for (int waited_ms = 0; status == DEJA_UNKNOWN && waited_ms < kStoreWaitMs; ++waited_ms) {
    if (waited_ms % kAskAgainMs == 0) {
      const deja_status asked = deja_ask(appliance, &key, 1);
      if (asked != DEJA_OK && asked != DEJA_BUSY) break;
    }
    usleep(1000);
    status = get_profile(appliance, key, into);
  }
  return status;
}

}  // namespace

int run_get(const GetOptions& options) {
  const std::optional<deja_key> key = parse_user(options.user);
  if (!key) {
    return complain(2, "\"" + options.user +
                           "\" can't be a user: one is 1 to 64 bytes long, and "
                           "anon:ID an anonymous one");
  }
  const std::optional<std::int64_t> at_us = moment_of(options.at);
  if (!at_us) return complain(2, "\"" + options.at + "\" is no instant. " + kMomentRemedy);
  auto appliance = open_appliance(options.appliance);
  if (!appliance.ok()) return complain(1, appliance.error().message());
  deja_appliance* handle = appliance->get();
  ProfileBuffer buffer(handle);
  const deja_status status = fetch_profile(handle, *key, buffer.get());
  if (status == DEJA_UNKNOWN) {
    return complain(1, "no profile of \"" + options.user +
                           "\". No event of this user was applied "
                           "yet; deja stat and deja errors show what became of those sent");
  }
  if (status != DEJA_OK) {
    return complain(1, "get \"" + options.user + "\": " + deja_status_text(status) + ". Try again");
  }
  const ShownProfile profile = shown_profile(handle, buffer.get(), *at_us);
  if (options.json) {
    std::string json;
    append_shown_json(json, profile);
    std::printf("%s\n", json.c_str());
  } else {
    std::fputs(profile_table(profile, *at_us, style_of(stdout)).c_str(), stdout);
  }
  return 0;
}

int run_export(const ExportOptions& options) {
  const std::optional<std::int64_t> at_us = moment_of(options.at);
  if (!at_us) return complain(2, "\"" + options.at + "\" is no instant. " + kMomentRemedy);
  auto appliance = open_appliance(options.appliance);
  if (!appliance.ok()) return complain(1, appliance.error().message());
  deja_appliance* handle = appliance->get();
  ProfileBuffer buffer(handle);
  deja_cursor cursor{};
  std::string json;
  std::uint64_t busy = 0;
  for (;;) {
    const deja_status status = deja_next(handle, &cursor, buffer.get());
    if (status == DEJA_END) break;
    if (status == DEJA_BUSY) {
      ++busy;
      continue;
    }
    if (status != DEJA_OK) {
      return complain(1, std::string("export: ") + deja_status_text(status) +
                             ". Export again: the appliance was restarted meanwhile");
    }
    json.clear();
    append_shown_json(json, shown_profile(handle, buffer.get(), *at_us));
    json.push_back('\n');
    if (std::fwrite(json.data(), 1, json.size(), stdout) != json.size()) {
      return complain(1, system_error("write the export").message());
    }
  }
  if (busy > 0) {
    return complain(1, std::to_string(busy) +
                           " profiles kept changing and are missing. Export "
                           "again when there is less traffic");
  }
  return 0;
}

}  // namespace deja
