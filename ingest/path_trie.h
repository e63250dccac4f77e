// The declared paths ("properties.products[].price") as a tree to walk beside a message: a codec
// visits every member of a message once, in its own order, and asks at each where it is. Built once
// from the catalog, immutable, any thread; a walk allocates nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
  [[nodiscard]] Node member(Node node, std::string_view name) const;
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
    Node node;
  };
  struct NodeData {
    std::vector<Child> children;
    Node elements = kNowhere;
    std::uint16_t slot = kNoSlot;
  };
  std::vector<NodeData> nodes_;
};

}  // namespace deja
