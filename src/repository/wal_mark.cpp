#include "repository/wal_mark.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "repository/catalogue.h"
#include "repository/json_text.h"
#include "repository/record_json.h"
#include "repository/write_once.h"

namespace holdfast {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

namespace names {

std::string wal_marks_prefix(const WalPlace& place) {
  return history_prefix(place.cluster, place.history) + "wal-mark/";
}

std::string wal_mark(const WalPlace& place, std::uint32_t number) {
  return fmt::format("{}{:04}", wal_marks_prefix(place), number);
}

}  // namespace names

std::vector<WalMarkName> list_wal_marks(const Repository& repository, const WalPlace& place,
                                        const std::stop_token& stop) {
  const std::string prefix = names::wal_marks_prefix(place);
  std::vector<WalMarkName> marks;
  for_each_object(repository.store(), prefix, stop, [&](const ObjectInfo& object) {
    WalMarkName mark{.written = object.modified};
    const char* const end = object.name.data() + object.name.size();
    const auto parsed = std::from_chars(object.name.data() + prefix.size(), end, mark.number);
    if (parsed.ec == std::errc{} && names::wal_mark(place, mark.number) == object.name) {
      marks.push_back(mark);
    }
  });
  std::ranges::sort(marks, {}, &WalMarkName::number);
  return marks;
}

SegmentRanges parse_wal_mark(ByteView plain, const std::string& object) {
  try {
    const Json json = parse_json<Json>(as_text(plain));
    if (json.at("object") != object) {
      throw Error(ErrorKind::kDamage, "damaged object: it is the mark of another history",
                  {.object = object});
    }
    SegmentRanges ranges;
    for (const Json& range : json.at("segments")) {
      ranges.push_back({range.at(0), range.at(1)});
      if (ranges.back().last < ranges.back().first || ranges.back().last > kSegmentNumberMax) {
        throw Error(ErrorKind::kDamage, "malformed mark: a range makes no sense",
                    {.object = object});
      }
    }
    return joined(std::move(ranges));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kDamage, fmt::format("malformed mark: {}", error.what()),
                {.object = object});
  }
}

SegmentRanges read_wal_mark(const Repository& repository, const WalPlace& place,
                            std::uint32_t number, const std::stop_token& stop) {
  const std::string object = names::wal_mark(place, number);
  auto bytes = repository.store().get(object, stop);
  if (!bytes) throw Error(ErrorKind::kDamage, "the mark is missing", {.object = object});
  return parse_wal_mark(
      open_record(ContainerKind::kWalMark, repository.keys(), std::move(*bytes), object), object);
}

bool write_wal_mark(const Repository& repository, const WalPlace& place, std::uint32_t number,
                    const SegmentRanges& ranges, const std::stop_token& stop) {
  const std::string object = names::wal_mark(place, number);
  Json segments = Json::array();
  for (const SegmentRange& range : ranges) segments.push_back({range.first, range.last});
  const Json json{{"object", object},
                  {"time", to_rfc3339_seconds(system_clock().now())},
                  {"segments", std::move(segments)}};
  return try_put_once(repository.store(), object,
                      seal_record(ContainerKind::kWalMark, repository.keys(),
                                  repository.keys().cipher, as_bytes(json.dump())),
                      ObjectClass::kCatalogue, stop) != WriteOnceOutcome::kOtherContent;
}

SegmentRanges going_wal(const Repository& repository, const WalPlace& place,
                        const std::stop_token& stop) {
  const auto marks = list_wal_marks(repository, place, stop);
  if (marks.empty()) return {};
  return read_wal_mark(repository, place, marks.back().number, stop);
}

bool wal_is_going(const Repository& repository, const WalPlace& place, SegmentRange segments,
                  const std::stop_token& stop) {
  try {
    return intersects(going_wal(repository, place, stop), segments);
  } catch (const Error& error) {
    if (condemns_one_object(error.kind())) return true;
    throw;
  }
}

}  // namespace holdfast
