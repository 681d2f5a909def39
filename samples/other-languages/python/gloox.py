#!/usr/bin/env python3
"""A GlooX client in one file: Python 3.8 or later and msgpack (Debian: python3-msgpack). The protocol is in docs/protocol.md.

As a module:

    async with await gloox.connect("127.0.0.1:9999") as node:
        print(await node.call("agent/alive?"))

Any number of calls may be under way at once. A call that fails raises gloox.Error, whose `code` says why; cancelling the task that awaits
a call cancels it on the other side too. When the connection breaks, every call under way fails and none is repeated.

As a command, with arguments and result in JSON (what is no JSON is a string):

    python3 gloox.py 127.0.0.1:9999 agent/info --home ~/.gloox
"""
import argparse
import asyncio
import base64
import dataclasses
import datetime
import decimal
import json
import os
import ssl
import struct
import sys
import uuid

import msgpack

HELLO, HELLO_ACK, DEFINE, REQUEST, RESPONSE, ERROR, CANCEL, STREAM_ITEM, STREAM_END, CREDIT, PING, PONG, GO_AWAY = range(1, 14)
DEADLINE, ONE_WAY, METADATA = 1, 2, 4
(REMOTE, CONNECTION, TLS, TIMEOUT, UNAUTHORIZED, SERVICE_NOT_FOUND, METHOD_NOT_FOUND, BAD_ARGUMENTS, OVERLOADED, TOO_LARGE, PROTOCOL,
 CANCELLED, BAD_RESULT, SHUTTING_DOWN) = range(1, 15)
VERSION = 1
MAX_FRAME = 16 * 1024 * 1024
MAX_VARINT = 5
WINDOW = 256 * 1024
SOFTWARE = "gloox.py/1"


class Error(Exception):
    """A call or a connection failed; `code` is one of the numbers above."""

    def __init__(self, code, message, remote_type=None, remote_stack=None):
        super().__init__(message)
        self.code, self.remote_type, self.remote_stack = code, remote_type, remote_stack


# --- bytes ---

def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at=0):
    """The value and where it ends; None if bytes are missing."""
    value = 0
    for i in range(MAX_VARINT):
        if at + i >= len(data):
            return None
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, at + i + 1
    raise Error(PROTOCOL, "malformed varint")


def frame(kind, id, body=b""):
    inner = bytes([kind]) + varint(id) + body
    return varint(len(inner)) + inner


def pack(value):
    return msgpack.packb(value, default=_extend, datetime=True)


def unpack(data):
    return msgpack.unpackb(data, ext_hook=_read_extension, timestamp=3, strict_map_key=False)


def _extend(value):
    """What MessagePack has no type for, as docs/protocol.md says."""
    if isinstance(value, int):  # beyond 64 bits
        length = (value if value >= 0 else value + 1).bit_length() // 8 + 1
        return msgpack.ExtType(3, value.to_bytes(length, "big", signed=True))
    if isinstance(value, uuid.UUID):
        return msgpack.ExtType(2, value.bytes)
    if isinstance(value, decimal.Decimal):
        sign, digits, exponent = value.as_tuple()
        whole = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
        return msgpack.ExtType(4, struct.pack("<IIQ", max(-exponent, 0) << 16 | sign << 31, whole >> 64, whole & 0xFFFFFFFFFFFFFFFF))
    if isinstance(value, datetime.timedelta):
        return value // datetime.timedelta(microseconds=1) * 10
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _read_extension(code, data):
    if code == 2:
        return uuid.UUID(bytes=bytes(data))
    if code in (3, 5, 6):
        return int.from_bytes(data, "big", signed=code != 6)
    if code == 4:
        flags, high, low = struct.unpack("<IIQ", data)
        digits = decimal.Decimal(high << 64 | low).as_tuple().digits
        return decimal.Decimal((flags >> 31, digits, -(flags >> 16 & 0xFF)))
    return msgpack.ExtType(code, data)


# --- connection ---

def home_folder():
    return os.environ.get("GLOOX_HOME") or os.path.expanduser("~/.gloox")


def tls_context(home):
    ca, certificate, key = (os.path.join(home, name) for name in ("ca.crt", "client.crt", "client.key"))
    for path in (ca, certificate, key):
        if not os.path.exists(path):
            raise Error(TLS, f"there is no {path}; start an agent once, which makes it, or name another folder")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["gloox/1"])
    return context


async def connect(url, home=None, timeout=5.0):
    """Dials and waits until the other side has let this one in."""
    host, _, port = url.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"'{url}' is no URL of a process: write host:port")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))
    context = tls_context(home or home_folder())
    try:
        return await asyncio.wait_for(_open(host, int(port), url, context), timeout)
    except asyncio.TimeoutError:
        raise Error(TIMEOUT, f"cannot connect to {url}: no answer within {timeout} s") from None
    except ssl.SSLError as e:
        raise Error(TLS, f"{url} is not trusted: {getattr(e, 'verify_message', None) or e.reason or e}") from e
    except OSError as e:
        raise Error(CONNECTION, f"cannot connect to {url}: {e.strerror or e}") from e


async def _open(host, port, url, context):
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    node = Node(url, reader, writer)
    try:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "gloox/1":
            raise Error(PROTOCOL, f"{url} does not speak gloox/1: is it a GlooX process?")
        writer.write(frame(HELLO, 0, pack([VERSION, VERSION, MAX_FRAME, 0, SOFTWARE, WINDOW])))
        await node._greeted
        return node
    except BaseException:
        await node.close()
        raise


class Node:
    """A connection to one process. Made by connect()."""

    def __init__(self, url, reader, writer):
        self.url = url
        self._reader, self._writer = reader, writer
        self._methods = {}
        self._calls = {}  # in flight: id → the future of a call; None: it was given up, and its answer is still to come
        self._free = []  # ids that were used before
        self._max_frame = 1024
        self._gone = None
        self._greeted = asyncio.get_running_loop().create_future()
        self._reading = asyncio.ensure_future(self._read())

    async def call(self, method, *arguments, timeout=30.0):
        """Calls `method` or `service/method`. timeout is in seconds; None: no limit."""
        if self._gone:
            raise Error(self._gone.code, f"{method}: {self._gone}")
        deadline = b"" if timeout is None else varint(max(1, int(timeout * 1000)))
        if method not in self._methods:
            self._methods[method] = len(self._methods)
            self._writer.write(frame(DEFINE, self._methods[method], method.encode()))
        id = self._free.pop() if self._free else len(self._calls)
        request = frame(REQUEST, id, varint(self._methods[method]) + varint(DEADLINE if deadline else 0) + deadline + pack(list(arguments)))
        if len(request) > self._max_frame:
            self._free.append(id)
            raise Error(TOO_LARGE, f"{method}: a message of {len(request)} bytes is larger than the {self._max_frame} bytes that {self.url} accepts")
        answer = self._calls[id] = asyncio.get_running_loop().create_future()
        self._writer.write(request)
        try:
            return await asyncio.wait_for(self._await(answer), timeout)
        except asyncio.TimeoutError:
            raise Error(TIMEOUT, f"{method}: no answer from {self.url} within {timeout} s") from None
        finally:
            if self._calls.get(id) is answer:
                self._calls[id] = None
                self._writer.write(frame(CANCEL, id))

    async def close(self):
        self._reading.cancel()
        self._end(Error(CONNECTION, f"the connection to {self.url} was closed"))
        try:
            await asyncio.wait_for(self._writer.wait_closed(), 2)
        except (OSError, asyncio.TimeoutError):
            self._writer.transport.abort()  # it was broken already, or does not say goodbye
        await asyncio.gather(self._reading, return_exceptions=True)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def _await(self, answer):
        try:
            await self._writer.drain()
        except OSError:
            pass  # the reader sees the end too, and fails the call with it
        return await answer

    async def _read(self):
        try:
            while True:
                length = await self._read_length()
                data = await self._reader.readexactly(length)
                header = read_varint(data, 1) if data else None
                if header is None:
                    raise Error(PROTOCOL, "a frame without a type or id")
                self._on_frame(data[0], header[0], data[header[1]:])
        except Error as e:
            self._end(e)
        except (OSError, asyncio.IncompleteReadError) as e:
            self._end(Error(CONNECTION, f"{self.url} closed the connection ({e})"))
        except (ValueError, IndexError, TypeError, msgpack.UnpackException) as e:
            self._end(Error(PROTOCOL, f"{self.url} sent a malformed frame: {e}"))

    async def _read_length(self):
        head = b""
        while True:
            head += await self._reader.readexactly(1)
            length = read_varint(head)
            if length:
                if length[0] > MAX_FRAME:
                    raise Error(TOO_LARGE, f"{self.url} sent a frame of {length[0]} bytes; this side takes {MAX_FRAME}")
                return length[0]

    def _on_frame(self, kind, id, body):
        if kind in (RESPONSE, ERROR):
            self._on_answer(kind, id, body)
        elif kind == HELLO_ACK:
            self._max_frame = unpack(body)[2]
            self._greeted.set_result(None)
        elif kind == GO_AWAY:
            code, message = unpack(body)[:2]
            self._gone = Error(code, f"{self.url} ended the connection: {message}")
            if code != SHUTTING_DOWN:
                raise self._gone
        elif kind == PING:
            self._writer.write(frame(PONG, id))
        elif kind not in (PONG, STREAM_ITEM, STREAM_END, CREDIT):
            raise Error(PROTOCOL, f"{self.url} sent an unexpected frame of type {kind}")

    def _on_answer(self, kind, id, body):
        if id not in self._calls:
            raise Error(PROTOCOL, f"{self.url} answered call {id}, which nobody made")
        failure = Error(*unpack(body)[:4]) if kind == ERROR else None
        answer = self._calls.pop(id)
        self._free.append(id)
        if answer is None or answer.done():
            return
        if failure:
            answer.set_exception(failure)
            return
        try:
            answer.set_result(unpack(body))
        except (ValueError, msgpack.UnpackException) as e:
            answer.set_exception(Error(BAD_RESULT, f"the answer cannot be read: {e}"))

    def _end(self, reason):
        self._gone = self._gone or reason
        self._writer.close()
        for waiting in [self._greeted, *self._calls.values()]:
            if waiting is not None and not waiting.done():
                waiting.set_exception(Error(reason.code, str(reason)))


# --- command ---

def _json(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def _argument(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _main(options):
    async with await connect(options.url, options.home) as node:
        result = await node.call(options.method, *map(_argument, options.arguments), timeout=options.timeout)
        print(json.dumps(result, indent=2, ensure_ascii=False, default=_json))


def main():
    parser = argparse.ArgumentParser(prog="gloox.py", description="Calls a method of a GlooX process and prints the result as JSON.")
    parser.add_argument("url", metavar="HOST:PORT")
    parser.add_argument("method", metavar="METHOD", help="method, or service/method")
    parser.add_argument("arguments", metavar="ARGS", nargs="*", help="JSON values; what is no JSON is a string")
    parser.add_argument("--home", default=home_folder(), help="the folder with ca.crt, client.crt and client.key (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    options = parser.parse_intermixed_args()
    try:
        asyncio.run(_main(options))
    except (Error, ValueError) as e:
        print(f"gloox.py: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
