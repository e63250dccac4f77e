// [appliance], [cpu], [durability], [redis]: what runs where, and how large.
#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "shm/base/affinity.h"
#include "shm/base/cache_line.h"
#include "tools/config/sections.h"

namespace deja {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3'600 * kSecondUs;
constexpr std::size_t kDirectoryBytesMax = 160;
constexpr std::size_t kLoopsMax = 64;
constexpr std::size_t kAutoWorkersMax = 8;

std::optional<std::string> read_directory(TableReader& reader) {
  const std::optional<std::string> directory = reader.text("directory");
  if (!directory) return std::nullopt;
  if (directory->starts_with('/') && directory->size() <= kDirectoryBytesMax &&
      directory->find('\0') == std::string::npos) {
    return directory;
  }
  reader.wrong(
      "directory", *reader.take("directory"),
      "write an absolute path of at most " + std::to_string(kDirectoryBytesMax) + " bytes");
  return std::nullopt;
}

/// "auto", a count (that many, not pinned) or a list of cores.
std::vector<int> read_cores(TableReader& reader, std::string_view key, std::size_t auto_count,
                            const std::vector<int>& cores) {
  const std::vector<int> by_itself(auto_count, -1);
  const TomlValue* value = reader.take(key);
  if (value == nullptr) return by_itself;
  const std::string right =
      "write \"auto\", a list of cores such as [2, 3], or how many without pinning: 2";
  if (value->kind == TomlKind::kText && value->text == "auto") return by_itself;
  if (value->kind == TomlKind::kInteger) {
    if (value->integer >= 1 && value->integer <= static_cast<std::int64_t>(kLoopsMax)) {
      return std::vector<int>(static_cast<std::size_t>(value->integer), -1);
    }
    reader.wrong(key, *value, "write 1 to " + std::to_string(kLoopsMax));
    return by_itself;
  }
  if (value->kind != TomlKind::kArray || value->elements.empty()) {
    reader.wrong(key, *value, right);
    return by_itself;
  }
  if (value->elements.size() > kLoopsMax) {
    reader.wrong(key, *value, "found " + std::to_string(value->elements.size()) + " cores",
                 "list at most " + std::to_string(kLoopsMax));
    return by_itself;
  }
  std::vector<int> list;
  for (const TomlValue& element : value->elements) {
    if (element.kind != TomlKind::kInteger || element.integer < 0 ||
        element.integer >= CPU_SETSIZE) {
      reader.wrong(key, element, "write a core's number, from 0");
      continue;
    }
    list.push_back(static_cast<int>(element.integer));
    if (std::find(cores.begin(), cores.end(), list.back()) == cores.end()) {
      reader.mistakes().warn(element.place, reader.where(key),
                             "this host has no core " + std::to_string(element.integer) + " for us",
                             "it will run without being pinned");
    }
  }
  return list;
}

/// Spinning loops that share a core keep each other from running.
void warn_of_shared_cores(TableReader& reader, const CpuConfig& cpu) {
  if (cpu.wait != WaitStrategy::kSpin) return;
  std::vector<int> all = cpu.ingest;
  all.insert(all.end(), cpu.workers.begin(), cpu.workers.end());
  std::sort(all.begin(), all.end());
  int warned_of = -1;
  for (std::size_t at = 1; at < all.size(); ++at) {
    if (all[at] < 0 || all[at] != all[at - 1] || all[at] == warned_of) continue;
    warned_of = all[at];
    reader.mistakes().warn(reader.key_place("wait"), reader.where("wait"),
                           "core " + std::to_string(all[at]) + " is given to two spinning loops",
                           "give each its own core, or use wait = \"adaptive\"");
  }
}

bool is_port_and_database(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view port = text.substr(0, slash);
  const auto is_number = [](std::string_view digits, unsigned most) {
    unsigned number = 0;
    const char* end = digits.data() + digits.size();
    const auto [stopped, fault] = std::from_chars(digits.data(), end, number);
    return !digits.empty() && fault == std::errc{} && stopped == end && number <= most;
  };
  if (!port.empty() && !(port.front() == ':' && is_number(port.substr(1), 65'535))) return false;
  return slash == std::string_view::npos || slash + 1 == text.size() ||
         is_number(text.substr(slash + 1), 65'535);
}

/// Empty where `url` is one of ours, else what would be right.
std::string redis_url_fault(std::string_view url) {
  constexpr std::string_view kTcp = "redis://";
  constexpr std::string_view kUnix = "unix://";
  const std::string right =
      "write \"local\", \"redis://user:password@host:6379/0\" or \"unix:///path\"";
  if (url == "local") return {};
  if (url.find_first_of(" \t\r\n") != std::string_view::npos) return right;
  if (url.starts_with(kUnix)) {
    return url.substr(kUnix.size()).starts_with('/') ? "" : right;
  }
  if (url.starts_with("rediss://")) return "TLS is not spoken; put a tunnel in front";
  if (!url.starts_with(kTcp)) return right;
  std::string_view rest = url.substr(kTcp.size());
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    rest = rest.substr(at + 1);
  }
  std::size_t host_end = rest.find_first_of(":/");
  if (rest.starts_with('[')) {
    const std::size_t bracket = rest.find(']');
    if (bracket == std::string_view::npos) return right;
    host_end = bracket + 1;
  }
  if (host_end == std::string_view::npos) host_end = rest.size();
  if (host_end == 0) return right;
  return is_port_and_database(rest.substr(host_end)) ? "" : right;
}

}  // namespace

void read_appliance(const TomlValue* section, Config& config, Mistakes& mistakes) {
  TableReader reader(section, "[appliance]", mistakes);
  ApplianceConfig& appliance = config.appliance;
  const std::string name_rule = "write 1 to 32 of A-Z a-z 0-9 _ -";
  if (const auto name = reader.text("name")) {
    appliance.name = *name;
    if (!is_plain_name(*name, "_-", 32)) reader.wrong("name", *reader.take("name"), name_rule);
  } else if (!reader.has("name")) {
    TomlPlace place = reader.place();
    if (place.line == 0) place = {1, 1};
    mistakes.add(place, "[appliance] name", "missing",
                 "renderers open the appliance by it: " + name_rule);
  }
  if (const auto directory = read_directory(reader)) appliance.directory = *directory;
  if (const auto profiles = reader.integer("profiles", 1, 1'000'000'000)) {
    appliance.profiles = static_cast<std::uint64_t>(*profiles);
  }
  if (const auto shards = reader.integer("shards", 1, 4'096)) {
    appliance.shards = static_cast<std::uint32_t>(*shards);
  }
  if (const auto key_bytes = reader.integer("key_bytes", 8, 64)) {
    appliance.key_bytes =
        static_cast<std::uint32_t>(round_up(static_cast<std::size_t>(*key_bytes), 8));
  }
  if (const auto choice = reader.choice("huge_pages", {"try", "require", "off"})) {
    appliance.huge_pages = static_cast<HugePages>(*choice);
  }
  if (const auto group = reader.text("readers_group")) {
    appliance.readers_group = *group;
    if (!is_plain_name(*group, "_-.", 32)) {
      reader.wrong("readers_group", *reader.take("readers_group"), "write a group's name");
    }
  }
  if (const auto user = reader.text("ingest_user")) {
    appliance.ingest_user = *user;
    if (!is_plain_name(*user, "_-.", 32)) {
      reader.wrong("ingest_user", *reader.take("ingest_user"), "write a user's name");
    }
  }
  reader.finish();
}

void read_cpu(const TomlValue* section, const LoadOptions& options, Config& config,
              Mistakes& mistakes) {
  TableReader reader(section, "[cpu]", mistakes);
  std::vector<int> cores = options.cpus.empty() ? allowed_cores() : options.cpus;
  if (cores.empty()) cores = {0};
  // One core for ingest, one for keeper, Redis and renderers, the others for workers; on two cores
  // or one, everything shares them.
  const std::size_t auto_workers =
      std::min({cores.size() <= 2 ? std::size_t{1} : cores.size() - 2, kAutoWorkersMax,
                std::size_t{config.appliance.shards}});
  config.cpu.ingest = read_cores(reader, "ingest", 1, cores);
  config.cpu.workers = read_cores(reader, "workers", auto_workers, cores);
  if (const auto choice = reader.choice("wait", {"adaptive", "spin", "sleep"})) {
    config.cpu.wait = static_cast<WaitStrategy>(*choice);
  }
  if (config.cpu.workers.size() > config.appliance.shards) {
    reader.wrong("workers", *reader.take("workers"),
                 "found " + std::to_string(config.cpu.workers.size()) + " workers for " +
                     std::to_string(config.appliance.shards) + " shards",
                 "a worker without a shard has nothing to do: raise [appliance] shards");
  }
  warn_of_shared_cores(reader, config.cpu);
  reader.finish();
}

void read_durability(const TomlValue* section, Config& config, Mistakes& mistakes) {
  TableReader reader(section, "[durability]", mistakes);
  DurabilityConfig& durability = config.durability;
  durability.directory = read_directory(reader).value_or("/var/lib/deja/" + config.appliance.name);
  if (const auto choice = reader.choice("ack", {"applied", "durable"})) {
    durability.ack = static_cast<AckLevel>(*choice);
  }
  if (const auto every_us = reader.duration("group_commit", 0, kSecondUs)) {
    durability.group_commit_us = *every_us;
  }
  if (const auto window = reader.integer("dedup_window", 1'000, 100'000'000)) {
    durability.dedup_window = static_cast<std::uint32_t>(*window);
  }
  if (const auto future_us = reader.duration("max_future", 0, 24 * kHourUs)) {
    durability.max_future_us = *future_us;
  }
  reader.finish();
}

void read_redis(const TomlValue* section, Config& config, Mistakes& mistakes) {
  TableReader reader(section, "[redis]", mistakes);
  if (const auto url = reader.text("url")) {
    config.redis.url = *url;
    const std::string fault = redis_url_fault(*url);
    // Not shown: a URL may hold a password.
    if (!fault.empty()) reader.wrong("url", *reader.take("url"), "not an address of Redis", fault);
  }
  if (const auto every_us = reader.duration("flush_every", 1'000, kHourUs)) {
    config.redis.flush_every_us = *every_us;
  }
  if (const auto window_us = reader.duration("loss_window", 0, 24 * kHourUs)) {
    config.redis.loss_window_us = *window_us;
  }
  reader.finish();
}

}  // namespace deja
