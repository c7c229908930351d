#pragma once
// Secrets replaced by "***" wherever they stand in a text, before it is shown, told or recorded: a
// value of the configuration, an argument, the message of an error of libpq, curl or an S3 server.
//
// Replaced:
//   - the password of a URL's user information, "postgres://user:…@host". A bare '@', '/', '?' or
//     blank in it, which is not legal there but gets typed, does not show what is behind it;
//   - the value of an assignment, "name=value", whose name ends in password, passwd, passphrase,
//     secret, token, signature, api_key, access_key (or without the '_') or secret_key, in any case
//     of letters
//     ("sslpassword", "PGPASSWORD", "X-Amz-Signature"): in libpq's connection strings with its
//     quotes, escapes and blanks around '=', in a URL's query up to the next '&'; and "name":
//     "value" of JSON;
//   - what follows "Authorization:" in a line; PASSWORD '…' of SQL; the path of a webhook of Slack.
// In doubt more is replaced than less. What was replaced once stays as it is.
// Not found: a secret that stands by itself, or that is encoded (a name with %-escapes).
// Sources of the forms: PostgreSQL documentation, "Connection Strings" of libpq and "ALTER ROLE";
//   RFC 3986; AWS Signature Version 4.
// Errors: none. Threads: any; pure. Time: linear but for texts of many URLs without a blank.

#include <string>
#include <string_view>

namespace holdfast {

std::string redact_secrets(std::string_view text);

}  // namespace holdfast
