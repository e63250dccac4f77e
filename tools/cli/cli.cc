#include "tools/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "shm/nearest_name.h"
#include "tools/bench/bench.h"
#include "tools/dlq/dlq.h"
#include "tools/inspect/get.h"
#include "tools/inspect/stat.h"
#include "tools/replay/replay.h"
#include "tools/serve/serve.h"
#include "tools/validate.h"

namespace deja {
namespace {

void add_appliance(CLI::App& verb, ApplianceName& appliance) {
  verb.add_option("--name", appliance.name, "the appliance's name")->capture_default_str();
  verb.add_option("--directory", appliance.directory, "where its segment lies")
      ->capture_default_str();
}

void add_json(CLI::App& verb, bool& json, const char* what) {
  verb.add_flag("--json", json, what);
}

void add_config(CLI::App& verb, std::string& config) {
  verb.add_option("-c,--config", config, "the config file (TOML)")->required();
}

void add_replay(CLI::App& app, ReplayOptions& options) {
  CLI::App& verb = *app.add_subcommand("replay", "send a CSV or JSONL file of real events");
  verb.add_option("FILE", options.file, "the data: .csv or .jsonl, also .gz, .xz, .zst")
      ->required();
  verb.add_option("--map", options.map, "how a row becomes an event (TOML)")->required();
  verb.add_option("--speed", options.speed, "times as fast as it happened, or max")
      ->capture_default_str();
  verb.add_option("--shift", options.shift, "now: the last event happens now")
      ->check(CLI::IsMember({"now"}));
  verb.add_option("--via", options.via, "http or stream")
      ->check(CLI::IsMember({"http", "stream"}))
      ->capture_default_str();
  verb.add_option("--to", options.to,
                  "HOST:PORT or unix:PATH; without it, the appliance --name on this host");
  verb.add_option("--write-key", options.write_key, "where the appliance wants one; env:NAME too");
  verb.add_option("--id-prefix", options.id_prefix,
                  "before every event's id: a second replay counts anew");
  verb.add_option("--limit", options.limit, "read so many rows at most");
  verb.add_option("--shuffle-within", options.shuffle_within,
                  "let events that near change places, such as 30m");
  verb.add_option("--seed", options.seed, "of --shuffle-within")->capture_default_str();
  verb.add_option("--probes", options.probes,
                  "events to measure event→visible with, where the appliance is on this host")
      ->capture_default_str();
  add_appliance(verb, options.appliance);
  add_json(verb, options.json, "the summary as one line of JSON");
}

void add_dlq(CLI::App& app, DlqOptions& options) {
  CLI::App& verb = *app.add_subcommand("dlq", "dead letters: events that no worker could apply");
  verb.require_subcommand(1);
  CLI::App& list = *verb.add_subcommand("list", "all of them");
  CLI::App& show = *verb.add_subcommand("show", "one, as JSON");
  CLI::App& replay = *verb.add_subcommand("replay", "send one, or all that were not yet, again");
  show.add_option("N", options.number, "its number")->required();
  replay.add_option("N", options.number, "its number");
  replay.add_flag("--all", options.all, "all that were not replayed yet");
  replay.add_option("--to", options.to,
                    "HOST:PORT or unix:PATH; without it, the appliance --name on this host");
  replay.add_option("--write-key", options.write_key,
                    "where the appliance wants one; env:NAME too");
  for (CLI::App* each : {&list, &show, &replay}) {
    add_appliance(*each, options.appliance);
    each->add_option("--durability", options.durability,
                     "the [durability] directory, where the appliance is not served here");
  }
  add_json(list, options.json, "as JSON");
  add_json(show, options.json, "as it is anyway");
  add_json(replay, options.json, "the counts as one line of JSON");
}

void add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App& verb = *app.add_subcommand("bench", "what this host gives, in ten seconds");
  verb.add_option("--directory", options.directory, "where segments lie")->capture_default_str();
  verb.add_option("--durability", options.durability,
                  "the [durability] directory: how long a sync takes there")
      ->capture_default_str();
  verb.add_option("--profiles", options.profiles, "profiles in the table")
      ->check(CLI::Range(std::uint64_t{1000}, std::uint64_t{100'000'000}))
      ->capture_default_str();
  verb.add_flag("--quick", options.quick, "everything once, on little: whether it works");
  add_json(verb, options.json, "as one line of JSON");
}

int run_dlq(const CLI::App& verb, const DlqOptions& options) {
  if (verb.got_subcommand("list")) return run_dlq_list(options);
  if (verb.got_subcommand("show")) return run_dlq_show(options);
  return run_dlq_replay(options);
}

}  // namespace

int run_cli(int argument_count, char** arguments) {
  CLI::App app("deja: real-time personalization for one host", "deja");
  app.set_version_flag("--version", "deja " DEJA_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "deja: " + std::string(error.what()) + "\nRun " + failed->get_name() +
           " --help to see what there is.\n";
  });

  ServeOptions serve;
  CLI::App& serve_verb = *app.add_subcommand("serve", "run an appliance until a signal");
  add_config(serve_verb, serve.config);
  serve_verb.add_option("--ready-fd", serve.ready_descriptor,
                        "descriptor that gets a line of JSON once it serves");
  add_json(serve_verb, serve.json, "that line on stdout, in place of text for people");

  ValidateOptions validate;
  CLI::App& validate_verb =
      *app.add_subcommand("validate", "check a config, say what memory it takes, run its tests");
  add_config(validate_verb, validate.config);
  add_json(validate_verb, validate.json, "one JSON object");

  GetOptions get;
  CLI::App& get_verb = *app.add_subcommand("get", "one profile");
  get_verb.add_option("USER", get.user, "userId, or anon:ID")->required();
  get_verb.add_option("--at", get.at, "finish it at an instant (RFC 3339, or -2h) and not now");
  add_appliance(get_verb, get.appliance);
  add_json(get_verb, get.json, "as JSON");

  ExportOptions exported;
  bool export_json = false;
  CLI::App& export_verb = *app.add_subcommand("export", "every profile, as JSON lines");
  export_verb.add_option("--at", exported.at, "finish them at an instant and not now");
  add_appliance(export_verb, exported.appliance);
  add_json(export_verb, export_json, "as it is anyway");

  ReplayOptions replay;
  add_replay(app, replay);

  StatOptions stat;
  CLI::App& stat_verb = *app.add_subcommand("stat", "rates, totals, lag, latency, processes");
  add_appliance(stat_verb, stat.appliance);
  add_json(stat_verb, stat.json, "as JSON");

  StatOptions errors;
  CLI::App& errors_verb =
      *app.add_subcommand("errors", "distinct errors, and event names that matched nothing");
  add_appliance(errors_verb, errors.appliance);
  add_json(errors_verb, errors.json, "as JSON");

  DlqOptions dlq;
  add_dlq(app, dlq);

  BenchOptions bench;
  add_bench(app, bench);

  std::string help_for;
  CLI::App& help_verb = *app.add_subcommand("help", "what there is, or how a verb is used");
  help_verb.add_option("VERB", help_for, "the verb");

  // CLI11 says of a mistyped verb only that there was none.
  if (argument_count > 1 && arguments[1][0] != '-') {
    std::vector<std::string> verbs;
    for (const CLI::App* verb : app.get_subcommands({})) verbs.push_back(verb->get_name());
    if (std::find(verbs.begin(), verbs.end(), arguments[1]) == verbs.end()) {
      std::cerr << "deja: there is no verb \"" << arguments[1] << "\""
                << did_you_mean(arguments[1], verbs) << " (deja help lists them all)\n";
      return 2;
    }
  }
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error, std::cout, std::cerr);
    return status == 0 ? 0 : 2;
  }
  if (serve_verb.parsed()) return run_serve(serve);
  if (validate_verb.parsed()) return run_validate(validate, std::cout, std::cerr);
  if (get_verb.parsed()) return run_get(get);
  if (export_verb.parsed()) return run_export(exported);
  if (app.got_subcommand("replay")) return run_replay(replay);
  if (stat_verb.parsed()) return run_stat(stat);
  if (errors_verb.parsed()) return run_errors(errors);
  if (app.got_subcommand("bench")) return run_bench(bench, std::cout, std::cerr);
  if (app.got_subcommand("dlq")) return run_dlq(*app.get_subcommand("dlq"), dlq);
  const CLI::App* verb = nullptr;
  for (const CLI::App* candidate : app.get_subcommands({})) {
    if (candidate->get_name() == help_for) verb = candidate;
  }
  if (!help_for.empty() && verb == nullptr) {
    std::cerr << "deja: there is no verb " << help_for << ". Run deja help to see all.\n";
    return 2;
  }
  const CLI::App* shown = verb != nullptr ? verb : &app;
  const std::string name = verb != nullptr ? "deja " + help_for : "deja";
  std::cout << app.get_formatter()->make_help(shown, name, CLI::AppFormatMode::Normal);
  return 0;
}

}  // namespace deja
