"""A wire that is bad, without any module of the kernel for that.

wire.py IF IF DELAY_MS LOSS_PERCENT SEED   passes frames between two interfaces, late, and drops some; says "ready" when it does
wire.py plain IF                           makes an interface send what such a wire can take: whole checksums, no frame beyond the MTU
"""
import array
import fcntl
import heapq
import itertools
import random
import select
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
OFFLOADS = (0x17, 0x19, 0x1F, 0x24, 0x2C)  # checksums, scatter-gather, TSO, GSO, GRO
ETH_P_ALL = 3
OUTGOING = 4


def plain(interface):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for offload in OFFLOADS:
            value = array.array("I", [offload, 0])
            fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), value.buffer_info()[0]))


def wire(names, delay, loss, seed):
    ends = []
    for name in names:
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.bind((name, ETH_P_ALL))
        end.setblocking(False)
        ends.append(end)
    chance = random.Random(seed)
    order = itertools.count()
    under_way = []
    print("ready", flush=True)
    while True:
        patience = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(ends, [], [], patience)[0]:
            frame, (_, _, kind, *_) = end.recvfrom(65536)
            if kind != OUTGOING and chance.random() >= loss:
                heapq.heappush(under_way, (time.monotonic() + delay, next(order), ends[1 - ends.index(end)], frame))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(under_way)
            try:
                target.send(frame)
            except (BlockingIOError, OSError):
                pass  # lost, as on any wire


if sys.argv[1] == "plain":
    plain(sys.argv[2])
else:
    wire(sys.argv[1:3], float(sys.argv[3]) / 1000, float(sys.argv[4]) / 100, int(sys.argv[5]))
