#include "workers/redis/redis_url.h"

#include <sys/un.h>

#include <charconv>

namespace deja {
namespace {

constexpr std::string_view kRemedy =
    "Write redis://[user:password@]host:port/database or unix:///path/to/redis.sock";

Error refused(std::string_view what) {
  return Error{"redis url: " + std::string(what), 0, std::string(kRemedy)};
}

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

/// False for a broken escape.
bool unescape(std::string_view text, std::string& into) {
  into.clear();
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      into.push_back(text[at]);
      continue;
    }
    if (at + 2 >= text.size()) return false;
    const int high = hex_digit(text[at + 1]);
    const int low = hex_digit(text[at + 2]);
    if (high < 0 || low < 0) return false;
    into.push_back(static_cast<char>(high * 16 + low));
    at += 2;
  }
  return true;
}

template <typename Number>
bool whole_number(std::string_view text, Number& into) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc{} && end == text.data() + text.size() && !text.empty();
}

/// Takes "user:password@" off the front of `rest`.
bool take_credentials(std::string_view& rest, std::size_t end, RedisUrl& url) {
  const std::size_t at = rest.substr(0, end).rfind('@');
  if (at == std::string_view::npos) return true;
  const std::string_view credentials = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  const std::size_t colon = credentials.find(':');
  if (colon == std::string_view::npos) return unescape(credentials, url.user);
  return unescape(credentials.substr(0, colon), url.user) &&
         unescape(credentials.substr(colon + 1), url.password);
}

Result<RedisUrl> parse_unix(std::string_view rest) {
  RedisUrl url;
  if (!take_credentials(rest, rest.find('/'), url)) return refused("a broken % escape");
  const std::size_t query = rest.find('?');
  if (query != std::string_view::npos) {
    const std::string_view option = rest.substr(query + 1);
    if (!option.starts_with("db=") || !whole_number(option.substr(3), url.database)) {
      return refused("after '?' only db=N is known");
    }
    rest = rest.substr(0, query);
  }
  if (!rest.starts_with('/')) return refused("a unix socket needs an absolute path");
  if (rest.size() >= sizeof(sockaddr_un::sun_path)) return refused("the socket's path is too long");
  url.socket_path = rest;
  return url;
}

Result<RedisUrl> parse_tcp(std::string_view rest) {
  RedisUrl url;
  if (!take_credentials(rest, rest.find('/'), url)) return refused("a broken % escape");
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view database = rest.substr(slash + 1);
    if (!database.empty() && !whole_number(database, url.database)) {
      return refused("the database is not a number");
    }
    rest = rest.substr(0, slash);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return refused("'[' without ']'");
    url.host = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
    if (!rest.empty() && rest.front() != ':') return refused("what follows ']' is not a port");
    if (!rest.empty()) port = rest.substr(1);
    if (rest == ":") return refused("the port is not a number of 1 to 65535");
  } else {
    const std::size_t colon = rest.find(':');
    url.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = rest.substr(colon + 1);
      if (port.empty()) return refused("the port is not a number of 1 to 65535");
    }
  }
  if (url.host.empty()) return refused("no host");
  if (!port.empty() && (!whole_number(port, url.port) || url.port == 0)) {
    return refused("the port is not a number of 1 to 65535");
  }
  return url;
}

}  // namespace

Result<RedisUrl> RedisUrl::parse(std::string_view text) {
  constexpr std::string_view kTcp = "redis://";
  constexpr std::string_view kUnix = "unix://";
  if (text.starts_with(kTcp)) return parse_tcp(text.substr(kTcp.size()));
  if (text.starts_with(kUnix)) return parse_unix(text.substr(kUnix.size()));
  return refused("neither redis:// nor unix://");
}

std::string RedisUrl::shown() const {
  const std::string number = std::to_string(database);
  if (!socket_path.empty()) {
    return "unix://" + socket_path + (database == 0 ? "" : "?db=" + number);
  }
  const bool brackets = host.find(':') != std::string::npos;
  return "redis://" + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port) + "/" +
         number;
}

}  // namespace deja
