#include "repository/proof.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/json_text.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

// Verifications that end in the same moment take the next number.
constexpr int kAttempts = 20;

Bytes encode(const Repository& repository, const std::string& name, const ProofRecord& proof) {
  Json json;
  json["object"] = name;
  json["number"] = proof.number;
  json["time"] = proof.time;
  json["mode"] = proof.mode;
  json["ok"] = proof.ok;
  json["objects"] = proof.objects;
  json["bytes"] = proof.bytes;
  json["damaged_objects"] = proof.damaged_objects;
  json["damaged"] = proof.damaged;
  json["duration_seconds"] = proof.duration_seconds;
  if (proof.recovery_point_seconds) json["recovery_point_seconds"] = *proof.recovery_point_seconds;
  json["host"] = proof.host;
  json["holdfast_version"] = proof.holdfast_version;
  return seal_record(ContainerKind::kProof, repository.keys(), repository.keys().cipher,
                     as_bytes(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

std::optional<double> optional_number(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return std::nullopt;
  return found->get<double>();
}

}  // namespace

std::uint32_t write_proof(const Repository& repository, const BackupName& backup, ProofRecord proof,
                          const std::stop_token& stop) {
  const std::vector<std::uint32_t> there = list_proofs(repository, backup, stop);
  proof.number = there.empty() ? 1 : there.back() + 1;
  if (proof.damaged.size() > kMaxProofObjects) proof.damaged.resize(kMaxProofObjects);
  for (int attempt = 0; attempt < kAttempts; ++attempt, ++proof.number) {
    const std::string name = names::proof(backup, proof.number);
    if (try_put_once(repository.store(), name, encode(repository, name, proof),
                     ObjectClass::kCatalogue, stop) != WriteOnceOutcome::kOtherContent) {
      return proof.number;
    }
  }
  throw Error(ErrorKind::kRepository, "no free number was found for the proof",
              {.object = names::proofs_prefix(backup)});
}

std::vector<std::uint32_t> list_proofs(const Repository& repository, const BackupName& backup,
                                       const std::stop_token& stop) {
  std::vector<std::uint32_t> numbers;
  for_each_object(repository.store(), names::proofs_prefix(backup), stop,
                  [&](const ObjectInfo& object) {
                    if (const auto number = names::parse_proof(backup, object.name)) {
                      numbers.push_back(*number);
                    }
                  });
  std::ranges::sort(numbers);  // "10000" is listed before "9999"
  return numbers;
}

ProofRecord read_proof(const Repository& repository, const BackupName& backup, std::uint32_t number,
                       const std::stop_token& stop) {
  const std::string name = names::proof(backup, number);
  auto object = repository.store().get(name, stop);
  if (!object) throw Error(ErrorKind::kDamage, "the proof is missing", {.object = name});
  const Bytes plain =
      open_record(ContainerKind::kProof, repository.keys(), std::move(*object), name);
  return parse_proof_record(plain, name);
}

std::optional<ProofRecord> last_proof(const Repository& repository, const BackupName& backup,
                                      const std::stop_token& stop) {
  const std::vector<std::uint32_t> numbers = list_proofs(repository, backup, stop);
  if (numbers.empty()) return std::nullopt;
  try {
    return read_proof(repository, backup, numbers.back(), stop);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kRepository || error.kind() == ErrorKind::kCancelled) throw;
    return ProofRecord{.number = numbers.back(), .mode = "unreadable"};
  }
}

ProofRecord parse_proof_record(ByteView plain, std::string_view name) {
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != name) {
      throw Error(ErrorKind::kDamage, "damaged object: it is the proof of another backup",
                  {.object = std::string(name)});
    }
    return {.number = json.at("number"),
            .time = json.at("time"),
            .mode = json.at("mode"),
            .ok = json.at("ok"),
            .objects = json.at("objects"),
            .bytes = json.at("bytes"),
            .damaged_objects = json.at("damaged_objects"),
            .damaged = json.at("damaged").get<std::vector<std::string>>(),
            .duration_seconds = json.at("duration_seconds"),
            .recovery_point_seconds = optional_number(json, "recovery_point_seconds"),
            .host = json.at("host"),
            .holdfast_version = json.at("holdfast_version")};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed proof: {}", error.what()),
                {.object = std::string(name)});
  }
}

}  // namespace holdfast
