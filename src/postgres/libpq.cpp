#include "postgres/libpq.h"

#include "system/shared_library.h"

namespace holdfast {
namespace {

Libpq load_libpq() {
  const SharedLibrary library("libpq.so.5", "libpq5");
  Libpq out{};
  library.find(out.backendPID, "PQbackendPID");
  library.find(out.cancel, "PQcancel");
  library.find(out.clear, "PQclear");
  library.find(out.conndefaults, "PQconndefaults");
  library.find(out.connectPoll, "PQconnectPoll");
  library.find(out.connectStartParams, "PQconnectStartParams");
  library.find(out.conninfo, "PQconninfo");
  library.find(out.conninfoFree, "PQconninfoFree");
  library.find(out.conninfoParse, "PQconninfoParse");
  library.find(out.consumeInput, "PQconsumeInput");
  library.find(out.errorMessage, "PQerrorMessage");
  library.find(out.finish, "PQfinish");
  library.find(out.flush, "PQflush");
  library.find(out.freeCancel, "PQfreeCancel");
  library.find(out.freemem, "PQfreemem");
  library.find(out.getCancel, "PQgetCancel");
  library.find(out.getResult, "PQgetResult");
  library.find(out.getisnull, "PQgetisnull");
  library.find(out.getvalue, "PQgetvalue");
  library.find(out.isBusy, "PQisBusy");
  library.find(out.nfields, "PQnfields");
  library.find(out.ntuples, "PQntuples");
  library.find(out.resultErrorField, "PQresultErrorField");
  library.find(out.resultErrorMessage, "PQresultErrorMessage");
  library.find(out.resultStatus, "PQresultStatus");
  library.find(out.sendQueryParams, "PQsendQueryParams");
  library.find(out.serverVersion, "PQserverVersion");
  library.find(out.setErrorVerbosity, "PQsetErrorVerbosity");
  library.find(out.setNoticeReceiver, "PQsetNoticeReceiver");
  library.find(out.setnonblocking, "PQsetnonblocking");
  library.find(out.socket, "PQsocket");
  library.find(out.status, "PQstatus");
  return out;
}

}  // namespace

const Libpq& libpq() {
  static const Libpq functions = load_libpq();
  return functions;
}

}  // namespace holdfast
