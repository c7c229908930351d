// The readiness list: what is gathered for it, and confirmations by people.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/checklist.h"
#include "app/evidence_parts.h"
#include "app/open.h"
#include "repository/json_text.h"
#include "system/files.h"

namespace holdfast {
namespace {

constexpr std::size_t kAttestationBytesMax = std::size_t{64} << 10U;
// Lines that only people can answer, or may.
constexpr std::array<std::string_view, 5> kAttested{"restore_documented", "team", "runbook",
                                                    "monthly_drill", "key_elsewhere"};

std::filesystem::path attestation_path(const Config& config, std::string_view line) {
  return config.state_directory / "attestations" / fmt::format("{}.json", line);
}

std::optional<Attestation> read_attestation(const Config& config, std::string_view line) {
  using Json = nlohmann::ordered_json;
  try {
    const auto text = read_file(attestation_path(config, line), kAttestationBytesMax);
    if (!text) return std::nullopt;
    const Json json = parse_json<Json>(*text);
    return Attestation{std::string(line), json.at("by"), json.at("note"), json.at("time"),
                       json.at("host")};
  } catch (const std::exception&) {
    return std::nullopt;  // cannot be read: then nobody confirmed it
  }
}

}  // namespace

ChecklistEvidence gather_checklist(const LoadedConfig& loaded, const std::stop_token& stop) {
  ChecklistEvidence all{.evidence =
                            gather_evidence(loaded, {.depth = EvidenceDepth::kDoctor}, stop)};
  all.findings = diagnose(loaded.config, all.evidence);
  for (const RepositoryEvidence& repository : all.evidence.repositories) {
    if (!repository.opened || !repository.encrypted) continue;
    // What cannot be listed leaves the line unanswered.
    looked_at([&] {
      all.keys.push_back(list_keys(find_repository(loaded.config, repository.name), stop));
    });
  }
  for (const std::string_view line : kAttested) {
    if (auto found = read_attestation(loaded.config, line)) {
      all.attestations.push_back(std::move(*found));
    }
  }
  return all;
}

Attestation attest(const Config& config, const AttestRequest& request) {
  if (std::ranges::find(kAttested, request.line) == kAttested.end()) {
    throw Error(ErrorKind::kUsage, "no line of the list that is answered by confirming it",
                {.object = request.line,
                 .hint = fmt::format("These are: {}.", fmt::join(kAttested, ", "))});
  }
  if (request.by.empty()) {
    throw Error(ErrorKind::kUsage, "who confirms it?",
                {.object = request.line, .hint = "Give the name of a person with --by."});
  }
  prepare_state_directory(config);
  Attestation made{.line = request.line,
                   .by = request.by,
                   .note = request.note,
                   .time = to_rfc3339_seconds(system_clock().now()),
                   .host = host_name()};
  const nlohmann::ordered_json json{
      {"by", made.by}, {"note", made.note}, {"time", made.time}, {"host", made.host}};
  const std::string text =
      json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  const auto path = attestation_path(config, made.line);
  make_folders(path.parent_path(), 0700);
  write_durably(path, as_bytes(text), 0600, Overwrite::kYes);
  return made;
}

}  // namespace holdfast
