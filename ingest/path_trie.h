// The declared paths ("properties.products[].price") as a tree to walk beside a message: a codec
// visits every member of a message once, in its own order, and asks at each where it is. Built once
// from the catalog, immutable, any thread; a walk allocates nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/text_words.h"
#include "shm/catalog.capnp.h"

namespace deja {

class PathTrie {
 public:
  using Node = std::uint32_t;
  static constexpr Node kNowhere = 0;  ///< no declared path goes through here
  static constexpr std::uint16_t kNoSlot = 0xffff;

  explicit PathTrie(schema::Catalog::Reader catalog);

  /// The message itself.
  [[nodiscard]] Node root() const { return 1; }
  /// The member `name` of the object at `node`; kNowhere for a member that no path names.
  [[nodiscard]] Node member(Node node, std::string_view name) const {
    if (node == kNowhere) return kNowhere;
    const std::vector<Child>& children = nodes_[node].children;
    const std::uint64_t word = first_word(name.data(), name.size());
    if (children.size() > kFewChildren) return member_of_many(children, name, word);
    for (const Child& child : children) {
      if (child.is(name, word)) return child.node;
    }
    return kNowhere;
  }
  /// The elements of the array at `node`.
  [[nodiscard]] Node elements(Node node) const {
    return node == kNowhere ? kNowhere : nodes_[node].elements;
  }
  /// The slot that the value at `node` belongs to, or kNoSlot.
  [[nodiscard]] std::uint16_t slot(Node node) const {
    return node == kNowhere ? kNoSlot : nodes_[node].slot;
  }

 private:
  struct Child {
    std::string name;
    std::uint64_t word = 0;  // the name's first
    Node node = kNowhere;
    [[nodiscard]] bool is(std::string_view other, std::uint64_t other_word) const {
      return word == other_word && name.size() == other.size() &&
             (other.size() <= 8 || same_bytes(name.data() + 8, other.data() + 8,
                                              static_cast<std::uint32_t>(other.size() - 8)));
    }
  };
  struct NodeData {
    std::vector<Child> children;
    Node elements = kNowhere;
    std::uint16_t slot = kNoSlot;
  };
  static constexpr std::size_t kFewChildren = 8;
  [[nodiscard]] static Node member_of_many(const std::vector<Child>& children,
                                           std::string_view name, std::uint64_t word);

  std::vector<NodeData> nodes_;
};

}  // namespace deja
