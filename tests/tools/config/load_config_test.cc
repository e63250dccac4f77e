// Every key, default and mistake of a config but those of events and features.
#include "tools/config/load_config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/tools/config/config_text.h"

namespace deja {
namespace {

TEST(Config, NeedsNothingButAName) {
  const Config config = loaded("[appliance]\nname = 'shop'\n");
  EXPECT_EQ(config.appliance.name, "shop");
  EXPECT_EQ(config.appliance.directory, "/dev/shm");
  EXPECT_EQ(config.appliance.profiles, 1'000'000U);
  EXPECT_EQ(config.appliance.shards, 64U);
  EXPECT_EQ(config.appliance.key_bytes, 64U);
  EXPECT_EQ(config.appliance.huge_pages, HugePages::kTry);
  EXPECT_EQ(config.appliance.readers_group, "");
  EXPECT_EQ(config.appliance.ingest_user, "");
  EXPECT_EQ(config.cpu.wait, WaitStrategy::kAdaptive);
  EXPECT_EQ(config.listen.http.at(0).text, "127.0.0.1:8080");
  EXPECT_EQ(config.listen.stream.at(0).text, "127.0.0.1:7400");
  EXPECT_EQ(config.listen.console.at(0).text, "127.0.0.1:8081");
  EXPECT_TRUE(config.listen.write_keys.empty());
  EXPECT_TRUE(config.listen.read_keys.empty());
  EXPECT_EQ(config.listen.rate_per_address, 0U);
  EXPECT_EQ(config.listen.rate_per_key, 0U);
  EXPECT_EQ(config.listen.connections_per_address, 0U);
  EXPECT_TRUE(config.listen.trusted_proxies.empty());
  EXPECT_EQ(config.durability.directory, "/var/lib/deja/shop");
  EXPECT_EQ(config.durability.ack, AckLevel::kDurable);
  EXPECT_EQ(config.durability.group_commit_us, 1'000);
  EXPECT_EQ(config.durability.dedup_window, 100'000U);
  EXPECT_EQ(config.durability.max_future_us, 300'000'000);
  EXPECT_EQ(config.redis.url, "local");
  EXPECT_EQ(config.redis.flush_every_us, 200'000);
  EXPECT_EQ(config.redis.loss_window_us, 60'000'000);
  EXPECT_TRUE(config.events.empty());
  EXPECT_TRUE(config.features.empty());
  EXPECT_EQ(config.frame_bytes, 0U);
  EXPECT_TRUE(config.warnings.empty());
}

TEST(Config, TakesEveryKey) {
  const Config config = loaded(R"(
[appliance]
name = "a-B_9"
directory = "/tmp"
profiles = 5_000
shards = 16
key_bytes = 33
huge_pages = "off"
readers_group = "www-data"
ingest_user = "deja-ingest"
[cpu]
ingest = [0]
workers = [1, 2]
wait = "sleep"
[listen]
http = "[::1]:9000"
stream = ["unix:/tmp/x.sock", "127.0.0.1:0"]
write_keys = ["env:DEJA_WRITE_KEY", "w2"]
console = ""
read_keys = "r1"
rate_per_address = "10000/s"
rate_per_key = "5/s"
connections_per_address = 100
trusted_proxies = ["127.0.0.1/32", "fd00::/8"]
[durability]
directory = "/data"
ack = "applied"
group_commit = "2ms"
dedup_window = 5000
max_future = "1h"
[redis]
url = "redis://user:pass@host:6379/3"
flush_every = "1s"
loss_window = "0s"
)");
  EXPECT_EQ(config.appliance.name, "a-B_9");
  EXPECT_EQ(config.appliance.profiles, 5'000U);
  EXPECT_EQ(config.appliance.key_bytes, 40U);  // up to a multiple of 8
  EXPECT_EQ(config.appliance.huge_pages, HugePages::kOff);
  EXPECT_EQ(config.appliance.readers_group, "www-data");
  EXPECT_EQ(config.appliance.ingest_user, "deja-ingest");
  EXPECT_EQ(config.cpu.ingest, (std::vector<int>{0}));
  EXPECT_EQ(config.cpu.workers, (std::vector<int>{1, 2}));
  EXPECT_EQ(config.cpu.wait, WaitStrategy::kSleep);
  EXPECT_EQ(config.listen.http.at(0).kind, AddressKind::kTcp6);
  EXPECT_EQ(config.listen.http.at(0).host, "::1");
  EXPECT_EQ(config.listen.http.at(0).port, 9000);
  EXPECT_EQ(config.listen.stream.at(0).host, "/tmp/x.sock");
  EXPECT_EQ(config.listen.stream.at(1).port, 0);
  EXPECT_TRUE(config.listen.console.empty());
  EXPECT_EQ(config.listen.write_keys, (std::vector<std::string>{"secret", "w2"}));
  EXPECT_EQ(config.listen.read_keys, (std::vector<std::string>{"r1"}));
  EXPECT_EQ(config.listen.rate_per_address, 10'000U);
  EXPECT_EQ(config.listen.rate_per_key, 5U);
  EXPECT_EQ(config.listen.connections_per_address, 100U);
  EXPECT_EQ(config.listen.trusted_proxies, (std::vector<std::string>{"127.0.0.1/32", "fd00::/8"}));
  EXPECT_EQ(config.durability.ack, AckLevel::kApplied);
  EXPECT_EQ(config.durability.group_commit_us, 2'000);
  EXPECT_EQ(config.durability.dedup_window, 5'000U);
  EXPECT_EQ(config.durability.max_future_us, 3'600'000'000);
  EXPECT_EQ(config.redis.url, "redis://user:pass@host:6379/3");
  EXPECT_EQ(config.redis.loss_window_us, 0);
}

TEST(Config, FindsWorkersForTheCoresOfTheHost) {
  const auto workers = [](int cores) {
    LoadOptions options = test_options();
    options.cpus.clear();
    for (int core = 0; core < cores; ++core) options.cpus.push_back(core);
    const auto result = load_config_text("[appliance]\nname = 'shop'\n", "t", options);
    const Config& config = std::get<Config>(result);
    EXPECT_EQ(config.cpu.ingest, (std::vector<int>{-1}));
    for (const int core : config.cpu.workers) EXPECT_EQ(core, -1);
    return config.cpu.workers.size();
  };
  EXPECT_EQ(workers(1), 1U);
  EXPECT_EQ(workers(2), 1U);
  EXPECT_EQ(workers(4), 2U);
  EXPECT_EQ(workers(8), 6U);
  EXPECT_EQ(workers(64), 8U);
}

TEST(Config, TakesACountOfUnpinnedWorkers) {
  const Config config = loaded(kNamed + "[cpu]\nworkers = 3\n");
  EXPECT_EQ(config.cpu.workers, (std::vector<int>{-1, -1, -1}));
}

TEST(Config, WarnsOfCoresThatAreNotThere) {
  const Config config = loaded(kNamed + "[cpu]\nworkers = [1, 99]\n");
  EXPECT_EQ(config.cpu.workers, (std::vector<int>{1, 99}));
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_EQ(config.warnings[0].message(),
            "t.toml:4:15: [cpu] workers: this host has no core 99 for us; "
            "it will run without being pinned");
}

TEST(Config, WarnsOfSpinningLoopsThatShareACore) {
  const Config config = loaded(kNamed + "[cpu]\ningest = [1]\nworkers = [1, 2]\nwait = 'spin'\n");
  ASSERT_EQ(config.warnings.size(), 1U);
  EXPECT_EQ(config.warnings[0].message(),
            "t.toml:6:1: [cpu] wait: core 1 is given to two spinning loops; "
            "give each its own core, or use wait = \"adaptive\"");
  EXPECT_TRUE(loaded(kNamed + "[cpu]\ningest = [1]\nworkers = [1]\n").warnings.empty());
  EXPECT_TRUE(loaded(kNamed + "[cpu]\nworkers = 3\nwait = 'spin'\n").warnings.empty());
}

struct Mistake {
  std::string text;     ///< behind the two lines that give it a name
  std::string message;  ///< behind "t.toml:"
};

void expect_mistakes(const std::vector<Mistake>& list) {
  for (const Mistake& mistake : list) {
    EXPECT_EQ(mistakes(kNamed + mistake.text),
              std::vector<std::string>{"t.toml:" + mistake.message})
        << mistake.text;
  }
}

TEST(ConfigMistake, IsReportedInAppliance) {
  EXPECT_EQ(mistakes(""), std::vector<std::string>{
                              "t.toml:1:1: [appliance] name: missing; renderers open the appliance "
                              "by it: write 1 to 32 of A-Z a-z 0-9 _ -"});
  EXPECT_EQ(mistakes("[appliance]\nname = 'a b'\n"),
            std::vector<std::string>{
                "t.toml:2:8: [appliance] name: found \"a b\"; write 1 to 32 of A-Z a-z 0-9 _ -"});
  EXPECT_EQ(
      mistakes("[appliance]\nname = 7\n"),
      std::vector<std::string>{"t.toml:2:8: [appliance] name: found 7; write a text in quotes"});
  EXPECT_EQ(mistakes("appliance = 7\n").front(),
            "t.toml:1:1: [appliance] name: missing; renderers "
            "open the appliance by it: write 1 to 32 of A-Z "
            "a-z 0-9 _ -");
  expect_mistakes({
      {"profiles = 0",
       "3:12: [appliance] profiles: found 0; write a whole number from 1 to "
       "1000000000"},
      {"profiles = '1M'",
       "3:12: [appliance] profiles: found \"1M\"; write a whole number from 1 "
       "to 1000000000"},
      {"shards = 64.0", "3:10: [appliance] shards: found 64; write a whole number from 1 to 4096"},
      {"key_bytes = 65",
       "3:13: [appliance] key_bytes: found 65; write a whole number from 8 to "
       "64"},
      {"directory = 'shm'",
       "3:13: [appliance] directory: found \"shm\"; write an absolute path of "
       "at most 160 bytes"},
      {"huge_pages = 'yes'",
       "3:14: [appliance] huge_pages: found \"yes\"; write \"try\", "
       "\"require\" or \"off\""},
      {"ingest_user = 'a b'", "3:15: [appliance] ingest_user: found \"a b\"; write a user's name"},
      {"readers_group = ''", "3:17: [appliance] readers_group: found \"\"; write a group's name"},
      {"profile = 5", "3:1: [appliance]: unknown key \"profile\"; did you mean \"profiles\"?"},
      {"colour = 5",
       "3:1: [appliance]: unknown key \"colour\"; known here are name, directory, "
       "profiles, shards, key_bytes, huge_pages, readers_group, ingest_user"},
      {"[feature]", "3:2: unknown section \"feature\"; did you mean \"features\"?"},
      {"[banana]",
       "3:2: unknown section \"banana\"; there are appliance, cpu, listen, durability, "
       "redis, events, features, test"},
  });
}

TEST(ConfigMistake, IsReportedInCpu) {
  const std::string right =
      "write \"auto\", a list of cores such as [2, 3], or how many without pinning: 2";
  expect_mistakes({
      {"[cpu]\nworkers = 'all'", "4:11: [cpu] workers: found \"all\"; " + right},
      {"[cpu]\nworkers = []", "4:11: [cpu] workers: found a list; " + right},
      {"[cpu]\nworkers = 0", "4:11: [cpu] workers: found 0; write 1 to 64"},
      {"[cpu]\nworkers = [-2]", "4:12: [cpu] workers: found -2; write a core's number, from 0"},
      {"[cpu]\ningest = ['1']", "4:11: [cpu] ingest: found \"1\"; write a core's number, from 0"},
      {"[cpu]\nwait = 'busy'",
       "4:8: [cpu] wait: found \"busy\"; write \"adaptive\", \"spin\" or "
       "\"sleep\""},
      {"shards = 2\n[cpu]\nworkers = 3",
       "5:11: [cpu] workers: found 3 workers for 2 shards; a "
       "worker without a shard has nothing to do: raise "
       "[appliance] shards"},
  });
}

TEST(ConfigMistake, IsReportedInListen) {
  const std::string form = "write \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/path\"";
  expect_mistakes({
      {"[listen]\nhttp = 'localhost:80'",
       "4:8: [listen] http: found \"localhost:80\"; write the "
       "number: \"127.0.0.1:80\""},
      {"[listen]\nhttp = ':80'",
       "4:8: [listen] http: found \":80\"; write \"127.0.0.1:80\", or "
       "\"0.0.0.0:80\" for every interface"},
      {"[listen]\nhttp = '127.0.0.1'", "4:8: [listen] http: found \"127.0.0.1\"; " + form},
      {"[listen]\nhttp = '1.2.3:80'", "4:8: [listen] http: found \"1.2.3:80\"; " + form},
      {"[listen]\nhttp = '::1:80'", "4:8: [listen] http: found \"::1:80\"; " + form},
      {"[listen]\nhttp = '[::g]:80'", "4:8: [listen] http: found \"[::g]:80\"; " + form},
      {"[listen]\nhttp = '127.0.0.1:65536'",
       "4:8: [listen] http: found \"127.0.0.1:65536\"; a "
       "port is 0 to 65535 (0: any free one); " +
           form},
      {"[listen]\nhttp = 'unix:/x'",
       "4:8: [listen] http: found \"unix:/x\"; HTTP is served over "
       "TCP: \"127.0.0.1:8080\""},
      {"[listen]\nstream = 'unix:x'",
       "4:10: [listen] stream: found \"unix:x\"; write an absolute "
       "path: \"unix:/run/...\""},
      {"[listen]\nstream = [1]", "4:11: [listen] stream: found 1; write a text in quotes"},
      {"[listen]\nhttp = '127.0.0.1:7400'",
       "3:1: [listen]: \"127.0.0.1:7400\" is listed twice; "
       "give each its own address"},
      {"[listen]\nhttp = ''\nstream = []",
       "3:1: [listen]: neither http nor stream; events need "
       "one way in"},
      {"[listen]\nwrite_keys = ['env:NOT_THERE']",
       "4:15: [listen] write_keys: the environment has "
       "no \"NOT_THERE\"; set it, or list no key at "
       "all to listen without one"},
      {"[listen]\nwrite_keys = ['a b']",
       "4:15: [listen] write_keys: not usable as a key; a key is "
       "1 to 256 printable characters without blanks and "
       "colons"},
      {"[listen]\nwrite_keys = ['k']\nread_keys = ['k']",
       "5:13: [listen] read_keys: one key is a "
       "write key as well; a write key never "
       "reads: use another"},
  });
}

TEST(ConfigMistake, IsReportedInLimits) {
  const std::string rate = "write events a second: \"10000/s\", or \"off\"";
  const std::string proxy =
      "write addresses or networks: \"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"";
  for (const char* wrong : {"", "0/s", "10", "10/m", "/s", "-1/s", "10 /s", "1e3/s", "1.5/s",
                            "1000000001/s", "99999999999999999999/s"}) {
    expect_mistakes(
        {{"[listen]\nrate_per_key = '" + std::string(wrong) + "'",
          "4:16: [listen] rate_per_key: found \"" + std::string(wrong) + "\"; " + rate}});
  }
  expect_mistakes({
      {"[listen]\nrate_per_address = 5",
       "4:20: [listen] rate_per_address: found 5; write a text in quotes"},
      {"[listen]\nconnections_per_address = 0",
       "4:27: [listen] connections_per_address: found 0; write a whole number from 1 to 65536"},
      {"[listen]\ntrusted_proxies = ['10.0.0.0/33']",
       "4:20: [listen] trusted_proxies: found \"10.0.0.0/33\"; " + proxy},
      {"[listen]\ntrusted_proxies = 'localhost'",
       "4:19: [listen] trusted_proxies: found \"localhost\"; " + proxy},
  });
}

TEST(ConfigMistake, IsAnAddressOpenToOthersWithoutKeys) {
  const auto open = [](const std::string& place, const std::string& key, const std::string& address,
                       const std::string& keys) {
    return place + ": [listen] " + key + ": \"" + address +
           "\" is open to other hosts and there are no " + keys +
           "; none = open, allowed on loopback and unix sockets only: set " + keys;
  };
  expect_mistakes({
      {"[listen]\nhttp = '0.0.0.0:80'", open("4:8", "http", "0.0.0.0:80", "write_keys")},
      {"[listen]\nhttp = '[::]:80'", open("4:8", "http", "[::]:80", "write_keys")},
      {"[listen]\nstream = ['10.0.0.1:80']", open("4:10", "stream", "10.0.0.1:80", "write_keys")},
      {"[listen]\nconsole = '0.0.0.0:80'\nwrite_keys = ['w']",
       open("4:11", "console", "0.0.0.0:80", "read_keys")},
  });
  EXPECT_TRUE(mistakes(kNamed + "[listen]\nhttp = '0.0.0.0:80'\nwrite_keys = ['w']\n").empty());
  EXPECT_TRUE(mistakes(kNamed + "[listen]\nhttp = '127.9.9.9:80'\n").empty());
  EXPECT_TRUE(mistakes(kNamed + "[listen]\nconsole = '0.0.0.0:80'\nread_keys = ['r']\n").empty());
}

TEST(ConfigMistake, NeverShowsAKeyOrAPassword) {
  for (const char* text :
       {"[listen]\nwrite_keys = ['top secret']", "[redis]\nurl = 'rediss://u:top secret@h'",
        "[listen]\nwrite_keys = ['top:secret']\nread_keys = ['top\\tsecret']"}) {
    for (const std::string& message : mistakes(kNamed + text)) {
      EXPECT_EQ(message.find("secret"), std::string::npos) << message;
    }
  }
}

TEST(ConfigMistake, IsReportedInDurabilityAndRedis) {
  const std::string form =
      "write \"local\", \"redis://user:password@host:6379/0\" or \"unix:///path\"";
  const std::string url = "4:7: [redis] url: not an address of Redis; ";
  expect_mistakes({
      {"[durability]\nack = 'never'",
       "4:7: [durability] ack: found \"never\"; write \"applied\" "
       "or \"durable\""},
      {"[durability]\ngroup_commit = 1",
       "4:16: [durability] group_commit: found 1; write a "
       "duration in quotes: \"200ms\", \"30s\", \"5m\", "
       "\"1h\", \"30d\""},
      {"[durability]\nmax_future = '5 min'",
       "4:14: [durability] max_future: found \"5 min\"; "
       "write a whole number and one of us ms s m h d w: "
       "\"90d\""},
      {"[durability]\nmax_future = '2d'",
       "4:14: [durability] max_future: found \"2d\"; write a "
       "duration from 0s to 1d"},
      {"[durability]\ndedup_window = 10",
       "4:16: [durability] dedup_window: found 10; write a "
       "whole number from 1000 to 100000000"},
      {"[redis]\nurl = 'localhost'", url + form},
      {"[redis]\nurl = 'redis://'", url + form},
      {"[redis]\nurl = 'redis://h:99999'", url + form},
      {"[redis]\nurl = 'redis://h:6379/x'", url + form},
      {"[redis]\nurl = 'unix://run/x'", url + form},
      {"[redis]\nurl = 'rediss://h'", url + "TLS is not spoken; put a tunnel in front"},
      {"[redis]\nflush_every = '0s'",
       "4:15: [redis] flush_every: found \"0s\"; write a duration "
       "from 1ms to 1h"},
  });
  for (const char* good : {"redis://h", "redis://h:1", "redis://h/0", "redis://:p@h:1/",
                           "redis://[::1]:6379/0", "unix:///run/x.sock"}) {
    EXPECT_TRUE(mistakes(kNamed + "[redis]\nurl = '" + good + "'\n").empty()) << good;
  }
}

TEST(ConfigMistake, IsReportedWithAllOthersInTheDocumentsOrder) {
  EXPECT_EQ(mistakes(kNamed + "shard = 3\n[cpu]\nwait = 'no'\n[redis]\nurls = 'x'\n"),
            (std::vector<std::string>{
                "t.toml:3:1: [appliance]: unknown key \"shard\"; did you mean \"shards\"?",
                "t.toml:5:8: [cpu] wait: found \"no\"; write \"adaptive\", \"spin\" or \"sleep\"",
                "t.toml:7:1: [redis]: unknown key \"urls\"; did you mean \"url\"?"}));
}

TEST(ConfigMistake, IsReportedWhereTheTomlEnds) {
  EXPECT_EQ(mistakes("[appliance\nname = 1").size(), 1U);
  EXPECT_EQ(mistakes("[appliance\nname = 1").front().substr(0, 11), "t.toml:1:11");
  EXPECT_EQ(mistakes("a = 1\na = 2").front().substr(0, 9), "t.toml:2:");
  EXPECT_EQ(mistakes("a = \xff").size(), 1U);
  EXPECT_EQ(mistakes(std::string(200'000, '[')).size(), 1U);
  EXPECT_EQ(mistakes("a = " + std::string(100'000, '[')).size(), 1U);
  EXPECT_EQ(mistakes(std::string((1U << 20U) + 1, '#')),
            std::vector<std::string>{"t.toml:1:1: longer than 1048576 bytes"});
}

TEST(ConfigFile, IsReadAndNamedInItsMistakes) {
  const std::string path = testing::TempDir() + "deja_config_test.toml";
  std::ofstream(path) << "[appliance]\nname = 'x y'\n";
  const auto result = load_config(path, test_options());
  EXPECT_EQ(std::get<1>(result).at(0).message(),
            path + ":2:8: [appliance] name: found \"x y\"; write 1 to 32 of A-Z a-z 0-9 _ -");
  std::ofstream(path) << "[appliance]\nname = 'shop'\n";
  EXPECT_EQ(std::get<0>(load_config(path, test_options())).file, path);
}

TEST(ConfigFile, ThatCantBeReadIsAMistakeOfItsOwn) {
  EXPECT_EQ(std::get<1>(load_config("/nowhere/x.toml")).at(0).message(),
            "/nowhere/x.toml: can't be opened: No such file or directory; name a config file with "
            "-c");
  EXPECT_EQ(std::get<1>(load_config(testing::TempDir())).size(), 1U);
}

}  // namespace
}  // namespace deja
