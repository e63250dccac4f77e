// A real `deja serve` with the shop's 20 features and a profile for everybody, and the loads that
// can be put on it: how many events a second it takes, and what CPU all its processes and the
// client spend on each, until the journal has the last. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/support/http_load.h"
#include "bench/support/process_cpu.h"
#include "bench/support/server.h"
#include "bench/support/shop.h"
#include "bench/support/stream_load.h"
#include "bench/support/users.h"
#include "ingest/producer.h"
#include "shm/base/clock.h"

namespace deja::bench {

struct ApplianceOptions {
  std::uint64_t users = 0;
  std::uint32_t batch_events = 512;
  std::string journal_under;  ///< a directory on a disk; empty: on tmpfs
  bool write_behind = false;  ///< into a private Redis; false: its first flush is an hour away
  bool console = false;
};

class LoadedAppliance {
 public:
  LoadedAppliance(const ApplianceOptions& options, Visitors& visitors)
      : server_(ServerOptions{config(options), true, options.console, options.journal_under}),
        texts_(std::min<std::uint64_t>(options.users * 4, 4'000'000), kFirstId,
               [&] { return visitors.next(); }),
        batch_events_(options.batch_events),
        fence_(server_.socket(), ProducerAck::kDurable, 1, texts_),
        stream_(server_.socket(), ProducerAck::kApplied, batch_events_, texts_),
        durable_(server_.socket(), ProducerAck::kDurable, batch_events_, texts_) {
    for (std::uint64_t at = 0; at < 50'000; ++at) users_.push_back(visitors.next());
    std::uint64_t user = 0;
    FreshTexts everybody(options.users, 1, [&] { return user++; });
    StreamLoad(server_.socket(), ProducerAck::kApplied, batch_events_, everybody)
        .run(options.users);
    (void)fence_.run(1);
  }
  ~LoadedAppliance() { server_.kill_tree(); }  // nobody wants its profiles in a store
  LoadedAppliance(const LoadedAppliance&) = delete;
  LoadedAppliance& operator=(const LoadedAppliance&) = delete;

  [[nodiscard]] Pace stream(std::uint64_t events) {
    return paced([&] { return stream_.run(events); });
  }
  [[nodiscard]] Pace durable(std::uint64_t events) {
    return paced([&] { return durable_.run(events); });
  }
  [[nodiscard]] Pace http(std::uint64_t events, std::uint32_t connections,
                          std::uint32_t batch_events) {
    HttpLoad load(server_.http_port(), connections, batch_events, texts_);
    http_event_bytes_ = load.event_bytes();
    return paced([&] { return load.run(events); });
  }
  [[nodiscard]] Pace producer(std::uint64_t events) {
    ProducerOptions options;
    options.address = "unix:" + server_.socket();
    options.ack = ProducerAck::kApplied;
    options.batch_events = batch_events_;
    options.batch_bytes = 512 * 1024;
    auto opened = Producer::open(options);
    if (!opened.ok()) give_up(opened.error().message().c_str());
    Producer& producer = **opened;
    return paced([&] {
      for (std::uint64_t event = 0; event < events; ++event) {
        // Its id is of the producer's making.
        ProducerEvent next = shop_event(event, users_[event % users_.size()], "");
        while (producer.send(next) == SendOutcome::kFull) producer.poll(100'000);
      }
      if (!producer.flush(30'000'000)) give_up("the producer's events were not acknowledged");
      return events;
    });
  }

  [[nodiscard]] std::size_t event_bytes() const { return stream_.event_bytes(); }
  [[nodiscard]] std::size_t http_event_bytes() const { return http_event_bytes_; }
  [[nodiscard]] const Server& server() const { return server_; }

 private:
  // Ids of the load, apart from those with which everybody got a profile.
  static constexpr std::uint64_t kFirstId = 0x4000'0000;

  static std::string config(const ApplianceOptions& options) {
    return "profiles = " + std::to_string(options.users + options.users / 4 + 1'000) +
           "\nshards = 64\nkey_bytes = 16\n[redis]\nurl = \"local\"\nflush_every = " +
           (options.write_behind ? "\"200ms\"\n" : "\"1h\"\n") + kBenchEvents + kBenchFeatures;
  }
  /// CPU by who; under "all" also those that are not named: supervisor, private Redis.
  [[nodiscard]] std::map<std::string, std::uint64_t> cpu_ns() const {
    std::map<std::string, std::uint64_t> parts;
    for (const char* name : {"ingest", "worker-0", "keeper"}) {
      parts[name] = cpu_ns_of_process(server_.holder(name));
    }
    parts["client"] = cpu_ns_of_this_thread();
    parts["all"] = cpu_ns_of_family(server_.pid()) + parts["client"];
    return parts;
  }
  template <typename Run>
  Pace paced(Run run) {
    const auto before = cpu_ns();
    const std::int64_t begin = steady_ns();
    const auto events = static_cast<double>(run());
    const auto took_ns = static_cast<double>(steady_ns() - begin);
    (void)fence_.run(1);  // its ack says that the journal has all before it
    Pace pace{1e3 * events / took_ns, 0, {}};
    for (const auto& [name, spent_ns] : cpu_ns()) {
      pace.parts_ns[name] = static_cast<double>(spent_ns - before.at(name)) / events;
    }
    pace.cpu_ns = pace.parts_ns["all"];
    pace.parts_ns.erase("all");
    return pace;
  }

  Server server_;
  FreshTexts texts_;
  std::uint32_t batch_events_;
  StreamLoad fence_;
  StreamLoad stream_;
  StreamLoad durable_;
  std::vector<std::uint64_t> users_;
  std::size_t http_event_bytes_ = 0;
};

}  // namespace deja::bench
