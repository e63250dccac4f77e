#include "tools/serve/listeners.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <variant>

#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::int64_t kPatienceNs = 5'000'000'000;

/// The address of a text that was one when it was written down; else `otherwise`.
ListenAddress address_of(const std::string& text, const ListenAddress& otherwise) {
  auto parsed = parse_listen_address(text);
  const auto* address = std::get_if<ListenAddress>(&parsed);
  return address != nullptr && address->kind == otherwise.kind ? *address : otherwise;
}

/// Whether a socket at `socket` (its real address) is one for `wanted`, which may leave the port
/// open.
bool is_at(const ListenAddress& wanted, const std::string& socket) {
  const auto parsed = parse_listen_address(socket);
  const auto* address = std::get_if<ListenAddress>(&parsed);
  return address != nullptr && address->kind == wanted.kind && address->host == wanted.host &&
         (address->port == wanted.port || wanted.port == 0);
}

}  // namespace

Listeners::Listeners(const ListenConfig& config) {
  const auto take = [](const std::vector<ListenAddress>& addresses, std::vector<Listener>& into) {
    for (const ListenAddress& address : addresses)
      into.push_back({address, address, {}, false, false, 0});
  };
  take(config.http, http_);
  take(config.stream, streams_);
  take(config.console, console_);
}

void Listeners::go_on_from(const StartReport& report) {
  const auto take = [](const std::vector<std::string>& texts, std::vector<Listener>& into) {
    for (std::size_t at = 0; at < into.size() && at < texts.size(); ++at) {
      into[at].real = address_of(texts[at], into[at].configured);
      into[at].was_ours = true;
    }
  };
  take({report.http}, http_);
  take(report.streams, streams_);
  take({report.console}, console_);
}

template <typename Self>
auto Listeners::all(Self& self) {
  std::vector<decltype(&self.http_[0])> listeners;
  for (auto* list : {&self.http_, &self.streams_, &self.console_}) {
    for (auto& listener : *list) listeners.push_back(&listener);
  }
  return listeners;
}

bool Listeners::has(const ListenAddress& configured) const {
  const auto listeners = all(*this);
  return std::any_of(listeners.begin(), listeners.end(), [&](const Listener* listener) {
    return listener->configured.text == configured.text;
  });
}

Status Listeners::open_beyond(const Listeners& old) {
  for (Listener* listener : all(*this)) {
    if (old.has(listener->configured)) continue;
    if (Status opened = open(*listener); !opened.ok()) return opened;
  }
  return Done{};
}

void Listeners::take_over(Listeners& old) {
  for (Listener* listener : all(*this)) {
    if (listener->socket) continue;
    for (Listener* before : all(old)) {
      if (before->configured.text != listener->configured.text || before->taken) continue;
      listener->socket = std::exchange(before->socket, std::nullopt);
      listener->real = before->real;
      listener->was_ours = true;
      before->taken = true;
      break;
    }
  }
  inherited_ = std::exchange(old.inherited_, {});
}

std::vector<int> Listeners::descriptors() const {
  std::vector<int> descriptors;
  for (const Listener* listener : all(*this)) {
    if (listener->socket) descriptors.push_back(listener->socket->descriptor());
  }
  for (const ListeningSocket& socket : inherited_) descriptors.push_back(socket.descriptor());
  return descriptors;
}

void Listeners::inherit(const std::vector<int>& descriptors) {
  for (const int descriptor : descriptors) {
    auto socket = ListeningSocket::inherited(descriptor);
    if (socket) inherited_.push_back(std::move(*socket));
  }
}

Status Listeners::open(Listener& listener) {
  if (listener.socket) return Done{};
  const auto mine = std::find_if(inherited_.begin(), inherited_.end(), [&](const auto& socket) {
    return is_at(listener.real, socket.address());
  });
  if (mine != inherited_.end()) {
    listener.real = address_of(mine->address(), listener.configured);
    listener.socket.emplace(std::move(*mine));
    inherited_.erase(mine);
    return Done{};
  }
  auto socket = ListeningSocket::open(listener.real);
  if (!socket.ok() && listener.was_ours && socket.error().error_number == EADDRINUSE) {
    if (listener.asked_ns == 0) listener.asked_ns = steady_ns();
    if (steady_ns() - listener.asked_ns < kPatienceNs) {
      return Error{"listen on " + listener.real.text, EAGAIN, "It is not free yet"};
    }
  }
  const bool any_port = listener.configured.kind != AddressKind::kUnix &&
                        listener.configured.port == 0 && listener.real.port != 0;
  if (!socket.ok() && any_port) socket = ListeningSocket::open(listener.configured);
  if (!socket.ok()) return socket.error();
  listener.real = address_of(socket->address(), listener.configured);
  listener.socket.emplace(std::move(socket.value()));
  listener.asked_ns = 0;
  return Done{};
}

Status Listeners::open(std::vector<Listener>& listeners) {
  for (Listener& listener : listeners) {
    if (Status opened = open(listener); !opened.ok()) return opened;
  }
  return Done{};
}

Status Listeners::open_events() {
  if (Status opened = open(http_); !opened.ok()) return opened;
  return open(streams_);
}

Status Listeners::open_console() {
  return open(console_);
}

void Listeners::hand_events(ChildCommand& ingest) const {
  const auto hand = [&](const char* option, const std::vector<Listener>& listeners) {
    for (const Listener& listener : listeners) {
      ingest.arguments.emplace_back(option);
      ingest.arguments.push_back(std::to_string(listener.socket->descriptor()));
      ingest.inherited.push_back(listener.socket->descriptor());
    }
  };
  hand("--http-fd", http_);
  hand("--stream-fd", streams_);
}

void Listeners::hand_console(ChildCommand& console) const {
  const int descriptor = console_.front().socket->descriptor();
  console.arguments.emplace_back("--listen-fd");
  console.arguments.push_back(std::to_string(descriptor));
  console.inherited.push_back(descriptor);
}

void Listeners::describe(StartReport& report) const {
  report.http = http_.empty() ? std::string() : http_.front().real.text;
  report.streams.clear();
  for (const Listener& listener : streams_) report.streams.push_back(listener.real.text);
  report.console = console_.empty() ? std::string() : console_.front().real.text;
}

void Listeners::close() {
  inherited_.clear();
  for (Listener* listener : all(*this)) {
    listener->socket.reset();
    ListeningSocket::remove_dead(listener->real);
  }
}

}  // namespace deja
