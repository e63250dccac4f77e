#include "ingest/loop_direct.h"

#include <algorithm>

#include "ingest/loop_receive.h"

namespace deja {

void DirectPlaces::give_up(std::uint32_t number) {
  const auto end = numbers_.begin() + static_cast<std::ptrdiff_t>(taken_);
  taken_ = static_cast<std::size_t>(std::remove(numbers_.begin(), end, number) - numbers_.begin());
}

bool DirectPlaces::receive(int socket, LoopCompletion& completion) {
  return receive_now(socket, buffer_, completion);
}

}  // namespace deja
