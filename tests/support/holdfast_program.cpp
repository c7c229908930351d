#include "support/holdfast_program.h"

#include <cstdlib>
#include <stdexcept>

#include <fmt/format.h>

#include "seal/key_slot.h"
#include "support/s3_server.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

void make_private(const fs::path& path) {
  give_to_server_user(path);
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

}  // namespace

std::string Answer::kind() const {
  if (!document.is_object() || !document.contains("error")) return "";
  return document["error"].value("kind", "");
}

std::string Answer::error() const {
  if (!document.is_object() || !document.contains("error")) return "";
  const Json& error = document["error"];
  return fmt::format("{}\n{}\n{}", error.value("message", ""), error.value("object", ""),
                     error.value("hint", ""));
}

std::string Answer::text() const {
  return fmt::format("exit {}, signal {}{}\n{}{}", outcome.exit_code, outcome.signal,
                     outcome.timed_out ? ", timed out" : "", outcome.out, outcome.err);
}

HoldfastProgram::HoldfastProgram(const PostgresCluster& cluster, ProgramSettings settings)
    : cluster_(cluster), settings_(std::move(settings)) {
  fs::create_directory(state_directory());
  fs::permissions(state_directory(), fs::perms::owner_all);
  if (settings_.url.empty()) settings_.url = "file://" + repository_folder().string();
  write_text(key_file(), format_key_file(Secret::random()));
  if (settings_.s3 != nullptr) {
    // The server's own files belong to the user who runs the test.
    write_text(folder_ / "access", settings_.s3->access_key());
    write_text(folder_ / "secret", settings_.s3->secret_key());
  }
  give_to_server_user(folder_.path());
  for (const char* const name : {"key", "access", "secret"}) {
    if (fs::exists(folder_ / name)) make_private(folder_ / name);
  }
}

std::string HoldfastProgram::path() {
  const char* const other = std::getenv("HOLDFAST_TEST_PROGRAM");
  return other == nullptr ? HOLDFAST_PROGRAM : other;
}

void HoldfastProgram::write_configuration() const {
  const fs::path data = other_data_directory.value_or(cluster_.data_directory());
  std::string text = fmt::format(
      "cluster: {}\nstate_directory: {}\npostgres:\n  data_directory: {}\n  connection: \"{}\"\n",
      settings_.cluster_name, state_directory().string(), data.string(),
      other_connection.value_or(cluster_.connection()));
  for (const std::string& line : settings_.lines) text += line + "\n";
  text += fmt::format("repositories:\n  - name: first\n    url: {}\n", settings_.url);
  if (settings_.s3 != nullptr) {
    text += fmt::format(
        "    endpoint: {}\n    region: us-east-1\n    path_style: true\n"
        "    credentials: {{access_key_file: {}, secret_key_file: {}}}\n",
        settings_.s3->endpoint(), (folder_ / "access").string(), (folder_ / "secret").string());
  }
  if (settings_.encryption == Encryption::kKeyFile) {
    text += fmt::format("    encryption: {{key_file: {}}}\n", key_file().string());
  }
  for (const std::string& line : settings_.repository_lines) text += line + "\n";
  // A file that is being written anew would look changed to a helper that watches it.
  if (fs::exists(configuration()) && read_text(configuration()) == text) return;
  write_text(configuration(), text);
}

Command HoldfastProgram::command(const std::vector<std::string>& arguments,
                                 const Variables& environment) const {
  std::vector<std::string> words{path(), "--config", configuration().string(), "--output", "json"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Variables variables = environment;
  variables.try_emplace("HOME", folder_.path().string());
  if (run_as == RunAs::kServerUser) words = as_server_user(words);
  return {.arguments = words, .environment = variables, .folder = folder_.path()};
}

Answer HoldfastProgram::answer_of(Outcome outcome) {
  Answer answer{.outcome = std::move(outcome), .document = {}};
  if (answer.outcome.out.empty() && answer.outcome.signal != 0) return answer;
  try {
    answer.document = Json::parse(answer.outcome.out);
  } catch (const Json::exception& error) {
    throw std::runtime_error("no JSON document: " + answer.text());
  }
  return answer;
}

Answer HoldfastProgram::run(const std::vector<std::string>& arguments,
                            const Variables& environment) {
  write_configuration();
  return answer_of(holdfast::test::run(command(arguments, environment)));
}

Process HoldfastProgram::start(const std::vector<std::string>& arguments,
                               const Variables& environment) {
  write_configuration();
  return Process(command(arguments, environment));
}

Json HoldfastProgram::must(const std::vector<std::string>& arguments,
                           const Variables& environment) {
  const Answer answer = run(arguments, environment);
  if (!answer.ok()) throw std::runtime_error(arguments.front() + " failed: " + answer.text());
  return answer.result();
}

Json HoldfastProgram::backup(const std::vector<std::string>& more) {
  std::vector<std::string> words{"backup"};
  words.insert(words.end(), more.begin(), more.end());
  return must(words);
}

Json HoldfastProgram::restore(const fs::path& to, const std::vector<std::string>& more) {
  std::vector<std::string> words{"restore", "--to", to.string()};
  words.insert(words.end(), more.begin(), more.end());
  return must(words);
}

std::vector<Json> HoldfastProgram::listed(const std::vector<std::string>& more) {
  std::vector<std::string> words{"list"};
  words.insert(words.end(), more.begin(), more.end());
  return must(words).at("backups").get<std::vector<Json>>();
}

std::vector<std::string> HoldfastProgram::listed_ids() {
  std::vector<std::string> ids;
  for (const Json& backup : listed()) ids.push_back(backup.at("id"));
  return ids;
}

fs::path HoldfastProgram::new_path(const std::string& name) {
  return folder_ / fmt::format("{}-{}", name, ++paths_);
}

}  // namespace holdfast::test
