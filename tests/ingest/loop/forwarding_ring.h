// Another ring, to which everything is handed on: what a test wants otherwise it overrides. Test
// code; header only.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "ingest/loop_ring.h"

namespace deja {

class ForwardingRing : public LoopRing {
 public:
  explicit ForwardingRing(std::unique_ptr<LoopRing> ring) : ring_(std::move(ring)) {}

  [[nodiscard]] IoBackend backend() const override { return ring_->backend(); }
  [[nodiscard]] bool misses_ends() const override { return ring_->misses_ends(); }
  [[nodiscard]] Status enable() override { return ring_->enable(); }
  void prepare_listener(int listener) override { ring_->prepare_listener(listener); }
  void accept(int listener, std::uint64_t user_data) override {
    ring_->accept(listener, user_data);
  }
  void receive(int socket, std::uint64_t user_data) override { ring_->receive(socket, user_data); }
  void poll_readable(int descriptor, std::uint64_t user_data) override {
    ring_->poll_readable(descriptor, user_data);
  }
  void send(int socket, std::span<const std::uint8_t> bytes, std::uint64_t user_data) override {
    ring_->send(socket, bytes, user_data);
  }
  void shutdown_write(int socket, std::uint64_t user_data) override {
    ring_->shutdown_write(socket, user_data);
  }
  void close(int descriptor, std::uint64_t user_data) override {
    ring_->close(descriptor, user_data);
  }
  void cancel(int descriptor, std::uint64_t target) override { ring_->cancel(descriptor, target); }
  void submit() override { ring_->submit(); }
  void submit_and_wait(std::int64_t bound_ns) override { ring_->submit_and_wait(bound_ns); }
  [[nodiscard]] bool ready() override { return ring_->ready(); }
  std::uint32_t take_completions(std::uint32_t count_max, CompletionHandler& handler) override {
    return ring_->take_completions(count_max, handler);
  }

 private:
  std::unique_ptr<LoopRing> ring_;
};

}  // namespace deja
