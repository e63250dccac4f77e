#include "tools/serve/stored_catalog.h"

#include <capnp/serialize.h>
#include <fcntl.h>
#include <stdio.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "shm/base/descriptor.h"

namespace deja {
namespace {

/// A flat message with the alignment that its reader wants.
class Message {
 public:
  explicit Message(const std::vector<std::uint8_t>& bytes)
      : words_(kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word))),
        reader_((std::memcpy(words_.begin(), bytes.data(), words_.size() * sizeof(capnp::word)),
                 words_.asPtr())) {}
  schema::Catalog::Reader catalog() { return reader_.getRoot<schema::Catalog>(); }

 private:
  kj::Array<capnp::word> words_;
  capnp::FlatArrayMessageReader reader_;
};

}  // namespace

std::vector<ConfigChange> changes_since(const std::string& path,
                                        const std::vector<std::uint8_t>& catalog) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<std::uint8_t> before((std::istreambuf_iterator<char>(file)), {});
  if (before.size() < sizeof(capnp::word)) return {};
  try {
    Message old_message(before);
    Message new_message(catalog);
    return compare_catalogs(old_message.catalog(), new_message.catalog());
  } catch (const kj::Exception&) {
    return {};
  }
}

Status store_catalog(const std::string& path, const std::vector<std::uint8_t>& catalog) {
  const std::string made_path = path + ".new";
  const Descriptor file(open(made_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.open() ||
      write(file.number(), catalog.data(), catalog.size()) !=
          static_cast<ssize_t>(catalog.size()) ||
      fsync(file.number()) != 0 || rename(made_path.c_str(), path.c_str()) != 0) {
    return system_error("write " + path);
  }
  return Done{};
}

}  // namespace deja
