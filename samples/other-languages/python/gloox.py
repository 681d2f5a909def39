#!/usr/bin/env python3
"""A GlooX client in one file: Python 3.8 or later and msgpack (Debian: python3-msgpack). The protocol is in docs/protocol.md.

As a module:

    async with await gloox.connect("127.0.0.1:9999") as node:
        print(await node.call("agent/alive?"))
        async for number in node.stream("Count", 10): ...     # a method that returns a stream
        await node.call("Sum", numbers())                     # an async generator among the arguments is a stream
        await node.notify("Log", "no answer is wanted")

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
 CANCELLED, BAD_RESULT, SHUTTING_DOWN, FORBIDDEN) = range(1, 16)
VERSION = 1
MAX_FRAME = 16 * 1024 * 1024
MAX_VARINT = 5
WINDOW = 256 * 1024
LEAST_WINDOW = 64 * 1024
ITEM_COST = 32
SOFTWARE = "gloox.py/1"


class Error(Exception):
    """A call or a connection failed; `code` is one of the numbers above. `detail` is what the handler sent with it, a `detail_type` there.
    With REMOTE, `inner_code` is why a call failed that the handler had made itself."""

    def __init__(self, code, message, remote_type=None, remote_stack=None, detail_type=None, detail=None, inner_code=None):
        super().__init__(message)
        self.code, self.remote_type, self.remote_stack = code, remote_type, remote_stack
        self.detail_type, self.detail, self.inner_code = detail_type, detail, inner_code


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


async def connect(url, home=None, timeout=5.0, tokens=None):
    """Dials and waits until the other side has let this one in. tokens: what services ask for beside a certificate, by their names."""
    host, _, port = url.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"'{url}' is no URL of a process: write host:port")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))
    context = tls_context(home or home_folder())
    try:
        return await asyncio.wait_for(_open(host, int(port), url, context, tokens), timeout)
    except asyncio.TimeoutError:
        raise Error(TIMEOUT, f"cannot connect to {url}: no answer within {timeout} s") from None
    except ssl.SSLError as e:
        raise Error(TLS, f"{url} is not trusted: {getattr(e, 'verify_message', None) or e.reason or e}") from e
    except OSError as e:
        raise Error(CONNECTION, f"cannot connect to {url}: {e.strerror or e}") from e


async def _open(host, port, url, context, tokens):
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    node = Node(url, reader, writer)
    try:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "gloox/1":
            raise Error(PROTOCOL, f"{url} does not speak gloox/1: is it a GlooX process?")
        writer.write(frame(HELLO, 0, pack([VERSION, VERSION, MAX_FRAME, 0, SOFTWARE, WINDOW] + ([tokens] if tokens else []))))
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
        self._calls = {}  # in flight: by id; None: it was given up, and its answer is still to come
        self._free = []  # ids that were used before
        self._max_frame = 1024
        self._window = LEAST_WINDOW
        self._gone = None
        self._greeted = asyncio.get_running_loop().create_future()
        self._reading = asyncio.ensure_future(self._read())

    async def call(self, method, *arguments, timeout=30.0):
        """Calls `method` or `service/method`. timeout is in seconds; None: no limit."""
        call = self._begin(method, arguments, timeout)
        try:
            return await asyncio.wait_for(self._await(call.answer), timeout)
        except asyncio.TimeoutError:
            raise Error(TIMEOUT, f"{method}: no answer from {self.url} within {timeout} s") from None
        finally:
            self._abandon(call)

    async def stream(self, method, *arguments, timeout=None):
        """Calls a method that returns a stream. Leaving the loop early ends the call; to have that at once, close the generator."""
        call = self._begin(method, arguments, timeout)
        clock = asyncio.get_running_loop().time
        until = None if timeout is None else clock() + timeout
        consumed = 0
        try:
            while True:
                item = await asyncio.wait_for(call.items.get(), None if until is None else until - clock())
                if item is None:
                    await call.answer
                    return
                consumed += len(item) + ITEM_COST
                if consumed >= WINDOW // 2:
                    self._send(frame(CREDIT, call.id, varint(0) + varint(consumed)))
                    consumed = 0
                yield unpack(item)
        except asyncio.TimeoutError:
            raise Error(TIMEOUT, f"{method}: the stream from {self.url} did not end within {timeout} s") from None
        finally:
            self._abandon(call)

    async def notify(self, method, *arguments):
        """Calls without wanting an answer: whether it worked, nobody learns."""
        self._send(self._request(method, 0, ONE_WAY, b"", list(arguments)))
        await self._drain()

    async def close(self):
        self._reading.cancel()
        self._end(Error(CONNECTION, f"the connection to {self.url} was closed"))
        try:
            await asyncio.wait_for(self._writer.wait_closed(), 2)
        except asyncio.TimeoutError:
            self._writer.transport.abort()  # the other side does not say goodbye
        except OSError:
            pass  # it was broken already
        await asyncio.gather(self._reading, return_exceptions=True)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    def _begin(self, method, arguments, timeout):
        id = self._free.pop() if self._free else len(self._calls)
        uploads = [a for a in arguments if hasattr(a, "__aiter__")]
        values = [uploads.index(a) + 1 if hasattr(a, "__aiter__") else a for a in arguments]
        deadline = b"" if timeout is None else varint(max(1, int(timeout * 1000)))
        try:
            self._send(self._request(method, id, DEADLINE if deadline else 0, deadline, values))
        except BaseException:
            self._free.append(id)
            raise
        call = self._calls[id] = _Call(id)
        for number, items in enumerate(uploads, 1):
            upload = call.uploads[number] = _Upload(self._window)
            upload.task = asyncio.ensure_future(self._upload(call, number, upload, items))
        return call

    def _request(self, method, id, flags, deadline, values):
        if self._gone:
            raise Error(self._gone.code, f"{method}: {self._gone}")
        arguments = pack(values)
        if method not in self._methods:
            self._send(frame(DEFINE, len(self._methods), method.encode()))
            self._methods[method] = len(self._methods)
        request = frame(REQUEST, id, varint(self._methods[method]) + varint(flags) + deadline + arguments)
        self._check(method, request)
        return request

    def _check(self, method, data):
        if len(data) > self._max_frame:
            raise Error(TOO_LARGE, f"{method}: a message of {len(data)} bytes is larger than the {self._max_frame} bytes that {self.url} accepts")

    def _send(self, data):
        if not self._writer.is_closing():
            self._writer.write(data)

    async def _drain(self):
        try:
            await self._writer.drain()
        except OSError:
            pass  # the reader sees the end too, and fails all calls with it

    async def _await(self, answer):
        await self._drain()
        return await answer

    def _abandon(self, call):
        """Ends a call that may still be in flight."""
        call.end()
        if self._calls.get(call.id) is call:
            self._calls[call.id] = None
            self._send(frame(CANCEL, call.id))

    async def _upload(self, call, number, upload, items):
        end = b""
        try:
            async for item in items:
                data = pack(item)
                while upload.credit <= 0:
                    upload.granted.clear()
                    await upload.granted.wait()
                if upload.stopped:
                    return
                upload.credit -= len(data) + ITEM_COST
                data = frame(STREAM_ITEM, call.id, varint(number) + data)
                self._check("an item", data)
                self._send(data)
                await self._drain()
        except Exception as e:  # whatever the stream throws, the handler that reads it is to know
            end = pack([REMOTE, f"{type(e).__name__}: {e}", type(e).__name__, None])
        self._send(frame(STREAM_END, call.id, varint(number) + end))

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
            hello = unpack(body)
            self._max_frame = hello[2]
            self._window = hello[5] if len(hello) > 5 else LEAST_WINDOW
            self._greeted.set_result(None)
        elif kind == GO_AWAY:
            code, message = unpack(body)[:2]
            self._gone = Error(code, f"{self.url} ended the connection: {message}")
            if code != SHUTTING_DOWN:
                raise self._gone
        elif kind == PING:
            self._send(frame(PONG, id))
        elif kind in (STREAM_ITEM, CREDIT):
            self._on_stream(kind, self._calls.get(id), body)
        elif kind not in (PONG, STREAM_END):
            raise Error(PROTOCOL, f"{self.url} sent an unexpected frame of type {kind}")

    def _on_answer(self, kind, id, body):
        if id not in self._calls:
            raise Error(PROTOCOL, f"{self.url} answered call {id}, which nobody made")
        failure = Error(*unpack(body)[:7]) if kind == ERROR else None
        call = self._calls.pop(id)
        self._free.append(id)
        if call is None:
            return
        try:
            call.end(failure, None if failure else unpack(body))
        except (ValueError, msgpack.UnpackException) as e:
            call.end(Error(BAD_RESULT, f"the answer cannot be read: {e}"))

    def _on_stream(self, kind, call, body):
        number, at = read_varint(body)
        if call is None:
            return  # it came late
        if kind == STREAM_ITEM and number == 0:
            call.items.put_nowait(body[at:])
        elif kind == CREDIT and number in call.uploads:
            call.uploads[number].grant(read_varint(body, at)[0])

    def _end(self, reason):
        if not self._gone:
            self._gone = reason
            self._writer.close()  # once: asyncio's TLS transport cannot be aborted after a second close
        if not self._greeted.done():
            self._greeted.set_exception(reason)
        for call in self._calls.values():
            if call is not None:
                call.end(Error(reason.code, str(reason)))


class _Call:
    """A call in flight. Its end ends its streams."""

    def __init__(self, id):
        self.id = id
        self.answer = asyncio.get_running_loop().create_future()
        self.items = asyncio.Queue()  # of its result stream; None: no more. The window bounds it.
        self.uploads = {}

    def end(self, failure=None, result=None):
        for upload in self.uploads.values():
            upload.task.cancel()
        self.items.put_nowait(None)
        if self.answer.done():
            return
        if failure:
            self.answer.set_exception(failure)
            self.answer.exception()  # it was looked at: nobody may be waiting any more
        else:
            self.answer.set_result(result)


class _Upload:
    """A stream among the arguments of a call."""

    def __init__(self, window):
        self.credit, self.granted, self.stopped, self.task = window, asyncio.Event(), False, None

    def grant(self, bytes):
        self.stopped = bytes == 0
        self.credit += bytes or 1 << 30  # to go on and find that it is to stop
        self.granted.set()


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
