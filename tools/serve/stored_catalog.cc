#include "tools/serve/stored_catalog.h"

#include <capnp/serialize.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "tools/serve/replace_file.h"

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
  return replace_file(path, {reinterpret_cast<const char*>(catalog.data()), catalog.size()},
                      ReplaceTo::kDisk);
}

}  // namespace deja
