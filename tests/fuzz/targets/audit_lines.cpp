// Lines of an audit log, as they stand in its file and in its copies in a repository. The first
// byte of the input says which.

#include "app/audit_log.h"
#include "core/error.h"
#include "fuzz_target.h"
#include "repository/audit_record.h"
#include "seal/hash.h"

namespace holdfast::fuzz {
namespace {

enum Kind : std::uint8_t { kLog, kCopy };

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

void look_at_log(std::string_view text) {
  const std::vector<std::string> lines = lines_of(text);
  const std::vector<std::string> findings = verify_audit_chain(lines);
  HF_INVARIANT(findings.size() <= kAuditFindingsMax);
  if (!findings.empty()) {
    for (const std::string& line : lines) parse_audit_line(line);  // throws or not, and no more
    return;
  }
  // What passes is numbered, of one log, and no line of it was changed.
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const AuditLine line = parse_audit_line(lines[i]);
    HF_INVARIANT(line.number == i + 1);
    HF_INVARIANT(has_its_own_hash(lines[i], line));
    HF_INVARIANT(i == 0 || line.previous == parse_audit_line(lines[i - 1]).hash);
    HF_INVARIANT(line.log == parse_audit_line(lines[0]).log);
  }
}

void run(ByteView input) {
  if (input.empty()) return;
  const ByteView rest = input.subspan(1);
  if (input[0] == std::byte{kLog}) return look_at_log(as_text(rest));
  if (input[0] == std::byte{kCopy}) {
    const AuditRecord record = parse_audit_record_json(rest, "x/audit/20260101/y");
    HF_INVARIANT(!record.lines.empty() && record.lines.size() <= kAuditRecordLinesMax);
    verify_audit_chain(record.lines, record.first);
  }
}

// As app/audit_log.cpp makes them.
std::string chain(int count) {
  std::string all, previous(64, '0');
  for (int number = 1; number <= count; ++number) {
    AuditJson json{{"number", number},
                   {"log", "00112233aabbccdd"},
                   {"previous", previous},
                   {"event", number % 2 == 1 ? "begin" : "end"},
                   {"action", "20260101T000000Z-0001"}};
    std::string line = json.dump();
    line.pop_back();
    previous = to_hex(sha256(as_bytes(line)));
    all += line + ",\"hash\":\"" + previous + "\"}\n";
  }
  return all;
}

Bytes seed(Kind kind, std::string_view text) {
  Bytes bytes{static_cast<std::byte>(kind)};
  bytes.insert(bytes.end(), as_bytes(text).begin(), as_bytes(text).end());
  return bytes;
}

std::vector<Bytes> seeds() {
  const AuditJson copy{{"object", "x/audit/20260101/y"},
                       {"log", "00112233aabbccdd"},
                       {"place", "host:/var/lib/holdfast/main"},
                       {"first", 1},
                       {"lines", lines_of(chain(2))}};
  return {seed(kLog, chain(1)), seed(kLog, chain(4)), seed(kCopy, copy.dump())};
}

HOLDFAST_FUZZ_TARGET(audit_lines, run, seeds)

}  // namespace
}  // namespace holdfast::fuzz
