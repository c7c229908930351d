// A signal that comes when the backup is complete: whoever ends the program learns that there is
// one.
#include <csignal>

#include "support/archived_cluster.h"

namespace holdfast::test {
namespace {

TEST(Signal, BehindTheCommitOfABackupIsNotItsEnd) {
  ArchivedCluster archived;
  archived.server().sql("create table t as select 1");
  HoldfastProgram& holdfast = archived.holdfast();
  // What it does behind the commit takes long enough for the signal to arrive.
  Process backup = holdfast.start({"backup"}, {{"HOLDFAST_FAULT_POINT", "backup.committed:stop"},
                                               {"HOLDFAST_STORE_FAULTS", "list=delay:2000"}});
  while (holdfast.listed().empty()) {
  }
  backup.send(SIGTERM);
  backup.send(SIGCONT);
  const Answer answer = HoldfastProgram::answer_of(backup.wait(std::chrono::minutes(1)));
  EXPECT_EQ(answer.outcome.exit_code, 0) << answer.text();
  EXPECT_EQ(answer.result().at("id"), holdfast.listed_ids().at(0));
  EXPECT_NE(answer.document.at("warnings").dump().find("signal"), std::string::npos)
      << answer.text();
}

}  // namespace
}  // namespace holdfast::test
