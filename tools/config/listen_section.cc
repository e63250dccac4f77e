// [listen]: who may come in, and with which keys.
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "ingest/peer_address.h"
#include "tools/config/sections.h"

namespace deja {
namespace {

constexpr std::size_t kKeyTextBytesMax = 256;
constexpr std::size_t kStreamsMax = 16;
constexpr std::size_t kProxiesMax = 64;
constexpr std::uint64_t kRateMax = 1'000'000'000;

std::optional<ListenAddress> read_address(TableReader& reader, std::string_view key,
                                          const TomlValue& value) {
  std::variant<ListenAddress, std::string> parsed = parse_listen_address(value.text);
  if (const auto* right = std::get_if<std::string>(&parsed)) {
    reader.wrong(key, value, *right);
    return std::nullopt;
  }
  return std::get<ListenAddress>(parsed);
}

/// An address for HTTP; "" turns it off.
std::vector<ListenAddress> read_http(TableReader& reader, std::string_view key,
                                     std::string_view by_itself) {
  const TomlValue* value = reader.take(key);
  if (value == nullptr) return {std::get<ListenAddress>(parse_listen_address(by_itself))};
  if (value->kind != TomlKind::kText) {
    reader.wrong(key, *value, "write an address in quotes, or \"\" for none");
    return {};
  }
  if (value->text.empty()) return {};
  const std::optional<ListenAddress> address = read_address(reader, key, *value);
  if (!address) return {};
  if (address->kind == AddressKind::kUnix) {
    reader.wrong(key, *value, "HTTP is served over TCP: \"" + std::string(by_itself) + "\"");
    return {};
  }
  return {*address};
}

std::vector<ListenAddress> read_streams(TableReader& reader) {
  if (!reader.has("stream")) {
    (void)reader.take("stream");
    return {std::get<ListenAddress>(parse_listen_address("127.0.0.1:7400"))};
  }
  std::vector<ListenAddress> streams;
  const std::vector<const TomlValue*> values = reader.texts("stream");
  for (const TomlValue* value : values) {
    if (const auto address = read_address(reader, "stream", *value)) streams.push_back(*address);
  }
  if (streams.size() > kStreamsMax) {
    reader.wrong("stream", *reader.take("stream"),
                 "found " + std::to_string(streams.size()) + " addresses",
                 "list at most " + std::to_string(kStreamsMax));
  }
  return streams;
}

std::optional<std::string> looked_up(const LoadOptions& options, const std::string& name) {
  if (options.environment) return options.environment(name);
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<std::string> read_keys(TableReader& reader, std::string_view name,
                                   const LoadOptions& options) {
  constexpr std::string_view kEnvironment = "env:";
  std::vector<std::string> keys;
  for (const TomlValue* value : reader.texts(name)) {
    std::string key = value->text;
    if (key.starts_with(kEnvironment)) {
      const std::string variable = key.substr(kEnvironment.size());
      const std::optional<std::string> resolved = looked_up(options, variable);
      if (!resolved || resolved->empty()) {
        reader.wrong(name, *value, "the environment has no \"" + variable + "\"",
                     "set it, or list no key at all to listen without one");
        continue;
      }
      key = *resolved;
    }
    // The key itself is never shown: what is printed ends up in logs.
    const bool is_printable =
        std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (key.empty() || key.size() > kKeyTextBytesMax || !is_printable ||
        key.find(':') != std::string::npos) {  // Basic auth ends a name there
      reader.wrong(name, *value, "not usable as a key",
                   "a key is 1 to " + std::to_string(kKeyTextBytesMax) +
                       " printable characters without blanks and colons");
      continue;
    }
    keys.push_back(key);
  }
  return keys;
}

/// "10000/s", or "off".
std::uint64_t read_rate(TableReader& reader, std::string_view key) {
  const auto text = reader.text(key);
  if (!text || *text == "off") return 0;
  std::uint64_t events = 0;
  const char* end = text->data() + text->size();
  const auto [stopped, fault] = std::from_chars(text->data(), end, events);
  const std::string_view unit(stopped, static_cast<std::size_t>(end - stopped));
  if (fault == std::errc{} && unit == "/s" && events >= 1 && events <= kRateMax) return events;
  reader.wrong(key, *reader.take(key), "write events a second: \"10000/s\", or \"off\"");
  return 0;
}

std::vector<std::string> read_proxies(TableReader& reader) {
  std::vector<std::string> proxies;
  const std::vector<const TomlValue*> values = reader.texts("trusted_proxies");
  for (const TomlValue* value : values) {
    if (AddressRange::parse(value->text)) {
      proxies.push_back(value->text);
    } else {
      reader.wrong("trusted_proxies", *value,
                   "write addresses or networks: \"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"");
    }
  }
  if (proxies.size() > kProxiesMax) {
    reader.wrong("trusted_proxies", *reader.take("trusted_proxies"),
                 "found " + std::to_string(proxies.size()) + " networks",
                 "list at most " + std::to_string(kProxiesMax));
  }
  return proxies;
}

/// Without keys everybody who can connect may write (or read): this host alone, then.
void check_open(TableReader& reader, std::string_view key, std::string_view keys,
                const std::vector<ListenAddress>& addresses, bool keys_wanted) {
  if (keys_wanted) return;
  for (const ListenAddress& address : addresses) {
    if (address.is_local) continue;
    const TomlValue* value = reader.take(key);
    const TomlPlace place = value == nullptr ? reader.place() : value->place;
    reader.mistakes().add(
        place, reader.where(key),
        "\"" + address.text + "\" is open to other hosts and there are no " + std::string(keys),
        "none = open, allowed on loopback and unix sockets only: set " + std::string(keys));
  }
}

void check_for_doubles(TableReader& reader, const ListenConfig& listen) {
  std::vector<ListenAddress> seen;
  for (const auto* list : {&listen.http, &listen.stream, &listen.console}) {
    for (const ListenAddress& address : *list) {
      const bool is_double = std::any_of(seen.begin(), seen.end(), [&](const ListenAddress& other) {
        const bool is_any_port = address.kind != AddressKind::kUnix && address.port == 0;
        return !is_any_port && other.kind == address.kind && other.host == address.host &&
               other.port == address.port;
      });
      if (is_double) {
        reader.wrong("\"" + address.text + "\" is listed twice", "give each its own address");
      }
      seen.push_back(address);
    }
  }
}

}  // namespace

void read_listen(const TomlValue* section, const LoadOptions& options, Config& config,
                 Mistakes& mistakes) {
  TableReader reader(section, "[listen]", mistakes);
  ListenConfig& listen = config.listen;
  listen.http = read_http(reader, "http", "127.0.0.1:8080");
  listen.stream = read_streams(reader);
  listen.write_keys = read_keys(reader, "write_keys", options);
  listen.console = read_http(reader, "console", "127.0.0.1:8081");
  listen.read_keys = read_keys(reader, "read_keys", options);
  listen.rate_per_address = read_rate(reader, "rate_per_address");
  listen.rate_per_key = read_rate(reader, "rate_per_key");
  if (const auto most = reader.integer("connections_per_address", 1, 65'536)) {
    listen.connections_per_address = static_cast<std::uint32_t>(*most);
  }
  listen.trusted_proxies = read_proxies(reader);
  // A key that is listed and wrong is one mistake, not two.
  const auto lists_any = [&](std::string_view key) {
    const TomlValue* value = reader.take(key);
    return value != nullptr && (value->kind != TomlKind::kArray || !value->elements.empty());
  };
  check_open(reader, "http", "write_keys", listen.http, lists_any("write_keys"));
  check_open(reader, "stream", "write_keys", listen.stream, lists_any("write_keys"));
  check_open(reader, "console", "read_keys", listen.console, lists_any("read_keys"));
  for (const std::string& key : listen.read_keys) {
    if (std::find(listen.write_keys.begin(), listen.write_keys.end(), key) !=
        listen.write_keys.end()) {
      reader.wrong("read_keys", *reader.take("read_keys"), "one key is a write key as well",
                   "a write key never reads: use another");
    }
  }
  check_for_doubles(reader, listen);
  const bool is_wrong = !mistakes.none();
  if (!is_wrong && listen.http.empty() && listen.stream.empty()) {
    reader.wrong("neither http nor stream", "events need one way in");
  }
  reader.finish();
}

}  // namespace deja
