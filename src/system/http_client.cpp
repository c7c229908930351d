#include "system/http_client.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include "core/cancellation.h"
#include "system/libcurl.h"

namespace holdfast {
namespace {

constexpr std::size_t kHandlesKeptMax = 64;
constexpr std::size_t kHeaderBytesMax = std::size_t{256} << 10U;
constexpr long kCurlBufferBytes = 512L << 10U;
constexpr long kConnectionIdleSecondsMax = 30;  // below the idle time of S3 and common proxies
constexpr int kPollMilliseconds = 500;

struct ListDeleter {
  void operator()(curl_slist* list) const { libcurl().slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

// A multi handle (which owns the connections) with its one easy handle.
struct Handle {
  Handle() : multi(libcurl().multi_init()), easy(libcurl().easy_init()) {
    if (multi == nullptr || easy == nullptr) {
      release();
      throw Error(ErrorKind::kHost, "libcurl has no memory for a handle");
    }
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { release(); }

  void release() {
    libcurl().easy_cleanup(easy);
    if (multi != nullptr) libcurl().multi_cleanup(multi);
  }

  CURLM* multi;
  CURL* easy;
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// The URL without its query, which may hold what must not reach a message.
std::string_view without_query(std::string_view url) {
  return url.substr(0, url.find('?'));
}

// One request under way: what libcurl's callbacks read and fill.
class Transfer {
 public:
  Transfer(const HttpRequest& request, CURL* easy) : request_(request), easy_(easy) {}

  std::size_t read(char* out, std::size_t room) {
    const std::size_t count = std::min(room, request_.body.size() - sent_);
    if (count > 0) std::memcpy(out, request_.body.data() + sent_, count);
    sent_ += count;
    return count;
  }

  int seek(curl_off_t offset, int origin) {
    if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
    if (static_cast<std::uint64_t>(offset) > request_.body.size()) return CURL_SEEKFUNC_FAIL;
    sent_ = static_cast<std::size_t>(offset);
    return CURL_SEEKFUNC_OK;
  }

  std::size_t write(const char* data, std::size_t count) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    if (status() == 206 && !request_.into.empty()) {
      if (count > request_.into.size() - response.into_bytes) return too_large();
      std::memcpy(request_.into.data() + response.into_bytes, bytes, count);
      response.into_bytes += count;
      return count;
    }
    if (count > request_.response_bytes_max - response.body.size()) return too_large();
    if (response.body.empty()) reserve_body();
    response.body.insert(response.body.end(), bytes, bytes + count);
    return count;
  }

  std::size_t header(std::string_view line) {
    header_bytes_ += line.size();
    if (header_bytes_ > kHeaderBytesMax) return too_large();
    if (line.starts_with("HTTP/")) {  // also after "100 Continue": only the last answer counts
      response.headers.clear();
      return line.size();
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      std::string name(trimmed(line.substr(0, colon)));
      std::transform(name.begin(), name.end(), name.begin(), lower);
      response.headers.push_back({std::move(name), std::string(trimmed(line.substr(colon + 1)))});
    }
    return line.size();
  }

  int status() const {
    long code = 0;
    libcurl().easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
  }

  HttpResponse response;
  bool limit_exceeded = false;
  std::array<char, CURL_ERROR_SIZE> error_text{};

 private:
  std::size_t too_large() {
    limit_exceeded = true;
    return 0;  // makes libcurl end the transfer
  }

  void reserve_body() {
    curl_off_t length = -1;
    libcurl().easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0) {
      const auto wanted = static_cast<std::uint64_t>(length);
      response.body.reserve(std::min<std::uint64_t>(wanted, request_.response_bytes_max));
    }
  }

  const HttpRequest& request_;
  CURL* easy_;
  std::size_t sent_ = 0;
  std::size_t header_bytes_ = 0;
};

// The C side of the callbacks. An exception (no memory) must not pass through libcurl.
std::size_t on_read(char* out, std::size_t size, std::size_t count, void* transfer) {
  return static_cast<Transfer*>(transfer)->read(out, size * count);
}
int on_seek(void* transfer, curl_off_t offset, int origin) {
  return static_cast<Transfer*>(transfer)->seek(offset, origin);
}
std::size_t on_write(char* data, std::size_t size, std::size_t count, void* transfer) noexcept {
  try {
    return static_cast<Transfer*>(transfer)->write(data, size * count);
  } catch (...) {
    return 0;
  }
}
std::size_t on_header(char* data, std::size_t size, std::size_t count, void* transfer) noexcept {
  try {
    return static_cast<Transfer*>(transfer)->header({data, size * count});
  } catch (...) {
    return 0;
  }
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  const CURLcode result = libcurl().easy_setopt(easy, option, value);
  if (result != CURLE_OK) {
    throw Error(ErrorKind::kHost,
                fmt::format("libcurl refuses option {}: {}", static_cast<int>(option),
                            libcurl().easy_strerror(result)));
  }
}

HeaderList header_list(const HttpRequest& request) {
  HeaderList list;
  const auto append = [&list](const std::string& line) {
    curl_slist* longer = libcurl().slist_append(list.get(), line.c_str());
    if (longer == nullptr) throw Error(ErrorKind::kHost, "no memory for request headers");
    if (list == nullptr) list.reset(longer);  // else the head of the list stays the same
  };
  append("Expect:");  // no "100 Continue" round trip before a body
  for (const HttpHeader& header : request.headers) {
    // "name;" is libcurl's way to send a header without a value.
    append(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  return list;
}

void set_connection_options(CURL* easy, const HttpClientOptions& options) {
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_QUICK_EXIT, 1L);  // a cancelled request does not wait for a DNS answer
  set(easy, CURLOPT_TCP_NODELAY, 1L);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_MAXAGE_CONN, kConnectionIdleSecondsMax);
  set(easy, CURLOPT_BUFFERSIZE, kCurlBufferBytes);
  set(easy, CURLOPT_UPLOAD_BUFFERSIZE, kCurlBufferBytes);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options.total_timeout.count()));
  set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));
  if (!options.ca_file.empty()) {
    set(easy, CURLOPT_CAINFO, options.ca_file.c_str());
    set(easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // that authority and no other
  }
  const bool verify = options.tls_check == TlsCheck::kVerify;
  set(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  set(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
  if (options.proxy_use == ProxyUse::kNever) set(easy, CURLOPT_NOPROXY, "*");
  if (!options.proxy.empty()) {
    set(easy, CURLOPT_PROXY, options.proxy.c_str());
    set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  }
}

void set_request_options(CURL* easy, const HttpRequest& request, const HeaderList& headers) {
  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_PATH_AS_IS, 1L);
  set(easy, CURLOPT_USERAGENT, "holdfast");
  set(easy, CURLOPT_HTTPHEADER, headers.get());
  if (request.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (!request.body.empty() || request.method == "PUT" || request.method == "POST") {
    set(easy, CURLOPT_UPLOAD, 1L);
    set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else if (request.method != "GET") {
    set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

void set_callbacks(CURL* easy, Transfer& transfer) {
  void* self = &transfer;
  set(easy, CURLOPT_ERRORBUFFER, transfer.error_text.data());
  set(easy, CURLOPT_READFUNCTION, on_read);
  set(easy, CURLOPT_READDATA, self);
  set(easy, CURLOPT_SEEKFUNCTION, on_seek);
  set(easy, CURLOPT_SEEKDATA, self);
  set(easy, CURLOPT_WRITEFUNCTION, on_write);
  set(easy, CURLOPT_WRITEDATA, self);
  set(easy, CURLOPT_HEADERFUNCTION, on_header);
  set(easy, CURLOPT_HEADERDATA, self);
}

// Takes the easy handle out of the multi handle again; in the middle of a transfer that closes the
// connection.
class Attached {
 public:
  explicit Attached(Handle& handle) : handle_(handle) {
    if (libcurl().multi_add_handle(handle.multi, handle.easy) != CURLM_OK) {
      throw Error(ErrorKind::kBug, "libcurl refuses a request");
    }
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() { libcurl().multi_remove_handle(handle_.multi, handle_.easy); }

 private:
  Handle& handle_;
};

CURLcode run(Handle& handle, const std::stop_token& stop) {
  const Attached attached(handle);
  // libcurl documents wakeup as the one call that another thread may make.
  const std::stop_callback wake(stop, [&handle] { libcurl().multi_wakeup(handle.multi); });
  for (;;) {
    check_cancelled(stop);
    int running = 0;
    if (libcurl().multi_perform(handle.multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    int queued = 0;
    while (const CURLMsg* message = libcurl().multi_info_read(handle.multi, &queued)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    if (running == 0) return CURLE_FAILED_INIT;
    if (libcurl().multi_poll(handle.multi, nullptr, 0, kPollMilliseconds, nullptr) != CURLM_OK) {
      return CURLE_FAILED_INIT;
    }
  }
}

bool worth_repeating(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return false;
    default:
      return true;
  }
}

std::string hint_for(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
      return "the server's certificate is not trusted: name its authority in ca_file";
    case CURLE_SSL_CACERT_BADFILE:
      return "ca_file must be a readable PEM file of certificates";
    case CURLE_COULDNT_RESOLVE_HOST:
      return "check the host name and this machine's DNS";
    case CURLE_COULDNT_RESOLVE_PROXY:
      return "check the name of the proxy";
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return "check that the server runs and that the network and firewalls let it be reached";
    default:
      return {};
  }
}

[[noreturn]] void throw_failure(CURLcode code, const Transfer& transfer, const HttpRequest& request,
                                ErrorKind kind) {
  const std::string object(without_query(request.url));
  if (transfer.limit_exceeded) {
    throw Error(kind, "the server's answer is larger than allowed", {.object = object});
  }
  const char* text =
      transfer.error_text[0] != '\0' ? transfer.error_text.data() : libcurl().easy_strerror(code);
  throw Error(kind, fmt::format("no answer from the server: {}", trimmed(text)),
              {.object = object, .hint = hint_for(code), .retryable = worth_repeating(code)});
}

}  // namespace

std::optional<std::string_view> HttpResponse::header(std::string_view lower_case_name) const {
  for (const HttpHeader& candidate : headers) {
    if (candidate.name == lower_case_name) return candidate.value;
  }
  return std::nullopt;
}

// Idle handles, the latest used first: its connection is the likeliest to be still open.
class HttpClient::Handles {
 public:
  std::unique_ptr<Handle> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Handle> handle = std::move(idle_.back());
        idle_.pop_back();
        return handle;
      }
    }
    return std::make_unique<Handle>();
  }

  void give_back(std::unique_ptr<Handle> handle) {
    libcurl().easy_reset(
        handle->easy);  // keeps the connections, drops pointers into the last request
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kHandlesKeptMax) idle_.push_back(std::move(handle));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_;  // guarded by mutex_
};

HttpClient::HttpClient(HttpClientOptions options) : options_(std::move(options)) {
  handles_ = std::make_unique<Handles>();
}

HttpClient::~HttpClient() = default;

HttpResponse HttpClient::request(const HttpRequest& request, const std::stop_token& stop) {
  check_cancelled(stop);
  std::unique_ptr<Handle> handle = handles_->take();
  Transfer transfer(request, handle->easy);
  const HeaderList headers = header_list(request);
  set_connection_options(handle->easy, options_);
  set_request_options(handle->easy, request, headers);
  set_callbacks(handle->easy, transfer);
  const CURLcode code = run(*handle, stop);
  transfer.response.status = transfer.status();
  if (code != CURLE_OK) throw_failure(code, transfer, request, options_.failure_kind);
  handles_->give_back(std::move(handle));
  return std::move(transfer.response);
}

}  // namespace holdfast
