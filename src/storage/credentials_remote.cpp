#include "storage/credentials_remote.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "core/cancellation.h"
#include "system/files.h"
#include "system/http_client.h"

namespace holdfast {
namespace {

constexpr std::size_t kTokenBytesMax = std::size_t{64} << 10U;
constexpr std::size_t kAnswerBytesMax = std::size_t{256} << 10U;
constexpr int kMetadataAttemptsMax = 3;
constexpr std::chrono::milliseconds kMetadataConnectTimeout{1'000};
constexpr std::chrono::milliseconds kMetadataTotalTimeout{5'000};

std::string value_of(const EnvironmentLookup& environment, const std::string& name) {
  return environment(name).value_or("");
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

std::string read_token(const std::string& path) {
  const auto token = read_file(path, kTokenBytesMax);
  if (!token) {
    throw Error(ErrorKind::kConfiguration, "the credential token file does not exist",
                {.object = path});
  }
  return trimmed(*token);
}

bool passing_trouble(int status) {
  return status == 429 || status >= 500;
}

Error refusal(std::string_view service, const std::string& url, int status,
              std::string_view code = {}, std::string hint = {}) {
  const bool retry = passing_trouble(status);
  return Error(retry ? ErrorKind::kRepository : ErrorKind::kConfiguration,
               fmt::format("{} gives no credentials: HTTP {} {}", service, status, code),
               {.object = url, .hint = std::move(hint), .retryable = retry});
}

Error nonsense(std::string_view service, const std::string& url) {
  return Error(ErrorKind::kRepository,
               fmt::format("{} answered without usable credentials", service),
               {.object = url, .retryable = true});
}

std::string text_of(const nlohmann::json& document, const char* key) {
  const auto value = document.find(key);
  return value != document.end() && value->is_string() ? value->get<std::string>() : std::string();
}

// The JSON of the container endpoint and of the metadata service.
Credentials parse_json(const HttpResponse& response, std::string source, const std::string& url) {
  const auto document =
      nlohmann::json::parse(as_text(response.body), nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) throw nonsense(source, url);
  Credentials credentials{.keys = {.access_key_id = text_of(document, "AccessKeyId"),
                                   .secret_access_key = text_of(document, "SecretAccessKey"),
                                   .session_token = text_of(document, "Token")},
                          .expires = parse_rfc3339(text_of(document, "Expiration")),
                          .source = std::move(source)};
  if (credentials.keys.access_key_id.empty() || credentials.keys.secret_access_key.empty()) {
    throw nonsense(credentials.source, url);
  }
  return credentials;
}

HttpClient local_service_client() {
  return HttpClient({.proxy_use = ProxyUse::kNever,
                     .connect_timeout = kMetadataConnectTimeout,
                     .total_timeout = kMetadataTotalTimeout});
}

// Asks again a few times on trouble that passes.
HttpResponse ask(HttpClient& client, const HttpRequest& request, const std::stop_token& stop) {
  for (int attempt = 1;; ++attempt) {
    HttpResponse response = client.request(request, stop);
    if (!passing_trouble(response.status) || attempt == kMetadataAttemptsMax) return response;
  }
}

// ---- STS ----

std::string sts_url(const CredentialOptions& options, const EnvironmentLookup& environment) {
  if (const auto url = environment("AWS_ENDPOINT_URL_STS"); url && !url->empty()) return *url;
  const std::string region = options.region.empty() ? "us-east-1" : options.region;
  const char* suffix = region.starts_with("cn-") ? ".cn" : "";
  return fmt::format("https://sts.{}.amazonaws.com{}/", region, suffix);
}

Credentials parse_sts(const HttpResponse& response, const std::string& url) {
  pugi::xml_document document;
  document.load_buffer(response.body.data(), response.body.size());
  if (response.status != 200) {
    const auto code = document.child("ErrorResponse").child("Error").child_value("Code");
    throw refusal("STS", url, response.status, code,
                  "check AWS_ROLE_ARN, the role's trust policy and the token");
  }
  const pugi::xml_node node = document.child("AssumeRoleWithWebIdentityResponse")
                                  .child("AssumeRoleWithWebIdentityResult")
                                  .child("Credentials");
  Credentials credentials{.keys = {.access_key_id = node.child_value("AccessKeyId"),
                                   .secret_access_key = node.child_value("SecretAccessKey"),
                                   .session_token = node.child_value("SessionToken")},
                          .expires = parse_rfc3339(node.child_value("Expiration")),
                          .source = "web identity"};
  const bool complete = !credentials.keys.access_key_id.empty() &&
                        !credentials.keys.secret_access_key.empty() && credentials.expires;
  if (!complete) throw nonsense("STS", url);
  return credentials;
}

// ---- container ----

// The addresses that AWS gives to its own services, and this machine's. Dotted decimals only: a
// name that begins with "127." may lead anywhere.
bool is_local_address(std::string_view host) {
  const bool decimal = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || (host.starts_with("127.") && decimal) || host == "[::1]" ||
         host == "169.254.170.2" || host == "169.254.170.23" || host == "[fd00:ec2::23]";
}

// Without TLS only what cannot leave the machine: else a variable could send the token anywhere.
bool may_use_plain_http(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return false;
  const std::string_view rest = url.substr(kScheme.size());
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#\\"));
  const bool bracketed = authority.starts_with('[');
  const std::size_t host_end = bracketed ? authority.find(']') + 1 : authority.find(':');
  const std::string_view port =
      host_end < authority.size() ? authority.substr(host_end) : std::string_view();
  const bool plain_port = port.find_first_not_of(":0123456789") == std::string_view::npos;
  return plain_port && is_local_address(authority.substr(0, host_end));
}

std::string container_url(const EnvironmentLookup& environment) {
  const std::string relative = value_of(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) return "http://169.254.170.2" + relative;
  const std::string url = value_of(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (url.empty() || url.starts_with("https://")) return url;
  if (!may_use_plain_http(url)) {
    throw Error(ErrorKind::kConfiguration,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this machine",
                {.object = "AWS_CONTAINER_CREDENTIALS_FULL_URI"});
  }
  return url;
}

std::string container_token(const EnvironmentLookup& environment) {
  const std::string file = value_of(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!file.empty()) return read_token(file);
  return value_of(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
}

// ---- instance metadata ----

std::string metadata_endpoint(const EnvironmentLookup& environment) {
  std::string endpoint = value_of(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (endpoint.empty()) {
    const bool ipv6 = value_of(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") == "IPv6";
    endpoint = ipv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

// The session token of IMDSv2, or why there is none.
struct MetadataSession {
  std::string token;
  std::string why_not;
};

MetadataSession open_metadata_session(HttpClient& client, const std::string& endpoint,
                                      const std::stop_token& stop) {
  try {
    const HttpRequest request{.method = "PUT",
                              .url = endpoint + "/latest/api/token",
                              .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}},
                              .response_bytes_max = kTokenBytesMax};
    const HttpResponse response = ask(client, request, stop);
    if (response.status == 200) return {std::string(as_text(response.body)), ""};
    return {"", fmt::format("{} answers HTTP {}", endpoint, response.status)};
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) throw;
    return {"", fmt::format("{} does not answer", endpoint)};
  }
}

}  // namespace

Credentials assume_role_with_web_identity(const WebIdentity& identity,
                                          const CredentialOptions& options,
                                          const EnvironmentLookup& environment,
                                          const std::stop_token& stop) {
  const std::string url = sts_url(options, environment);
  const std::string form = canonical_query({{"Action", "AssumeRoleWithWebIdentity"},
                                            {"Version", "2011-06-15"},
                                            {"RoleArn", identity.role_arn},
                                            {"RoleSessionName", identity.session_name},
                                            {"WebIdentityToken", read_token(identity.token_file)}});
  HttpClient client({.proxy = options.proxy});
  const HttpRequest request{
      .method = "POST",
      .url = url,
      .headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
      .body = as_bytes(form),
      .response_bytes_max = kAnswerBytesMax};
  return parse_sts(client.request(request, stop), url);
}

std::optional<Credentials> container_credentials(const EnvironmentLookup& environment,
                                                 const std::stop_token& stop) {
  const std::string url = container_url(environment);
  if (url.empty()) return std::nullopt;
  HttpRequest request{.url = url, .response_bytes_max = kAnswerBytesMax};
  const std::string token = container_token(environment);
  if (!token.empty()) request.headers.push_back({"Authorization", token});
  HttpClient client = local_service_client();
  const HttpResponse response = ask(client, request, stop);
  if (response.status != 200) {
    throw refusal("the container credential service", url, response.status);
  }
  return parse_json(response, "the container credential service", url);
}

InstanceAnswer instance_credentials(const EnvironmentLookup& environment,
                                    const std::stop_token& stop) {
  const std::string disabled = value_of(environment, "AWS_EC2_METADATA_DISABLED");
  if (disabled == "true" || disabled == "TRUE" || disabled == "True") {
    return {std::nullopt, "switched off by AWS_EC2_METADATA_DISABLED"};
  }
  const std::string endpoint = metadata_endpoint(environment);
  HttpClient client = local_service_client();
  const MetadataSession session = open_metadata_session(client, endpoint, stop);
  if (!session.why_not.empty()) return {std::nullopt, session.why_not};
  const std::string roles = endpoint + "/latest/meta-data/iam/security-credentials/";
  HttpRequest request{.url = roles,
                      .headers = {{"X-aws-ec2-metadata-token", session.token}},
                      .response_bytes_max = kAnswerBytesMax};
  const HttpResponse listed = ask(client, request, stop);
  const std::string listing(as_text(listed.body));
  const std::string role = trimmed(listing.substr(0, listing.find('\n')));
  if (listed.status == 404 || (listed.status == 200 && role.empty())) {
    return {std::nullopt, "the instance has no IAM role"};
  }
  if (listed.status != 200) throw refusal("instance metadata", roles, listed.status);
  request.url = roles + uri_encode(role, Slash::kEncode);
  const HttpResponse response = ask(client, request, stop);
  if (response.status != 200) throw refusal("instance metadata", roles, response.status);
  return {parse_json(response, "instance metadata", request.url), ""};
}

}  // namespace holdfast
