"""S3 requests with an empty body, signed (AWS Signature Version 4), for making, listing and emptying
the benchmark's own bucket on this machine. The clients that are measured sign for themselves.
"""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse

from harness.server import BenchError

EMPTY = hashlib.sha256(b"").hexdigest()
REGION = "us-east-1"


def _quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def request(port, key, secret, method, path, **query):
    """The body of the answer; anything but success raises."""
    host = f"127.0.0.1:{port}"
    path = "/".join(_quoted(part) for part in path.split("/"))
    words = "&".join(f"{_quoted(name)}={_quoted(str(value))}" for name, value in sorted(query.items()))
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = "host;x-amz-content-sha256;x-amz-date"
    headers = f"host:{host}\nx-amz-content-sha256:{EMPTY}\nx-amz-date:{now}\n"
    canonical = "\n".join((method, path, words, headers, names, EMPTY))
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signing = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        signing = _mac(signing, part)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path + (f"?{words}" if words else ""), headers={
        "host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": now,
        "authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, "
                         f"Signature={_mac(signing, text).hex()}"})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    if answer.status >= 300:
        raise BenchError(f"{method} {path} was answered with {answer.status}: {body[:300]}")
    return body
