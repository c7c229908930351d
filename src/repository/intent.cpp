#include "repository/intent.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/catalogue.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Intent> list_under(const Repository& repository, const std::string& prefix,
                               const BackupName& of_history, const std::stop_token& stop) {
  std::vector<Intent> found;
  for_each_object(repository.store(), prefix, stop, [&](const ObjectInfo& object) {
    if (auto name = names::parse_intent(of_history.cluster, of_history.history, object.name)) {
      found.push_back({std::move(*name), object.modified});
    }
  });
  return found;
}

}  // namespace

void write_intent(const Repository& repository, const names::IntentName& intent,
                  const std::stop_token& stop) {
  const std::string name = names::intent(intent);
  const Json json{{"object", name}, {"time", to_rfc3339_seconds(system_clock().now())}};
  // An intent that is there already says the same, whoever wrote it.
  repository.store().put(name,
                         seal_record(ContainerKind::kIntent, repository.keys(),
                                     repository.keys().cipher, as_bytes(json.dump())),
                         {.object_class = ObjectClass::kCatalogue}, stop);
}

std::vector<Intent> list_intents(const Repository& repository, const std::string& cluster,
                                 const HistoryName& history, const std::stop_token& stop) {
  return list_under(repository, names::intents_prefix(cluster, history), {cluster, history, {}},
                    stop);
}

std::vector<Intent> list_intents(const Repository& repository, const BackupName& cited,
                                 const std::stop_token& stop) {
  return list_under(repository, names::intents_prefix(cited), cited, stop);
}

bool is_live(const Repository& repository, const Intent& intent, const std::stop_token& stop) {
  try {
    return !read_outcome(repository, intent.name.citing, stop);
  } catch (const Error& error) {
    // Decided, whatever it says: its manifest counts (or nothing is deleted where that is
    // unreadable too).
    if (condemns_one_object(error.kind())) return false;
    throw;
  }
}

}  // namespace holdfast
