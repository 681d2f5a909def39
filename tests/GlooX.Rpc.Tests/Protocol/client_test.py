"""The Python client against a server of the tests: client_test.py FOLDER-OF-GLOOX.PY URL HOME VECTORS."""
import asyncio
import datetime
import decimal
import json
import os
import sys
import uuid

sys.dont_write_bytecode = True
folder, url, home, vectors = sys.argv[1:]
sys.path.insert(0, folder)
import gloox  # noqa: E402

PYTHON = {
    "Guid": uuid.UUID,
    "BigInteger": int,
    "decimal": decimal.Decimal,
    "byte[]": lambda v: None if v is None else bytes.fromhex(v),
    "DateTime": lambda v: datetime.datetime.fromisoformat(v.replace("Z", "+00:00")),
    "Dictionary<int, string>": lambda v: {int(k): x for k, x in v.items()},
}
AS_IN_JSON = {"bool", "int", "sbyte", "byte", "short", "ushort", "uint", "long", "ulong", "double", "string", "int?", "int[]", "int?[]",
              "int[][]", "List<string>", "Dictionary<string, int>", "(int, string)", "Order"}


def load(name):
    with open(os.path.join(vectors, name), encoding="utf-8") as file:
        return json.load(file)


def check_vectors():
    varints = load("varints.json")
    for v in varints["valid"]:
        assert gloox.varint(v["value"]).hex() == v["hex"], v
    for v in varints["valid"] + varints["tolerated"]:
        assert gloox.read_varint(bytes.fromhex(v["hex"])) == (v["value"], len(v["hex"]) // 2), v
    for v in varints["incomplete"]:
        assert gloox.read_varint(bytes.fromhex(v["hex"])) is None, v
    for v in varints["refused"]:
        fails(gloox.PROTOCOL, lambda v=v: gloox.read_varint(bytes.fromhex(v["hex"])))
    checked = 0
    for v in load("values.json")["values"]:
        if v["type"] in PYTHON or v["type"] in AS_IN_JSON:
            value = PYTHON.get(v["type"], lambda x: x)(v["value"])
            assert gloox.unpack(bytes.fromhex(v["hex"])) == value, v
            assert gloox.pack(value).hex() == v["hex"], v
            checked += 1
    assert checked > 40
    for v in load("conversation.json")["steps"]:
        data = bytes.fromhex(v["hex"])
        length, at = gloox.read_varint(data)
        id, body = gloox.read_varint(data, at + 1)
        assert length == len(data) - at and gloox.frame(data[at], id, data[body:]) == data, v


def fails(code, call):
    try:
        call()
    except gloox.Error as e:
        assert e.code == code, e
        return e
    raise AssertionError(f"error {code} was expected")


async def fails_with(code, call):
    try:
        await call
    except gloox.Error as e:
        assert e.code == code, f"{e.code}: {e}"
        return e
    raise AssertionError(f"error {code} was expected")


async def check_calls():
    async with await gloox.connect(url, home) as node:
        assert await node.call("Add", 2, 3) == 5
        assert await node.call("Greet", "größer") == "hello größer"
        assert await node.call("Forget", "it") is None
        order = {"Name": "a", "Amount": 21, "Tags": ["x"], "Part": None}
        assert await node.call("Double", order) == {**order, "Amount": 42}
        assert len(await node.call("Bytes", 100_000)) == 100_000
        assert await node.call("Size", bytes(3_000_000)) == 3_000_000
        assert sorted(await asyncio.gather(*(node.call("Add", i, 1) for i in range(500)))) == list(range(1, 501))

        thrown = await fails_with(gloox.REMOTE, node.call("Fail", "no luck"))
        assert thrown.remote_type.endswith("OddException") and "no luck" in str(thrown)
        fault = await fails_with(gloox.REMOTE, node.call("warehouse/Take", "bolt", 7))
        assert fault.detail_type.endswith(".OutOfStock") and fault.detail == {"Sku": "bolt", "Left": 3, "Order": uuid.UUID(int=0)}
        await fails_with(gloox.METHOD_NOT_FOUND, node.call("Nope"))
        await fails_with(gloox.SERVICE_NOT_FOUND, node.call("nowhere/Add", 1, 2))
        await fails_with(gloox.BAD_ARGUMENTS, node.call("Add", 1))
        await fails_with(gloox.BAD_ARGUMENTS, node.call("Add", "one", "two"))
        await fails_with(gloox.TOO_LARGE, node.call("Size", bytes(17 << 20)))

        # The handler takes a cancellation: the deadline ends it there. The next takes none: it is this side that gives up.
        await fails_with(gloox.TIMEOUT, node.call("Hang", "x", timeout=0.05))
        await fails_with(gloox.TIMEOUT, node.call("deaf", timeout=0.05))
        hanging = asyncio.ensure_future(node.call("Hang", "x", timeout=None))
        assert await node.call("Add", 2, 3) == 5  # so it was sent
        hanging.cancel()
        try:
            await hanging
            raise AssertionError("it was not cancelled")
        except asyncio.CancelledError:
            pass
        for i in range(100):
            assert await node.call("Add", i, 1) == i + 1

        lost = asyncio.ensure_future(node.call("Hang", "x", timeout=None))
        assert await node.call("Add", 2, 3) == 5
        await node.close()
        await fails_with(gloox.CONNECTION, lost)
        await fails_with(gloox.CONNECTION, node.call("Add", 2, 3))
    async with await gloox.connect(url, home) as without, await gloox.connect(url, home, tokens={"safe": "s3cret"}) as node:
        await fails_with(gloox.FORBIDDEN, without.call("safe/Add", 2, 3))
        assert await node.call("safe/Add", 2, 3) == 5
    await fails_with(gloox.CONNECTION, gloox.connect("127.0.0.1:1", home))
    await fails_with(gloox.TLS, gloox.connect(url, os.path.join(home, "nowhere")))


async def numbers(count, seen=None):
    for i in range(count):
        if seen is not None:
            seen.append(i)
        yield i


async def failing():
    yield 1
    raise ValueError("no more paper")


async def check_streams():
    async with await gloox.connect(url, home) as node:
        assert [i async for i in node.stream("feed/Count", 30_000)] == list(range(30_000))  # more than one window
        assert [len(b) async for b in node.stream("feed/Blocks", 20, 50_000)] == [50_000] * 20
        assert [i async for i in node.stream("feed/Count", 0)] == []

        seen = []
        stream = node.stream("feed/FailAfter", 3)
        try:
            async for i in stream:
                seen.append(i)
            raise AssertionError("it did not fail")
        except gloox.Error as e:
            assert e.code == gloox.REMOTE and seen == [0, 1, 2], (e, seen)

        endless = node.stream("feed/Count", 2_000_000_000)
        async for i in endless:
            if i == 10:
                break
        await endless.aclose()
        await fails_with(gloox.TIMEOUT, drain(node.stream("feed/Count", 2_000_000_000, timeout=0.1)))

        assert await node.call("feed/Sum", numbers(50_000)) == sum(range(50_000))
        failed = await fails_with(gloox.REMOTE, node.call("feed/Sum", failing()))
        assert "no more paper" in str(failed), failed
        sent = []
        assert await node.call("feed/FirstOf", numbers(1_000_000, sent)) == 0
        assert len(sent) < 100_000, len(sent)

        for i in range(10):
            await node.notify("feed/Note", i)
        while await node.call("feed/Noted") != 10:
            pass  # they were only sent


async def drain(stream):
    async for _ in stream:
        pass


check_vectors()
asyncio.run(asyncio.wait_for(check_streams(), 60))
asyncio.run(asyncio.wait_for(check_calls(), 60))
print("ok")
