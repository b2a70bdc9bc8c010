#!/usr/bin/env python3
"""
Verifies a hooktrail archive in a folder, offline, or in an S3 bucket. It implements formats.md a second time and shares no
code and no library with `hooktrail archive verify`; its passes follow the same steps. It reads; it never repairs.

Needs Python 3.9 or newer and the package `cryptography` (Ed25519). For rows (level 2) of `jsonl.zst` it takes the first of
these that there is: compression.zstd (Python 3.14), the packages zstandard or pyzstd, the program `zstd`; for `parquet` the
package pyarrow. What is missing is said, with exit 66; nothing is judged by halves. A bucket is read with the standard library
alone and the variables that every S3 tool reads (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION,
AWS_ENDPOINT_URL_S3); a data object lies in a temporary file while it is read. Its versions are judged, its locks are not.

    python3 hooktrail_verify.py FOLDER|s3://BUCKET/PREFIX --key archive.pub [--checkpoint FILE [--incremental]] [--now TIME]
        [--level 0|1|2] [--json]

Exit codes: 0 complete and intact, 1 altered or missing, 2 a gap or loss is declared, 3 stale or cut at the end, 4 the
deletion lock is not in force, 64 not authenticated or usage, 66 nothing could be judged. Memory grows with partitions and
with the names in one folder, never with the archive.
"""

import argparse
import base64
import binascii
import datetime
import errno
import gzip
import hashlib
import hmac
import http.client
import importlib
import io
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import urllib.parse
from xml.etree import ElementTree

NOTE_BYTES_MAX = 64 * 1024 * 1024
LINE_BYTES_MAX = 256 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
FINDINGS_MAX = 1000
SIGNATURES_MAX = 16
GRACE_SECONDS_MIN = 300
CLOCK_SKEW_MS = 300_000
# Probes of the deletion lock run once a day; one that could not for three days proves nothing any more.
PROBE_AGE_MS_MAX = 3 * 86_400_000
# Bounds what a name alone can make the verifier hold.
NUMBERS_MAX = 100_000
SAFE_INTEGER_MAX = 2**53 - 1
ROWS_PER_BATCH = 1024
NOTE_TEXT_LENGTH_MAX = 4096
# What an archiver signed before it heard of another key comes within seconds, and clocks differ by minutes.
KEY_GRACE_MS = 3_600_000
TILE_WIDTH = 256

EMPTY_ROOT = hashlib.sha256(b"").digest()
GENESIS = "genesis.note"
LOSSES = ("hole", "retention-loss", "topic-deleted", "log-travelled-back")
HOUSEKEEPING = ("control", "aborted", "compacted")
# Where no record ever was, whoever looks when.
NEVER_HELD = ("control", "aborted")
FORMATS = ("jsonl.zst", "jsonl.gz", "parquet")

VERDICTS = {
    0: "complete and intact",
    1: "altered or missing",
    2: "intact, and a gap or loss is declared",
    3: "stale, or its end was cut",
    4: "intact, and the deletion lock is not in force",
    64: "self-consistent, not authenticated: no public key was given",
}


class Invalid(Exception):
    """A note, document or row that cannot be believed: it becomes a finding."""


class Unjudged(Exception):
    """Verification cannot be done: it ends with this exit code and no verdict."""

    def __init__(self, text, exit_code=66):
        super().__init__(text)
        self.exit_code = exit_code


# --- Findings ---------------------------------------------------------------------------------------------------------


class Findings:
    """Bounded; the same code on the same object counts once."""

    def __init__(self):
        self.kept, self.dropped = [], 0
        self._seen, self._severities = set(), set()

    def add(self, severity, code, name, text, offset=None):
        self._severities.add(severity)
        name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if (code, name) in self._seen:
            return
        if len(self.kept) >= FINDINGS_MAX:
            self.dropped += 1
            return
        self._seen.add((code, name))
        finding = {"code": code, "severity": severity, "object": name, "text": text}
        if offset is not None:
            finding["offset"] = str(offset)
        self.kept.append(finding)

    def altered(self, code, name, text, offset=None):
        self.add("altered", code, name, text, offset)

    def exit_code(self, authenticated):
        if "altered" in self._severities:
            return 1
        if "stale" in self._severities:
            return 3
        if not authenticated:
            return 64
        if "loss" in self._severities:
            return 2
        return 4 if "worm" in self._severities else 0


# --- The folder -------------------------------------------------------------------------------------------------------


def kind_of(mode):
    for is_kind, name in (
        (stat.S_ISREG, None),
        (stat.S_ISLNK, "symlink"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "fifo"),
        (stat.S_ISSOCK, "socket"),
    ):
        if is_kind(mode):
            return name
    return "device"


def note_bytes(file, key, findings):
    data = file.read(NOTE_BYTES_MAX + 1)
    if len(data) <= NOTE_BYTES_MAX:
        return data
    findings.altered("note-invalid", key, "it is larger than any note")
    return None


class Folder:
    """Objects under keys. Nothing is followed: what is no plain file is a finding and counts as absent."""

    def __init__(self, root, findings):
        self.root, self.findings = os.path.abspath(root), findings

    def path(self, key):
        return os.path.join(self.root, *key.split("/"))

    def head(self, key):
        """Status of a plain file, else None."""
        try:
            found = os.lstat(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:  # a name that no file system can hold
            raise Unjudged(f"{key}: {error}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise
        kind = kind_of(found.st_mode)
        if kind is None:
            return found
        self.findings.altered("not-a-file", key, f"a {kind} lies here, where only plain files belong")
        return None

    def open(self, key):
        """The object as a binary file, or None."""
        if self.head(key) is None:
            return None
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            return os.fdopen(os.open(self.path(key), flags), "rb")
        except FileNotFoundError:
            return None

    def size(self, key):
        found = self.head(key)
        return None if found is None else found.st_size

    def modified(self, key):
        """Milliseconds since the epoch, or None."""
        found = self.head(key)
        return None if found is None else found.st_mtime * 1000

    def read(self, key):
        """All bytes of a note or explaining file, or None."""
        file = self.open(key)
        if file is None:
            return None
        with file:
            return note_bytes(file, key, self.findings)

    def verify_versions(self):
        """A folder keeps none."""

    def list(self, prefix=""):
        """Keys of plain files in byte order, lazily; one folder's names are held for each level."""
        for key, mode in self._walk("", prefix):
            kind = kind_of(mode)
            if kind is None:
                yield key
            else:
                self.findings.altered("not-a-file", key, f"a {kind} lies here, where only plain files belong")

    def _walk(self, folder, prefix):
        for name in self._names(folder):
            key = folder + name
            if not (key.startswith(prefix) or (key.endswith("/") and prefix.startswith(key))):
                continue
            if key.endswith("/"):
                yield from self._walk(key, prefix)
                continue
            try:
                yield key, os.lstat(self.path(key)).st_mode
            except FileNotFoundError:
                continue

    def _names(self, folder):
        """A folder sorts as its name with a slash; `tmp/` at the root is the store's, `probe/` what it was probed with."""
        try:
            with os.scandir(self.path(folder) if folder else self.root) as entries:
                names = [entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "") for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((name for name in names if folder or name not in ("tmp/", "probe/")), key=os.fsencode)


# --- The bucket -------------------------------------------------------------------------------------------------------

LOCATION = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?(.*?)/?")
EMPTY_SHA256 = EMPTY_ROOT.hex()
SECONDS_MAX = 30
TRIES_MAX = 4


class Bucket:
    """Objects below a prefix of an S3 bucket, with the variables that every S3 tool reads; it only ever reads."""

    def __init__(self, location, findings):
        found = LOCATION.fullmatch(location)
        if found is None:
            raise Unjudged(f"{location}: it is not s3://bucket/prefix")
        self.bucket, prefix = found.groups()
        self.prefix, self.findings = f"{prefix}/" if prefix else "", findings
        self.access, self.secret, self.token = map(
            os.environ.get, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        )
        if not self.access or not self.secret:
            raise Unjudged("a bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        self.region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self.endpoint = urllib.parse.urlsplit(endpoint or f"https://s3.{self.region}.amazonaws.com")
        self.connection, self.listed = None, (None, None)

    def open(self, key):
        """The object in a file of its own for the time it is read, or None."""
        file = tempfile.TemporaryFile()
        with self._object("GET", key) as response:
            if response.status == 404:
                file.close()
                return None
            shutil.copyfileobj(response, file, CHUNK_BYTES)
        file.seek(0)
        return file

    def read(self, key):
        with self._object("GET", key) as response:
            if response.status == 404:
                return None
            data = note_bytes(response, key, self.findings)
            if data is None:
                self._close()
            return data

    def size(self, key):
        with self._object("HEAD", key) as response:
            return None if response.status == 404 else int(response.headers["Content-Length"])

    def modified(self, key):
        """Of the key that was listed last, as heartbeats are."""
        return self.listed[1] if self.listed[0] == key else None

    def list(self, prefix=""):
        query = {"list-type": "2", "encoding-type": "url", "prefix": self.prefix + prefix}
        for page in self._pages(query, {"NextContinuationToken": "continuation-token"}):
            for entry in page.iter("Contents"):
                key = self._key(entry)
                if not key.startswith("probe/"):
                    self.listed = key, iso_milliseconds(entry.findtext("LastModified"))
                    yield key

    def verify_versions(self):
        """Of an intact archive each key has one version, and no marker."""
        marks = {"NextKeyMarker": "key-marker", "NextVersionIdMarker": "version-id-marker"}
        before = None
        for page in self._pages({"versions": "", "encoding-type": "url", "prefix": self.prefix}, marks):
            for entry in page:
                if entry.tag not in ("Version", "DeleteMarker") or self._key(entry).startswith("probe/"):
                    continue
                key, version = self._key(entry), entry.findtext("VersionId")
                if entry.tag == "DeleteMarker":
                    self.findings.altered("delete-marker", key, "it was deleted: a delete marker lies over it")
                elif before is not None and before[0] == key and before[1] != version:
                    self.findings.altered("several-versions", key, "it was written more than once")
                if entry.tag == "Version":
                    before = key, version

    def _key(self, entry):
        return urllib.parse.unquote(entry.findtext("Key") or "", errors="surrogateescape")[len(self.prefix) :]

    def _pages(self, query, marks):
        """Pages of a listing, without their namespace. Some stores repeat the last entry of a page."""
        while True:
            with self._request("GET", "", query) as response:
                text = response.read()
            try:
                page = ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", text, count=1))
            except ElementTree.ParseError as error:
                raise Unjudged(f"the store answers no listing: {error}") from error
            yield page
            if page.findtext("IsTruncated") != "true":
                return
            query = {**query, **{name: page.findtext(mark) or "" for mark, name in marks.items()}}
            if "key-marker" in query:
                query["key-marker"] = urllib.parse.unquote(query["key-marker"])

    def _object(self, method, key):
        response = self._request(method, self.prefix + key, {})
        if response.headers.get("x-amz-delete-marker") == "true":
            self.findings.altered("delete-marker", key, "it was deleted: a delete marker lies over it")
        return response

    def _request(self, method, key, query):
        """Answers 200 and 404; everything else is tried again or told."""
        path = urllib.parse.quote(f"{self.endpoint.path.rstrip('/')}/{self.bucket}/{key}".rstrip("/"), safe="/-_.~")
        search = "&".join(f"{quoted(name)}={quoted(query[name])}" for name in sorted(query))
        status = "no answer"
        for _ in range(TRIES_MAX):
            try:
                if self.connection is None:
                    secure = self.endpoint.scheme == "https"
                    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
                    self.connection = kind(self.endpoint.netloc, timeout=SECONDS_MAX)
                target = f"{path}?{search}" if search else path
                self.connection.request(method, target, headers=self._signed(method, path, search))
                response = self.connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                status = str(error) or type(error).__name__
                self._close()
                continue
            if response.status == 200:
                return response
            # The connection is used again once an answer was read.
            response.read()
            if response.status == 404 and key:
                return response
            status = response.status
            if response.status < 500 and response.status != 429:
                break
        raise Unjudged(f"{method} {path} on {self.endpoint.netloc}: {status}")

    def _close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def _signed(self, method, path, search):
        """AWS Signature Version 4 of a request without a body."""
        time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": self.endpoint.netloc, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": time}
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = "\n".join([method, path, search, lines, names, EMPTY_SHA256])
        scope = f"{time[:8]}/{self.region}/s3/aws4_request"
        message = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, message.encode(), "sha256").hex()
        credential = f"Credential={self.access}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}


def quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


def iso_milliseconds(text):
    then = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text or ""))
    return (then - EPOCH) / datetime.timedelta(milliseconds=1)


# --- Keys of objects --------------------------------------------------------------------------------------------------

OBJECT_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]{0,254}(?:/[A-Za-z0-9_][A-Za-z0-9._=+-]{0,254})*")
MANIFEST_KEY = re.compile(r"segments/[A-Za-z0-9._-]+/[0-9a-f]{8}/p[0-9]{5}/[0-9]{20}\.note")
NUMBERED_KEY = re.compile(r"(?:policy|holds|keys)/([0-9]{12})\.note")
HEARTBEAT_KEY = re.compile(r"heartbeats/[0-9]{8}/([0-9]{12})\.note")
DATA_KEY = re.compile(
    r"data/topic=([A-Za-z0-9._-]+)/dt=[0-9-]{10}/hour=[0-9]{2}/([0-9a-f]{8})-(p[0-9]{5})-([0-9]{20})"
    r"\.(jsonl\.zst|jsonl\.gz|parquet)"
)


def is_object_key(value):
    return (
        isinstance(value, str)
        and len(value) <= 1024
        and OBJECT_KEY.fullmatch(value) is not None
        and not value.startswith(("tmp/", "probe/"))
    )


def segment_folder(of):
    return f"segments/{of['topic']}/{of['topic_id'][:8]}/p{of['partition']:05}/"


def manifest_key(manifest):
    return f"{segment_folder(manifest)}{int(manifest['first']):020}.note"


def heartbeat_key(n):
    return f"heartbeats/{n // 10000:08}/{n:012}.note"


def numbered_key(notes, n):
    return f"{notes}/{n:012}.note"


TILE_KEY = re.compile(r"tlog/tile/([0-7])/((?:x[0-9]{3}/)*)([0-9]{3})")


def tile_key(level, index):
    digits = str(index)
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([f"tlog/tile/{level}", *(f"x{group}" for group in groups[:-1]), groups[-1]])


def tile_place(key):
    """(level, index), or None when no full tile has this name."""
    found = TILE_KEY.fullmatch(key)
    if found is None or not is_object_key(key):
        return None
    place = int(found.group(1)), int(re.sub("[x/]", "", found.group(2)) + found.group(3))
    return place if tile_key(*place) == key else None


def data_name(key):
    """(folder of its manifests, start, format), or None when no data object has such a name."""
    found = DATA_KEY.fullmatch(key)
    if found is None:
        return None
    topic, incarnation, partition, start, form = found.groups()
    folder = f"segments/{topic}/{incarnation}/{partition}/"
    return (folder, start, form) if is_object_key(f"{folder}{start}.note") else None


def partition_name(of):
    return f"{of['topic']}/{of['topic_id']}/{of['partition']}"


def partition_order(of):
    return (of["topic"], of["topic_id"], of["partition"])


# --- Documents --------------------------------------------------------------------------------------------------------


def pattern(expression):
    compiled = re.compile(expression)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def is_count(value):
    return type(value) is int and 0 <= value <= SAFE_INTEGER_MAX


def is_integer(value):
    return type(value) is int and abs(value) <= SAFE_INTEGER_MAX


def is_positive(value):
    return is_count(value) and value > 0


def is_boolean(value):
    return type(value) is bool


def is_text(value):
    return isinstance(value, str) and len(value.encode("utf-16-le", "surrogatepass")) <= 2 * 1024


TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def is_time(value):
    if not isinstance(value, str) or TIME.fullmatch(value) is None:
        return False
    try:
        milliseconds(value)
    except ValueError:
        return False
    return True


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def milliseconds(time):
    then = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return (then - EPOCH) // datetime.timedelta(milliseconds=1)


def iso_time(ms):
    then = EPOCH + datetime.timedelta(milliseconds=ms)
    return then.strftime("%Y-%m-%dT%H:%M:%S.") + f"{then.microsecond // 1000:03}Z"


def one_of(*values):
    return lambda value: isinstance(value, str) and value in values


def or_null(schema):
    return lambda value: value is None or fits(schema, value)


# What stands for a field that is not there; no JSON value is it.
ABSENT = object()


def or_absent(schema):
    return lambda value: value is ABSENT or fits(schema, value)


def is_file_table(value):
    return isinstance(value, dict) and all(is_object_key(key) and is_sha256(hashed) for key, hashed in value.items())


is_int64 = pattern("0|[1-9][0-9]{0,18}")
is_signed64 = pattern("0|-?[1-9][0-9]{0,18}")
is_sha256 = pattern("[0-9a-f]{64}")
is_topic = pattern("[A-Za-z0-9._-]{1,249}")
is_topic_id = pattern("[0-9a-f]{32}")
is_format = one_of(*FORMATS)

HEAD = {"format_version": 1, "archive_id": is_text, "created_at": is_time}
PARTITION = {"topic": is_topic, "topic_id": is_topic_id, "partition": is_count}

GENESIS_SCHEMA = {
    **HEAD,
    "kind": "genesis",
    "cadence": {"active_seconds": is_positive, "idle_seconds": is_positive},
    "root_key": is_text,
    "files": is_file_table,
    "format": is_format,
    "delegation": or_absent(lambda value: is_short_note(value)),
}
DELEGATION_SCHEMA = {
    **HEAD,
    "kind": "delegation",
    "root_key": is_text,
    "key": is_text,
    "replaces": or_null(is_text),
    "reason": or_null(is_text),
    "until": or_null(is_time),
}
KEY_SCHEMA = {
    **HEAD,
    "kind": "key",
    "n": is_int64,
    "previous": is_sha256,
    "key": is_text,
    "delegation": or_null(lambda value: is_short_note(value)),
    "writer": is_text,
}
MANIFEST_SCHEMA = {
    **HEAD,
    **PARTITION,
    "kind": "segment",
    "first": is_int64,
    "last": is_int64,
    "next": is_int64,
    "genesis": is_boolean,
    "records": is_count,
    "raw_bytes": is_int64,
    "gaps": [{"from": is_int64, "to": is_int64, "reason": one_of(*HOUSEKEEPING, *LOSSES)}],
    "min_timestamp_ms": or_null(is_signed64),
    "max_timestamp_ms": or_null(is_signed64),
    "data": or_null(
        {
            "key": is_object_key,
            "version_id": or_null(is_text),
            "size": is_count,
            "sha256": is_sha256,
            "format": is_format,
            "schema": is_text,
        }
    ),
    "merkle_root": is_sha256,
    "leaves": is_count,
    "previous": or_null(is_sha256),
    "leader_epochs": [{"epoch": is_integer, "start": is_int64}],
    "log_start": is_int64,
    "high_watermark": is_int64,
    "retention": or_null({"mode": one_of("governance", "compliance"), "until": is_time, "verified": is_boolean}),
    "encryption": None,
    "format": or_absent({"next": is_format}),
    "writer": is_text,
    "adopted": is_boolean,
}
NAMED_NOTE = or_null({"n": is_int64, "sha256": is_sha256})
PROBE_CHECKS = (
    "versioning", "control", "lock-stated", "delete-locked", "extend", "shorten", "downgrade", "hold", "create-once",
    "create-race", "checksum",
)  # fmt: skip
WORM_SCHEMA = {
    "result": one_of("off", "pass", "fail", "unproven"),
    "checked_at": or_null(is_time),
    "checks": {check: or_absent(one_of("pass", "fail", "unproven")) for check in PROBE_CHECKS},
    "policy": NAMED_NOTE,
    "holds": NAMED_NOTE,
}
RETENTION = {"mode": one_of("governance", "compliance"), "period_seconds": is_positive}
POLICY_SCHEMA = {
    **HEAD,
    "kind": "policy",
    "n": is_int64,
    "previous": is_sha256,
    "worm": one_of("off", "preferred", "required"),
    "cadence": {"active_seconds": is_positive, "idle_seconds": is_positive},
    "retention": or_null({"default": RETENTION, "topics": lambda value: is_retention_table(value)}),
    "writer": is_text,
}
HOLD_SCHEMA = {
    **HEAD,
    "kind": "hold",
    "n": is_int64,
    "previous": is_sha256,
    "action": one_of("hold", "release", "applied"),
    "hold_id": is_text,
    "range": or_null(
        {
            "topic": is_topic,
            "topic_id": or_null(is_topic_id),
            "partition": or_null(is_count),
            "from": is_int64,
            "to": or_null(is_int64),
        }
    ),
    "event_id": or_null(is_text),
    "reason": or_null(is_text),
    "applies": or_null(is_int64),
    "writer": is_text,
}
HEARTBEAT_SCHEMA = {
    **HEAD,
    "kind": "heartbeat",
    "n": is_int64,
    "previous": is_sha256,
    "partitions": [
        {
            **PARTITION,
            "from": is_int64,
            "to": is_int64,
            "head": or_null(is_sha256),
            "running": or_null({"next": is_int64, "root": is_sha256}),
            "log_start": is_int64,
            "high_watermark": is_int64,
        }
    ],
    "full": is_boolean,
    "partition_root": is_sha256,
    "manifests": [{"key": is_object_key, "sha256": is_sha256}],
    "tree_size": is_int64,
    "tree_root": is_sha256,
    "tree_edge": [is_sha256],
    "checkpoint": or_absent(lambda value: isinstance(value, str) and len(value) <= NOTE_TEXT_LENGTH_MAX),
    "keys": or_absent({"n": is_int64, "sha256": is_sha256}),
    "worm": lambda value: value == "off" or fits(WORM_SCHEMA, value),
    "clocks": {"own": is_time, "log": or_null(is_time), "store": or_null(is_time)},
    "anchors": [{"key": is_object_key, "sha256": is_sha256}],
    "writer": is_text,
}
CHECKPOINT_SCHEMA = {
    "archive_id": lambda value: isinstance(value, str),
    "heartbeat": or_null({name: (lambda value: isinstance(value, str)) for name in ("n", "sha256", "tree_size", "tree_root")}),
    "level": or_absent(lambda value: type(value) is int and 0 <= value <= 2),
    "heads": [
        {
            "topic": lambda value: isinstance(value, str),
            "topic_id": lambda value: isinstance(value, str),
            "partition": is_integer,
            "next": pattern("[0-9]{1,19}"),
            "head": lambda value: isinstance(value, str),
        }
    ],
}


def is_short_note(value):
    return isinstance(value, str) and len(value.encode("utf-16-le", "surrogatepass")) <= 2 * NOTE_TEXT_LENGTH_MAX


def is_retention_table(value):
    return isinstance(value, dict) and all(is_topic(topic) and fits(RETENTION, each) for topic, each in value.items())


def fits(schema, value):
    if callable(schema):
        return schema(value)
    if isinstance(schema, dict):
        if not isinstance(value, dict) or not value.keys() <= schema.keys():
            return False
        return all(fits(part, value.get(name, ABSENT)) for name, part in schema.items())
    if isinstance(schema, list):
        return isinstance(value, list) and all(fits(schema[0], item) for item in value)
    return type(value) is type(schema) and value == schema


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def read_json(text):
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid("not JSON") from error


def canonical(value):
    """RFC 8785 for what documents hold: no fractions, and names of ASCII letters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse_document(text, schema):
    document = read_json(text)
    if not fits(schema, document):
        raise Invalid("a field is missing, unknown or malformed")
    if canonical(document) + "\n" != text:
        raise Invalid("not one line of RFC 8785 JSON")
    return document


def parse_genesis(text):
    return parse_document(text, GENESIS_SCHEMA)


def parse_policy(text):
    return parse_document(text, POLICY_SCHEMA)


def parse_hold(text):
    return parse_document(text, HOLD_SCHEMA)


def parse_heartbeat(text):
    heartbeat = parse_document(text, HEARTBEAT_SCHEMA)
    if len(heartbeat["tree_edge"]) > 64:
        raise Invalid("a field is missing, unknown or malformed")
    return heartbeat


def parse_manifest(text):
    manifest = parse_document(text, MANIFEST_SCHEMA)
    first, last = int(manifest["first"]), int(manifest["last"])
    if last < first or int(manifest["next"]) != last + 1:
        raise Invalid("first, last and next do not fit together")
    due, missing = first, 0
    for gap in manifest["gaps"]:
        if int(gap["from"]) < due or int(gap["to"]) < int(gap["from"]):
            raise Invalid("gaps overlap or are out of order")
        due = int(gap["to"]) + 1
        missing += due - int(gap["from"])
    if due > last + 1:
        raise Invalid("a gap reaches beyond the last offset")
    if manifest["records"] + missing != last - first + 1:
        raise Invalid("records and gaps do not cover the range")
    if manifest["leaves"] != manifest["records"]:
        raise Invalid("there is not one leaf for each record")
    if (manifest["data"] is None) != (manifest["records"] == 0):
        raise Invalid("records without data, or data without records")
    return manifest


# --- Signed notes -----------------------------------------------------------------------------------------------------

VERIFIER_KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
SIGNATURE_LINE = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


def decode_base64(encoded):
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("not base64") from error
    if base64.b64encode(data).decode() != encoded:
        raise Invalid("not canonical base64")
    return data


class VerifierKey:
    def __init__(self, line):
        found = VERIFIER_KEY.fullmatch(line.strip())
        if found is None:
            raise Invalid("not a verifier key")
        self.name, hash_hex, encoded = found.groups()
        data = decode_base64(encoded)
        if len(data) != 33 or data[0] != 1:
            raise Invalid("not an Ed25519 verifier key")
        self.key_hash = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if self.key_hash.hex() != hash_hex:
            raise Invalid("the hash in the verifier key is wrong")
        self.line = f"{self.name}+{hash_hex}+{encoded}"
        self._public, self._refused = ed25519(data[1:])

    def __str__(self):
        return f"{self.name}+{self.key_hash.hex()}"

    def verifies(self, signature, message):
        try:
            self._public.verify(signature, message)
        except self._refused:
            return False
        return True


def ed25519(raw):
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise Unjudged("signatures need the Python package cryptography: pip install cryptography") from error
    return Ed25519PublicKey.from_public_bytes(raw), InvalidSignature


def split_note(data):
    """(text, [(name, key hash, signature)])"""
    split = data.rfind(b"\n\n")
    if split < 0:
        raise Invalid("no empty line before the signatures")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("not UTF-8") from error
    if not whole.endswith("\n"):
        raise Invalid("no newline at the end")
    if any(character < " " and character != "\n" for character in whole):
        raise Invalid("control characters")
    lines = data[split + 2 :].decode("utf-8")[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Invalid("too many signatures")
    return data[: split + 1].decode("utf-8"), [parse_signature(line) for line in lines]


def parse_signature(line):
    found = SIGNATURE_LINE.fullmatch(line)
    if found is None:
        raise Invalid("malformed signature line")
    data = decode_base64(found.group(2))
    if len(data) != 68:
        raise Invalid("a signature of the wrong length")
    return found.group(1), data[:4], data[4:]


CHECKPOINT_TEXT = re.compile(r"hooktrail/([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")


def open_checkpoint(note, keys):
    found = CHECKPOINT_TEXT.fullmatch(open_note(encode_note(note), keys))
    if found is None:
        raise Invalid("not a checkpoint")
    return found.group(1), int(found.group(2)), decode_base64(found.group(3)).hex()


def encode_note(text):
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Invalid("not UTF-8") from error


def note_text(data):
    """Without any check of signatures."""
    return split_note(data)[0]


def stated_signer(data, keys):
    """The one of these keys whose signature the note bears, unchecked; None where it is another's, or several."""
    signatures = split_note(data)[1]
    if len(signatures) != 1:
        return None
    return next((key for key in keys if (key.name, key.key_hash) == signatures[0][:2]), None)


def open_note(data, keys):
    text, signatures = split_note(data)
    if len({(name, key_hash) for name, key_hash, _ in signatures}) != len(signatures):
        raise Invalid("two signatures of one key")
    for name, key_hash, signature in signatures:
        key = next((key for key in keys if key.name == name and key.key_hash == key_hash), None)
        if key is None:
            raise Invalid("signed by an unknown key")
        if not key.verifies(signature, text.encode()):
            raise Invalid("the signature does not fit the text")
    return text


# --- The keys of an archive -------------------------------------------------------------------------------------------


class ChainKey:
    def __init__(self, key, since, delegation):
        until = None if delegation is None else delegation["until"]
        self.key, self.since = key, milliseconds(since)
        self.until = None if until is None else milliseconds(until)
        self.reason = None if delegation is None else delegation["reason"]
        self.first = None  # number of the first heartbeat that it signed


class KeyChain:
    """The key that signed genesis, and every key note's, each introduced as the archive's root demands."""

    def __init__(self, genesis_note):
        self.genesis = parse_genesis(note_text(genesis_note))
        self.sha256 = hashlib.sha256(genesis_note).hexdigest()
        self.root = VerifierKey(self.genesis["root_key"])
        self.has_root = "delegation" in self.genesis
        delegation = self._delegation(self.genesis.get("delegation"), None)
        first = self.root if delegation is None else VerifierKey(delegation["key"])
        open_note(genesis_note, [first])
        self.keys, self.notes = [ChainKey(first, self.genesis["created_at"], delegation)], []

    @property
    def verifiers(self):
        return [each.key for each in self.keys]

    def add(self, data):
        """Takes over the next key note."""
        note = parse_document(note_text(data), KEY_SCHEMA)
        if note["archive_id"] != self.genesis["archive_id"]:
            raise Invalid("it belongs to another archive")
        if note["n"] != str(len(self.notes)) or note["previous"] != (self.notes or [self.sha256])[-1]:
            raise Invalid("it does not follow the one before it, or genesis")
        key, before = VerifierKey(note["key"]), self.keys[-1]
        if any(each.key.line == key.line for each in self.keys):
            raise Invalid("its key signed for this archive before")
        if milliseconds(note["created_at"]) < before.since:
            raise Invalid("it is dated before the one before it")
        delegation = self._delegation(note["delegation"], note["key"])
        open_note(data, [before.key, key])
        signers = {signature[:2] for signature in split_note(data)[1]}
        if (key.name, key.key_hash) not in signers:
            raise Invalid("its own key did not sign it")
        agreed = (before.key.name, before.key.key_hash) in signers
        if not agreed and (delegation is None or delegation["reason"] is None):
            raise Invalid(f"the key before it, {before.key}, did not sign it")
        self.keys.append(ChainKey(key, note["created_at"], delegation))
        self.notes.append(hashlib.sha256(data).hexdigest())

    def _delegation(self, note, key):
        """The root's word for a key: for genesis' where key is None."""
        if not self.has_root:
            if note is not None:
                raise Invalid("the archive has no root of its own")
            return None
        if note is None:
            raise Invalid("the root did not sign for its key")
        data = encode_note(note)
        document = parse_document(note_text(data), DELEGATION_SCHEMA)
        open_note(data, [VerifierKey(document["root_key"])])
        VerifierKey(document["key"])
        if document["root_key"] != self.root.line:
            raise Invalid("it is signed by another root")
        if document["archive_id"] != self.genesis["archive_id"]:
            raise Invalid("it is for another archive")
        if document["replaces"] != (None if key is None else self.keys[-1].key.line):
            raise Invalid("it is for another place")
        if key is not None and document["key"] != key:
            raise Invalid("the root signed for another key")
        return document

    def includes(self, pinned):
        known = {self.root.line, *(key.line for key in self.verifiers)}
        return any(key.line in known for key in pinned)

    def fault_at(self, key, at):
        """Why a note of this key is not believed at that time, as heartbeats tell it; None: it is."""
        index = next(i for i, each in enumerate(self.keys) if each.key is key)
        following, until = self.keys[index + 1 : index + 2], self.keys[index].until
        if following and at > following[0].since + KEY_GRACE_MS:
            return f"it is signed by {key}, which was replaced at {iso_time(following[0].since)}"
        if until is not None and at > until + KEY_GRACE_MS:
            return f"it is signed by {key}, which ran out at {iso_time(until)}"
        return None


# --- Merkle trees (RFC 6962) ------------------------------------------------------------------------------------------


def merkle_leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def merkle_node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def checkpoint_text(heartbeat):
    """The C2SP checkpoint of a heartbeat's tree."""
    root = base64.b64encode(bytes.fromhex(heartbeat["tree_root"])).decode()
    return f"hooktrail/{heartbeat['archive_id']}\n{heartbeat['tree_size']}\n{root}\n"


class Tree:
    """Size and right edge: enough to append and to give the root."""

    def __init__(self, size=0, edge=()):
        self.size, self.edge = size, list(edge)

    def push(self, leaf):
        rest = self.size
        while rest & 1:
            leaf = merkle_node(self.edge.pop(), leaf)
            rest >>= 1
        self.edge.append(leaf)
        self.size += 1

    def root(self):
        if not self.edge:
            return EMPTY_ROOT
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = merkle_node(left, root)
        return root


class Tiles:
    """The full tiles of a tree, made while its leaves pass by, against those in the store."""

    def __init__(self, store, findings):
        self.store, self.findings = store, findings
        self.hashes, self.next, self.absent = [[] for _ in range(8)], [0] * 8, {}

    def push(self, node):
        for level, hashes in enumerate(self.hashes):
            hashes.append(node)
            if len(hashes) < TILE_WIDTH:
                return
            self._compare(tile_key(level, self.next[level]), level, b"".join(hashes))
            tree = Tree()
            for leaf in hashes:
                tree.push(leaf)
            node = tree.root()
            self.next[level] += 1
            hashes.clear()

    def end(self):
        for key in self.absent.values():
            self.findings.add("note", "tile-waiting", key, "the tree covers it, it is not written yet")

    def _compare(self, key, level, due):
        found = self.store.read(key)
        if found is None:
            self.absent.setdefault(level, key)
            return
        if level in self.absent:
            text = "it is missing, and later ones are there"
            self.findings.altered("tile-missing", self.absent.pop(level), text)
        if found != due:
            self.findings.altered("tile-altered", key, "it is not the tile of the tree")


# --- Anchors ----------------------------------------------------------------------------------------------------------

ANCHOR_KEY = re.compile(r"anchors/([0-9]{12})/(rfc3161-[0-9a-f]{16}\.tsr|push-[0-9a-f]{16}\.note)")
RECEIPT_SCHEMA = {
    "kind": "receipt",
    "format_version": 1,
    "archive_id": is_text,
    "heartbeat": is_int64,
    "checkpoint_sha256": is_sha256,
    "target": is_text,
    "pushed_at": is_time,
}
DIGESTS = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
TST_INFO = bytes.fromhex("2a864886f70d0109100104")
MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
INTEGER, OCTETS, OID, SEQUENCE, SET, TIME_TAG, CONTEXT_0 = 2, 4, 6, 0x30, 0x31, 0x18, 0xA0


class Element:
    """One element of DER (X.690): tag, content, and all its bytes."""

    def __init__(self, data):
        if len(data) < 2 or data[0] & 0x1F == 0x1F:
            raise Invalid("it is no time-stamp token")
        start, length = 2, data[1]
        if length >= 0x80:
            count = length & 0x7F
            start, length = 2 + count, int.from_bytes(data[2 : 2 + count], "big")
            if not 1 <= count <= 4 or len(data) < start:
                raise Invalid("it is no time-stamp token")
        if start + length > len(data):
            raise Invalid("it is no time-stamp token")
        self.tag, self.content, self.whole = data[0], data[start : start + length], data[: start + length]

    def children(self):
        rest, found = self.content, []
        while rest:
            found.append(Element(rest))
            rest = rest[len(found[-1].whole) :]
        return found

    def child(self, at, tag):
        return element_at(self.children(), at, tag)


def element_at(elements, at, tag):
    if at >= len(elements) or elements[at].tag != tag:
        raise Invalid("it is no time-stamp token")
    return elements[at]


def read_timestamp(response, message, authorities):
    """As parse_timestamp; whatever a stranger's bytes make a library raise means that they are no token."""
    try:
        return parse_timestamp(response, message, authorities)
    except (Invalid, ImportError):
        raise
    except Exception as error:
        raise Invalid(f"it cannot be read: {error}") from error


def parse_timestamp(response, message, authorities):
    """(time in ms, who, whether a given certificate vouches for him) of an RFC 3161 response over a message."""
    whole = Element(response)
    parts = whole.children()
    if len(whole.whole) != len(response) or len(parts) < 2 or parts[1].tag != SEQUENCE:
        raise Invalid("the authority granted no token")
    if int.from_bytes(parts[0].child(0, INTEGER).content, "big") > 1:
        raise Invalid("the authority refused")
    if parts[1].child(0, OID).content != SIGNED_DATA:
        raise Invalid("it is no time-stamp token")
    signed = parts[1].child(1, CONTEXT_0).child(0, SEQUENCE).children()
    encapsulated = element_at(signed, 2, SEQUENCE)
    if encapsulated.child(0, OID).content != TST_INFO:
        raise Invalid("it is no time-stamp token")
    content = encapsulated.child(1, CONTEXT_0).child(0, OCTETS).content
    time = stamped_time(Element(content), message)
    certificate = signing_certificate(signed, content)
    trusted = is_vouched(certificate, time, authorities)
    if authorities and not trusted:
        raise Invalid("it is signed by nobody whom the given certificate vouches for")
    return time, certificate.subject.rfc4514_string(), trusted


def digest_of(algorithm, data):
    name = DIGESTS.get(algorithm.child(0, OID).content)
    if name is None:
        raise Invalid("an unknown digest")
    return hashlib.new(name, data).digest()


def stamped_time(info, message):
    imprint = info.child(2, SEQUENCE)
    if imprint.child(1, OCTETS).content != digest_of(imprint.child(0, SEQUENCE), message):
        raise Invalid("its imprint is not that of the checkpoint")
    text = info.child(4, TIME_TAG).content.decode("latin-1")
    if re.fullmatch(r"[0-9]{14}(\.[0-9]+)?Z", text) is None:
        raise Invalid("its time is none")
    try:
        then = datetime.datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError as error:
        raise Invalid("its time is none") from error
    return (then - EPOCH) // datetime.timedelta(milliseconds=1)


def signing_certificate(signed, content):
    """CMS (RFC 5652): the signed attributes hold the digest of the content, and are what is signed."""
    from cryptography import x509

    fields = element_at(signed, len(signed) - 1, SET).child(0, SEQUENCE).children()
    algorithm = element_at(fields, 2, SEQUENCE)
    attributes, signature = element_at(fields, 3, CONTEXT_0), element_at(fields, 5, OCTETS).content
    said = next((each for each in attributes.children() if each.child(0, OID).content == MESSAGE_DIGEST), None)
    if said is None or said.child(1, SET).child(0, OCTETS).content != digest_of(algorithm, content):
        raise Invalid("what it signs is not its content")
    message = bytes([SET]) + attributes.whole[1:]
    held = next((part for part in signed if part.tag == CONTEXT_0), None)
    name = DIGESTS[algorithm.child(0, OID).content]
    for each in [] if held is None else held.children():
        try:
            certificate = x509.load_der_x509_certificate(each.whole)
        except ValueError as error:
            raise Invalid("a certificate cannot be read") from error
        if may_stamp(certificate) and is_signed_by(certificate.public_key(), signature, message, name):
            return certificate
    raise Invalid("its signature fits no certificate in it")


def may_stamp(certificate):
    from cryptography import x509

    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return x509.oid.ExtendedKeyUsageOID.TIME_STAMPING in usage


def is_signed_by(public, signature, message, name):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    digest = getattr(hashes, name.upper())()
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, message, padding.PKCS1v15(), digest)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, message, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def is_valid_at(certificate, time):
    def instant(name):
        # Before cryptography 42 these had no zone.
        found = getattr(certificate, f"{name}_utc", None) or getattr(certificate, name)
        return found if found.tzinfo is not None else found.replace(tzinfo=datetime.timezone.utc)

    then = EPOCH + datetime.timedelta(milliseconds=time)
    return instant("not_valid_before") <= then <= instant("not_valid_after")


def is_vouched(certificate, time, authorities):
    """By one of those that were given, or by being one of them; both valid at that time."""
    from cryptography import x509

    if not is_valid_at(certificate, time):
        return False
    for authority in authorities:
        if authority == certificate:
            return True
        try:
            basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            continue
        name = getattr(certificate.signature_hash_algorithm, "name", "")
        if (
            basic.ca
            and is_valid_at(authority, time)
            and certificate.issuer == authority.subject
            and name in DIGESTS.values()
            and is_signed_by(authority.public_key(), certificate.signature, certificate.tbs_certificate_bytes, name)
        ):
            return True
    return False


def open_receipt(data, checkpoint, keys):
    receipt = parse_document(open_note(data, keys), RECEIPT_SCHEMA)
    if receipt["checkpoint_sha256"] != hashlib.sha256(checkpoint).hexdigest():
        raise Invalid("the receipt is of another checkpoint")
    return receipt


class Anchors:
    """What third parties said about checkpoints: each belongs to the checkpoint of its heartbeat or is forged."""

    def __init__(self, verification):
        self.all, self.findings, self.newest = verification, verification.findings, {}

    def run(self):
        for key in self.all.store.list("anchors/"):
            report = self._verify(key)
            if report is not None:
                self.newest[report["by"]] = report
        return list(self.newest.values())

    def _verify(self, key):
        found = ANCHOR_KEY.fullmatch(key)
        if found is None:
            self.findings.altered("foreign", key, "no anchor has this name")
            return None
        n = int(found.group(1))
        anchor, note = self.all.store.read(key), self.all.store.read(heartbeat_key(n))
        if anchor is None:
            return None
        try:
            heartbeat = {} if note is None else parse_heartbeat(open_note(note, self.all.keys))
            if "checkpoint" not in heartbeat:
                self.findings.altered("foreign", key, "its heartbeat is missing or has no checkpoint")
                return None
            return self._report(key, n, anchor, heartbeat["checkpoint"].encode())
        except Invalid as error:
            self.findings.altered("anchor-forged", key, f"it is no anchor of this heartbeat: {error}")
            return None

    def _report(self, key, n, anchor, checkpoint):
        if key.endswith(".tsr"):
            time, by, trusted = read_timestamp(anchor, checkpoint, self.all.authorities)
            grade = "vouched" if trusted else "stamped"
            return {"heartbeat": str(n), "at": iso_time(time), "by": by, "grade": grade}
        signer = stated_signer(self.all.store.read(heartbeat_key(n)), self.all.keys)
        # The archiver pushed it when the heartbeat was there: an older key had no business with it.
        since = 0 if signer is None else self.all.keys.index(signer)
        receipt = open_receipt(anchor, checkpoint, self.all.keys[since:])
        if receipt["archive_id"] != self.all.genesis["archive_id"] or receipt["heartbeat"] != str(n):
            raise Invalid("its receipt is of another heartbeat")
        return {"heartbeat": str(n), "at": receipt["pushed_at"], "by": receipt["target"], "grade": "pushed"}


# --- Rows -------------------------------------------------------------------------------------------------------------


def field(data):
    return b"\xff\xff\xff\xff" if data is None else struct.pack(">I", len(data)) + data


def leaf_of(row):
    """Row: topic_id, partition, offset, timestamp_ms, timestamp_type, key, value, headers; bytes where bytes are meant."""
    try:
        parts = [
            b"\0hooktrail/1",
            bytes.fromhex(row["topic_id"]),
            struct.pack(
                ">IQqB", row["partition"], row["offset"], row["timestamp_ms"], row["timestamp_type"]
            ),
            field(row["key"]),
            field(row["value"]),
            struct.pack(">I", len(row["headers"])),
        ]
    except (struct.error, ValueError) as error:
        raise Invalid("not a row") from error
    for name, value in row["headers"]:
        parts += [field(name), field(value)]
    return hashlib.sha256(b"".join(parts)).digest()


def bytes_of(text, encoded):
    if text is not None:
        return text.encode("utf-8")
    return None if encoded is None else base64.b64decode(encoded, validate=True)


def headers_of(pairs):
    return [(name.encode("utf-8"), bytes_of(value, *(rest or [None]))) for name, value, *rest in pairs]


def parse_row(line):
    try:
        row = json.loads(line, parse_constant=refuse_constant)
        return {
            "topic": row["topic"],
            "topic_id": row["topic_id"],
            "partition": row["partition"],
            "offset": int(row["offset"]),
            "timestamp_ms": int(row["timestamp_ms"]),
            "timestamp_type": row["timestamp_type"],
            "key": bytes_of(row["key"], row["key_base64"]),
            "value": bytes_of(row["value"], row["value_base64"]),
            "headers": headers_of(row["headers"]),
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Invalid("a line is no row") from error


def json_rows(stream):
    while True:
        line = stream.readline(LINE_BYTES_MAX + 1)
        if not line:
            return
        if len(line) > LINE_BYTES_MAX:
            raise Invalid("a row is too long")
        if not line.endswith(b"\n"):
            raise Invalid("the last row has no newline")
        yield parse_row(line[:-1])


def zstd_reader():
    """What opens a binary file as its decompressed stream; the first that there is."""
    for module, opened in (
        ("compression.zstd", lambda zstd, file: zstd.ZstdFile(file)),
        ("zstandard", lambda zstd, file: io.BufferedReader(zstd.ZstdDecompressor().stream_reader(file))),
        ("pyzstd", lambda zstd, file: zstd.ZstdFile(file)),
    ):
        try:
            return lambda file, found=importlib.import_module(module), opened=opened: opened(found, file)
        except ImportError:
            continue
    program = shutil.which("zstd")
    if program is not None:
        return lambda file: ProgramStream([program, "-dcq"], file)
    raise Unjudged("rows of jsonl.zst need zstd: pip install zstandard, or the program zstd, or Python 3.14")


class ProgramStream:
    """Standard output of a program that is fed a file."""

    def __init__(self, arguments, file):
        self._process = subprocess.Popen(arguments, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def readline(self, limit):
        line = self._process.stdout.readline(limit)
        if not line and self._process.wait() != 0:
            raise Invalid("it cannot be decompressed")
        return line

    def close(self):
        self._process.stdout.close()
        self._process.wait()


def rows_of(file, form):
    """Rows of one data object, in order. Raises Invalid where it cannot be read to its end."""
    if form == "parquet":
        yield from parquet_rows(file)
        return
    stream = gzip.GzipFile(fileobj=file) if form == "jsonl.gz" else zstd_reader()(file)
    try:
        yield from json_rows(stream)
    except Invalid:
        raise
    except Exception as error:  # each decompressor has its own
        raise Invalid(f"it cannot be decompressed: {error}") from error
    finally:
        stream.close()


EXACT_COLUMNS = ("topic", "topic_id", "partition", "offset", "timestamp_ms", "timestamp_type", "key", "value", "headers")


def parquet_rows(file):
    """One batch of rows is held; the other columns repeat what these hold."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise Unjudged("rows of parquet need the Python package pyarrow: pip install pyarrow") from error
    try:
        batches = parquet.ParquetFile(file).iter_batches(batch_size=ROWS_PER_BATCH, columns=list(EXACT_COLUMNS))
        for batch in batches:
            for row in batch.to_pylist():
                row["headers"] = headers_of(json.loads(row["headers"]))
                yield row
    except (OSError, ValueError, TypeError, KeyError) as error:  # ArrowInvalid is a ValueError
        raise Invalid(f"it is no Parquet file of rows: {error}") from error


class RowCheck:
    """The rows of one segment against its manifest: offsets, gaps, times, the root over the leaves."""

    def __init__(self, manifest, running):
        self.manifest, self.running, self.tree, self.fault = manifest, running, Tree(), None
        self.gaps = iter([(int(gap["from"]), int(gap["to"])) for gap in manifest["gaps"]])
        self.gap = next(self.gaps, None)
        self.least = self.greatest = None
        self.due = int(manifest["first"])
        self._skip_gaps()

    def add(self, row):
        manifest = self.manifest
        if any(row[name] != manifest[name] for name in ("topic", "topic_id", "partition")):
            self._wrong("a row belongs to another partition", row["offset"])
        if row["offset"] != self.due:
            self._wrong(f"a row has offset {row['offset']} where {self.due} is due", self.due)
        leaf = leaf_of(row)
        self.running.add(row["offset"], leaf)
        self.tree.push(leaf)
        time = row["timestamp_ms"]
        self.least = time if self.least is None else min(self.least, time)
        self.greatest = time if self.greatest is None else max(self.greatest, time)
        self.due = row["offset"] + 1
        self._skip_gaps()

    def finish(self):
        """(text, offset) of what is wrong, or None."""
        manifest = self.manifest
        if self.fault is not None:
            return self.fault
        if self.due != int(manifest["next"]):
            return f"it ends before offset {manifest['next']}", self.due
        if self.tree.root().hex() != manifest["merkle_root"]:
            return "the root over its rows is not the one in its manifest", int(manifest["first"])
        times = (str(self.least), str(self.greatest))
        if times != (manifest["min_timestamp_ms"], manifest["max_timestamp_ms"]):
            return "its times are not those in its manifest", int(manifest["first"])
        return None

    def _wrong(self, text, offset):
        self.fault = self.fault or (text, offset)

    def _skip_gaps(self):
        while self.gap is not None and self.gap[0] == self.due:
            self.due = self.gap[1] + 1
            self.gap = next(self.gaps, None)


# --- Running roots ----------------------------------------------------------------------------------------------------

CLAIM = struct.Struct(">QQQ32s")
# Of all partitions: what 10 that are always busy sign in nine months, in 220 MB.
CLAIMS_MAX = 4_000_000


class RunningClaims:
    """(start, next, heartbeat, root): the root over the leaves of [start, next), signed while their segment was open."""

    def __init__(self):
        self.lists, self.taken, self.count = {}, {}, 0

    def add(self, partition, to, running, heartbeat):
        """False where there are too many to be kept; a row that did not change is repeated in every full table."""
        claims = self.lists.setdefault(partition, bytearray())
        claim = CLAIM.pack(int(to), int(running["next"]), heartbeat, bytes.fromhex(running["root"]))
        last = claims[-CLAIM.size :]
        if last[:16] == claim[:16] and last[24:] == claim[24:]:
            return True
        if self.count >= CLAIMS_MAX:
            return False
        self.count += 1
        claims += claim
        return True

    def take(self, partition, start):
        """Those that begin at `start`; what begins before it is passed over for good."""
        claims, at, found = self.lists.get(partition, b""), self.taken.get(partition, 0), []
        while at < len(claims):
            claim = CLAIM.unpack_from(claims, at)
            if claim[0] > start:
                break
            if claim[0] == start:
                found.append(claim)
            at += CLAIM.size
        self.taken[partition] = at
        return found


class RunningCheck:
    """The claims of one partition while its segments pass by, in order."""

    def __init__(self):
        self.drop()

    def drop(self):
        """Nothing of what was begun can be judged: rows of its segments are missing, or other ones."""
        self.open, self.wrong = [], []

    def begin(self, gaps, claims):
        """A claim over offsets that may have held records which are not there is not compared."""
        if claims:
            self.open.append((Tree(), sorted(claims, key=lambda claim: claim[1])))
        lost = next((int(gap["from"]) for gap in gaps if gap["reason"] not in NEVER_HELD), None)
        if lost is not None:
            self._keep(lambda claim: claim[1] <= lost)

    def add(self, offset, leaf):
        if self.open:
            self._compare(offset)
            for tree, _ in self.open:
                tree.push(leaf)

    def end(self, offset):
        """Claims of which other records came out."""
        self._compare(offset)
        wrong, self.wrong = self.wrong, []
        return wrong

    def _compare(self, offset):
        done = False
        for tree, claims in self.open:
            while claims and claims[0][1] <= offset:
                claim = claims.pop(0)
                done = True
                if tree.root() != claim[3]:
                    self.wrong.append(claim)
        if done:
            self._keep(lambda claim: True)

    def _keep(self, is_kept):
        kept = [(tree, [claim for claim in claims if is_kept(claim)]) for tree, claims in self.open]
        self.open = [each for each in kept if each[1]]


# --- The passes -------------------------------------------------------------------------------------------------------


class PartitionTable:
    """The state of all partitions as heartbeats tell it. After a break it is incomplete until a full one comes."""

    def __init__(self):
        self.rows, self.heads, self.complete = {}, {}, True

    def lose(self):
        self.rows, self.heads, self.complete = {}, {}, False

    def advance(self, manifest, sha256):
        """Appends to a chain; what is wrong, or None."""
        name = partition_name(manifest)
        before = self.heads.get(name)
        self.heads[name] = (manifest["next"], sha256)
        if before is None:
            first = self.complete and manifest["previous"] is not None
            return "the first of its chain names one before it" if first else None
        if before[0] != manifest["first"]:
            return f"it begins at {manifest['first']}, the one before ended at {before[0]}"
        return None if before[1] == manifest["previous"] else "it names another manifest as the one before it"

    def apply(self, heartbeat):
        """Takes over a heartbeat's rows, after its manifests; what is wrong, or None."""
        faults = [self._apply_row(row) for row in heartbeat["partitions"]]
        if heartbeat["full"]:
            self.complete = True
        fault = next((found for found in faults if found is not None), None)
        if fault is not None or not self.complete:
            return fault
        if heartbeat["full"] and len(heartbeat["partitions"]) != len(self.rows):
            return "a full table lacks partitions"
        return None if self._root() == heartbeat["partition_root"] else "the root over all partitions is another"

    def _apply_row(self, row):
        name = partition_name(row)
        before, head = self.rows.get(name), self.heads.get(name)
        self.rows[name] = row
        running = row["running"]
        if running is not None and not int(row["to"]) < int(running["next"]) <= int(row["high_watermark"]):
            return f"{name} has a running root that does not end behind its head"
        if head is None:
            if row["head"] is None:
                return None
            self.heads[name] = (row["to"], row["head"])
            return f"{name} has a head that no heartbeat listed" if self.complete else None
        if head != (row["to"], row["head"]):
            return f"{name} has another head than the manifests listed"
        if before is not None and before["to"] != row["from"]:
            return f"{name} does not begin where it ended before"
        return None

    def _root(self):
        tree = Tree()
        for row in sorted(self.rows.values(), key=partition_order):
            leaf = {name: value for name, value in row.items() if name != "from"}
            tree.push(merkle_leaf(canonical(leaf).encode()))
        return tree.root().hex()


class Verification:
    def __init__(self, store, findings, options):
        self.store, self.findings = store, findings
        self.level, self.now, self.checkpoint = options.level, options.now, options.checkpoint
        self.rests = options.incremental
        self.pinned, self.authorities, self.anchors = options.keys, options.authorities, []
        self.kept_note, self.chain, self.last_ms = options.kept_note, None, None
        self.keys, self.genesis, self.last, self.ends = [], None, None, {}
        self.table, self.tree_is_met, self.running = PartitionTable(), False, RunningClaims()
        self.heartbeats = self.manifests = self.unwitnessed = self.records = self.objects = self.bytes = 0

    def run(self):
        previous = self._verify_genesis()
        if previous is None:
            return
        if self.kept_note is not None:
            self.checkpoint = {"tree": self._open_kept_note()}
        self.notes = {"policy": Notes(self, "policy", parse_policy, previous).read()}
        self.notes["holds"] = Notes(self, "holds", parse_hold, previous).read()
        self.held = held_ranges(self.notes["holds"])
        self.named_notes = {"policy": 0, "holds": 0}
        Heartbeats(self, previous).run()
        for notes, chain in self.notes.items():
            self._judge_keys(notes, len(chain))
        self.anchors = Anchors(self).run()
        Segments(self).run()
        if self.level > 0:
            Inventory(self).run()
            self.store.verify_versions()
        self._compare_end()
        self._note_end()

    def witness(self, key, worm):
        """What a heartbeat names of the notes about what is kept must be there."""
        for notes in ("policy", "holds") if worm != "off" else ():
            if worm[notes] is None:
                continue
            n, found = int(worm[notes]["n"]), self.notes[notes]
            name = numbered_key(notes, n)
            self._judge_keys(notes, min(n + 1, len(found)))
            if n >= len(found):
                self.findings.altered("note-missing", name, f"it is missing; {key} names it")
            elif found[n] is not None and found[n][1] != worm[notes]["sha256"]:
                self.findings.altered("note-chain", name, f"it is not the one that {key} names")

    def _judge_keys(self, notes, end):
        """Of notes that the next heartbeat names for the first time, or that none does."""
        for n in range(self.named_notes[notes], end):
            note = self.notes[notes][n]
            self.judge_key(numbered_key(notes, n), None if note is None else note[2])
        self.named_notes[notes] = max(end, self.named_notes[notes])

    def judge_key(self, key, signer):
        """A note that no heartbeat up to the last one named must be of a key that was still believed then."""
        fault = None if signer is None or self.last_ms is None else self.chain.fault_at(signer, self.last_ms)
        if fault is not None:
            self.findings.altered("key-window", key, fault)

    def _open_kept_note(self):
        """Only who read the archive's keys can tell who signed it."""
        try:
            return open_checkpoint(self.kept_note, self.keys)
        except Invalid as error:
            raise Unjudged(f"the checkpoint: {error}") from error

    def cadence(self):
        """The policy's that the last heartbeat names, else genesis'."""
        worm = "off" if self.last is None else self.last[0]["worm"]
        if worm != "off" and worm["policy"] is not None:
            n, policies = int(worm["policy"]["n"]), self.notes["policy"]
            if n < len(policies) and policies[n] is not None:
                return policies[n][0]["cadence"]
        return self.genesis["cadence"]

    def believed(self, key, data, parse):
        """(document, SHA-256, its key) of a signed note, or None: what is wrong with it is reported."""
        document = self.attempt(key, lambda: parse(open_note(data, self.keys)))
        if document is None:
            return None
        if document["archive_id"] != self.genesis["archive_id"]:
            self.findings.altered("note-invalid", key, "it belongs to another archive")
            return None
        return document, hashlib.sha256(data).hexdigest(), stated_signer(data, self.keys)

    def attempt(self, key, read):
        try:
            return read()
        except Invalid as error:
            self.findings.altered("note-invalid", key, f"the note cannot be believed: {error}")
            return None

    def _verify_genesis(self):
        """SHA-256 of the genesis note, or None."""
        data = self.store.read(GENESIS)
        if data is None:
            self.findings.altered("genesis-missing", GENESIS, "there is no genesis note: the archive is not whole")
            return None
        self.chain = self.attempt(GENESIS, lambda: KeyChain(data))
        if self.chain is None:
            return None
        is_whole = self._read_keys()
        if self.pinned is not None and not self.chain.includes(self.pinned):
            if is_whole:
                self._refuse_other_key()
            self.findings.altered("note-invalid", GENESIS, "the note cannot be believed: signed by an unknown key")
            return None
        self.genesis, self.keys = self.chain.genesis, self.chain.verifiers
        for key, sha256 in self.genesis["files"].items():
            found = self.store.read(key)
            if found is None:
                self.findings.altered("file-altered", key, "the file that genesis names is missing")
            elif hashlib.sha256(found).hexdigest() != sha256:
                self.findings.altered("file-altered", key, "the file does not have the SHA-256 that genesis names")
        return hashlib.sha256(data).hexdigest()

    def _read_keys(self):
        """False where a key note is missing or cannot be believed: then no later one is believed."""
        due, is_whole = 0, True
        for key in self.store.list("keys/"):
            found = NUMBERED_KEY.fullmatch(key)
            n = -1 if found is None else int(found.group(1))
            if not due <= n < NUMBERS_MAX or numbered_key("keys", n) != key:
                self.findings.altered("foreign", key, "no note has this name")
                continue
            if n > due:
                text = "it is missing, and later ones are there"
                self.findings.altered("note-missing", numbered_key("keys", due), text)
                is_whole = False
            due = n + 1
            data = self.store.read(key) if is_whole else None
            if is_whole:
                is_whole = data is not None and self.attempt(key, lambda: self.chain.add(data) or True) is not None
        return is_whole

    def _refuse_other_key(self):
        """True under its own key and not under the given one: the wrong key, or another archive in this one's place."""
        heartbeat = self.store.read(heartbeat_key(0))
        if heartbeat is not None and is_signed(heartbeat, self.pinned):
            return
        given = ", ".join(map(str, self.pinned))
        raise Unjudged(f"genesis.note is of {self.chain.root}, the key that was given is {given}", 64)

    def _compare_end(self):
        kept = self.checkpoint
        if kept is None:
            return
        if "tree" in kept:
            self._compare_tree_end(*kept["tree"])
            return
        if kept["archive_id"] != self.genesis["archive_id"]:
            self.findings.altered("checkpoint-contradicted", GENESIS, "the checkpoint is of another archive")
            return
        last = -1 if self.last is None else int(self.last[0]["n"])
        if kept["heartbeat"] is not None and last < int(kept["heartbeat"]["n"]):
            name = f"heartbeat {kept['heartbeat']['n']}"
            self.findings.add("stale", "truncated", name, f"the checkpoint knows it, the archive ends with {last}")
        for head in kept["heads"]:
            end = self.ends.get(partition_name(head))
            if end is not None and int(end["next"]) >= int(head["next"]):
                continue
            found = "0" if end is None else end["next"]
            text = f"the checkpoint knows offsets up to {head['next']}, the archive ends at {found}"
            self.findings.add("stale", "truncated", partition_name(head), text, found)

    def _compare_tree_end(self, archive_id, size, _):
        last = 0 if self.last is None else int(self.last[0]["tree_size"])
        if archive_id != self.genesis["archive_id"]:
            self.findings.altered("checkpoint-contradicted", "checkpoint", "the checkpoint is of another archive")
        elif last < size:
            text = f"the checkpoint knows {size} manifests, the archive ends with {last}"
            self.findings.add("stale", "truncated", "checkpoint", text)
        elif not self.tree_is_met:
            text = f"no heartbeat has a tree of size {size}"
            self.findings.altered("checkpoint-contradicted", "checkpoint", text)

    def stale_after(self):
        idle = self.cadence()["idle_seconds"]
        since = (self.genesis if self.last is None else self.last[0])["created_at"]
        return milliseconds(since) + (idle + max(idle, GRACE_SECONDS_MIN)) * 1000

    def _note_end(self):
        name = GENESIS if self.last is None else f"heartbeat {self.last[0]['n']}"
        if self.unwitnessed > 0:
            text = f"{self.unwitnessed} manifests are newer than the last heartbeat"
            self.findings.add("note", "unwitnessed", name, text)
        if self.now > self.stale_after():
            text = f"the next heartbeat was due by {iso_time(self.stale_after())}"
            self.findings.add("stale", "stale", name, f"{text}: the archiver stopped, or the end was cut")
        worm = "off" if self.last is None else self.last[0]["worm"]
        if worm == "off" or worm["result"] == "off":
            return
        if self.level > 0:
            text = "locks and holds are not asked for here: `hooktrail archive verify` asks a bucket"
            self.findings.add("note", "lock-not-witnessed", GENESIS, text)
        signed_at = self.last[0]["created_at"]
        if worm["result"] != "pass":
            text = f"the last probe of the deletion lock says {worm['result']}"
        elif milliseconds(signed_at) - milliseconds(worm["checked_at"] or signed_at) > PROBE_AGE_MS_MAX:
            text = f"the deletion lock was last probed at {worm['checked_at']}"
        else:
            return
        self.findings.add("worm", "worm-not-in-force", name, text)

    def kept_checkpoint(self):
        if self.genesis is None:
            return None
        heartbeat = None
        if self.last is not None:
            document, sha256 = self.last
            heartbeat = {name: document[name] for name in ("n", "tree_size", "tree_root")}
            heartbeat["sha256"] = sha256
        kept = {"archive_id": self.genesis["archive_id"], "heartbeat": heartbeat, "level": self.level}
        return {**kept, "heads": list(self.ends.values())}


def is_signed(data, keys):
    try:
        open_note(data, keys)
    except Invalid:
        return False
    return True


class Notes:
    """A chain of notes 0, 1, 2 … about what is kept: policies, or legal holds."""

    def __init__(self, verification, notes, parse, genesis_sha256):
        self.all, self.findings, self.notes, self.parse = verification, verification.findings, notes, parse
        self.chain, self.previous = [], genesis_sha256

    def read(self):
        """[(document, SHA-256)] by number; None for one that is missing or cannot be believed."""
        for key in self.all.store.list(f"{self.notes}/"):
            found = NUMBERED_KEY.fullmatch(key)
            n = -1 if found is None else int(found.group(1))
            if not len(self.chain) <= n < NUMBERS_MAX or numbered_key(self.notes, n) != key:
                self.findings.altered("foreign", key, "no note has this name")
            else:
                self._step(n, key)
        return self.chain

    def _step(self, n, key):
        if n > len(self.chain):
            missing = numbered_key(self.notes, len(self.chain))
            self.findings.altered("note-missing", missing, "it is missing, and later ones are there")
            self.chain.extend([None] * (n - len(self.chain)))
            self.previous = None
        data = self.all.store.read(key)
        note = None if data is None else self.all.believed(key, data, self.parse)
        if note is not None and (note[0]["n"] != str(n) or self.previous not in (None, note[0]["previous"])):
            self.findings.altered("note-chain", key, "it does not follow the one before it, or genesis")
        self.chain.append(note)
        self.previous = None if note is None else note[1]


def held_ranges(holds):
    """Ranges under a hold that was not released."""
    held = {}
    for note in holds:
        if note is None:
            continue
        entry = note[0]
        if entry["action"] == "hold" and entry["range"] is not None:
            held[entry["hold_id"]] = entry["range"]
        elif entry["action"] == "release":
            held.pop(entry["hold_id"], None)
    return list(held.values())


def is_in_range(held, manifest):
    return (
        held["topic"] == manifest["topic"]
        and held["topic_id"] in (None, manifest["topic_id"])
        and held["partition"] in (None, manifest["partition"])
        and int(held["from"]) <= int(manifest["last"])
        and (held["to"] is None or int(held["to"]) >= int(manifest["first"]))
    )


class Heartbeats:
    """n = 0, 1, 2 …: each names the one before, the manifests new since then, the tree and the table of partitions."""

    def __init__(self, verification, genesis_sha256):
        self.all, self.findings, self.table = verification, verification.findings, verification.table
        self.next, self.tree, self.previous, self.index = 0, Tree(), genesis_sha256, 0
        self.tiles = Tiles(verification.store, verification.findings)

    def run(self):
        for key in self.all.store.list("heartbeats/"):
            self._step(key)
        if self.tiles is not None:
            self.tiles.end()

    def _step(self, key):
        found = HEARTBEAT_KEY.fullmatch(key)
        n = -1 if found is None else int(found.group(1))
        if n < self.next or heartbeat_key(n) != key:
            self.findings.altered("foreign", key, "no heartbeat has this name")
            return
        if n > self.next:
            text = f"{n - self.next} heartbeats are missing here"
            self.findings.altered("heartbeat-missing", heartbeat_key(self.next), text)
            self._break()
        self.next = n + 1
        data = self.all.store.read(key)
        note = None if data is None else self.all.believed(key, data, parse_heartbeat)
        if note is None:
            self._seek_key(key, data)
            self._break()
            return
        self.all.heartbeats += 1
        self._verify_key(key, note[0], note[2])
        self._verify(key, *note)
        self.all.last_ms = milliseconds(note[0]["created_at"])
        modified = self.all.store.modified(key)
        if modified is not None and milliseconds(note[0]["created_at"]) > modified + CLOCK_SKEW_MS:
            text = "the store dates it before its own time of signing"
            self.findings.add("note", "time-not-witnessed", key, text)
        self._compare_checkpoint(*note[:2])

    def _seek_key(self, key, data):
        """It may be signed by a key whose note was taken away: then that is missing, too."""
        try:
            if data is not None:
                self._find_key_note(key, parse_heartbeat(note_text(data)))
        except Invalid:
            pass  # What is wrong with it was said already.

    def _find_key_note(self, key, document):
        if "keys" in document and int(document["keys"]["n"]) >= len(self.all.chain.notes):
            name = numbered_key("keys", int(document["keys"]["n"]))
            self.findings.altered("note-missing", name, f"it is missing; {key} names it")

    def _verify_key(self, key, document, signer):
        """It names the newest key note that its writer knew, and is signed by that note's key, while that is believed."""
        self._find_key_note(key, document)
        chain, named = self.all.chain, document.get("keys")
        index = 0 if named is None else int(named["n"]) + 1
        if index >= len(chain.keys):
            return
        if named is not None and chain.notes[index - 1] != named["sha256"]:
            name = numbered_key("keys", index - 1)
            self.findings.altered("note-chain", name, f"it is not the one that {key} names")
        due = chain.keys[index]
        if index < self.index:
            fault = "it names an older key than the one before it"
        elif signer is not due.key:
            fault = f"it is not signed by the key that it names, {due.key}"
        else:
            fault = chain.fault_at(signer, milliseconds(document["created_at"]))
        if index >= self.index:
            self.index = index
            due.first = document["n"] if due.first is None else due.first
        if fault is not None:
            self.findings.altered("key-window", key, fault)

    def _break(self):
        self.previous = self.tree = self.tiles = None
        self.table.lose()

    def _verify(self, key, document, sha256, signer):
        self.all.witness(key, document["worm"])
        if heartbeat_key(int(document["n"])) != key:
            self.findings.altered("heartbeat-chain", key, f"it says that it is number {document['n']}")
        if self.previous is not None and document["previous"] != self.previous:
            self.findings.altered("heartbeat-chain", key, "it does not follow the one before it, or genesis")
        if self.all.last is not None and document["created_at"] < self.all.last[0]["created_at"]:
            self.findings.altered("heartbeat-chain", key, "it is dated before the one that it follows")
        for named in document["manifests"]:
            self._follow(key, named)
        for named in document["anchors"]:
            self._compare_anchor(named)
        self._compare_tree(key, document)
        self._compare_tree_note(key, document, self.all.keys if signer is None else [signer])
        fault = self.table.apply(document)
        if fault is not None:
            self.findings.altered("partition-table", key, fault)
        if self.all.level == 2:
            self._take_running(key, document)
        self.previous, self.all.last = sha256, (document, sha256)

    def _take_running(self, key, document):
        for row in document["partitions"]:
            if row["running"] is None:
                continue
            if not self.all.running.add(partition_name(row), row["to"], row["running"], int(document["n"])):
                text = "there are more running roots than are kept"
                self.findings.add("note", "running-unchecked", key, text)

    def _follow(self, key, named):
        """One manifest that the heartbeat names. Its signature is checked with its segment."""
        if self.tree is not None:
            leaf = merkle_leaf(bytes.fromhex(named["sha256"]))
            self.tree.push(leaf)
            if self.tiles is not None:
                self.tiles.push(leaf)
        data = self.all.store.read(named["key"])
        if data is None:
            self.findings.altered("manifest-missing", named["key"], f"it is missing; {key} names it")
            return
        if hashlib.sha256(data).hexdigest() != named["sha256"]:
            self.findings.altered("manifest-altered", named["key"], f"it is not the one that {key} names")
            return
        signer = self.all.attempt(named["key"], lambda: stated_signer(data, self.all.keys))
        self.all.judge_key(named["key"], signer)
        manifest = self.all.attempt(named["key"], lambda: parse_manifest(note_text(data)))
        if manifest is None:
            return
        if manifest_key(manifest) != named["key"]:
            fault = "it lies under another key"
        else:
            fault = self.table.advance(manifest, named["sha256"])
        if fault is not None:
            self.findings.altered("manifest-chain", named["key"], fault)

    def _compare_tree(self, key, document):
        size, edge = int(document["tree_size"]), document["tree_edge"]
        if self.tree is not None:
            found = (self.tree.size, [node.hex() for node in self.tree.edge], self.tree.root().hex())
            if found != (size, edge, document["tree_root"]):
                self.findings.altered("heartbeat-tree", key, "its tree is not the tree over the manifests named so far")
        self.tree = None
        if bin(size).count("1") == len(edge):
            self.tree = Tree(size, map(bytes.fromhex, edge))
        if self.tree is None or self.tree.root().hex() != document["tree_root"]:
            self.findings.altered("heartbeat-tree", key, "the edge of its tree does not give its root")

    def _compare_anchor(self, named):
        data = self.all.store.read(named["key"])
        if data is None or hashlib.sha256(data).hexdigest() != named["sha256"]:
            self.findings.altered("anchor-forged", named["key"], "it is not the one that a heartbeat names")

    def _compare_tree_note(self, key, document, keys):
        note = document.get("checkpoint")
        if note is None:
            return
        text = self.all.attempt(key, lambda: open_note(encode_note(note), keys))
        if text is not None and text != checkpoint_text(document):
            self.findings.altered("heartbeat-tree", key, "its checkpoint is not of its tree")

    def _compare_checkpoint(self, document, sha256):
        tree = (self.all.checkpoint or {}).get("tree")
        if tree is not None and tree[1] == int(document["tree_size"]):
            self.all.tree_is_met = True
            if tree[2] != document["tree_root"]:
                text = f"the tree of size {tree[1]} has another root"
                self.findings.altered("checkpoint-contradicted", "checkpoint", text)
        kept = (self.all.checkpoint or {}).get("heartbeat")
        if kept is None or kept["n"] != document["n"]:
            return
        if kept["sha256"] != sha256 or kept["tree_root"] != document["tree_root"]:
            name = f"heartbeat {kept['n']}"
            self.findings.altered("checkpoint-contradicted", name, "it is another one than the checkpoint names")


class Segments:
    """The chain of manifests of every partition, in the order of keys, which is the order of offsets."""

    def __init__(self, verification):
        self.all, self.findings = verification, verification.findings
        self.folder, self.end, self.linked = "", None, True
        self.running, self.unread = RunningCheck(), (0, 0)
        heads = (verification.checkpoint or {}).get("heads", [])
        self.remembered = {partition_name(head): head for head in heads}

    def run(self):
        for key in self.all.store.list("segments/"):
            self._step(key)
        if self.unread[0] > 0:
            text = "%d data objects of %d bytes were not read again: they rest on the run that wrote it" % self.unread
            self.findings.add("note", "not-read-again", "checkpoint", text)

    def _step(self, key):
        folder = key[: key.rindex("/") + 1]
        if folder != self.folder:
            self.folder, self.end, self.linked = folder, None, True
            self.running.drop()
        if MANIFEST_KEY.fullmatch(key) is None:
            self.findings.altered("foreign", key, "no manifest has such a name")
            return
        data = self.all.store.read(key)
        note = None if data is None else self.all.believed(key, data, parse_manifest)
        if note is None:
            self.linked = False
            self.running.drop()
            return
        manifest, sha256, signer = note
        if manifest_key(manifest) != key:
            self.findings.altered("manifest-foreign", key, "its text belongs under another key")
            return
        if self._is_next(key, manifest):
            self._take(key, manifest, sha256, signer)
            self.running.begin(manifest["gaps"], self.all.running.take(partition_name(manifest), int(manifest["first"])))
            self._verify_content(key, manifest)
            self._compare_running(key, manifest)
            if self.all.level > 0 and manifest["retention"] is not None and not manifest["retention"]["verified"]:
                text = "it was signed without a proof that its data is locked"
                self.findings.add("worm", "worm-not-in-force", key, text)

    def _compare_running(self, key, manifest):
        """What was signed of these offsets while they lay in an open segment."""
        name = key if manifest["data"] is None else manifest["data"]["key"]
        for start, after, heartbeat, _ in self.running.end(int(manifest["next"])):
            text = f"the root over offsets {start} to {after - 1} is not the one that heartbeat {heartbeat} signed"
            self.findings.altered("running-contradicted", name, text, start)

    def _is_next(self, key, manifest):
        if self.end is None:
            if self.linked and manifest["previous"] is not None:
                text = "the chain begins with a manifest that names one before it"
                self.findings.altered("manifest-missing", key, text)
            elif self.linked and manifest["first"] != "0" and not manifest["genesis"]:
                self.findings.altered("manifest-chain", key, "the chain begins later than 0 and does not say so")
            return True
        if int(manifest["first"]) < int(self.end["next"]):
            text = f"the chain already covers its offsets up to {self.end['next']}"
            self.findings.altered("manifest-foreign", key, text)
            return False
        if not self.linked:
            return True
        if manifest["first"] != self.end["next"]:
            missing = f"{self.folder}{int(self.end['next']):020}.note"
            self.findings.altered("manifest-missing", missing, f"the chain goes on at {manifest['first']}")
            self.running.drop()
        elif manifest["previous"] != self.end["head"]:
            self.findings.altered("manifest-chain", key, "it names another manifest as the one before it")
        return True

    def _take(self, key, manifest, sha256, signer):
        name = partition_name(manifest)
        self.end = {part: manifest[part] for part in ("topic", "topic_id", "partition", "next")}
        self.end["head"] = sha256
        self.linked, self.all.ends[name] = True, self.end
        self.all.manifests += 1
        self.all.records += manifest["records"]
        witnessed = self.all.table.heads.get(name)
        if witnessed is None or int(manifest["first"]) >= int(witnessed[0]):
            self.all.unwitnessed += 1
            self.all.judge_key(key, signer)
        kept = self.remembered.get(name)
        if kept is not None and kept["next"] == manifest["next"] and kept["head"] != sha256:
            self.findings.altered("checkpoint-contradicted", key, "the checkpoint names another manifest here")

    def _verify_content(self, key, manifest):
        for gap in manifest["gaps"]:
            if gap["reason"] in LOSSES:
                text = f"offsets {gap['from']} to {gap['to']} are declared lost: {gap['reason']}"
                self.findings.add("loss", "gap-declared", key, text, gap["from"])
        if manifest["data"] is None:
            if manifest["merkle_root"] != EMPTY_ROOT.hex():
                self.findings.altered("manifest-chain", key, "it has no records, and yet a root")
            return
        name = data_name(manifest["data"]["key"])
        if name is None or f"{name[0]}{name[1]}.note" != key or name[2] != manifest["data"]["format"]:
            self.findings.altered("manifest-chain", key, "it names a data object of another range or format")
            return
        if self.all.level > 0 and not self._rests_on_checkpoint(manifest):
            self._verify_data(manifest)

    def _rests_on_checkpoint(self, manifest):
        """Every manifest up to the remembered head is fixed by that head's hash: its data must be there, with its size."""
        head = self.remembered.get(partition_name(manifest)) if self.all.rests else None
        if head is None or int(manifest["next"]) > int(head["next"]):
            return False
        if self.all.checkpoint["archive_id"] != self.all.genesis["archive_id"]:
            return False
        self.running.drop()
        data = manifest["data"]
        self.unread = self.unread[0] + 1, self.unread[1] + data["size"]
        found = self.all.store.size(data["key"])
        if found is None:
            self._note_missing(manifest)
        elif found != data["size"]:
            self.findings.altered("data-altered", data["key"], f"it has {found} bytes, not {data['size']}")
        return True

    def _verify_data(self, manifest):
        """Size and SHA-256 before a byte is decompressed; then the rows."""
        data = manifest["data"]
        file = self.all.store.open(data["key"])
        if file is None:
            self.running.drop()
            self._note_missing(manifest)
            return
        with file:
            digest, size = hashlib.sha256(), 0
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                digest.update(chunk)
                size += len(chunk)
            self.all.bytes += size
            if size != data["size"]:
                self.running.drop()
                self.findings.altered("data-altered", data["key"], f"it has {size} bytes, not {data['size']}")
            elif digest.hexdigest() != data["sha256"]:
                self.running.drop()
                text = "it does not have the SHA-256 that its manifest names"
                self.findings.altered("data-altered", data["key"], text)
            elif self.all.level == 2:
                os.lseek(file.fileno(), 0, os.SEEK_SET)
                file.seek(0)
                self._verify_rows(file, manifest)

    def _note_missing(self, manifest):
        """What has run out may be gone, unless it is held: the manifest still says what it was."""
        key, retention = manifest["data"]["key"], manifest["retention"]
        is_held = any(is_in_range(held, manifest) for held in self.all.held)
        if retention is not None and milliseconds(retention["until"]) < self.all.now and not is_held:
            text = f"the data object is gone, which was kept until {retention['until']}"
            self.findings.add("note", "expired", key, text)
        else:
            self.findings.altered("data-missing", key, "the data object is missing")

    def _verify_rows(self, file, manifest):
        check = RowCheck(manifest, self.running)
        try:
            for row in rows_of(file, manifest["data"]["format"]):
                check.add(row)
            fault = check.finish()
        except Invalid as error:
            fault = f"it cannot be read to its end: {error}", check.due
        if fault is not None:
            self.running.drop()
            self.findings.altered("rows-altered", manifest["data"]["key"], *fault)


class Inventory:
    """Every object is reached from a signature. One data object at a chain's head may wait for its manifest."""

    def __init__(self, verification):
        self.all, self.findings = verification, verification.findings
        self.heads = {segment_folder(end): int(end["next"]) for end in verification.ends.values()}
        self.taken = set()

    def run(self):
        for key in self.all.store.list():
            self.all.objects += 1
            if key.startswith("data/"):
                self._verify_named(key)
            elif not (
                key == GENESIS
                or key.startswith(("heartbeats/", "segments/", "policy/", "holds/", "keys/", "anchors/"))
                or key in self.all.genesis["files"]
                or self._is_of_tree(key)
            ):
                self.findings.altered("foreign", key, "nothing signed leads to this object")

    def _is_of_tree(self, key):
        """A full tile, compared while its leaves passed by, or of a tree that is signed meanwhile."""
        tile = tile_place(key)
        if tile is None or self.all.last is None:
            return False
        last = self.all.last[0]
        if tile[1] < int(last["tree_size"]) // TILE_WIDTH ** (tile[0] + 1):
            return True
        return self.all.store.size(heartbeat_key(int(last["n"]) + 1)) is not None

    def _verify_named(self, key):
        name = data_name(key)
        if name is None:
            self.findings.altered("foreign", key, "no data object has such a name")
            return
        folder, start, _ = name
        is_there, manifest = self._manifest(f"{folder}{start}.note")
        if is_there:
            if manifest is None or manifest["data"] is None or manifest["data"]["key"] != key:
                self.findings.altered("orphan", key, "no manifest names this data object")
        elif self._may_wait(folder, int(start)):
            self.findings.add("note", "orphan", key, "it waits for its manifest, as after a crash between the two")
        else:
            self.findings.altered("orphan", key, "its manifest is missing")

    def _manifest(self, key):
        """(is it there, the manifest or None when it cannot be believed)"""
        data = self.all.store.read(key)
        if data is None:
            return False, None
        return True, self.all.attempt(key, lambda: parse_manifest(note_text(data)))

    def _may_wait(self, folder, start):
        if folder in self.taken or start != self._head(folder, start):
            return False
        self.taken.add(folder)
        return True

    def _head(self, folder, start):
        """Follows what a live archiver has committed meanwhile. A chain without any head begins here."""
        head = self.heads.get(folder, start)
        while head < start:
            _, manifest = self._manifest(f"{folder}{head:020}.note")
            if manifest is None:
                break
            head = int(manifest["next"])
        self.heads[folder] = head
        return head


# --- The command ------------------------------------------------------------------------------------------------------


def open_archive(location, findings):
    """Tells an archive, however damaged, from a place that holds none."""
    if location.startswith("s3://"):
        store = Bucket(location, findings)
        names = store.list
    elif os.path.isdir(location):
        store = Folder(location, findings)
        names = lambda prefix: store._walk("", prefix)  # noqa: E731
    else:
        raise Unjudged(f"{location}: there is no such folder")
    for prefix in (GENESIS, "heartbeats/", "segments/", "data/"):
        if next(iter(names(prefix)), None) is not None:
            return store
    raise Unjudged(f"{location}: it holds nothing of an archive")


def read_text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Unjudged(f"{path}: {error}") from error


def read_keys(path):
    lines = [line.strip() for line in read_text(path).split("\n")]
    try:
        keys = [VerifierKey(line) for line in lines if line and not line.startswith("#")]
    except Invalid as error:
        raise Unjudged(f"{path}: a line is no public key: {error}") from error
    if not keys:
        raise Unjudged(f"{path}: no key in it")
    return keys


def read_checkpoint(path):
    """What --write-checkpoint wrote, or the text of a C2SP checkpoint."""
    text = read_text(path)
    if not text.lstrip().startswith("{"):
        return text
    try:
        checkpoint = read_json(text)
    except Invalid as error:
        raise Unjudged(f"{path}: {error}") from error
    if not fits(CHECKPOINT_SCHEMA, checkpoint):
        raise Unjudged(f"{path}: not a checkpoint")
    return checkpoint


def read_certificates(path):
    try:
        from cryptography import x509
    except ImportError as error:
        raise Unjudged("certificates need the Python package cryptography: pip install cryptography") from error
    found = re.findall("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", read_text(path))
    if not found:
        raise Unjudged(f"{path}: no certificate in it")
    try:
        return [x509.load_pem_x509_certificate(each.encode()) for each in found]
    except ValueError as error:
        raise Unjudged(f"{path}: {error}") from error


def parse_now(text):
    try:
        then = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError as error:
        raise argparse.ArgumentTypeError("a time is written like 2026-01-31T12:00:00Z") from error
    zoned = then if then.tzinfo is not None else then.replace(tzinfo=datetime.timezone.utc)
    return (zoned - EPOCH) // datetime.timedelta(milliseconds=1)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def parse_arguments(arguments):
    parser = Parser(prog="hooktrail_verify.py", description="verify a hooktrail archive")
    parser.add_argument("location", help="the archive, or any copy of it: a folder, or s3://bucket/prefix")
    parser.add_argument("--key", help="public key that you were given (archive.pub)")
    parser.add_argument("--checkpoint", help="checkpoint of an earlier verification: proves that nothing was cut since")
    parser.add_argument("--write-checkpoint", help="keep a checkpoint of what was found; store it outside the archive")
    parser.add_argument("--incremental", action="store_true", help="do not read again what that verification has read")
    parser.add_argument("--anchor-ca", help="certificates (PEM) of time-stamp authorities, or of who vouches for them")
    parser.add_argument("--now", type=parse_now, help="time of judgement, ISO 8601 (default: now)")
    parser.add_argument("--level", type=int, choices=(0, 1, 2), default=2, help="0 chain, 1 and objects, 2 and rows")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    options = parser.parse_args(arguments)
    if options.now is None:
        now = datetime.datetime.now(datetime.timezone.utc)
        options.now = (now - EPOCH) // datetime.timedelta(milliseconds=1)
    return options


def make_report(verification, findings, location):
    exit_code = findings.exit_code(verification.pinned is not None)
    last, genesis = verification.last, verification.genesis
    rooted = str(verification.chain.root) if genesis is not None and verification.chain.has_root else None
    return {
        "exitCode": exit_code,
        "verdict": VERDICTS[exit_code],
        "location": location,
        "archiveId": None if genesis is None else genesis["archive_id"],
        "level": verification.level,
        "authenticated": verification.pinned is not None,
        "findings": findings.kept,
        "findingsDropped": findings.dropped,
        "heartbeats": verification.heartbeats,
        "manifests": verification.manifests,
        "unwitnessedManifests": verification.unwitnessed,
        "records": str(verification.records),
        "objects": verification.objects,
        "bytes": str(verification.bytes),
        "lastHeartbeat": None if last is None else {"n": last[0]["n"], "createdAt": last[0]["created_at"]},
        "staleAfter": None if genesis is None else iso_time(verification.stale_after()),
        "rootKey": rooted,
        "keys": [] if genesis is None else [key_report(each) for each in verification.chain.keys],
        "anchors": verification.anchors,
        "checkpoint": verification.kept_checkpoint(),
    }


def key_report(each):
    until = None if each.until is None else iso_time(each.until)
    since = {"since": iso_time(each.since), "fromHeartbeat": each.first, "until": until}
    return {"key": str(each.key), **since, "reason": each.reason}


def key_lines(report):
    """Of an archive that one key has signed from the beginning there is nothing to say."""
    if len(report["keys"]) < 2 and report["rootKey"] is None:
        return
    root = report["rootKey"]
    yield "no root key: each key was introduced by the one before it" if root is None else f"root key {root}"
    for each in report["keys"]:
        first = each["fromHeartbeat"]
        line = f"signed by {each['key']} since {each['since']}, "
        line += "no heartbeat yet" if first is None else f"from heartbeat {first} on"
        line += "" if each["until"] is None else f", until {each['until']}"
        yield line + ("" if each["reason"] is None else f", without the key before it: {each['reason']}")


def report_text(report):
    last = report["lastHeartbeat"]
    lines = [
        f"{report['verdict']} (exit {report['exitCode']})",
        f"archive {report['archiveId'] or 'unknown'} at {report['location']}, level {report['level']}",
        f"{report['records']} records in {report['manifests']} segments, {report['heartbeats']} heartbeats, "
        f"{report['bytes']} bytes read",
        "no heartbeat yet" if last is None else f"last heartbeat {last['n']} of {last['createdAt']}",
    ]
    if report["staleAfter"] is not None:
        lines.append(f"counts as stale after {report['staleAfter']}")
    lines += key_lines(report)
    if last is not None and not report["anchors"]:
        lines.append("not anchored by a third party: you trust the holder of the key")
    for anchor in report["anchors"]:
        lines.append(
            f"anchored up to heartbeat {anchor['heartbeat']} at {anchor['at']} by {anchor['by']} ({anchor['grade']}); "
            "after that you trust the holder of the key"
        )
    for finding in report["findings"]:
        where = finding["object"] + (f" at offset {finding['offset']}" if "offset" in finding else "")
        lines.append(f"{finding['severity']}  {finding['code']}  {where}: {finding['text']}")
    if report["findingsDropped"] > 0:
        lines.append(f"and {report['findingsDropped']} more findings")
    return "\n".join(lines)


def keep_checkpoint(path, report):
    """Only of what is intact and authentic: a shortened archive must not overwrite the proof of what it once held."""
    if report["checkpoint"] is None or report["exitCode"] not in (0, 2, 4):
        print(f"checkpoint not written: exit {report['exitCode']}", file=sys.stderr)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(report["checkpoint"]) + "\n")


def may_rest(checkpoint, level):
    """Earlier versions did not say at which level they read; a C2SP checkpoint never does."""
    return checkpoint is not None and "tree" not in checkpoint and checkpoint.get("level", 0) >= level


def verify(options):
    findings = Findings()
    store = open_archive(options.location, findings)
    options.keys = None if options.key is None else read_keys(options.key)
    kept = None if options.checkpoint is None else read_checkpoint(options.checkpoint)
    options.checkpoint, options.kept_note = (None, kept) if isinstance(kept, str) else (kept, None)
    if options.incremental and not may_rest(options.checkpoint, options.level):
        raise Unjudged(f"no run at level {options.level} wrote the checkpoint, on which one at this level could rest")
    options.authorities = [] if options.anchor_ca is None else read_certificates(options.anchor_ca)
    verification = Verification(store, findings, options)
    verification.run()
    report = make_report(verification, findings, options.location)
    text = json.dumps(report) if options.json else report_text(report)
    print(text)
    if options.write_checkpoint is not None:
        keep_checkpoint(options.write_checkpoint, report)
    return report["exitCode"]


def main():
    try:
        return verify(parse_arguments(sys.argv[1:]))
    except Unjudged as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (OSError, http.client.HTTPException) as error:
        print(f"it cannot be read: {error}", file=sys.stderr)
        return 66


if __name__ == "__main__":
    sys.exit(main())
