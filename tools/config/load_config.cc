#include "tools/config/load_config.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "tools/config/sections.h"

namespace deja {

std::variant<Config, std::vector<ConfigError>> load_config_text(std::string_view document,
                                                                const std::string& file,
                                                                const LoadOptions& options) {
  const std::variant<TomlValue, TomlError> parsed = parse_toml(document);
  if (const auto* error = std::get_if<TomlError>(&parsed)) {
    const ConfigError syntax{file, error->place.line, error->place.column, {}, error->message, {}};
    return std::vector<ConfigError>{syntax};
  }
  Mistakes mistakes(file, document);
  Config config;
  config.file = file;
  TableReader root(&std::get<TomlValue>(parsed), {}, mistakes);
  read_appliance(root.take("appliance"), config, mistakes);
  read_cpu(root.take("cpu"), options, config, mistakes);
  read_listen(root.take("listen"), options, config, mistakes);
  read_durability(root.take("durability"), config, mistakes);
  read_redis(root.take("redis"), config, mistakes);
  read_events(root.take("events"), config, mistakes);
  read_features(root.take("features"), config, mistakes);
  read_tests(root.take("test"), config, mistakes);
  root.finish();
  if (!mistakes.none()) return mistakes.take_errors();
  config.warnings = mistakes.take_warnings();
  return config;
}

std::variant<Config, std::vector<ConfigError>> load_config(const std::string& path,
                                                           const LoadOptions& options) {
  const auto unreadable = [&](std::string found) {
    return std::vector<ConfigError>{
        {path, 0, 0, {}, std::move(found), "name a config file with -c"}};
  };
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(std::string("can't be opened: ") + std::strerror(errno));
  std::string document;
  // One byte more than is allowed: enough to know that it is too long.
  document.resize(kTomlBytesMax + 1);
  in.read(document.data(), static_cast<std::streamsize>(document.size()));
  if (in.bad()) return unreadable("can't be read");
  document.resize(static_cast<std::size_t>(in.gcount()));
  if (document.empty() && std::ifstream(path).peek() != std::ifstream::traits_type::eof()) {
    return unreadable("can't be read");
  }
  return load_config_text(document, path, options);
}

}  // namespace deja
