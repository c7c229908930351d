#include "postgres/timeline_history.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/error.h"

namespace holdfast {
namespace {

constexpr std::string_view kSuffix = ".history";
constexpr std::string_view kBlanks = " \t\r\v\f";

[[noreturn]] void throw_damage(std::string message, std::string_view object) {
  throw Error(ErrorKind::kDamage, std::move(message), {.object = std::string(object)});
}

std::string_view trim_front(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlanks), text.size()));
}

// Takes what stands before the next blank off the front of `text`, and the blanks around it.
std::string_view take_word(std::string_view& text) {
  text = trim_front(text);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text = trim_front(text.substr(word.size()));
  return word;
}

std::optional<TimelineId> parse_timeline(std::string_view text, int base) {
  TimelineId timeline;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), timeline.value, base);
  if (error != std::errc{} || end != text.data() + text.size() || timeline.value == 0) {
    return std::nullopt;
  }
  return timeline;
}

std::string line_of(const TimelineSwitch& entry) {
  return fmt::format("{}\t{}\t{}", entry.timeline.value, to_string(entry.at), entry.reason);
}

// "line 3 of the timeline history ...".
class LineParser {
 public:
  explicit LineParser(std::string_view object) : object_(object) {}

  // nullopt for a line that does not count.
  std::optional<TimelineSwitch> parse(std::string_view line) {
    ++number_;
    if (line.size() > kMaxTimelineHistoryLineBytes) fail("is too long");
    if (line.find('\0') != std::string_view::npos) fail("holds a zero byte");
    std::string_view rest = trim_front(line);
    if (rest.empty() || rest[0] == '#') return std::nullopt;
    const auto timeline = parse_timeline(take_word(rest), 10);
    if (!timeline) fail("does not begin with a timeline");
    const auto at = parse_lsn(take_word(rest));
    if (!at || !at->valid()) fail("has no usable WAL position");
    while (!rest.empty() && kBlanks.find(rest.back()) != std::string_view::npos) {
      rest.remove_suffix(1);
    }
    return TimelineSwitch{*timeline, *at, std::string(rest)};
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw_damage(fmt::format("line {} of the timeline history {}", number_, what), object_);
  }

 private:
  std::string_view object_;
  int number_ = 0;
};

}  // namespace

std::string timeline_history_file_name(TimelineId timeline) {
  return fmt::format("{:08X}{}", timeline.value, kSuffix);
}

std::optional<TimelineId> parse_timeline_history_file_name(std::string_view name) {
  constexpr std::size_t kDigits = 8;
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  if (name.find_first_not_of("0123456789ABCDEF") != std::string_view::npos) return std::nullopt;
  const auto timeline = parse_timeline(name, 16);
  return timeline && timeline->value > 1 ? timeline : std::nullopt;
}

TimelineHistory parse_timeline_history(TimelineId timeline, std::string_view text,
                                       std::string_view object) {
  if (text.size() > kMaxTimelineHistoryBytes) {
    throw_damage(fmt::format("a timeline history of {} bytes is too large", text.size()), object);
  }
  TimelineHistory history{.timeline = timeline, .switches = {}};
  LineParser parser(object);
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    auto entry = parser.parse(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (!entry) continue;
    if (history.switches.size() == kMaxTimelineSwitches) parser.fail("is one too many");
    if (!history.switches.empty() && entry->timeline <= history.switches.back().timeline) {
      parser.fail("does not name a later timeline than the one before");
    }
    if (entry->timeline >= timeline) parser.fail("names a timeline that is not an earlier one");
    history.switches.push_back(std::move(*entry));
  }
  // A server that lost the history of its parent writes none, but never for a later timeline.
  if (history.switches.empty()) throw_damage("the timeline history names no parent", object);
  return history;
}

bool is_valid(const TimelineHistory& history) {
  if (history.timeline.value == 0 || history.switches.size() > kMaxTimelineSwitches) return false;
  if (history.switches.empty()) return history.timeline == TimelineId{1};
  TimelineId last;
  for (const TimelineSwitch& entry : history.switches) {
    if (entry.timeline <= last || !entry.at.valid()) return false;
    if (entry.reason.find_first_of(std::string_view("\0\n", 2)) != std::string::npos) return false;
    if (line_of(entry).size() > kMaxTimelineHistoryLineBytes) return false;
    last = entry.timeline;
  }
  return last < history.timeline;
}

std::string to_text(const TimelineHistory& history) {
  HF_INVARIANT(is_valid(history));
  std::string text;
  for (const TimelineSwitch& entry : history.switches) text += line_of(entry) + "\n";
  return text;
}

std::vector<TimelineRange> ancestry(const TimelineHistory& history) {
  std::vector<TimelineRange> line;
  line.push_back({history.timeline, {}, std::nullopt});
  // From the newest back: a timeline ends where it, or any later one, was left first.
  std::optional<Lsn> end;
  for (auto entry = history.switches.rbegin(); entry != history.switches.rend(); ++entry) {
    end = std::min(end.value_or(entry->at), entry->at);
    line.back().begin = *end;
    line.push_back({entry->timeline, {}, end});
  }
  std::ranges::reverse(line);
  return line;
}

std::optional<TimelineRange> range_of(const TimelineHistory& history, TimelineId timeline) {
  const auto line = ancestry(history);
  const auto found = std::ranges::find(line, timeline, &TimelineRange::timeline);
  return found == line.end() ? std::nullopt : std::optional(*found);
}

Lsn fork_lsn(const TimelineHistory& history) {
  return history.switches.empty() ? Lsn{} : history.switches.back().at;
}

TimelineId timeline_at(const TimelineHistory& history, Lsn lsn) {
  for (const TimelineRange& range : ancestry(history)) {
    if (!range.end || lsn < *range.end) return range.timeline;
  }
  return history.timeline;
}

bool contains(const TimelineHistory& history, TimelineId timeline, Lsn lsn) {
  const auto range = range_of(history, timeline);
  return range && lsn >= range->begin && (!range->end || lsn < *range->end);
}

bool contains_up_to(const TimelineHistory& history, TimelineId timeline, Lsn end) {
  const auto range = range_of(history, timeline);
  return range && !range->empty() && end > range->begin && (!range->end || end <= *range->end);
}

bool continues(const TimelineHistory& descendant, const TimelineHistory& ancestor) {
  if (descendant.timeline < ancestor.timeline) return false;
  if (descendant.timeline == ancestor.timeline) {
    return std::ranges::equal(descendant.switches, ancestor.switches, [](auto& a, auto& b) {
      return a.timeline == b.timeline && a.at == b.at;
    });
  }
  const std::size_t past = ancestor.switches.size();
  if (descendant.switches.size() <= past) return false;
  for (std::size_t i = 0; i < past; ++i) {
    const TimelineSwitch& a = descendant.switches[i];
    const TimelineSwitch& b = ancestor.switches[i];
    if (a.timeline != b.timeline || a.at != b.at) return false;
  }
  return descendant.switches[past].timeline == ancestor.timeline;
}

}  // namespace holdfast
