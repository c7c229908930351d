// libpq's functions, named as there without PQ. Loaded at the first call of libpq(), see
// system/shared_library.h; throws kHost where that fails. Safe from several threads.
#pragma once

#include <libpq-fe.h>

namespace holdfast {

struct Libpq {
  decltype(&::PQbackendPID) backendPID;
  decltype(&::PQcancel) cancel;
  decltype(&::PQclear) clear;
  decltype(&::PQconndefaults) conndefaults;
  decltype(&::PQconnectPoll) connectPoll;
  decltype(&::PQconnectStartParams) connectStartParams;
  decltype(&::PQconninfo) conninfo;
  decltype(&::PQconninfoFree) conninfoFree;
  decltype(&::PQconninfoParse) conninfoParse;
  decltype(&::PQconsumeInput) consumeInput;
  decltype(&::PQerrorMessage) errorMessage;
  decltype(&::PQfinish) finish;
  decltype(&::PQflush) flush;
  decltype(&::PQfreeCancel) freeCancel;
  decltype(&::PQfreemem) freemem;
  decltype(&::PQgetCancel) getCancel;
  decltype(&::PQgetResult) getResult;
  decltype(&::PQgetisnull) getisnull;
  decltype(&::PQgetvalue) getvalue;
  decltype(&::PQisBusy) isBusy;
  decltype(&::PQnfields) nfields;
  decltype(&::PQntuples) ntuples;
  decltype(&::PQresultErrorField) resultErrorField;
  decltype(&::PQresultErrorMessage) resultErrorMessage;
  decltype(&::PQresultStatus) resultStatus;
  decltype(&::PQsendQueryParams) sendQueryParams;
  decltype(&::PQserverVersion) serverVersion;
  decltype(&::PQsetErrorVerbosity) setErrorVerbosity;
  decltype(&::PQsetNoticeReceiver) setNoticeReceiver;
  decltype(&::PQsetnonblocking) setnonblocking;
  decltype(&::PQsocket) socket;
  decltype(&::PQstatus) status;
};

const Libpq& libpq();

}  // namespace holdfast
